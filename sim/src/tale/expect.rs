//! Expectations: what must be so at a moment, and what must be heard by then.

use std::collections::BTreeSet;

use heirloom_core::{EndCause, ReadyCause, RemovalCause, SessionKey};

use super::words::{Names, moment, split};
use crate::{clock::Moment, net::HostId, stored::forms::read_number};

/// One expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expectation {
    /// Where it stands in its file.
    pub(super) line: usize,
    /// As it stands there.
    pub(super) text: String,
    pub(super) when: When,
    pub(super) what: What,
}

/// When it must be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Just before what happens at this moment.
    At(Moment),
    /// At some time from one moment to another.
    Between(Moment, Moment),
    /// At no time, until all faults are over and all members are equal.
    Never,
    /// What is heard: at some time. What is so: when all faults are over and all members are equal.
    InTheEnd,
}

/// Of whom something is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Everybody that runs then.
    Every,
    /// At least one.
    Anybody,
    /// Each of these.
    Each(Vec<HostId>),
}

/// What a member shows or holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thing {
    Session(SessionKey),
    /// One of the writes that have a name.
    Write(usize),
}

/// What must be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// It is so, or not, with members.
    Is { who: Who, is_so: bool, state: State },
    /// So many members hold it.
    Copies(usize, Thing),
    /// A client was told this of its write.
    Told(usize, Fate),
    /// Members told it their applications.
    Heard(Who, Heard),
}

/// How it is with a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    /// It lists these others, and nobody else.
    Lists(BTreeSet<HostId>),
    /// Who reads there sees it.
    Shows(Thing),
    /// It has a copy, whether it may show it or not.
    Holds(Thing),
    Owns(SessionKey),
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is done, and these have it besides its writer, if that is said.
    Durable(Vec<HostId>),
    NotDurable,
    /// No member took it.
    Refused,
    /// Its member died first.
    Unknown,
}

/// What a member tells its application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Ready(Option<ReadyCause>),
    Removes(Vec<HostId>, Option<RemovalCause>),
    Suspects(Vec<HostId>),
    Ends(SessionKey, Option<EndCause>),
    Pauses,
    Resumes,
    LosesMajority,
    /// It has left, with so many sessions at risk if that is said.
    Leaves(Option<usize>),
}

/// How expectations look, for whoever wrote one that does not.
const WHATS: &str = "WHO (a,b, every member or anybody) is ready, lists b,c, shows THING, holds THING, owns SESSION, each also \
    with `is not` or `does not`; 2 members hold THING; WRITE is durable (on b,c), not durable, refused or unknown; \
    WHO is ready as joined, removes c for silence, suspects c, ends SESSION as expired, pauses, resumes, loses the majority, \
    leaves with 0 at risk";

impl When {
    fn read<'a, 'b>(words: &'a [&'b str]) -> Result<(Self, &'a [&'b str]), String> {
        Ok(match words {
            ["at", at, rest @ ..] => (Self::At(moment(at)?), rest),
            ["before", until, rest @ ..] => (Self::Between(Moment::ZERO, moment(until)?), rest),
            ["after", from, rest @ ..] => (Self::Between(moment(from)?, Moment::NEVER), rest),
            ["between", from, "and", until, rest @ ..] => {
                let (from, end) = (moment(from)?, moment(until)?);
                if end <= from {
                    return Err(format!("it must be before {until}, and after that"));
                }
                (Self::Between(from, end), rest)
            }
            ["never", rest @ ..] => (Self::Never, rest),
            _ => (Self::InTheEnd, words),
        })
    }
}

impl Expectation {
    /// When it is judged, if that is a moment.
    pub(super) fn due(&self) -> Option<Moment> {
        match self.when {
            When::At(at) => Some(at),
            When::Between(_, until) => Some(until).filter(|until| *until != Moment::NEVER),
            When::Never | When::InTheEnd => None,
        }
    }

    /// Reads one.
    pub(super) fn read(names: &Names, line: usize, text: &str) -> Result<Self, String> {
        let words = split(text);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (when, words) = When::read(&words)?;
        let what = match words {
            [count, "member" | "members", "hold" | "holds", thing] => {
                What::Copies(read_number(count, 0, names.members.len())?, thing_of(names, thing)?)
            }
            [write, "is", fate @ ..] if names.known_write(write).is_some() => {
                What::Told(write_of(names, write)?, fate_of(names, fate)?)
            }
            _ => of_members(names, when, words)?,
        };
        let is_heard = matches!(what, What::Heard(..) | What::Told(_, Fate::Durable(_)));
        match when {
            When::At(_) if matches!(what, What::Heard(..)) => Err(format!(
                "`{}` is heard at some time: between 12 s and 16 s, before, after, or never",
                words.join(" ")
            )),
            When::Between(..) | When::Never if !is_heard => {
                Err(format!("`{}` is so at a moment: at 12 s, or in the end if nothing is said", words.join(" ")))
            }
            When::At(_) | When::Between(..) | When::Never | When::InTheEnd => {
                Ok(Self { line, text: text.into(), when, what })
            }
        }
    }
}

