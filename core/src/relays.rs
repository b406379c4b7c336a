//! What other members have asked this one to find out: whether a suspect of theirs answers here.
//!
//! A question is remembered until the suspect has answered or the probe time is over. Of one asker about one suspect there
//! is one, and of all there are so many: whoever asks more is not served, and finds out by itself or through others.

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

use crate::{member::MemberId, time::Time};

/// The most questions at a time.
const QUESTIONS_MAX: usize = 1024;

#[derive(Clone, Debug)]
pub(crate) struct Relays {
    probe_time: Duration,
    /// By suspect, then by who asks.
    questions: BTreeMap<(MemberId, MemberId), Question>,
}

#[derive(Clone, Copy, Debug)]
struct Question {
    nonce: u64,
    until: Time,
}

impl Relays {
    pub(crate) fn new(probe_time: Duration) -> Self {
        Self { probe_time, questions: BTreeMap::new() }
    }

    /// A member asks whether a suspect answers. `false` if there are too many questions.
    pub(crate) fn handle_question(&mut self, now: Time, asker: MemberId, suspect: MemberId, nonce: u64) -> bool {
        let place = (suspect, asker);
        if QUESTIONS_MAX <= self.questions.len() && !self.questions.contains_key(&place) {
            self.questions.retain(|_, question| now < question.until);
            if QUESTIONS_MAX <= self.questions.len() {
                return false;
            }
        }
        self.questions.insert(place, Question { nonce, until: now + self.probe_time });
        true
    }

    /// A member has answered a probe: tells who had asked for it.
    pub(crate) fn handle_answer(&mut self, now: Time, suspect: MemberId, nonce: u64) -> Vec<MemberId> {
        let range = (suspect, MemberId(0))..=(suspect, MemberId(u64::MAX));
        let asked = self.questions.range(range).filter(|(_, question)| question.nonce == nonce && now < question.until);
        let askers: Vec<_> = asked.map(|((_, asker), _)| *asker).collect();
        askers.iter().for_each(|asker| {
            self.questions.remove(&(suspect, *asker));
        });
        askers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUSPECT: MemberId = MemberId(9);

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    fn relays() -> Relays {
        Relays::new(Duration::from_secs(1))
    }

    #[test]
    fn an_answer_goes_once_to_who_asked_for_it() {
        let mut relays = relays();
        assert!(relays.handle_question(at(0), MemberId(1), SUSPECT, 7));
        assert!(relays.handle_question(at(0), MemberId(2), SUSPECT, 8));
        assert_eq!(relays.handle_answer(at(1), MemberId(3), 7), []);
        assert_eq!(relays.handle_answer(at(1), SUSPECT, 7), [MemberId(1)]);
        assert_eq!(relays.handle_answer(at(1), SUSPECT, 7), []);
        assert_eq!(relays.handle_answer(at(1000), SUSPECT, 8), [], "it comes too late");
    }

    /// P7.
    #[test]
    fn who_asks_without_end_takes_a_bounded_place_for_a_bounded_time() {
        let mut relays = relays();
        for nonce in 0..10_000 {
            assert!(relays.handle_question(at(0), MemberId(1), SUSPECT, nonce));
        }
        assert_eq!(relays.questions.len(), 1);
        for asker in 0..10_000 {
            relays.handle_question(at(0), MemberId(asker), SUSPECT, 1);
        }
        assert_eq!(relays.questions.len(), QUESTIONS_MAX);
        assert!(!relays.handle_question(at(999), MemberId(20_000), SUSPECT, 1));
        assert!(relays.handle_question(at(1000), MemberId(20_000), SUSPECT, 1));
        assert_eq!(relays.questions.len(), 1);
    }
}
