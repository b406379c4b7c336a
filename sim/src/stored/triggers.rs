//! The records of triggers: what happens when something else does.

use super::{
    forms::read_number,
    records::{self, Reader},
};
use crate::trigger::{Occasion, Trigger};

const TRIGGERS: &str = "like `when 3 delta reaches n1 fault kill n0 lost`: the 3rd time that; also n1 ready, n0 adds n1, n0 suspects n1 and n0 removes n1, \
    and then fault or client with what happens";

/// Writes a trigger.
pub(crate) fn show(trigger: &Trigger) -> String {
    let Trigger { occasion, number, action } = trigger;
    let (kind, words) = records::show(action);
    format!("when {number} {occasion} {kind} {words}")
}

impl Reader {
    /// Reads triggers: several if it is a split that waits.
    pub(super) fn triggers(self, words: &[&str]) -> Result<Vec<Trigger>, String> {
        let wrong = || format!("`when {}` waits for nothing: {TRIGGERS}", words.join(" "));
        let [number, words @ ..] = words else { return Err(wrong()) };
        let number = read_number(number, 1, u64::MAX)?;
        let (occasion, words) = match words {
            [kind, "reaches", host, rest @ ..] => (Occasion::Reaches(Occasion::kind(kind)?, self.host(host)?), rest),
            [host, "ready", rest @ ..] => (Occasion::Ready(self.host(host)?), rest),
            [one, "adds", other, rest @ ..] => (Occasion::Adds(self.host(one)?, self.host(other)?), rest),
            [one, "suspects", other, rest @ ..] => (Occasion::Suspects(self.host(one)?, self.host(other)?), rest),
            [one, "removes", other, rest @ ..] => (Occasion::Removes(self.host(one)?, self.host(other)?), rest),
            _ => return Err(wrong()),
        };
        let actions = match words {
            ["fault", words @ ..] => self.fault(words)?,
            ["client", words @ ..] => vec![self.client(words)?],
            _ => return Err(wrong()),
        };
        Ok(actions.into_iter().map(|action| Trigger { occasion, number, action }).collect())
    }
}