fn of_members(names: &Names, when: When, words: &[&str]) -> Result<What, String> {
    let (who, words) = match words {
        ["every", "member", rest @ ..] => (Who::Every, rest),
        ["anybody", rest @ ..] => (Who::Anybody, rest),
        [list, rest @ ..] => (Who::Each(names.hosts(list)?), rest),
        [] => return Err(format!("it says nothing: {WHATS}")),
    };
    if let Some(heard) = heard(names, when, words)? {
        return Ok(What::Heard(who, heard));
    }
    let (is_so, words): (bool, Vec<&str>) = match words {
        [verb @ ("is" | "are"), "not", rest @ ..] => (false, [&[*verb], rest].concat()),
        ["does" | "do", "not", rest @ ..] => (false, rest.to_vec()),
        _ => (true, words.to_vec()),
    };
    let state = match words[..] {
        ["is" | "are", "ready"] => State::Ready,
        ["lists" | "list", "nobody"] => State::Lists(BTreeSet::new()),
        ["lists" | "list", list] => State::Lists(names.hosts(list)?.into_iter().collect()),
        ["shows" | "show", thing] => State::Shows(thing_of(names, thing)?),
        ["holds" | "hold", thing] => State::Holds(thing_of(names, thing)?),
        ["owns" | "own", session] => State::Owns(session_of(names, session)?),
        _ => return Err(format!("`{}` is nothing to expect: {WHATS}", words.join(" "))),
    };
    Ok(What::Is { who, is_so, state })
}

/// What is heard of members; `None` if it is nothing of that.
fn heard(names: &Names, when: When, words: &[&str]) -> Result<Option<Heard>, String> {
    let is_at_a_time = matches!(when, When::At(_) | When::InTheEnd);
    Ok(Some(match words {
        ["is" | "are", "ready", "as", cause] => Heard::Ready(Some(named(&READY, "as", cause)?)),
        ["is" | "are", "ready"] if !is_at_a_time => Heard::Ready(None),
        ["removes" | "remove", "anybody"] => Heard::Removes(names.all().collect(), None),
        ["removes" | "remove", list] => Heard::Removes(names.hosts(list)?, None),
        ["removes" | "remove", list, "for", cause] => {
            Heard::Removes(names.hosts(list)?, Some(named(&REMOVALS, "for", cause)?))
        }
        ["suspects" | "suspect", "anybody"] => Heard::Suspects(names.all().collect()),
        ["suspects" | "suspect", list] => Heard::Suspects(names.hosts(list)?),
        ["ends" | "end", session] => Heard::Ends(session_of(names, session)?, None),
        ["ends" | "end", session, "as", cause] => {
            Heard::Ends(session_of(names, session)?, Some(named(&ENDS, "as", cause)?))
        }
        ["pauses" | "pause"] => Heard::Pauses,
        ["resumes" | "resume"] => Heard::Resumes,
        ["loses" | "lose", "the", "majority"] => Heard::LosesMajority,
        ["leaves" | "leave"] => Heard::Leaves(None),
        ["leaves" | "leave", "with", count, "at", "risk"] => Heard::Leaves(Some(read_number(count, 0, 1 << 30)?)),
        _ => return Ok(None),
    }))
}

fn fate_of(names: &Names, words: &[&str]) -> Result<Fate, String> {
    match words {
        ["durable"] => Ok(Fate::Durable(Vec::new())),
        ["durable", "on", list] => Ok(Fate::Durable(names.hosts(list)?)),
        ["not", "durable"] => Ok(Fate::NotDurable),
        ["refused"] => Ok(Fate::Refused),
        ["unknown"] => Ok(Fate::Unknown),
        _ => Err(format!(
            "`{}` is nothing that a client is told: durable, not durable, refused, unknown",
            words.join(" ")
        )),
    }
}

pub(super) const READY: [(&str, ReadyCause); 2] = [("joined", ReadyCause::Joined), ("first", ReadyCause::FirstMember)];

pub(super) const REMOVALS: [(&str, RemovalCause); 5] = [
    ("left", RemovalCause::Left),
    ("silence", RemovalCause::Silent),
    ("broken", RemovalCause::Broken),
    ("refused", RemovalCause::Refused),
    ("superseded", RemovalCause::Superseded),
];

const ENDS: [(&str, EndCause); 8] = [
    ("expired", EndCause::Idle),
    ("aged", EndCause::MaxAge),
    ("ended", EndCause::Ended),
    ("replaced", EndCause::Replaced),
    ("forgotten", EndCause::Forgotten),
    ("moved", EndCause::Moved),
    ("evicted", EndCause::Evicted),
    ("lost", EndCause::Lost),
];

fn named<T: Copy>(table: &[(&'static str, T)], word: &str, name: &str) -> Result<T, String> {
    let found = table.iter().find(|(known, _)| *known == name).map(|(_, cause)| *cause);
    found.ok_or_else(|| {
        let all: Vec<&str> = table.iter().map(|(known, _)| *known).collect();
        format!("`{word} {name}` is no cause: {}", all.join(", "))
    })
}

fn session_of(names: &Names, name: &str) -> Result<SessionKey, String> {
    let found = names.known_session(name);
    found.ok_or_else(|| {
        let known: Vec<&str> = names.sessions.iter().map(|(name, _)| name.as_str()).collect();
        format!("`{name}` is no session of the timeline: {}", known.join(", "))
    })
}

fn write_of(names: &Names, name: &str) -> Result<usize, String> {
    let writes: Vec<&str> = names.writes.iter().map(|(name, _)| name.as_str()).collect();
    names.known_write(name).ok_or_else(|| format!("`{name}` is no write with a name: {}", writes.join(", ")))
}

fn thing_of(names: &Names, name: &str) -> Result<Thing, String> {
    match (names.known_session(name), names.known_write(name)) {
        (Some(key), _) => Ok(Thing::Session(key)),
        (None, Some(write)) => Ok(Thing::Write(write)),
        (None, None) => {
            let writes = names.writes.iter().map(|(name, _)| name);
            let sessions = names.sessions.iter().map(|(name, _)| name);
            let known: Vec<&str> = sessions.chain(writes).map(String::as_str).collect();
            Err(format!("`{name}` is no session and no write with a name: {}", known.join(", ")))
        }
    }
}
