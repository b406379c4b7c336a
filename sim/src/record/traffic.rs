//! What travels between members while a record is kept, from when it is sent until it has arrived.
//!
//! A datagram is known again by what it says: no two beats or probes of a member are alike. A write to a stream has
//! arrived with its last byte.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use heirloom_core::kinds;

use super::{Entry, Fate, Happened, Message, Way};
use crate::{
    clock::Moment,
    cluster::Cluster,
    net::{Arrival, HostId},
    streams::Connection,
};

#[derive(Clone, Debug, Default)]
pub(super) struct Traffic {
    sent: Vec<(Moment, Message)>,
    /// The datagrams that have not arrived, the oldest of those that are alike first.
    datagrams: BTreeMap<(HostId, HostId, Bytes), VecDeque<usize>>,
    /// What is under way in each stream, by the end that writes it.
    flows: BTreeMap<Connection, Flow>,
    /// Who is at the other end.
    peers: BTreeMap<Connection, HostId>,
}

#[derive(Clone, Debug, Default)]
struct Flow {
    written: usize,
    read: usize,
    /// The writes that have not arrived, and how much was written with them.
    writes: VecDeque<(usize, usize)>,
}

impl Traffic {
    fn send(&mut self, now: Moment, (from, to): (HostId, HostId), way: Way, bytes: &Bytes) -> usize {
        let mut kinds = kinds::with_sessions(bytes, way == Way::Stream);
        kinds.sort();
        kinds.dedup();
        let message = Message { from, to, way, kinds, bytes: bytes.len(), arrived: None, fate: Fate::Lost };
        self.sent.push((now, message));
        self.sent.len() - 1
    }

    fn send_datagram(&mut self, now: Moment, from: HostId, to: HostId, way: Way, bytes: &Bytes) {
        let number = self.send(now, (from, to), way, bytes);
        self.datagrams.entry((from, to, bytes.clone())).or_default().push_back(number);
    }

    /// The last datagram of this kind found no room.
    fn crowd_out(&mut self, from: HostId, to: HostId, bytes: &Bytes) {
        let same = self.datagrams.get_mut(&(from, to, bytes.clone()));
        if let Some(number) = same.and_then(VecDeque::pop_back) {
            self.sent[number].1.fate = Fate::NoRoom;
        }
    }

    fn write(&mut self, now: Moment, host: HostId, connection: Connection, bytes: &Bytes) {
        let Some(&to) = self.peers.get(&connection) else { return };
        let number = self.send(now, (host, to), Way::Stream, bytes);
        let flow = self.flows.entry(connection).or_default();
        flow.written += bytes.len();
        flow.writes.push_back((number, flow.written));
    }

    fn arrive(&mut self, now: Moment, host: HostId, arrival: &Arrival) {
        match arrival {
            Arrival::Datagram { from, bytes } => {
                let same = self.datagrams.get_mut(&(*from, host, bytes.clone()));
                if let Some(number) = same.and_then(VecDeque::pop_front) {
                    self.sent[number].1.arrived = Some(now);
                }
            }
            Arrival::Accepted { connection, from } => {
                self.peers.insert(*connection, *from);
            }
            Arrival::Bytes { connection, bytes } => {
                let Some(flow) = self.flows.get_mut(&connection.other()) else { return };
                flow.read += bytes.len();
                while let Some((number, _)) = flow.writes.pop_front_if(|(_, end)| *end <= flow.read) {
                    self.sent[number].1.arrived = Some(now);
                }
            }
            Arrival::SendFailed { .. } | Arrival::Opened { .. } | Arrival::Writable { .. } | Arrival::Closed { .. } => {
            }
        }
    }

    /// Tells what became of everything; `slow` is the longest way that is usual.
    pub(super) fn finish(self, slow: Duration, entries: &mut Vec<Entry>) {
        for (at, mut message) in self.sent {
            message.fate = match message.took(at) {
                Some(took) if took <= slow => Fate::Arrived,
                Some(_) => Fate::Late,
                None => message.fate,
            };
            entries.push(Entry { at, what: Happened::Message(message) });
        }
    }
}

impl Cluster {
    /// A host sends a datagram to another.
    pub(crate) fn note_datagram(&mut self, from: HostId, to: HostId, bytes: &Bytes) {
        let now = self.now();
        if let Some(recorder) = &mut self.recorder {
            recorder.traffic.send_datagram(now, from, to, Way::Datagram, bytes);
        }
    }

    /// A host sends a datagram to the group.
    pub(crate) fn note_multicast(&mut self, from: HostId, bytes: &Bytes) {
        let now = self.now();
        let Some(recorder) = &mut self.recorder else { return };
        for to in self.net.paths().hosts().filter(|to| *to != from) {
            recorder.traffic.send_datagram(now, from, to, Way::Group, bytes);
        }
    }

    /// Notes which of the datagrams that a host has just sent found no room.
    pub(crate) fn note_crowded_out(&mut self, bytes: &Bytes) {
        for (from, to, _) in self.net.take_crowded_out() {
            self.marks.crowded_out();
            self.crowded_out.push((from, to));
            if let Some(recorder) = &mut self.recorder {
                recorder.traffic.crowd_out(from, to, bytes);
            }
        }
    }

    /// Between whom datagrams found no room since this was asked last.
    pub(crate) fn take_crowded_out(&mut self) -> Vec<(HostId, HostId)> {
        core::mem::take(&mut self.crowded_out)
    }

    /// A host opens a stream.
    pub(crate) fn note_stream(&mut self, connection: Connection, to: HostId) {
        if let Some(recorder) = &mut self.recorder {
            recorder.traffic.peers.insert(connection, to);
        }
    }

    /// A host writes to a stream.
    pub(crate) fn note_write(&mut self, host: HostId, connection: Connection, bytes: &Bytes) {
        let now = self.now();
        if let Some(recorder) = &mut self.recorder {
            recorder.traffic.write(now, host, connection, bytes);
        }
    }

    /// Something reaches the process of a host.
    pub(crate) fn note_arrival(&mut self, host: HostId, arrival: &Arrival) {
        let now = self.now();
        if let Some(recorder) = &mut self.recorder {
            recorder.traffic.arrive(now, host, arrival);
        }
    }
}
