//! Writes a record while a run goes on.

use std::{collections::BTreeMap, sync::Arc};

use heirloom_core::{MemberId, MemberState, Session, SessionKey};

use super::{Copy, Entry, Happened, Life, Record, Sight, State, traffic::Traffic};
use crate::{clock::Moment, cluster::Cluster, history::shown_in, host::Process, net::HostId};

/// The record so far, and what each host was like when it was last looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    entries: Vec<Entry>,
    pub(super) traffic: Traffic,
    seen: BTreeMap<HostId, Seen>,
    memory: Vec<(Moment, HostId, usize)>,
}

/// A host when it was last looked at.
#[derive(Clone, Debug, Default)]
struct Seen {
    life: Option<MemberId>,
    state: State,
    sight: Sight,
    copies: BTreeMap<SessionKey, Arc<Session>>,
}

impl Recorder {
    pub(crate) fn note(&mut self, at: Moment, what: Happened) {
        self.entries.push(Entry { at, what });
    }

    /// Notes what has changed on a host since it was last looked at.
    fn look(&mut self, at: Moment, host: HostId, process: Option<&Process>) {
        let seen = self.seen.entry(host).or_default();
        let mut found = Vec::new();
        let life = process.map(|process| process.life);
        if seen.life != life {
            // What the former life saw and held went with it.
            *seen = Seen { life, ..Seen::default() };
            found.push(Happened::State(host, State::Down));
        }
        let state = process.map_or(State::Down, state);
        if seen.state != state || life.is_none() && !found.is_empty() {
            seen.state = state;
            found = vec![Happened::State(host, state)];
        }
        if let Some(process) = process {
            let sight = sight(process);
            if seen.sight != sight {
                seen.sight = sight.clone();
                found.push(Happened::View(host, sight));
            }
            seen.compare(host, process, &mut found);
        }
        self.entries.extend(found.into_iter().map(|what| Entry { at, what }));
    }

    /// The whole record.
    pub(crate) fn finish(self, cluster: &Cluster) -> Record {
        let Self { mut entries, traffic, memory, .. } = self;
        let slow = cluster.net().weather().delay_tail.max(cluster.net().weather().delay_max);
        traffic.finish(slow + cluster.net().weather().quantum, &mut entries);
        entries.sort_by_key(|entry| entry.at);
        let hosts = cluster.all();
        let lives = hosts.flat_map(|host| {
            let lives = cluster.host(host).lives.iter().enumerate();
            lives.map(move |(index, life)| (*life, Life(host, index + 1)))
        });
        let hosts = u16::try_from(cluster.all().count()).unwrap_or(u16::MAX);
        let called = Default::default();
        Record { called, entries, lives: lives.collect(), hosts, memory, healed_at: Moment::ZERO, end: cluster.now() }
    }
}

impl Seen {
    /// Finds the sessions of which something else is held than before.
    fn compare(&mut self, host: HostId, process: &Process, found: &mut Vec<Happened>) {
        let mut left = core::mem::take(&mut self.copies);
        for (key, session) in process.node.records() {
            let before = left.remove(key);
            if before.as_ref().is_none_or(|before| !Arc::ptr_eq(before, session)) {
                let copy = Copy::of(session);
                if before.is_none_or(|before| Copy::of(&before) != copy) {
                    found.push(Happened::Copy(host, *key, Some(copy)));
                }
            }
            self.copies.insert(*key, Arc::clone(session));
        }
        found.extend(left.into_keys().map(|key| Happened::Copy(host, key, None)));
    }
}

impl Cluster {
    /// Keeps a record from now on.
    pub(crate) fn record(&mut self) {
        self.recorder = Some(Box::default());
    }

    /// Adds how much each node holds to the record, if one is kept.
    pub(crate) fn weigh(&mut self) {
        if let Some(mut recorder) = self.recorder.take() {
            let held = self.running().map(|(host, process)| (self.now(), host, process.node.memory()));
            recorder.memory.extend(held);
            self.recorder = Some(recorder);
        }
    }

    /// Adds something to the record, if one is kept.
    pub(crate) fn note(&mut self, what: impl FnOnce(&Self) -> Happened) {
        if let Some(mut recorder) = self.recorder.take() {
            recorder.note(self.now(), what(self));
            self.recorder = Some(recorder);
        }
    }

    /// Adds to the record what has changed on a host, if one is kept.
    pub(crate) fn look(&mut self, host: HostId) {
        if let Some(mut recorder) = self.recorder.take() {
            recorder.look(self.now(), host, self.process(host));
            self.recorder = Some(recorder);
        }
    }
}

fn state(process: &Process) -> State {
    match process.node.state() {
        _ if process.is_asleep => State::Asleep,
        MemberState::Joining => State::Joining,
        MemberState::Ready if process.node.paused().is_some() => State::Paused,
        MemberState::Ready => State::Ready,
        MemberState::Leaving => State::Leaving,
    }
}

fn sight(process: &Process) -> Sight {
    let members = || process.node.members();
    let suspected = members().filter(|member| member.suspect).map(|member| member.id).collect();
    Sight { listed: members().map(|member| member.id).collect(), suspected }
}

impl Copy {
    pub(crate) fn of(session: &Session) -> Self {
        Self { shown: shown_in(session), owner: session.owner(), ended: session.ended() }
    }
}
