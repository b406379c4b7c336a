//! What happened, in words: one sentence for each thing, without its time and without who it happened to.

use heirloom_core::{EndCause, Event, MemberId, RemovalCause, SeekCause};

use crate::{
    history::Shown,
    record::{Copy, Fate, Happened, Holding, Message, Record, Sight, State, Step, Subject, Way},
    stored::{show_action, show_key},
};

/// What happened, as a sentence whose subject is the member or the world.
pub fn words(record: &Record, what: &Happened) -> String {
    match what {
        Happened::Done(action) => show_action(action).1,
        Happened::State(host, state) => format!("{host} {}", state_words(*state)),
        Happened::View(host, sight) => format!("{host} {}", view_words(record, sight)),
        Happened::Told(host, event) => format!("{host} {}", event_words(record, event)),
        Happened::Copy(host, key, Some(copy)) => format!("{host} {}", copy_words(record, &show_key(*key), copy)),
        Happened::Copy(host, key, None) => format!("{host} holds nothing of {} any more", show_key(*key)),
        Happened::Commit(host, subject, serial, step) => {
            format!("{host} {}", step_words(record, &format!("#{} to {}", serial.0, subject_words(*subject)), step))
        }
        Happened::Read(host, key, Some(shown)) if shown.is_empty() => {
            format!("{host} tells a client that there is no {}", show_key(*key))
        }
        Happened::Read(host, key, Some(shown)) => format!("{host} shows {} with {}", show_key(*key), writes(shown)),
        Happened::Read(host, key, None) => format!("{host} gives up to look for {}", show_key(*key)),
        Happened::Mail(host, from) => format!("{host} gets a message of the application of {}", record.name(*from)),
        Happened::Message(message) => message_words(message),
        Happened::Broken(violation) => format!("{} is broken: {}", violation.promise, named(record, &violation.story)),
        Happened::Left(host, key, holding) => format!("{host} {}", holding_words(record, &show_key(*key), holding)),
    }
}

pub(crate) fn state_words(state: State) -> &'static str {
    match state {
        State::Down => "is down",
        State::Joining => "joins",
        State::Ready => "serves",
        State::Paused => "takes no writes: it sees too few others",
        State::Leaving => "leaves",
        State::Asleep => "does not run",
    }
}

fn view_words(record: &Record, sight: &Sight) -> String {
    let listed = match sight.listed.is_empty() {
        true => "lists nobody else".into(),
        false => format!("lists {}", lives_words(record, sight.listed.iter())),
    };
    match sight.suspected.is_empty() {
        true => listed,
        false => format!("{listed}, and suspects {}", lives_words(record, sight.suspected.iter())),
    }
}

fn copy_words(record: &Record, key: &str, copy: &Copy) -> String {
    let owner = copy.owner.map(|owner| format!(", owned by {}", record.name(owner))).unwrap_or_default();
    match copy.ended {
        Some(cause) => format!("holds that {key} has ended: {}", end_words(cause)),
        None => format!("holds {key} with {}{owner}", writes(&copy.shown)),
    }
}

fn holding_words(record: &Record, key: &str, holding: &Holding) -> String {
    let Holding { is_shown, copy, holders } = holding;
    let held = copy.as_ref().map_or_else(|| format!("holds nothing of {key}"), |copy| copy_words(record, key, copy));
    let shows = if *is_shown { "shows it" } else { "does not show it" };
    let holders = lives_words(record, holders.iter());
    format!("{held} in the end, and {shows}; by its view it must be held by {holders}")
}

/// The names of lives, in order.
fn lives_words<'a>(record: &Record, lives: impl Iterator<Item = &'a MemberId>) -> String {
    let mut names: Vec<String> = lives.map(|life| record.name(*life)).collect();
    names.sort();
    names.join(" ")
}

/// The writes that are there, the newest of them last.
pub(crate) fn writes(shown: &Shown) -> String {
    let mut serials: Vec<u64> = shown.values().map(|serial| serial.0).collect();
    serials.sort_unstable();
    serials.dedup();
    let serials: Vec<String> = serials.into_iter().map(|serial| format!("#{serial}")).collect();
    if serials.is_empty() { "no writes".into() } else { serials.join(" ") }
}

pub(crate) fn subject_words(subject: Subject) -> String {
    match subject {
        Subject::Session(key) => show_key(key),
        Subject::Name(name) => format!("m{}", name.0),
    }
}

fn step_words(record: &Record, write: &str, step: &Step) -> String {
    let names = |lives: &[MemberId]| match lives.len() {
        0 => "it alone has it".into(),
        1 => format!("{} has it too", lives_words(record, lives.iter())),
        _ => format!("{} have it too", lives_words(record, lives.iter())),
    };
    match step {
        Step::Waits => format!("asks others first, for {write}"),
        Step::Taken => format!("takes {write}"),
        Step::Refused(why) => format!("refuses {write}: {why}"),
        Step::Durable(have) => format!("tells that {write} is durable: {}", names(have)),
        Step::NotDurable(have, true) => format!("tells that {write} is late: {}", names(have)),
        Step::NotDurable(have, false) => format!("tells that {write} is not durable: {}", names(have)),
        Step::Unknown => format!("says nothing any more of {write}: it may have happened or not"),
    }
}

