//! Faults that come when something else happens, not when the time has come: they meet what is just under way.
//!
//! They have draws of their own: a seed without them is as it was before there were any.

use std::collections::BTreeSet;

use crate::{
    action::Action,
    chance::Draws,
    clock::Moment,
    net::{HostId, LastBytes},
    trigger::{Occasion, Trigger},
};

/// What is worth waiting for: parts of talks that go wrong in the middle.
const KINDS: [&str; 12] =
    ["hello", "delta", "ack", "ask", "answer", "offer", "pull", "round", "done", "release", "leaving", "alive"];

/// Draws one or two for some seeds: so many of a thousand.
pub(crate) fn triggers(draws: &mut Draws, share: u64, hosts: u16, actions: &[(Moment, Action)]) -> Vec<Trigger> {
    if !draws.per_mille(share) || hosts < 2 {
        return Vec::new();
    }
    let mut ended: BTreeSet<HostId> = actions.iter().filter_map(|(_, action)| ends(action)).collect();
    let count = draws.between(1, 2);
    let triggers = (0..count).map(|_| {
        let one = host(draws.below(u64::from(hosts)), hosts);
        let other = host(u64::from(one.0) + draws.between(1, u64::from(hosts) - 1), hosts);
        let occasion = match draws.below(6) {
            0 => Occasion::Ready(one),
            1 => Occasion::Removes(one, other),
            2 => Occasion::Suspects(one, other),
            _ => Occasion::Reaches(draws.pick(&KINDS), one),
        };
        let victim = draws.pick(&[one, other]);
        let action = match draws.below(6) {
            0 => Action::Cut(one, other),
            1 => Action::Hold(one, other),
            2 => Action::Break(one, other),
            3 => Action::Pause(victim),
            // Somebody goes on, whenever this comes.
            _ if ended.union(&BTreeSet::from([victim])).count() < usize::from(hosts) => {
                ended.insert(victim);
                Action::Kill(victim, draws.pick(&[LastBytes::Delivered, LastBytes::Lost]))
            }
            _ => Action::Break(one, other),
        };
        Trigger { occasion, number: draws.between(1, 6), action }
    });
    triggers.collect()
}

/// Whom an action lets end.
fn ends(action: &Action) -> Option<HostId> {
    if let Action::Kill(host, _) | Action::PowerOff(host) | Action::Leave(host) | Action::Drain(host, _) = action {
        return Some(*host);
    }
    None
}

fn host(number: u64, hosts: u16) -> HostId {
    HostId(u16::try_from(number % u64::from(hosts)).unwrap_or(0))
}
