//! What Redis has no words for: where a session lives and why, and who is in the cluster.
//!
//! The replies are pairs of a field and its value. Fields are only ever added, so programs may read them too.

use core::time::Duration;

use heirloom_core::{EndCause, Lifetime, MemberId, MemberState};
use heirloom_runtime::Published;

use super::{
    call::{After, Answer, Call},
    info::{stage, state},
};
use crate::{resp::Reply, store::Store};

/// One reply or a row of one.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

enum Value {
    Text(String),
    Number(u64),
    List(Vec<String>),
}

/// Where a session is, as this member sees it.
enum Place {
    Here(Published),
    Elsewhere(Published),
    Ended(EndCause),
    Unknown,
}

pub(super) fn explain<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let key = call.key(1)?;
    let place = match call.brought.get(&key) {
        Some(Ok(copy)) => Place::Elsewhere(copy.clone()),
        Some(Err(Some(cause))) => Place::Ended(*cause),
        Some(Err(None)) => Place::Unknown,
        None => match (call.store.peek(&key), call.store.ended(&key)) {
            (Some(session), _) => Place::Here(session),
            (None, Some(cause)) => Place::Ended(cause),
            (None, None) => Place::Unknown,
        },
    };
    let mut fields = Fields::default();
    fields.text("key", key);
    fields.text("state", place.name());
    match &place {
        Place::Here(session) => {
            let role = if session.owner() == Some(call.store.id()) { "owner" } else { "copy" };
            fields.text("role", role);
            describe(&mut fields, call, session);
        }
        Place::Elsewhere(session) => {
            fields.text("role", "none");
            describe(&mut fields, call, session);
        }
        Place::Ended(cause) => {
            let (name, why) = in_words(*cause);
            fields.text("cause", name);
            fields.text("why", why);
            if let Some(moved_to) = call.store.moved(&key) {
                fields.text("moved_to", moved_to);
            }
        }
        Place::Unknown => {
            fields.text("why", "no member that is in view knows it: it was never there, or its end is forgotten");
        }
    }
    let holders = call.store.holders(&key);
    fields.list("holders", holders.into_iter().map(|holder| line(call, holder)).collect());
    fields.write(&mut call.reply);
    Ok(())
}

/// Makes the node hand over and leave; asked again, it tells how far that is.
pub(super) fn drain<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let (store, at_risk) = (call.store, call.store.at_risk());
    let handover = store.handover();
    let mut fields = Fields::default();
    fields.text("state", stage(call));
    fields.text("serving", if handover.is_none_or(|handover| handover.serving) { "yes" } else { "no" });
    fields.number("remaining", count(handover.map_or(0, |handover| handover.remaining)));
    fields.number("sessions_at_risk", count(at_risk.sessions));
    fields.number("entries_at_risk", count(at_risk.entries));
    fields.number("ends_in_ms", millis(handover.map_or(call.program.drain_for, |handover| handover.ends_in)));
    fields.write(&mut call.reply);
    call.after = After::Shutdown;
    Ok(())
}

/// Who is missing is gone for good: a node that has paused takes writes again if that makes those it sees a majority.
pub(super) fn resume<S: Store>(call: &mut Call<'_, S>) -> Answer {
    call.store.resume();
    call.reply.simple("OK");
    Ok(())
}

pub(super) fn members<S: Store>(call: &mut Call<'_, S>) -> Answer {
    let (store, program) = (call.store, call.program);
    let mut me = Fields::default();
    me.text("id", store.id());
    me.text("name", &program.name);
    me.text("address", store.address());
    me.text("state", state(store.state()));
    me.text("suspect", "no");
    me.number("uptime_seconds", program.started.elapsed().as_secs());
    me.text("host", &program.host);
    me.text("zone", &program.zone);
    me.number("weight", program.weight);
    me.text("domain", &program.domain);
    me.number("protocol", program.version_max);
    me.text("payload", &program.payload);
    me.text("self", "yes");
    // Of others this is not known.
    me.number("sessions", count(store.sessions()));
    me.number("sessions_owned", count(store.sessions_owned()));
    let others = store.members().into_iter().chain(store.neighbors()).map(|member| {
        let mut fields = Fields::default();
        fields.text("id", member.id);
        fields.text("name", &member.name);
        fields.text("address", member.address);
        fields.text("state", state(member.state));
        fields.text("suspect", if member.suspect { "yes" } else { "no" });
        fields.number("uptime_seconds", member.uptime.as_secs());
        fields.text("host", &member.host);
        fields.text("zone", &member.zone);
        fields.number("weight", member.weight);
        fields.text("domain", &member.domain);
        fields.number("protocol", member.version);
        fields.text("payload", String::from_utf8_lossy(&member.payload));
        fields.text("self", "no");
        if let Some(lag) = store.lag(member.id) {
            fields.number("lag_ms", millis(lag));
        }
        fields
    });
    let rows: Vec<_> = core::iter::once(me).chain(others).collect();
    call.reply.array(rows.len());
    rows.into_iter().for_each(|row| row.write(&mut call.reply));
    Ok(())
}