fn message_words(message: &Message) -> String {
    let Message { from, to, way, kinds, bytes, fate, .. } = message;
    let mut parts: Vec<String> = Vec::new();
    for (name, session) in kinds {
        let name = name.strip_prefix("feed: ").unwrap_or(name);
        parts.push(session.map_or_else(|| name.into(), |session| format!("{name} {}", show_key(session))));
    }
    let way = match way {
        Way::Datagram => "datagram",
        Way::Group => "datagram to the group",
        Way::Stream => "stream",
    };
    let fate = match fate {
        Fate::Arrived => "arrives",
        Fate::Late => "arrives late",
        Fate::Lost => "is lost",
        Fate::NoRoom => "is lost: no room is left",
    };
    format!("{from} to {to}: {} ({bytes} bytes, {way}) {fate}", parts.join(", "))
}

fn removal_words(cause: RemovalCause) -> &'static str {
    match cause {
        RemovalCause::Left => "it leaves",
        RemovalCause::Silent => "it is silent",
        RemovalCause::Broken => "its stream broke",
        RemovalCause::Refused => "its listener refuses",
        RemovalCause::Superseded => "another life is there",
    }
}

fn end_words(cause: EndCause) -> &'static str {
    match cause {
        EndCause::Idle => "it was not used",
        EndCause::MaxAge => "it was as old as it may get",
        EndCause::Ended => "a client ended it",
        EndCause::Replaced => "another took its key",
        EndCause::Forgotten => "it came back after its end was forgotten",
        EndCause::Moved => "it has another id",
        EndCause::Evicted => "room was needed",
        EndCause::Lost => "nobody has it any more",
    }
}

pub(crate) fn event_words(record: &Record, event: &Event) -> String {
    let name = |life: &MemberId| record.name(*life);
    match event {
        Event::Ready(cause) => format!("is ready: {cause:?}"),
        Event::MemberAdded(life) => format!("adds {} to its view", name(life)),
        Event::MemberReady(life) => format!("hears that {} is ready", name(life)),
        Event::MemberPayload(life) => format!("has another payload of {}", name(life)),
        Event::MemberSuspect(life, cause) => format!("suspects {}: {}", name(life), removal_words(*cause)),
        Event::MemberCleared(life) => format!("suspects {} no more: it has answered", name(life)),
        Event::MemberRemoved(life, cause) => format!("removes {} from its view: {}", name(life), removal_words(*cause)),
        Event::NeighborAdded(life) => format!("sees the neighbor {}", name(life)),
        Event::NeighborRemoved(life, cause) => {
            format!("sees the neighbor {} no more: {}", name(life), removal_words(*cause))
        }
        Event::Seeking(address, SeekCause::Configured) => format!("looks for a member at {address}"),
        Event::Seeking(address, SeekCause::Removed(cause)) => {
            format!("looks for the member that was at {address}: {}", removal_words(*cause))
        }
        Event::Found(address, life) => format!("has found {} at {address}", name(life)),
        Event::Mismatched(life, _) => format!("does not list {}: it has another setting of copies", name(life)),
        Event::Incompatible { member, .. } => format!("does not list {}: it speaks no version of ours", name(member)),
        Event::Settled(life) => format!("has settled the sessions of {}", name(life)),
        Event::SessionEnded(key, cause) => format!("tells that {} has ended: {}", show_key(*key), end_words(*cause)),
        Event::MapChanged(name) => format!("has another value of {} of the map", name.escape_ascii()),
        Event::ClockAhead(life, millis) => format!("finds the clock of {} {millis} ms ahead", name(life)),
        Event::Slept(length) => format!("has slept for {length:?}"),
        Event::EndsForgotten => "has forgotten an end early".into(),
        Event::Overfull(limit) => format!("holds more than it should: {limit:?}"),
        Event::Paused(few) => format!("takes no writes from now on: {few}"),
        Event::Resumed => "takes writes again".into(),
        Event::MajorityLost(few) => format!("sees too few others and goes on: {few}"),
        Event::MajorityRegained => "sees enough others again".into(),
        Event::Repaired(key, life, difference) => {
            format!("repairs {}, which {} owns: {difference:?}", show_key(*key), name(life))
        }
        Event::Left { at_risk } if at_risk.is_none() => "has left, and handed over everything".into(),
        Event::Left { .. } => "has left, and something was at risk".into(),
        Event::Lagged => "has lost events: its reader was slow".into(),
    }
}

/// A story with members and sessions called what they are called elsewhere.
pub(crate) fn named(record: &Record, story: &str) -> String {
    let mut story = story.to_owned();
    for life in record.lives.keys() {
        story =
            story.replace(&format!("{life:?}"), &record.name(*life)).replace(&life.to_string(), &record.name(*life));
    }
    for session in record.sessions() {
        story = story.replace(&format!("{session:?}"), &show_key(session));
        story = story.replace(&session.to_string(), &show_key(session));
    }
    story
}
