//! Runs a record against this build.

use core::{fmt, time::Duration};
use std::{
    collections::{BTreeMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use heirloom_core::{
    Config, Demand, MemberId, Node, SessionKey, SessionVersion, StreamId, Time, Wall, recording::delta_of,
};

use crate::{
    form::{Answer, BadRecord, Ending, Entry, Header, Input, Output},
    reader::Reader,
};

/// What came of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// What the node started from.
    pub header: Header,
    /// How many things came to it.
    pub inputs: u64,
    /// How many things it sent.
    pub sent: u64,
    /// How long the record is.
    pub length: Duration,
    /// The first thing in which this build differs from the one that recorded it.
    pub difference: Option<Difference>,
    /// How the record ended, if it is the same up to there.
    pub ending: Ending,
}

/// In what two builds differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// How long after the node had started.
    pub at: Duration,
    /// The how many'th input it is after.
    pub number: u64,
    /// That input.
    pub input: String,
    /// What the node answered then.
    pub then: String,
    /// What it answers now.
    pub now: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, number, input, then, now } = self;
        write!(
            f,
            "differs {:.6} s after the start, after input {number} ({input}): then it was {then}, now it is {now}",
            at.as_secs_f64()
        )
    }
}

/// Lets a record happen again.
///
/// # Errors
///
/// What is wrong with the file. What comes before that was the same.
pub fn replay(bytes: &[u8]) -> Result<Replayed, BadRecord> {
    let mut reader = Reader::new(bytes)?;
    let contents = contents(bytes)?;
    let header = reader.header.clone();
    let config: Config = serde_json::from_str(&header.config).map_err(|_| BadRecord::Senseless(0))?;
    let started = Time::from_nanos(header.now);
    let node = Node::new(MemberId(header.id), header.address, config, header.seed, started);
    let mut node = node.map_err(|_| BadRecord::Senseless(0))?;
    let mut desk = Desk { contents, now: started, seen: Seen::default() };
    let ending = loop {
        let entry = match reader.next_entry()? {
            Ok(entry) => entry,
            Err(ending) => break ending,
        };
        let name = name(&entry.input);
        if entry.input.comes_in() {
            (desk.seen.inputs, desk.seen.last) = (desk.seen.inputs + 1, name);
        }
        let fed = catch_unwind(AssertUnwindSafe(|| desk.feed(&mut node, entry)));
        match fed {
            Ok(Fed::Same) => {}
            Ok(Fed::Lacks) => break Ending::Unfinished,
            Ok(Fed::Senseless) => return Err(BadRecord::Senseless(0)),
            Ok(Fed::Differs(then, now)) => {
                desk.seen.differs(desk.now.since(started), then, now);
                break Ending::Died;
            }
            Err(_) => {
                desk.seen.differs(desk.now.since(started), "an answer".into(), "a panic".into());
                break Ending::Died;
            }
        }
    };
    let Seen { inputs, sent, difference, .. } = desk.seen;
    Ok(Replayed { header, inputs, sent, length: desk.now.since(started), difference, ending })
}

/// What came by each stream, which may be told after it came.
fn contents(bytes: &[u8]) -> Result<BTreeMap<u64, VecDeque<u8>>, BadRecord> {
    let mut reader = Reader::new(bytes)?;
    let mut contents: BTreeMap<u64, VecDeque<u8>> = BTreeMap::new();
    while let Ok(entry) = reader.next_entry()? {
        if let Input::Contents(stream, bytes) = entry.input {
            contents.entry(stream).or_default().extend(bytes);
        }
    }
    Ok(contents)
}

#[derive(Debug, Default)]
struct Seen {
    inputs: u64,
    sent: u64,
    last: String,
    difference: Option<Difference>,
}

impl Seen {
    fn differs(&mut self, at: Duration, then: String, now: String) {
        self.difference = Some(Difference { at, number: self.inputs, input: self.last.clone(), then, now });
    }
}

/// What came of one input.
enum Fed {
    Same,
    Differs(String, String),
    /// The bytes that came were never told.
    Lacks,
    Senseless,
}

impl Fed {
    fn of<T: PartialEq>(then: &T, now: &T, tell: impl Fn(&T) -> String) -> Self {
        if then == now { Self::Same } else { Self::Differs(tell(then), tell(now)) }
    }