/// What there is to tell of a session that lives.
fn describe<S: Store>(fields: &mut Fields, call: &Call<'_, S>, session: &Published) {
    let owner = session.owner().unwrap_or(MemberId(0));
    fields.text("owner", owner);
    // Empty if it is out of the view.
    fields.text("owner_name", name(call, owner).unwrap_or_default());
    fields.number("epoch", session.epoch().unwrap_or_default());
    fields.text("version", format_args!("{:016x}", session.digest()));
    fields.number("born_unix_ms", session.born().map_or(0, |born| born.0 / 1000));
    let (lifetime, length) = match session.lifetime() {
        Some(Lifetime::Idle(length)) => ("idle", Some(length)),
        Some(Lifetime::Fixed(length)) => ("fixed", Some(length)),
        Some(Lifetime::Never) | None => ("never", None),
    };
    fields.text("lifetime", lifetime);
    if let Some(length) = length {
        fields.number("lifetime_ms", millis(length));
        fields.number("remaining_ms", millis(call.remaining(session).unwrap_or_default()));
    }
    fields.number("attributes", count(session.attributes().count()));
    fields.number("bytes", count(session.bytes()));
}

/// A member in one line, as `INFO` has them.
fn line<S: Store>(call: &Call<'_, S>, id: MemberId) -> String {
    let (its_state, suspect) = match call.store.members().into_iter().find(|member| member.id == id) {
        Some(member) => (member.state, member.suspect),
        None if id == call.store.id() => (call.store.state(), false),
        None => (MemberState::Leaving, false),
    };
    let (name, its_state) = (name(call, id).unwrap_or_default(), state(its_state));
    format!("id={id},name={name},state={its_state},suspect={}", if suspect { "yes" } else { "no" })
}

/// The name of a member in view.
fn name<S: Store>(call: &Call<'_, S>, id: MemberId) -> Option<String> {
    if id == call.store.id() {
        return Some(call.program.name.clone());
    }
    call.store.members().into_iter().find(|member| member.id == id).map(|member| member.name)
}

