//! A plan as it is stored: text, one record a line, that names things and stays the same when code moves.
//!
//! ```text
//! heirloom-sim 1
//! seed 17
//! hosts 3
//! healed 20s
//! config idle 30s
//! weather loss=50
//! fault 0s start n0
//! client 12.1s n0 write s4 set=0 durability=all
//! fault 12.4s kill n0 lost
//! packet n0>n1 17 late 0.2s
//! when 3 delta reaches n1 fault pause n0
//! check 4096 9c01d2a4e7730b15
//! want P2 durable
//! ```
//!
//! The seed fills what the plan leaves open: the fate of each packet, clocks, the ids of lives. What a `check` says of the
//! run may change with the code, and then the plan has drifted: it still happens, and may no longer be the story that it
//! was kept for.

use core::{fmt, str::FromStr};

use crate::{
    plan::Plan,
    sent::Check,
    trial::Trial,
    violation::{Promise, Violation},
};

pub(crate) mod forms;
pub(crate) mod packets;
mod read;
pub(crate) mod records;
pub(crate) mod triggers;
mod write;

pub(crate) use forms::{read_time, show_key, show_weather};
pub(crate) use records::show as show_action;
pub(crate) use triggers::show as show_trigger;

/// The version of the form of stored plans.
const VERSION: u32 = 1;

/// A plan with what its run was like when it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What happens.
    pub plan: Plan,
    /// What was sent, in short.
    pub checks: Vec<Check>,
    /// The promise that it broke.
    pub want: Option<Promise>,
}

/// A text that is no plan: the line, what is wrong there, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPlan {
    /// The first line is 1.
    pub line: usize,
    /// For a person.
    pub story: String,
}

impl fmt::Display for BadPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.story)
    }
}

impl core::error::Error for BadPlan {}

/// What became of the violation that a plan was stored for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fires {
    /// It was stored for none, and there is none.
    None,
    /// The same promise is broken.
    Again,
    /// No promise is broken any more.
    NoLonger(Promise),
    /// Another promise is broken than the one that was.
    Other(Option<Promise>),
}

/// A stored plan that has happened again.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// How it went.
    pub trial: Trial,
    /// What became of the violation.
    pub fires: Fires,
    /// The first check that differs: the two were alike up to a check before it.
    pub drifted: Option<Check>,
    /// What it says of things that did not come, unless they did not come either when it was stored.
    pub unmet: Vec<String>,
}

impl Stored {
    /// Runs a plan, to store it with what its run was like.
    pub fn of(plan: Plan) -> (Self, Option<Violation>) {
        let Trial { result, checks, .. } = Trial::of(&plan);
        let violation = result.err();
        (Self { plan, checks, want: violation.as_ref().map(|violation| violation.promise) }, violation)
    }

    /// Lets it happen again.
    pub fn replay(&self) -> Replayed {
        let trial = Trial::of(&self.plan);
        let found = trial.result.as_ref().err().map(|violation| violation.promise);
        let fires = match (self.want, found) {
            (None, None) => Fires::None,
            (Some(wanted), None) => Fires::NoLonger(wanted),
            (wanted, Some(_)) if wanted == found => Fires::Again,
            (wanted, Some(_)) => Fires::Other(wanted),
        };
        let drifted = self.checks.iter().copied().find(|check| !trial.checks.contains(check));
        let is_same = drifted.is_none() && !self.checks.is_empty();
        let unmet = if is_same { Vec::new() } else { trial.unmet.clone() };
        Replayed { trial, fires, drifted, unmet }
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write::stored(self, f)
    }
}

impl FromStr for Stored {
    type Err = BadPlan;

