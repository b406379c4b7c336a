//! One direction of a stream: bytes in order, with room for so many.

use core::time::Duration;
use std::collections::VecDeque;

use bytes::Bytes;
use heirloom_core::CloseCause;

use crate::{
    chance::Draws,
    choices::{Packet, Twist},
    clock::Moment,
    net::Scene,
};

/// What one end has written and the other has not read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pipe {
    pub(crate) pieces: VecDeque<(Moment, Bytes)>,
    bytes: usize,
    /// What its sender's host has taken and not yet sent.
    socket: VecDeque<Bytes>,
    /// Which piece of all streams was the last that it sent.
    pub(crate) served: u64,
    pub(crate) rest: Option<Bytes>,
    pub(crate) last_at: Moment,
    pub(crate) count: u64,
    /// How often something was looked for in it.
    pub(crate) taken: u64,
    pub(crate) waits: bool,
    pub(crate) ending: Option<CloseCause>,
    /// How much longer its way takes at present.
    pub(crate) lag: Duration,
}

impl Pipe {
    /// When what is sent then arrives.
    fn arrival_at(&mut self, scene: &Scene<'_>, draws: &mut Draws, sent_at: Moment) -> Moment {
        self.count += 1;
        let at = (sent_at + scene.weather.delay(draws) + self.lag).rounded_up(scene.weather.quantum);
        self.last_at = self.last_at.max(at);
        self.last_at
    }

    /// Ends after what is in it.
    pub(crate) fn end(&mut self, scene: &Scene<'_>, draws: &mut Draws, cause: CloseCause) -> Moment {
        self.ending = self.ending.or(Some(cause));
        self.arrival_at(scene, draws, scene.now)
    }

    /// Takes what has arrived: one piece, or all of them as one.
    pub(crate) fn take(&mut self, now: Moment, is_joined: bool) -> Option<Bytes> {
        let mut taken: Vec<Bytes> = Vec::new();
        while self.pieces.front().is_some_and(|(at, _)| *at <= now) && (is_joined || taken.is_empty()) {
            taken.extend(self.pieces.pop_front().map(|(_, piece)| piece));
        }
        let bytes = if taken.len() < 2 { taken.pop()? } else { taken.concat().into() };
        self.bytes -= bytes.len();
        Some(bytes)
    }

    pub(crate) fn clear(&mut self) {
        self.pieces.clear();
        self.socket.clear();
        self.bytes = 0;
        self.rest = None;
    }

    /// What its sender's host has not sent yet goes with the host.
    pub(crate) fn forget_unsent(&mut self) {
        let unsent: usize = self.socket.drain(..).map(|bytes| bytes.len()).sum();
        self.bytes -= unsent;
        self.rest = None;
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.socket.is_empty() && self.rest.is_none()
    }

    /// Whether its sender's host has something to send.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.socket.is_empty()
    }

    /// Lets the sender's host take as much of the rest as it has room for.
    pub(crate) fn fill(&mut self, room: usize) {
        let Some(mut rest) = self.rest.take() else { return };
        let taken = rest.split_to(rest.len().min(room.saturating_sub(self.bytes)));
        if !taken.is_empty() {
            self.bytes += taken.len();
            self.socket.push_back(taken);
        }
        self.rest = Some(rest).filter(|rest| !rest.is_empty());
    }

    /// Sends the next piece, of so many bytes at most; tells when it arrives. `packet` is the last piece that was sent in this
    /// direction before.
    pub(crate) fn launch(
        &mut self,
        scene: &Scene<'_>,
        draws: &mut Draws,
        packet: &mut Packet,
        most: usize,
    ) -> Option<Moment> {
        let mut unsent = self.socket.pop_front()?;
        let longest = match scene.weather.piece_max {
            0 => unsent.len(),
            most => 1 + draws.index(most),
        };
        let piece = unsent.split_to(longest.min(most).min(unsent.len()));
        if !unsent.is_empty() {
            self.socket.push_front(unsent);
        }
        packet.number += 1;
        let passed = scene.wires.carry(scene.now, packet.from, packet.to, piece.len());
        let late = match scene.choices.twist(*packet, !scene.paths.is_nobody(packet.to)) {
            Some(Twist::Late(late)) => late,
            Some(Twist::Lost | Twist::Twice | Twist::Corrupt) | None => Duration::ZERO,
        };
        let at = self.arrival_at(scene, draws, passed + late);
        self.pieces.push_back((at, piece));
        Some(at)
    }
}
