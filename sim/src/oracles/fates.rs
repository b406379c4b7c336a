//! P2: which losses the crashes of a run excuse.
//!
//! A write has so many copies: those that its receipt named, or all that there must be, once all who must hold it did. Only
//! when that many of the members which held it have ended since then, and nobody is left who holds it, it may be lost.

use std::collections::{BTreeMap, BTreeSet};

use heirloom_core::{Copies, MemberId, MemberState, Session, SessionKey};

use crate::{
    ask::Serial,
    clock::Moment,
    history::{Attempt, Told, record, shown_in},
    host::Process,
    oracles::View,
};

/// How many copies of each write have gone with their members.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fates {
    fates: BTreeMap<Serial, Fate>,
}

/// One stretch of the life of a write, in which its copies were not restored.
#[derive(Clone, Copy, Debug)]
struct Fate {
    since: Moment,
    /// How many copies it had when the stretch began.
    copies: usize,
    /// How many of those who held it have ended in the stretch.
    ended: usize,
    /// Nobody is left who holds it, and that is no fault.
    is_excused: bool,
}

impl Fates {
    /// A process has ended.
    pub(crate) fn handle_end(&mut self, view: View<'_>, life: MemberId) {
        for (key, story) in view.history.stories() {
            let scene = Scene::new(view, key, life);
            for attempt in story.attempts.iter().filter_map(|serial| view.history.attempt(*serial)) {
                self.follow(view, &scene, attempt, life);
            }
        }
    }

    /// Whether a write may be lost.
    pub(crate) fn is_excused(&self, serial: Serial) -> bool {
        self.fates.get(&serial).is_some_and(|fate| fate.is_excused)
    }

    fn follow(&mut self, view: View<'_>, scene: &Scene<'_>, attempt: &Attempt, life: MemberId) {
        let fate = self.fates.entry(attempt.serial).or_insert(Fate {
            since: attempt.at,
            copies: 1,
            ended: 0,
            is_excused: false,
        });
        if fate.is_excused {
            return;
        }
        let held = scene.records.iter().filter(|(_, session)| view.history.has(view.cluster, session, attempt));
        let held: BTreeSet<MemberId> = held.map(|(life, _)| *life).collect();
        if scene.sufficient(&held) {
            *fate = Fate { since: view.now(), copies: scene.enough, ended: 0, ..*fate };
        } else if let Told::Durable(at, members) = &attempt.told
            && fate.since < *at
        {
            *fate = Fate { since: *at, copies: (1 + members.len()).min(scene.most), ended: 0, ..*fate };
        }
        // What it does not show any more may have been taken away there.
        let lacks = |session: &Session| view.history.lack_in(view.cluster, &shown_in(session), attempt).is_some();
        fate.ended += usize::from(scene.records.get(&life).is_some_and(|session| !lacks(session)));
        fate.is_excused = held.iter().all(|holder| *holder == life) && fate.copies <= fate.ended;
    }
}

/// A session at the moment at which a process ends.
struct Scene<'a> {
    /// What each has of it, the one that ends included.
    records: BTreeMap<MemberId, &'a Session>,
    /// Who must hold it, by the view of each that serves.
    holders: Vec<Vec<MemberId>>,
    /// How many copies there must be.
    enough: usize,
    /// How many copies there must be where there are members enough.
    most: usize,
}

impl<'a> Scene<'a> {
    fn new(view: View<'a>, key: &SessionKey, life: MemberId) -> Self {
        let former = view.cluster.former(life);
        let processes: Vec<&'a Process> = view.running().map(|(_, process)| process).chain(former).collect();
        let known = |process: &&'a Process| Some((process.life, &**record(&process.node, key)?));
        let serving = processes.iter().filter(|process| process.node.state() == MemberState::Ready);
        let holders: Vec<_> = serving.map(|process| process.node.holders(key)).collect();
        let most = match view.cluster.config().copies {
            Copies::Everywhere => usize::MAX,
            Copies::Backups(backups) => usize::from(backups) + 1,
            Copies::Nowhere => 1,
        };
        Self { records: processes.iter().filter_map(known).collect(), enough: most.min(holders.len()), most, holders }
    }

    /// Whether all who must hold a write do.
    fn sufficient(&self, held: &BTreeSet<MemberId>) -> bool {
        let suffice = |holders: &Vec<MemberId>| {
            self.enough <= holders.len() && holders.iter().all(|holder| held.contains(holder))
        };
        0 < self.enough && self.holders.iter().all(suffice)
    }
}
