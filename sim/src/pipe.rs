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
    pub(crate) fn next_at(&mut self, scene: &Scene<'_>, draws: &mut Draws) -> Moment {
        self.count += 1;
        let at = (scene.now + scene.weather.delay(draws) + self.lag).rounded_up(scene.weather.quantum);
        self.last_at = self.last_at.max(at);
        self.last_at
    }

    fn late_at(&mut self, scene: &Scene<'_>, draws: &mut Draws, late: Duration) -> Moment {
        self.lag += late;
        let at = self.next_at(scene, draws);
        self.lag -= late;
        at
    }

    /// Ends after what is in it.
    pub(crate) fn end(&mut self, scene: &Scene<'_>, draws: &mut Draws, cause: CloseCause) -> Moment {
        self.ending = self.ending.or(Some(cause));
        self.next_at(scene, draws)
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
        self.bytes = 0;
        self.rest = None;
    }

    /// Moves as much of the rest into the pipe as there is room for; tells when it arrives.
    /// `packet` is the last piece that was poured in this direction before.
    pub(crate) fn pour(&mut self, scene: &Scene<'_>, draws: &mut Draws, packet: &mut Packet) -> Vec<Moment> {
        let Some(mut rest) = self.rest.take() else { return Vec::new() };
        let mut moments = Vec::new();
        while !rest.is_empty() && self.bytes < scene.weather.stream_room {
            let longest = match scene.weather.piece_max {
                0 => rest.len(),
                most => 1 + draws.index(most),
            };
            let piece = rest.split_to(longest.min(rest.len()).min(scene.weather.stream_room - self.bytes));
            packet.number += 1;
            let at = match scene.choices.twist(*packet, !scene.paths.is_nobody(packet.to)) {
                Some(Twist::Late(late)) => self.late_at(scene, draws, late),
                Some(Twist::Lost | Twist::Twice | Twist::Corrupt) | None => self.next_at(scene, draws),
            };
            self.bytes += piece.len();
            self.pieces.push_back((at, piece));
            moments.push(at);
        }
        self.rest = Some(rest).filter(|rest| !rest.is_empty());
        moments.dedup();
        moments
    }
}
