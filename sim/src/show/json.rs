//! A record as lines of JSON. The names are promised to last: what is added is added as a new field or kind.

use heirloom_core::MemberId;
use serde_json::{Map, Value, json};

use super::{
    Filter,
    words::{named, subject_words, words},
};
use crate::{
    record::{Entry, Fate, Happened, Record, State, Step, Way},
    stored::show_key,
};

/// The part of a record that is wanted: one object for each thing that happened, in the order in which they did.
pub fn json<'a>(record: &'a Record, filter: &'a Filter) -> impl Iterator<Item = String> + use<'a> {
    record
        .entries
        .iter()
        .filter(|entry| filter.shows(entry))
        .map(|entry| Value::Object(object(record, entry)).to_string())
}

fn object(record: &Record, entry: &Entry) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("at_ns".into(), entry.at.as_nanos().into());
    object.insert("kind".into(), entry.what.kind().into());
    if let Some(host) = entry.what.host() {
        object.insert("node".into(), host.to_string().into());
    }
    object.insert("text".into(), words(record, &entry.what).into());
    if let Value::Object(fields) = fields(record, &entry.what) {
        object.extend(fields);
    }
    object
}

fn fields(record: &Record, what: &Happened) -> Value {
    let names = |lives: &mut dyn Iterator<Item = &MemberId>| lives.map(|life| record.name(*life)).collect::<Vec<_>>();
    match what {
        Happened::Done(_) | Happened::Told(..) => match what.sessions().first() {
            Some(session) => json!({ "session": show_key(*session) }),
            None => Value::Null,
        },
        Happened::State(_, state) => json!({ "state": state_name(*state) }),
        Happened::View(_, sight) => json!({
            "listed": names(&mut sight.listed.iter()),
            "suspected": names(&mut sight.suspected.iter()),
        }),
        Happened::Copy(_, key, copy) => json!({
            "session": show_key(*key),
            "held": copy.is_some(),
            "owner": copy.as_ref().and_then(|copy| copy.owner).map(|owner| record.name(owner)),
            "writes": copy.as_ref().map(|copy| copy.shown.values().map(|serial| serial.0).collect::<Vec<_>>()),
            "ended": copy.as_ref().and_then(|copy| copy.ended).map(|cause| format!("{cause:?}")),
        }),
        Happened::Commit(_, subject, serial, step) => {
            let (name, have) = step_name(step);
            json!({
                "write": serial.0,
                "subject": subject_words(*subject),
                "step": name,
                "have": names(&mut have.iter()),
            })
        }
        Happened::Read(_, key, shown) => json!({
            "session": show_key(*key),
            "writes": shown.as_ref().map(|shown| shown.values().map(|serial| serial.0).collect::<Vec<_>>()),
        }),
        Happened::Mail(_, from) => json!({ "from": record.name(*from) }),
        Happened::Message(message) => {
            let sessions = message.kinds.iter().filter_map(|(_, session)| *session);
            let mut sessions: Vec<String> = sessions.map(show_key).collect();
            sessions.dedup();
            let mut kinds: Vec<&str> = message.kinds.iter().map(|(name, _)| *name).collect();
            kinds.dedup();
            json!({
                "to": message.to.to_string(),
                "way": way_name(message.way),
                "kinds": kinds,
                "sessions": sessions,
                "bytes": message.bytes,
                "arrived_ns": message.arrived.map(|arrived| arrived.as_nanos()),
                "fate": fate_name(message.fate),
            })
        }
        Happened::Broken(violation) => json!({
            "promise": violation.promise.to_string(),
            "story": named(record, &violation.story),
        }),
        Happened::Left(_, key, _) => json!({ "session": show_key(*key) }),
    }
}

pub(crate) const fn state_name(state: State) -> &'static str {
    match state {
        State::Down => "down",
        State::Joining => "joining",
        State::Ready => "ready",
        State::Paused => "paused",
        State::Leaving => "leaving",
        State::Asleep => "asleep",
    }
}

pub(crate) fn step_name(step: &Step) -> (&'static str, &[MemberId]) {
    match step {
        Step::Waits => ("waits", &[]),
        Step::Taken => ("taken", &[]),
        Step::Refused(_) => ("refused", &[]),
        Step::Durable(have) => ("durable", have),
        Step::NotDurable(have, true) => ("late", have),
        Step::NotDurable(have, false) => ("not_durable", have),
        Step::Unknown => ("unknown", &[]),
    }
}

const fn way_name(way: Way) -> &'static str {
    match way {
        Way::Datagram => "datagram",
        Way::Group => "group",
        Way::Stream => "stream",
    }
}

pub(crate) const fn fate_name(fate: Fate) -> &'static str {
    match fate {
        Fate::Arrived => "arrived",
        Fate::Late => "late",
        Fate::Lost => "lost",
        Fate::NoRoom => "no_room",
    }
}