    fn from_str(text: &str) -> Result<Self, BadPlan> {
        read::stored(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::Choice;

    const SHORT: &str = "heirloom-sim 1\nseed 1\nhosts 3\nhealed 20s\n";

    fn refused(lines: &str) -> String {
        let text = format!("{SHORT}{lines}\n");
        text.parse::<Stored>().unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_with_a_plan_is_told_with_its_line_and_what_is_allowed() {
        assert_eq!(refused("fault 1s start n3"), "5: `n3` is no member of this plan: n0 to n2");
        assert_eq!(refused("\nfault 1x start n0"), "6: `1x` is no time: a number and s, ms, us or ns, like 12.4s");
        assert_eq!(refused("fault 90000s start n0"), "5: `90000s` is too late: 0s to 86400s");
        assert_eq!(refused("fault -1s start n0"), "5: `-1s` is no time: a number and s, ms, us or ns, like 12.4s");
        assert_eq!(refused("fault 1s cut n1"), "5: `n1` is no link: two members, like n0>n1");
        assert_eq!(refused("fault 1s split n0,n1 n1,n2"), "5: n1 is on both sides of the split");
        assert_eq!(refused("packet n0>n1 0 lost"), "5: `0` is no number from 1 to 18446744073709551615");
        assert_eq!(refused("packet n0>n1 1 lost\npacket n0>n1 1 twice"), "6: `packet n0>n1 1` is said twice");
        assert!(refused("packet n0>n1 1 slow").starts_with("5: `n0>n1 1 slow` says nothing of a packet: like"));
        let story = "5: a piece of a stream comes once and as it was sent: it may be late";
        assert_eq!(refused("packet n0>n1 stream 1 lost"), story);
        assert!(
            refused("when 1 nonsense reaches n1 fault start n1").starts_with("5: `nonsense` is no kind of frame: ")
        );
        assert!(
            refused("when 1 n1 ready kill n1 lost")
                .starts_with("5: `when 1 n1 ready kill n1 lost` waits for nothing: ")
        );
        assert_eq!(refused("when 0 n1 ready fault start n1"), "5: `0` is no number from 1 to 18446744073709551615");
        assert_eq!(refused("seed 2"), "5: `seed` is said twice");
        assert_eq!(refused("config drop_time 5ms"), "5: drop_time: must be 1s to 1h");
        assert_eq!(refused("weather loss=1001"), "5: loss is `1001`: 0 to 1000 of a thousand");
        assert_eq!(
            refused("want P42"),
            "5: `P42` is no promise: P1 converge, P2 durable, P3 ended, P4 expiry, P5 join, \
            P6 placed, P7 calm, P8 determinism, P9 agreement, turn, script or own"
        );
        assert_eq!("".parse::<Stored>().unwrap_err().to_string(), "1: a plan begins with `heirloom-sim 1`");
        assert_eq!(
            "heirloom-sim 2\n".parse::<Stored>().unwrap_err().to_string(),
            "1: this plan has version 2, and version 1 is what is read here"
        );
        assert_eq!("heirloom-sim 1\nseed 1\n".parse::<Stored>().unwrap_err().to_string(), "3: the plan has no `hosts`");
    }

    #[test]
    fn a_split_cuts_every_link_between_its_sides_until_they_join() {
        let text = format!("{SHORT}fault 1s split n0 n1,n2\nfault 2s join n0 n1,n2\n");
        let stored: Stored = text.parse().unwrap();
        assert_eq!(stored.plan.actions.len(), 8);
    }

    #[test]
    fn a_plan_that_happens_otherwise_has_drifted() {
        let (mut stored, violation) = Stored::of(Plan::draw(3, Choice::Any));
        assert_eq!((violation, stored.replay().drifted, stored.replay().fires), (None, None, Fires::None));
        stored.checks[0].digest += 1;
        stored.want = Some(Promise::Durable);
        let replayed = stored.replay();
        assert_eq!((replayed.drifted, replayed.fires), (Some(stored.checks[0]), Fires::NoLonger(Promise::Durable)));
    }

    #[test]
    fn a_packet_that_never_came_is_told_and_one_that_did_is_not() {
        let lines = "fault 0s start n0\nfault 0s start n1\npacket n0>n1 group 3 late 0.2s\npacket n1>n0 stream 1 late 1s\n\
            packet n0>n1 999999 lost\n";
        let stored: Stored = format!("{SHORT}{lines}").parse().unwrap();
        assert!(stored.to_string().ends_with(
            "packet n0>n1 999999 lost\npacket n0>n1 group 3 late 0.2s\n\
            packet n1>n0 stream 1 late 1s\n"
        ));
        let trial = stored.replay().trial;
        assert_eq!((trial.failure, trial.unmet), (None, vec!["packet n0>n1 999999".into()]));
    }

    #[test]
    fn what_waits_happens_when_it_is_time_and_what_never_comes_is_told() {
        let lines = "fault 0s start n0\nfault 0s start n1\nclient 8s n0 create s1 set=0 durability=all\n\
            when 1 delta reaches n1 fault pause n0\nwhen 1 n1 suspects n0 fault cut n0>n1\nwhen 9 n0 ready fault pause n1\n";
        let stored: Stored = format!("{SHORT}{lines}").parse().unwrap();
        assert_eq!(stored.to_string().parse::<Stored>().as_ref(), Ok(&stored));
        let (trial, record) = crate::Record::of(&stored.plan);
        assert_eq!((trial.failure, trial.unmet), (None, vec!["when 9 n0 ready fault pause n1".into()]));
        let done = |what: &crate::record::Happened| {
            let crate::record::Happened::Done(action) = what else { return None };
            (!action.is_of_a_client()).then(|| show_action(action).1)
        };
        let done: Vec<String> = record.entries.iter().filter_map(|entry| done(&entry.what)).collect();
        assert_eq!(done[2..4], ["pause n0", "cut n0>n1"]);
    }

    proptest! {
        #[test]
        fn a_plan_is_read_as_it_was_written(seed: u64, check: u64, want in proptest::option::of(0..11_usize)) {
            let checks = vec![Check { count: check, digest: seed }];
            let stored = Stored { plan: Plan::draw(seed, Choice::Any), checks, want: want.map(|at| Promise::ALL[at]) };
            prop_assert_eq!(stored.to_string().parse::<Stored>().map(|read| read == stored), Ok(true));
        }

        #[test]
        fn any_text_is_a_plan_or_an_error(lines in proptest::collection::vec(any_line(), 0..12)) {
            let text = lines.join("\n");
            if let Ok(stored) = text.parse::<Stored>() {
                prop_assert_eq!(stored.to_string().parse::<Stored>().map(|read| read == stored), Ok(true));
            }
        }
    }

    /// A line that is right, or nearly so, or anything.
    fn any_line() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            "(heirloom-sim|seed|hosts|healed|forgets|plain|discovery|places|config|weather|fault|client|check|want)",
            "(when|reaches|ready|removes|delta|fault|client)",
            "(packet|lost|late|twice|group|stream|start|kill|off|pause|cut|break|wall|heal|split|join|write|create|end|touch|both|lost|idle|copies)",
            "(n[0-9]{1,6}|n[0-2]>n[0-2]|s[0-9]{1,20}|[0-9a-f]{16,32}|[0-9]{1,20}(s|ms|us|ns)?|0\\.[0-9]{1,10}s)",
            "(loss|set|remove|bytes|durability|within|lifetime|to)=(\\PC{0,3}|[0-9,]{1,4}|all|idle:[0-9]{1,20}s)",
            "\\PC{0,6}",
        ];
        let mixed = proptest::collection::vec(word, 0..6).prop_map(|words| words.join(" "));
        prop_oneof![
            SHORT
                .lines()
                .map(String::from)
                .map(Just)
                .map(Strategy::boxed)
                .fold(mixed.boxed(), |all, one| { prop_oneof![3 => all, 1 => one].boxed() })
        ]
    }
}
