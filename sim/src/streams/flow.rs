//! What flows in streams, from who writes to who reads.

use super::{Connection, Due, Streams};
use crate::{
    choices::Packet,
    clock::Moment,
    net::{Arrival, HostId, Presence, Scene},
    noise,
    record::Way,
};

impl Streams {
    /// Streams between two hosts bring nothing from now on: what they carry is lost, and whoever waits to write may.
    pub(crate) fn handle_swallow(&mut self, now: Moment, one: HostId, other: HostId) {
        let pairs = [[one, other], [other, one]];
        let mut due = Vec::new();
        for (&link, state) in self.links.iter_mut().filter(|(_, link)| pairs.contains(&link.hosts())) {
            for (end, state) in state.ends.iter_mut().enumerate() {
                if state.pipe.rest.is_some() && state.is_known {
                    due.push(Due::Writable(Connection { link, end }));
                }
                state.pipe.clear();
            }
        }
        due.into_iter().for_each(|due| self.push(now, due));
    }

    /// Brings to the reader what has arrived, and to the pipe what the writer kept.
    pub(super) fn handle_pipe(&mut self, scene: &Scene<'_>, writer: Connection) {
        let Some(link) = self.links.get_mut(&writer.link) else { return };
        let (from, to) = (link.ends[writer.end].host, link.ends[1 - writer.end].host);
        if scene.paths.swallows(from, to) {
            return;
        }
        let is_carried = scene.paths.carries_streams(from, to) && scene.paths.presence(to) != Presence::Off;
        let mut draws = link.draws(scene, writer.end);
        let reader = &link.ends[1 - writer.end];
        let is_read = reader.is_known;
        let pipe = &mut link.ends[writer.end].pipe;
        if !is_carried {
            pipe.waits = true;
            return;
        }
        if !is_read {
            pipe.clear();
            return;
        }
        pipe.taken += 1;
        let (number, count) = (link.number, pipe.taken);
        let bytes = pipe.take(scene.now, draws.per_mille(500));
        let ending = pipe.ending.filter(|_| pipe.is_empty() && pipe.last_at <= scene.now);
        if let Some(&(at, _)) = pipe.pieces.front() {
            self.push(at.max(scene.now), Due::Pipe(writer));
        }
        let connection = writer.other();
        if let Some(bytes) = bytes {
            let bytes = noise::piece(scene, from.word() << 16 | to.word(), number, count, bytes);
            self.ready.push_back((to, Arrival::Bytes { connection, bytes }));
            self.pour_rest(scene, writer);
        }
        if let Some(cause) = ending {
            self.push(scene.now, Due::Closed(connection, cause));
        }
    }

    fn pour_rest(&mut self, scene: &Scene<'_>, writer: Connection) {
        let kept = |streams: &Self| {
            let link = streams.links.get(&writer.link)?;
            let end = &link.ends[writer.end];
            end.pipe.rest.as_ref().map(|_| end.is_known)
        };
        let Some(is_known) = kept(self) else { return };
        self.pour(scene, writer);
        if is_known && kept(self).is_none() {
            self.push(scene.now, Due::Writable(writer));
        }
    }

    /// Moves as much of the rest into the pipe as there is room for, and sends what the wires take.
    pub(super) fn pour(&mut self, scene: &Scene<'_>, writer: Connection) {
        let Some(link) = self.links.get_mut(&writer.link) else { return };
        let (from, to) = (link.ends[writer.end].host, link.ends[1 - writer.end].host);
        let room = scene.weather.stream_room.min(scene.wires.socket_room(from, to));
        link.ends[writer.end].pipe.fill(room);
        if scene.wires.is_limited(from, to) { self.serve(scene) } else { self.send(scene, writer, usize::MAX) }
    }

    /// Sends so many pieces, of what the host of the writer has taken.
    fn send(&mut self, scene: &Scene<'_>, writer: Connection, count: usize) {
        let Some(link) = self.links.get_mut(&writer.link) else { return };
        let mut draws = link.draws(scene, writer.end);
        let (from, to) = (link.ends[writer.end].host, link.ends[1 - writer.end].host);
        let number = self.poured.entry((from, to)).or_default();
        let mut packet = Packet { from, to, way: Way::Stream, number: *number };
        let pipe = &mut link.ends[writer.end].pipe;
        pipe.lag = scene.paths.lag(from, to);
        let most = scene.wires.piece_max(from, to);
        let sent = core::iter::from_fn(|| pipe.launch(scene, &mut draws, &mut packet, most));
        let mut moments: Vec<Moment> = sent.take(count).collect();
        moments.dedup();
        *number = packet.number;
        moments.into_iter().for_each(|at| self.push(at, Due::Pipe(writer)));
    }

    /// Sends what waits for a wire, as far as these are free: one piece of each stream, the one that waits longest first. What
    /// the network does not carry at present waits, too, as it would have to be sent again.
    pub(super) fn serve(&mut self, scene: &Scene<'_>) {
        loop {
            let mut waiting = self.waiting(scene);
            waiting.sort_unstable();
            let Some(&(open_at, _, writer)) = waiting.first() else { return };
            if scene.now < open_at {
                if self.wires_at.is_none_or(|at| open_at < at) {
                    self.wires_at = Some(open_at);
                    self.push(open_at, Due::Wires);
                }
                return;
            }
            self.served += 1;
            if let Some(link) = self.links.get_mut(&writer.link) {
                link.ends[writer.end].pipe.served = self.served;
            }
            self.send(scene, writer, 1);
        }
    }

    /// The streams that have something to send: when their wires are free for it, and when it was their turn last.
    fn waiting(&self, scene: &Scene<'_>) -> Vec<(Moment, u64, Connection)> {
        let ends = self.links.iter().flat_map(|(&link, state)| {
            let [one, other] = state.hosts();
            [(link, 0, one, other, &state.ends[0].pipe), (link, 1, other, one, &state.ends[1].pipe)]
        });
        let waiting = ends.filter(|(_, _, from, to, pipe)| {
            pipe.has_unsent() && scene.paths.carries_streams(*from, *to) && scene.paths.presence(*to) != Presence::Off
        });
        let waiting = waiting.map(|(link, end, from, to, pipe)| {
            (scene.wires.open_at(scene.now, from, to), pipe.served, Connection { link, end })
        });
        waiting.collect()
    }
}
