//! A node, and whoever writes down what comes to it.
//!
//! The driver calls a node through this and nothing else, so nothing can come to the node that is not in the record. What only
//! looks at the node goes to it directly. Without a recorder each call costs one look whether there is one.

use core::{net::SocketAddr, ops::Deref, time::Duration};

use bytes::Bytes;
use heirloom_core::{
    AtLeast, CloseCause, CommitError, CommitId, Delta, Demand, Event, Fetch, FetchId, Fetched, FrameError, MemberId,
    Message, MessageError, Node, Outcome, PayloadTooLong, Purpose, SessionKey, SessionVersion, StreamId, Time,
    Transmit, Wall, recording::delta_bytes,
};
use heirloom_record::{Answer, Input, Recorder, State};

/// A node with all that is handed to it.
#[derive(Debug)]
pub(crate) struct Recorded {
    node: Node,
    recorder: Option<Box<Recorder>>,
}

impl Deref for Recorded {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl Recorded {
    pub(crate) const fn new(node: Node, recorder: Option<Box<Recorder>>) -> Self {
        Self { node, recorder }
    }

    /// What the recorder does.
    pub(crate) fn record(&self) -> State {
        self.recorder.as_ref().map_or(State::Off, |recorder| recorder.state())
    }

    fn note(&mut self, now: Time, input: impl FnOnce() -> Input) {
        if let Some(recorder) = &mut self.recorder {
            recorder.note(Some(now), input());
        }
    }

    /// Notes what was asked and answered; what is asked may have values in it.
    fn note_asked(&mut self, now: Option<Time>, input: impl FnOnce(&Recorder) -> Input) {
        if let Some(recorder) = &mut self.recorder {
            let input = input(recorder);
            recorder.note(now, input);
        }
    }

    fn note_taken<T>(&mut self, taken: Option<T>, input: impl FnOnce(&Option<T>) -> Input) -> Option<T> {
        // Whoever asks in vain changes nothing.
        if let Some(recorder) = self.recorder.as_mut().filter(|_| taken.is_some()) {
            recorder.note(None, input(&taken));
        }
        taken
    }
}

/// What comes from the network and the clock.
impl Recorded {
    pub(crate) fn set_group(&mut self, group: bool) {
        self.note_asked(None, |_| Input::Group(group));
        self.node.set_group(group);
    }

    pub(crate) fn handle_datagram(&mut self, now: Time, from: SocketAddr, bytes: &[u8]) -> Result<(), FrameError> {
        self.note(now, || Input::Datagram(from, bytes.to_vec()));
        self.node.handle_datagram(now, from, bytes)
    }

    pub(crate) fn handle_accepted(&mut self, now: Time, from: SocketAddr) -> StreamId {
        let stream = self.node.handle_accepted(now, from);
        self.note(now, || Input::Accepted(from, stream.0));
        stream
    }

    pub(crate) fn handle_opened(&mut self, now: Time, stream: StreamId) {
        self.note(now, || Input::Opened(stream.0));
        self.node.handle_opened(now, stream);
    }

    pub(crate) fn handle_stream(&mut self, now: Time, stream: StreamId, bytes: &[u8]) -> Result<(), FrameError> {
        if let Some(recorder) = &mut self.recorder {
            recorder.note_bytes(now, stream.0, bytes);
        }
        self.node.handle_stream(now, stream, bytes)
    }

    pub(crate) fn handle_closed(&mut self, now: Time, stream: StreamId, cause: CloseCause) {
        self.note(now, || Input::Closed(stream.0, cause.into()));
        if let Some(recorder) = &mut self.recorder {
            recorder.end_stream(stream.0);
        }
        self.node.handle_closed(now, stream, cause);
    }

    pub(crate) fn handle_blocked(&mut self, now: Time, stream: StreamId) {
        self.note(now, || Input::Blocked(stream.0));
        self.node.handle_blocked(now, stream);
    }

    pub(crate) fn handle_writable(&mut self, now: Time, stream: StreamId) {
        self.note(now, || Input::Writable(stream.0));
        self.node.handle_writable(now, stream);
    }

    pub(crate) fn handle_send_failed(&mut self, now: Time, to: SocketAddr) {
        self.note(now, || Input::SendFailed(to));
        self.node.handle_send_failed(now, to);
    }

    pub(crate) fn handle_wall(&mut self, now: Time, wall: Wall) {
        self.note(now, || Input::Wall(wall.0));
        self.node.handle_wall(now, wall);
    }

    pub(crate) fn handle_timeout(&mut self, now: Time) {
        self.note(now, || Input::Timeout);
        self.node.handle_timeout(now);
    }
}

/// What comes out of the node.
impl Recorded {
    pub(crate) fn poll_transmit(&mut self, now: Time) -> Option<Transmit> {
        let transmit = self.node.poll_transmit(now);
        if let Some(recorder) = &mut self.recorder {
            recorder.note_sends(now, transmit.as_ref());
        }
        transmit
    }

    pub(crate) fn poll_outcome(&mut self) -> Option<(CommitId, Outcome)> {
        let taken = self.node.poll_outcome();
        self.note_taken(taken, |taken| Input::Outcome(Answer::of(taken)))
    }

    pub(crate) fn poll_fetched(&mut self) -> Option<(FetchId, Fetched)> {
        let taken = self.node.poll_fetched();
        self.note_taken(taken, |taken| Input::Fetched(Answer::of(&taken.as_ref().map(|(fetch, _)| fetch))))
    }

