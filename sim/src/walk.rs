//! A walk through all that may happen in a small world, one run after another.
//!
//! A run asks again and again which of so many things happens. A walk answers as it was told for the first questions, and
//! the first of all things for those after them. What it was asked tells which walks are left: each with another answer to
//! one of the questions that nobody had answered before.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::{
    choices::{Packet, Twist},
    record::Way,
};

/// One run through the world.
#[derive(Clone, Debug, Default)]
pub(crate) struct Walk {
    /// The answers that were told.
    told: Vec<u16>,
    /// The answers that were given, and of how many each was one.
    given: Vec<(u16, u16)>,
    /// So many packets may come late or never.
    packets_max: usize,
    /// Packets are asked about at present; the late ones come so much later.
    late: Option<Duration>,
    /// What was decided about packets, but for those that come at once.
    packets: BTreeMap<Packet, Twist>,
}

impl Walk {
    /// A walk that begins with these answers, in which so many packets may come late or never.
    pub(crate) fn new(told: Vec<u16>, packets_max: usize) -> Self {
        Self { told, packets_max, ..Self::default() }
    }

    /// Which of so many.
    pub(crate) fn ask(&mut self, of: u16) -> u16 {
        if of < 2 {
            return 0;
        }
        let answer = self.told.get(self.given.len()).copied().unwrap_or(0);
        assert!(answer < of, "the same answers lead to the same question");
        self.given.push((answer, of));
        answer
    }

    /// Whether nobody has told what comes next.
    pub(crate) const fn is_new(&self) -> bool {
        self.told.len() <= self.given.len()
    }

    /// From now on each packet comes at once, or so much later, or never; with `None` no packet is asked about.
    pub(crate) const fn set_late(&mut self, late: Option<Duration>) {
        self.late = late;
    }

    /// What happens to a packet. What is in a stream is never lost.
    pub(crate) fn twist(&mut self, packet: Packet) -> Option<Twist> {
        let late = self.late.filter(|_| self.packets.len() < self.packets_max)?;
        let of = if packet.way == Way::Stream { 2 } else { 3 };
        let twist = match self.ask(of) {
            0 => return None,
            1 => Twist::Late(late),
            _ => Twist::Lost,
        };
        self.packets.insert(packet, twist);
        Some(twist)
    }

    /// What was decided about packets, but for those that came at once.
    pub(crate) const fn packets(&self) -> &BTreeMap<Packet, Twist> {
        &self.packets
    }

    /// How many questions there were.
    pub(crate) const fn asked(&self) -> usize {
        self.given.len()
    }

    /// The beginnings that are left when this walk has ended.
    pub(crate) fn others(&self) -> Vec<Vec<u16>> {
        let mut others = Vec::new();
        for (at, (_, of)) in self.given.iter().enumerate().skip(self.told.len()) {
            let before = self.given[..at].iter().map(|(answer, _)| *answer);
            let before: Vec<u16> = before.collect();
            others.extend((1..*of).rev().map(|answer| [&before[..], &[answer]].concat()));
        }
        others
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_sequence_of_answers_is_walked_once() {
        // The second question is another one after each answer to the first.
        let run = |walk: &mut Walk| {
            let first = walk.ask(3);
            (first, (0..first).map(|_| walk.ask(2)).collect::<Vec<u16>>())
        };
        let (mut left, mut seen) = (vec![Vec::new()], BTreeSet::new());
        while let Some(told) = left.pop() {
            let mut walk = Walk::new(told, 0);
            assert!(seen.insert(run(&mut walk)));
            left.extend(walk.others());
        }
        assert_eq!(seen.len(), 1 + 2 + 4);
    }
}