    fn answer(then: Answer, now: Answer) -> Self {
        Self::of(&then, &now, |Answer(hash)| format!("an answer with the hash {hash:016x}"))
    }
}

/// Hands a node what was recorded.
struct Desk {
    contents: BTreeMap<u64, VecDeque<u8>>,
    now: Time,
    seen: Seen,
}

impl Desk {
    fn feed(&mut self, node: &mut Node, Entry { after, input }: Entry) -> Fed {
        let nanos = i64::try_from(self.now.as_nanos()).unwrap_or(i64::MAX).saturating_add(after);
        self.now = Time::from_nanos(u64::try_from(nanos).unwrap_or(0));
        let now = self.now;
        match input {
            Input::Sends(then) => {
                let sends = node.poll_transmit(now);
                let output = sends.as_ref().map(|transmit| Output::of(transmit, <[u8]>::to_vec));
                self.seen.sent += u64::from(output.is_some());
                return Fed::of(&then, &output, |output| {
                    output.as_ref().map_or_else(|| "nothing to send".into(), Output::to_string)
                });
            }
            Input::Bytes(stream, length) => {
                let waiting = self.contents.entry(stream).or_default();
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if waiting.len() < length {
                    return Fed::Lacks;
                }
                let bytes: Vec<u8> = waiting.drain(..length).collect();
                let _ = node.handle_stream(now, StreamId(stream), &bytes);
            }
            Input::Accepted(from, then) => {
                let StreamId(stream) = node.handle_accepted(now, from);
                return Fed::of(&then, &stream, |stream| format!("a stream called {stream}"));
            }
            Input::Group(group) => node.set_group(group),
            // What the driver drops and counts makes no difference to the node.
            Input::Datagram(from, bytes) => drop(node.handle_datagram(now, from, &bytes)),
            Input::Opened(stream) => node.handle_opened(now, StreamId(stream)),
            Input::Contents(..) | Input::End(_) => {}
            Input::Closed(stream, cause) => node.handle_closed(now, StreamId(stream), cause.into()),
            Input::Blocked(stream) => node.handle_blocked(now, StreamId(stream)),
            Input::Writable(stream) => node.handle_writable(now, StreamId(stream)),
            Input::SendFailed(to) => node.handle_send_failed(now, to),
            Input::Wall(wall) => node.handle_wall(now, Wall(wall)),
            Input::Timeout => node.handle_timeout(now),
            Input::Touch(key) => node.touch(now, &SessionKey(key)),
            Input::Peers(peers) => node.set_peers(now, peers),
            Input::StartAlone => node.start_alone(now),
            Input::Resume => node.resume(now),
            Input::Leave => node.leave(now),
            Input::Drain(within) => node.drain(now, within),
            asked @ (Input::Commit(..)
            | Input::ChangeId(..)
            | Input::MapSet(..)
            | Input::MapRemove(..)
            | Input::Fetch(..)
            | Input::AtLeast(..)
            | Input::Send(..)
            | Input::Payload(..)) => return ask(node, now, asked),
            Input::Outcome(then) => return Fed::answer(then, Answer::of(&node.poll_outcome())),
            Input::Fetched(then) => {
                return Fed::answer(then, Answer::of(&node.poll_fetched().map(|(fetch, _)| fetch)));
            }
            Input::Message(then) => {
                return Fed::answer(then, Answer::of(&node.poll_message().map(|message| message.from)));
            }
            Input::Event(then) => return Fed::answer(then, Answer::of(&node.poll_event())),
            Input::Changed(then) => return Fed::answer(then, Answer::of(&node.poll_changed())),
        }
        Fed::Same
    }
}

