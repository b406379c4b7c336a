//! The small measurements: what one operation of the core costs, by instructions and by time.
//!
//! A case is prepared and then shot, again and again. Only the shot is measured, and it performs a known number of
//! operations. Members are those of [`Net`]: the same counts come out each time.

use std::{cell::RefCell, iter, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use heirloom_core::{
    Config, Copies, Delta, Durability, SessionKey, StreamId, Transmit,
    costs::{self, Summing},
};

use crate::{Net, SETTLES_IN, attribute, keys, value};

/// What is measured.
pub struct Case {
    /// Its name, as the budget has it.
    pub name: String,
    /// How many operations a shot performs.
    pub operations: u64,
    /// Prepares a shot.
    pub prepare: Box<dyn FnMut() -> Shot>,
}

/// Performs the operations.
pub type Shot = Box<dyn FnOnce()>;

/// Bytes of a value.
const VALUE: usize = 100;
/// Operations of a shot that may be made in any number.
const OPERATIONS: usize = 64;
/// Numbers of values that may have been loaded are below this one.
const LOADED: usize = 1 << 32;
/// Sessions in a table that is not there for its size.
const SESSIONS: usize = 1_000;

/// A case that is made when it is its turn: some hold very much.
pub type Recipe = Box<dyn FnOnce() -> Vec<Case>>;

/// All cases. Those that are there for the size of the table have so many sessions, besides 1,000.
pub fn recipes(large: usize) -> Vec<Recipe> {
    let mut recipes: Vec<Recipe> = vec![Box::new(wire), Box::new(|| vec![summing()])];
    for peers in [0, 1, 3, 7] {
        recipes.push(Box::new(move || vec![commits(peers)]));
    }
    recipes.push(Box::new(frames));
    for sessions in [SESSIONS, large] {
        recipes.push(Box::new(move || table(sessions)));
    }
    recipes.push(Box::new(attributes));
    recipes.push(Box::new(move || vec![expiry(large)]));
    recipes.push(Box::new(move || vec![join(large)]));
    recipes.push(Box::new(move || vec![view_change(large)]));
    recipes
}

/// A delta between its session and its bytes, with one attribute and with a hundred.
fn wire() -> Vec<Case> {
    let mut cases = Vec::new();
    for attributes in [1, 100] {
        let mut net = Net::ready(1, Copies::Everywhere);
        let key = keys(1)[0];
        let now = net.now();
        net.node_mut(0).commit(now, key, many(attributes), Durability::Local).expect("the node serves");
        let session = Arc::clone(net.node(0).session(&key).expect("it was written"));
        let mut bytes = Vec::new();
        costs::encode(key, &session, &mut bytes);
        let bytes = Bytes::from(bytes);
        cases.push(case(&format!("encode a delta, {}", counted(attributes)), OPERATIONS, move || {
            let session = Arc::clone(&session);
            let mut into: Vec<Vec<u8>> = iter::repeat_with(|| Vec::with_capacity(1 << 16)).take(OPERATIONS).collect();
            Box::new(move || into.iter_mut().for_each(|bytes| costs::encode(key, &session, bytes)))
        }));
        cases.push(case(&format!("decode a delta, {}", counted(attributes)), OPERATIONS, move || {
            let bytes = bytes.clone();
            Box::new(move || (0..OPERATIONS).for_each(|_| costs::decode(&bytes)))
        }));
    }
    cases
}

/// What the sums of the digests take when a session changes.
fn summing() -> Case {
    let summing = Rc::new(RefCell::new(Summing::default()));
    let keys = keys(SESSIONS);
    let mut round = 0;
    case("update a digest", OPERATIONS, move || {
        round += 1;
        let (summing, at) = (Rc::clone(&summing), round * OPERATIONS);
        let changed: Vec<_> = (at..at + OPERATIONS).map(|n| (keys[n % keys.len()], n as u64)).collect();
        Box::new(move || changed.into_iter().for_each(|(key, digest)| summing.borrow_mut().change(key, digest)))
    })
}

/// Commits of a member with so many others.
fn commits(peers: usize) -> Case {
    let loaded = Loaded::new(peers + 1, SESSIONS);
    case(&format!("commit, {peers} peers"), OPERATIONS, move || loaded.commits())
}

/// The frames that a commit makes for three peers, which lack the same or not.
fn frames() -> Vec<Case> {
    let same = Loaded::new(4, SESSIONS);
    let other = Loaded::new(4, SESSIONS);
    vec![
        case("build frames for 3 peers, the same changes", OPERATIONS, move || {
            same.commits()();
            let net = Rc::clone(&same.net);
            Box::new(move || send_all(&net))
        }),
        case("build frames for 3 peers, other changes", OPERATIONS, move || {
            // The first gets all that is sent here, the second nothing of the first part, the third nothing of two parts.
            let net = Rc::clone(&other.net);
            let streams: Vec<Vec<StreamId>> = (1..4).map(|peer| net.borrow().streams(0, peer)).collect();
            for blocked in [2, 1] {
                other.commits()();
                let mut held = net.borrow_mut();
                let now = held.now();
                streams
                    .iter()
                    .rev()
                    .take(blocked)
                    .flatten()
                    .for_each(|stream| held.node_mut(0).handle_blocked(now, *stream));
                held.pump();
            }
            other.commits()();
            {
                let mut held = net.borrow_mut();
                let now = held.now();
                streams.iter().flatten().for_each(|stream| held.node_mut(0).handle_writable(now, *stream));
            }
            Box::new(move || send_all(&net))
        }),
    ]
}

/// What depends on the size of the table.
pub fn table(sessions: usize) -> Vec<Case> {
    let loaded = Loaded::new(2, sessions);
    let named = |what: &str| format!("{what}, {sessions} sessions");
    let (commit, apply, read, touch) = (loaded.clone(), loaded.clone(), loaded.clone(), loaded);
    vec![
        case(&named("commit"), OPERATIONS, move || commit.commits()),
        case(&named("apply a delta"), OPERATIONS, move || {
            let mut frames = Vec::new();
            for (key, delta) in apply.writes() {
                let mut net = apply.net.borrow_mut();
                let now = net.now();
                net.node_mut(0).commit(now, key, delta, Durability::Local).expect("the node serves");
                while let Some(transmit) = net.poll(0) {
                    match transmit {
                        Transmit::Write { stream, bytes } => {
                            frames.push((net.other_end(0, stream).expect("it is open"), bytes));
                        }
                        other @ (Transmit::Datagram { .. }
                        | Transmit::Multicast { .. }
                        | Transmit::Open { .. }
                        | Transmit::Close { .. }) => net.carry(0, other),
                    }
                }
            }
            let net = Rc::clone(&apply.net);
            Box::new(move || {
                let mut net = net.borrow_mut();
                let now = net.now();
                for ((peer, stream), bytes) in &frames {
                    net.node_mut(*peer).handle_stream(now, *stream, bytes).expect("it is valid");
                }
            })
        }),
        case(&named("read"), OPERATIONS, move || {
            let (net, some) = (Rc::clone(&read.net), read.some());
            Box::new(move || {
                let net = net.borrow();
                assert!(some.iter().all(|key| net.node(0).session(key).is_some()), "they are there");
            })
        }),
        case(&named("use"), OPERATIONS, move || {
            touch.pump();
            touch.net.borrow_mut().run(Duration::from_millis(1));
            let (net, some) = (Rc::clone(&touch.net), touch.some());
            Box::new(move || {
                let mut net = net.borrow_mut();
                let now = net.now();
                some.iter().for_each(|key| net.node_mut(0).touch(now, key));
            })
        }),
    ]
}

/// A commit of one attribute of a session that has a hundred, and its way to the copy.
fn attributes() -> Vec<Case> {
    let loaded = Loaded::with(2, 50, 100);
    let sent = loaded.clone();
    vec![
        case("commit, 100 attributes", OPERATIONS, move || loaded.commits()),
        case("send, apply and acknowledge, 100 attributes", OPERATIONS, move || {
            sent.commits()();
            let sent = sent.clone();
            Box::new(move || sent.net.borrow_mut().pump())
        }),
    ]
}

/// All sessions are due at once.
fn expiry(sessions: usize) -> Case {
    case(&format!("expire one of {sessions} due sessions"), sessions, move || {
        let mut net = Net::ready(1, Copies::Everywhere);
        net.load(&keys(sessions), VALUE, |_, _, _| 0);
        let at = net.now() + Config::default().idle + Duration::from_secs(60);
        Box::new(move || {
            let node = net.node_mut(0);
            let mut now = at;
            while node.stats().expiries < sessions as u64 {
                node.handle_timeout(now);
                while node.poll_transmit(now).is_some() {}
                now = node.poll_timeout().map_or(now, |at| at.max(now));
            }
            while node.poll_event().is_some() {}
            assert!(!node.records().any(|(_, session)| session.is_live()), "all have expired");
        })
    })
}

/// A member joins and gets everything, all members together.
fn join(sessions: usize) -> Case {
    case(&format!("feed a joiner one of {sessions} sessions"), sessions, move || {
        let mut net = Net::ready(1, Copies::Everywhere);
        net.load(&keys(sessions), VALUE, |_, _, _| 0);
        Box::new(move || {
            net.start(Copies::Everywhere);
            net.run_until_settled(SETTLES_IN);
            assert_eq!(net.node(1).records().count(), net.node(0).records().count(), "it has everything");
        })
    })
}

/// One of three members dies, and its copies are made again, all members together.
fn view_change(sessions: usize) -> Case {
    case(&format!("restore the copies after a death, one of {sessions} sessions"), sessions, move || {
        let mut net = Net::ready(3, Copies::Backups(1));
        net.load(&keys(sessions), VALUE, |_, at, _| at % 3);
        Box::new(move || {
            net.kill(2);
            net.run_until_settled(SETTLES_IN);
        })
    })
}

/// Members, the first of which has written sessions and writes them in turn.
#[derive(Clone)]
struct Loaded {
    net: Rc<RefCell<Net>>,
    keys: Rc<Vec<SessionKey>>,
    /// Of the last write.
    number: Rc<RefCell<usize>>,
    attributes: usize,
}

impl Loaded {
    fn new(members: usize, sessions: usize) -> Self {
        Self::with(members, sessions, 1)
    }

    fn with(members: usize, sessions: usize, attributes: usize) -> Self {
        let mut net = Net::ready(members, Copies::Everywhere);
        let keys = keys(sessions);
        if attributes == 1 {
            net.load(&keys, VALUE, |_, _, _| 0);
        } else {
            for key in &keys {
                let now = net.now();
                net.node_mut(0).commit(now, *key, many(attributes), Durability::All).expect("the node serves");
            }
            net.run_until_settled(SETTLES_IN);
        }
        Self { net: Rc::new(RefCell::new(net)), keys: Rc::new(keys), number: Rc::default(), attributes }
    }

    /// What is under way arrives.
    fn pump(&self) {
        self.net.borrow_mut().pump();
    }

    /// The next sessions in turn.
    fn some(&self) -> Vec<SessionKey> {
        let first = *self.number.borrow();
        *self.number.borrow_mut() += OPERATIONS;
        (first..first + OPERATIONS).map(|number| self.keys[number % self.keys.len()]).collect()
    }

    /// Writes of the next sessions, each another value than before.
    fn writes(&self) -> Vec<(SessionKey, Delta)> {
        self.pump();
        let number = *self.number.borrow();
        let write = |(at, key)| {
            // Another one than was loaded, and than any before.
            let value = value(LOADED + number + at, VALUE);
            (
                key,
                if self.attributes == 1 {
                    attribute(value)
                } else {
                    Delta::new().set(name(at % self.attributes), value)
                },
            )
        };
        self.some().into_iter().enumerate().map(write).collect()
    }

    fn commits(&self) -> Shot {
        let (net, writes) = (Rc::clone(&self.net), self.writes());
        Box::new(move || {
            let mut net = net.borrow_mut();
            let now = net.now();
            for (key, delta) in writes {
                net.node_mut(0).commit(now, key, delta, Durability::Local).expect("the node serves");
            }
        })
    }
}

/// Takes what the first member sends, and keeps it out of the others' way until the next pump.
fn send_all(net: &RefCell<Net>) {
    let mut net = net.borrow_mut();
    let mut sent = Vec::new();
    while let Some(transmit) = net.poll(0) {
        sent.push(transmit);
    }
    net.later(0, sent);
}

fn case(name: &str, operations: usize, prepare: impl FnMut() -> Shot + 'static) -> Case {
    Case { name: name.into(), operations: operations as u64, prepare: Box::new(prepare) }
}

fn many(attributes: usize) -> Delta {
    (0..attributes).fold(Delta::new(), |delta, at| delta.set(name(at), value(at, VALUE)))
}

fn name(attribute: usize) -> String {
    format!("attribute {attribute}")
}

fn counted(attributes: usize) -> String {
    format!("{attributes} attribute{}", if attributes == 1 { "" } else { "s" })
}