    pub(crate) fn poll_message(&mut self) -> Option<Message> {
        let taken = self.node.poll_message();
        self.note_taken(taken, |taken| Input::Message(Answer::of(&taken.as_ref().map(|message| message.from))))
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        let taken = self.node.poll_event();
        self.note_taken(taken, |taken| Input::Event(Answer::of(taken)))
    }

    pub(crate) fn poll_changed(&mut self) -> Option<SessionKey> {
        let taken = self.node.poll_changed();
        self.note_taken(taken, |taken| Input::Changed(Answer::of(taken)))
    }
}

/// What the application asks for.
impl Recorded {
    pub(crate) fn commit(
        &mut self,
        now: Time,
        key: SessionKey,
        delta: Delta,
        demand: Demand,
    ) -> Result<CommitId, CommitError> {
        let told = self.recorder.as_ref().map(|recorder| delta_bytes(&delta, |value| recorder.hide(value)));
        let answer = self.node.commit(now, key, delta, demand);
        self.note_asked(Some(now), |_| {
            Input::Commit(key.0, told.unwrap_or_default(), demand.into(), Answer::of(&answer))
        });
        answer
    }

    pub(crate) fn change_id(
        &mut self,
        now: Time,
        old: SessionKey,
        new: SessionKey,
        demand: Demand,
    ) -> Result<CommitId, CommitError> {
        let answer = self.node.change_id(now, old, new, demand);
        self.note_asked(Some(now), |_| Input::ChangeId(old.0, new.0, demand.into(), Answer::of(&answer)));
        answer
    }

    pub(crate) fn map_set(
        &mut self,
        now: Time,
        name: Bytes,
        value: Bytes,
        demand: Demand,
    ) -> Result<CommitId, CommitError> {
        let answer = self.node.map_set(now, name.clone(), value.clone(), demand);
        self.note_asked(Some(now), |recorder| {
            Input::MapSet(name.to_vec(), hidden(recorder, &value), demand.into(), Answer::of(&answer))
        });
        answer
    }

    pub(crate) fn map_remove(&mut self, now: Time, name: Bytes, demand: Demand) -> Result<CommitId, CommitError> {
        let answer = self.node.map_remove(now, name.clone(), demand);
        self.note_asked(Some(now), |_| Input::MapRemove(name.to_vec(), demand.into(), Answer::of(&answer)));
        answer
    }

    pub(crate) fn touch(&mut self, now: Time, key: &SessionKey) {
        self.note(now, || Input::Touch(key.0));
        self.node.touch(now, key);
    }

    pub(crate) fn fetch(&mut self, now: Time, key: SessionKey, purpose: Purpose) -> Result<Fetch, CommitError> {
        let answer = self.node.fetch(now, key, purpose);
        self.note_asked(Some(now), |_| Input::Fetch(key.0, purpose.into(), Answer::of(&answer)));
        answer
    }

    pub(crate) fn session_at_least(
        &mut self,
        now: Time,
        key: &SessionKey,
        floor: &SessionVersion,
    ) -> Result<AtLeast, CommitError> {
        let answer = self.node.session_at_least(now, key, floor);
        self.note_asked(Some(now), |_| Input::AtLeast(key.0, floor.to_bytes(), Answer::of_session(&answer)));
        answer
    }

    pub(crate) fn send(&mut self, to: MemberId, message: Bytes) -> Result<(), MessageError> {
        let answer = self.node.send(to, message.clone());
        self.note_asked(None, |recorder| {
            Input::Send(Some(to.0), hidden(recorder, &message), Answer::of(&answer.map(|()| 1_usize)))
        });
        answer
    }

    pub(crate) fn send_to_all(&mut self, message: Bytes) -> Result<usize, MessageError> {
        let answer = self.node.send_to_all(message.clone());
        self.note_asked(None, |recorder| Input::Send(None, hidden(recorder, &message), Answer::of(&answer)));
        answer
    }

    pub(crate) fn set_payload(&mut self, now: Time, payload: impl Into<Bytes>) -> Result<(), PayloadTooLong> {
        let payload = payload.into();
        let answer = self.node.set_payload(now, payload.clone());
        self.note_asked(Some(now), |_| Input::Payload(payload.to_vec(), Answer::of(&answer)));
        answer
    }

    pub(crate) fn set_peers(&mut self, now: Time, peers: Vec<SocketAddr>) {
        self.note(now, || Input::Peers(peers.clone()));
        self.node.set_peers(now, peers);
    }

    pub(crate) fn start_alone(&mut self, now: Time) {
        self.note(now, || Input::StartAlone);
        self.node.start_alone(now);
    }

    pub(crate) fn resume(&mut self, now: Time) {
        self.note(now, || Input::Resume);
        self.node.resume(now);
    }

    pub(crate) fn leave(&mut self, now: Time) {
        self.note(now, || Input::Leave);
        self.node.leave(now);
    }

    pub(crate) fn drain(&mut self, now: Time, within: Duration) {
        self.note(now, || Input::Drain(within));
        self.node.drain(now, within);
    }
}

fn hidden(recorder: &Recorder, value: &Bytes) -> Vec<u8> {
    let mut value = value.to_vec();
    recorder.hide(&mut value);
    value
}