/// What has an answer.
fn ask(node: &mut Node, now: Time, input: Input) -> Fed {
    let (then, answer) = match input {
        Input::Commit(key, delta, wanted, then) => {
            let Some(delta) = delta_of(&delta) else { return Fed::Senseless };
            (then, Answer::of(&node.commit(now, SessionKey(key), delta, Demand::from(wanted))))
        }
        Input::ChangeId(old, new, wanted, then) => {
            (then, Answer::of(&node.change_id(now, SessionKey(old), SessionKey(new), Demand::from(wanted))))
        }
        Input::MapSet(name, value, wanted, then) => {
            (then, Answer::of(&node.map_set(now, name, value, Demand::from(wanted))))
        }
        Input::MapRemove(name, wanted, then) => (then, Answer::of(&node.map_remove(now, name, Demand::from(wanted)))),
        Input::Fetch(key, purpose, then) => (then, Answer::of(&node.fetch(now, SessionKey(key), purpose.into()))),
        Input::AtLeast(key, version, then) => {
            let Ok(version) = SessionVersion::from_bytes(&version) else { return Fed::Senseless };
            (then, Answer::of_session(&node.session_at_least(now, &SessionKey(key), &version)))
        }
        Input::Send(to, message, then) => (then, send(node, to, message)),
        Input::Payload(payload, then) => (then, Answer::of(&node.set_payload(now, payload))),
        Input::Group(_)
        | Input::Datagram(..)
        | Input::Accepted(..)
        | Input::Opened(_)
        | Input::Bytes(..)
        | Input::Contents(..)
        | Input::Closed(..)
        | Input::Blocked(_)
        | Input::Writable(_)
        | Input::SendFailed(_)
        | Input::Wall(_)
        | Input::Timeout
        | Input::Sends(_)
        | Input::Outcome(_)
        | Input::Fetched(_)
        | Input::Message(_)
        | Input::Event(_)
        | Input::Changed(_)
        | Input::Touch(_)
        | Input::Peers(_)
        | Input::StartAlone
        | Input::Resume
        | Input::Leave
        | Input::Drain(_)
        | Input::End(_) => return Fed::Same,
    };
    Fed::answer(then, answer)
}

fn send(node: &mut Node, to: Option<u64>, message: Vec<u8>) -> Answer {
    match to {
        Some(to) => Answer::of(&node.send(MemberId(to), message).map(|()| 1_usize)),
        None => Answer::of(&node.send_to_all(message)),
    }
}

/// An input in a few words.
fn name(input: &Input) -> String {
    match input {
        Input::Datagram(from, bytes) => format!("a datagram of {} bytes from {from}", bytes.len()),
        Input::Accepted(from, stream) => format!("stream {stream} from {from}"),
        Input::Opened(stream) => format!("stream {stream} is open"),
        Input::Bytes(stream, length) => format!("{length} bytes by stream {stream}"),
        Input::Closed(stream, cause) => format!("stream {stream} is over: {cause:?}"),
        Input::Blocked(stream) => format!("stream {stream} takes no more"),
        Input::Writable(stream) => format!("stream {stream} takes more"),
        Input::Timeout => "something is due".into(),
        Input::Wall(_) => "the wall clock".into(),
        Input::Commit(key, ..) => format!("a commit to {}", SessionKey(*key)),
        Input::ChangeId(key, ..) => format!("another id for {}", SessionKey(*key)),
        Input::MapSet(name, ..) => format!("the shared map is set at {}", Bytes::copy_from_slice(name).escape_ascii()),
        Input::MapRemove(name, ..) => format!("the shared map loses {}", Bytes::copy_from_slice(name).escape_ascii()),
        Input::Touch(key) => format!("a use of {}", SessionKey(*key)),
        Input::Fetch(key, ..) | Input::AtLeast(key, ..) => format!("a question for {}", SessionKey(*key)),
        Input::Group(true) => "there is a group".into(),
        Input::Group(false) => "there is no group".into(),
        Input::Contents(..) => "the bytes of a stream".into(),
        Input::SendFailed(to) => format!("a datagram to {to} could not be sent"),
        Input::Sends(_) => "what is to be sent".into(),
        Input::Outcome(_) => "the end of a commit".into(),
        Input::Fetched(_) => "the answer to a question".into(),
        Input::Message(_) => "a message of an application".into(),
        Input::Event(_) => "an event".into(),
        Input::Changed(_) => "a session that has changed".into(),
        Input::Send(..) => "a message to be sent".into(),
        Input::Payload(..) => "another payload".into(),
        Input::Peers(_) => "addresses of others".into(),
        Input::StartAlone => "it is to start alone".into(),
        Input::Resume => "who is missing is gone".into(),
        Input::Leave => "it is to leave".into(),
        Input::Drain(_) => "it is to hand over and leave".into(),
        Input::End(_) => "the end".into(),
    }
}
