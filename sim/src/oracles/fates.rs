//! P2: which losses the crashes of a run excuse.
//!
//! A write has so many copies: those that its receipt named, or all that there must be, once all who must hold it did. Only
//! when that many of the members which held it have ended since then, and nobody is left who holds it, it may be lost. Who left
//! and said that nothing was at risk takes no copy along that counts.

use std::collections::{BTreeMap, BTreeSet};

use heirloom_core::{Copies, MemberId, MemberState, Session, SessionKey};

use crate::{
    ask::{Serial, Start},
    clock::Moment,
    history::{Attempt, Told, shown_in},
    host::Process,
    oracles::{End, View},
};

/// How many copies of each write have gone with their members.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fates {
    fates: BTreeMap<Serial, Fate>,
    /// When the last process was gone with what it had.
    crashed_at: Option<Moment>,
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
    pub(crate) fn handle_end(&mut self, view: View<'_>, life: MemberId, end: End) {
        if end != End::HandedOver {
            self.crashed_at = Some(view.now());
        }
        // Who hands over may rely on one that it does not know to be dead.
        let unnoticed = self.crashed_at.is_some_and(|at| view.now() < at + view.gone_after());
        let costs = end != End::HandedOver || unnoticed;
        let scenes = view.history.stories().map(|(key, _)| (*key, Scene::new(view, key, life)));
        let scenes: BTreeMap<SessionKey, Scene<'_>> = scenes.collect();
        for attempt in view.history.attempts() {
            self.follow(view, &scenes, attempt, (life, costs, end == End::AtRisk));
        }
    }

    /// Whether a write may be lost.
    pub(crate) fn is_excused(&self, serial: Serial) -> bool {
        self.fates.get(&serial).is_some_and(|fate| fate.is_excused)
    }

    fn follow(
        &mut self,
        view: View<'_>,
        scenes: &BTreeMap<SessionKey, Scene<'_>>,
        attempt: &Attempt,
        (life, costs, told): (MemberId, bool, bool),
    ) {
        let fate = self.fates.entry(attempt.serial).or_insert(Fate {
            since: attempt.at,
            copies: 1,
            ended: 0,
            is_excused: false,
        });
        if fate.is_excused {
            return;
        }
        // An end by itself is nowhere but in the record of its own key.
        let is_end = attempt.ask.start == Start::End && attempt.ask.moves_to.is_none();
        let places = if is_end { BTreeSet::from([attempt.ask.key]) } else { view.history.places(attempt.ask.key) };
        let scenes = || places.iter().filter_map(|key| Some((*key, scenes.get(key)?)));
        let held_under = |key: SessionKey, scene: &Scene<'_>| {
            let has = |session: &Session| view.history.has(view.cluster, (key, session), attempt);
            let held = scene.records.iter().filter(|(_, session)| has(session));
            held.map(|(life, _)| *life).collect::<BTreeSet<MemberId>>()
        };
        let held: BTreeSet<MemberId> = scenes().flat_map(|(key, scene)| held_under(key, scene)).collect();
        let Some((_, scene)) = scenes().next() else { return };
        if scenes().any(|(key, scene)| scene.sufficient(&held_under(key, scene))) {
            *fate = Fate { since: view.now(), copies: scene.enough, ended: 0, ..*fate };
        } else if let Told::Durable(at, members) = &attempt.told
            && fate.since < *at
        {
            // Who was dead by then, and not known to be, had ended.
            let is_dead =
                |member: &&MemberId| view.ledger.deaths().iter().any(|(died, life)| life == *member && died <= at);
            let ended = members.iter().filter(is_dead).count();
            *fate = Fate { since: *at, copies: (1 + members.len()).min(scene.most), ended, ..*fate };
        }
        // What it does not show any more may have been taken away there.
        let lacks = |key: SessionKey, session: &Session| {
            view.history.lack_in(view.cluster, (key, &shown_in(session)), attempt).is_some()
        };
        let had = |(key, scene): (SessionKey, &Scene<'_>)| {
            scene.records.get(&life).is_some_and(|session| !lacks(key, session))
        };
        if costs {
            fate.ended += usize::from(scenes().any(had));
        } else {
            // Who hands over leaves as many copies as there are others that hold one.
            let left = held.iter().filter(|holder| **holder != life).count();
            fate.copies = fate.copies.min(left).max(1);
        }
        // Two that leave at once may each rely on the other; the last one tells what it could not hand over.
        fate.is_excused = held.iter().all(|holder| *holder == life) && (told || fate.copies <= fate.ended);
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
        let known = |process: &&'a Process| Some((process.life, &**process.node.record(key)?));
        // A sleeper serves nobody: what it would say of who must hold what is from before it fell asleep.
        let serves = |process: &&&Process| process.node.state() == MemberState::Ready && !process.is_asleep;
        let serving = processes.iter().filter(serves);
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