fn in_words(cause: EndCause) -> (&'static str, &'static str) {
    match cause {
        EndCause::Idle => ("idle", "it was not used for its idle time"),
        EndCause::MaxAge => ("max-age", "it reached the end that was fixed for it"),
        EndCause::Ended => ("ended", "the application ended it"),
        EndCause::Replaced => ("replaced", "the application created it anew"),
        EndCause::Moved => ("moved", "its id was changed: it lives on under another"),
        EndCause::Evicted => ("evicted", "it was ended to make room, or by an operator"),
        EndCause::Lost => ("lost", "it was lost with its owner before any other member had a copy"),
        EndCause::Forgotten => ("forgotten", "it came back from a member that was away for longer than ends are kept"),
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

fn count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

impl Place {
    fn name(&self) -> &'static str {
        match self {
            Self::Here(_) => "here",
            Self::Elsewhere(_) => "elsewhere",
            Self::Ended(_) => "ended",
            Self::Unknown => "unknown",
        }
    }
}

impl Fields {
    fn text(&mut self, name: &'static str, value: impl ToString) {
        self.0.push((name, Value::Text(value.to_string())));
    }

    fn number(&mut self, name: &'static str, value: impl Into<u64>) {
        self.0.push((name, Value::Number(value.into())));
    }

    fn list(&mut self, name: &'static str, value: Vec<String>) {
        self.0.push((name, Value::List(value)));
    }

    fn write(self, reply: &mut Reply<'_>) {
        reply.map(self.0.len());
        for (name, value) in self.0 {
            reply.bulk(name.as_bytes());
            match value {
                Value::Text(text) => reply.bulk(text.as_bytes()),
                Value::Number(number) => reply.integer(i64::try_from(number).unwrap_or(i64::MAX)),
                Value::List(lines) => {
                    reply.array(lines.len());
                    lines.iter().for_each(|line| reply.bulk(line.as_bytes()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use heirloom_core::EndCause;
    use heirloom_runtime::Found;

    use crate::{
        commands::{call::After, testing::Desk},
        store::Store as _,
    };

    const ME: &str = "id=0000000000000001,name=desk,state=ready,suspect=no";

    #[test]
    fn a_session_that_is_here_is_explained() {
        let desk = Desk::new();
        desk.table(&[("HSET h f 12 g 345", ":2"), ("EXPIRE h 100", ":1")]);
        desk.pass(Duration::from_secs(40));
        let told = desk.ask("HEIRLOOM.EXPLAIN h");
        let key = desk.key("h");
        assert!(told.starts_with(&format!("[key {key} state here role owner owner 0000000000000001 ")), "{told}");
        let middle = " lifetime fixed lifetime_ms :100000 remaining_ms :60000 attributes :2 bytes :7 ";
        assert!(told.contains(" owner_name desk epoch :1 version ") && told.contains(middle), "{told}");
        assert!(told.ends_with(&format!(" holders [{ME}]]")), "{told}");
    }

    #[test]
    fn a_session_that_others_have_is_explained_from_their_copy() {
        let (desk, other) = (Desk::new(), Desk::new());
        other.ask("SET a 1");
        let copy = other.store.peek(&other.key("a")).expect("it was written");
        desk.set_far("a", Ok(Found::Copy(copy)));
        let told = desk.ask("HEIRLOOM.EXPLAIN a");
        assert!(told.contains(" state elsewhere role none owner ") && told.contains(" lifetime idle "), "{told}");
    }

    #[test]
    fn of_a_session_that_is_gone_the_cause_is_told() {
        let desk = Desk::new();
        let key = desk.key("a");
        let unknown = "no member that is in view knows it: it was never there, or its end is forgotten";
        let gone = |state: &str| format!("[key {key} state {state} holders [{ME}]]");
        assert_eq!(desk.ask("HEIRLOOM.EXPLAIN a"), gone(&format!("unknown why {unknown}")));
        desk.table(&[("SET a 1", "+OK"), ("DEL a", ":1")]);
        assert_eq!(desk.ask("HEIRLOOM.EXPLAIN a"), gone("ended cause ended why the application ended it"));
        desk.ask("SET a 1 EX 5");
        desk.pass(Duration::from_secs(60));
        desk.set_far("b", Ok(Found::Ended(EndCause::Idle)));
        let elsewhere = "state ended cause idle why it was not used for its idle time holders ";
        assert!(desk.ask("HEIRLOOM.EXPLAIN b").contains(elsewhere));
        let why = "it reached the end that was fixed for it";
        assert_eq!(desk.ask("HEIRLOOM.EXPLAIN a"), gone(&format!("ended cause max-age why {why}")));
    }

    #[test]
    fn of_a_session_that_has_moved_the_new_key_is_told() {
        let desk = Desk::new();
        desk.table(&[("SET a 1", "+OK"), ("RENAME a b", "+OK")]);
        let (told, new) = (desk.ask("HEIRLOOM.EXPLAIN a"), desk.key("b"));
        let why = "its id was changed: it lives on under another";
        assert!(told.contains(&format!(" state ended cause moved why {why} moved_to {new} ")), "{told}");
    }

    #[test]
    fn a_member_tells_of_itself_what_of_others_it_cannot() {
        let desk = Desk::new();
        desk.ask("SET a 1");
        let told = desk.ask("HEIRLOOM.MEMBERS");
        let known = "host desk-host zone  weight :100 domain  protocol :1 payload desk-payload self yes sessions :1 sessions_owned :1]]";
        assert!(told.starts_with("[[id 0000000000000001 name desk address 127.0.0.1:4000 state ready "), "{told}");
        assert!(told.ends_with(known), "{told}");
    }

    #[test]
    fn a_node_that_is_drained_says_how_far_it_is_and_what_is_at_risk() {
        let desk = Desk::new();
        desk.ask("SET a 1");
        let before = "[state ready serving yes remaining :0 sessions_at_risk :1 entries_at_risk :0 ends_in_ms :20000]";
        assert_eq!(desk.ask("HEIRLOOM.DRAIN"), before);
        assert!(matches!(desk.after.get(), After::Shutdown), "the node is to leave");
        assert!(desk.ask("INFO heirloom").contains("sessions_at_risk:1\nentries_at_risk:0\n"));
        assert!(desk.ask("HEIRLOOM.DRAIN now").contains("wrong number of arguments"));
    }
}
