//! The faults of the network that last, as stretches of time.

use std::collections::{BTreeMap, BTreeSet};

use super::{Happened, Record};
use crate::{action::Action, clock::Moment, net::HostId, stored::show_weather, wires::Wire};

/// A fault of the network from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Band {
    /// When it begins.
    pub from: Moment,
    /// When it is over.
    pub to: Moment,
    /// Which hosts it concerns; none for all.
    pub hosts: BTreeSet<HostId>,
    /// What it is, in short.
    pub text: String,
}

/// What is the matter with one direction, or with the whole network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Matter {
    Cut,
    Muted,
    Thin(u64),
    ThinGroup(u64),
    Held,
    Slow(core::time::Duration),
    Narrow(u64),
    Room(u64),
    Swallowed,
    Weather(String),
}

/// A direction; none for the whole network.
type Place = Option<(HostId, HostId)>;

impl Record {
    /// The faults of the network that last; those that begin and end together as one.
    pub fn bands(&self) -> Vec<Band> {
        let mut open: BTreeMap<(Place, u8), (Moment, Matter)> = BTreeMap::new();
        let mut done: BTreeMap<(Moment, Moment, Matter), BTreeSet<(HostId, HostId)>> = BTreeMap::new();
        let mut close = |until: Moment, place: Place, begun: Option<(Moment, Matter)>| {
            if let Some((since, matter)) = begun.filter(|(since, _)| *since < until) {
                done.entry((since, until, matter)).or_default().extend(place);
            }
        };
        for entry in &self.entries {
            let Happened::Done(action) = &entry.what else { continue };
            if matches!(action, Action::Heal(_)) {
                core::mem::take(&mut open)
                    .into_iter()
                    .for_each(|((place, _), begun)| close(entry.at, place, Some(begun)));
            }
            let Some((place, slot, matter)) = change(action) else { continue };
            close(entry.at, place, open.remove(&(place, slot)));
            if let Some(matter) = matter {
                open.insert((place, slot), (entry.at, matter));
            }
        }
        open.into_iter().for_each(|((place, _), begun)| close(self.end, place, Some(begun)));
        done.into_iter().map(|((from, to, matter), ways)| band(from, to, &matter, &ways)).collect()
    }
}

/// What an action changes: where, of which kind, and to what; to nothing if it ends something.
fn change(action: &Action) -> Option<(Place, u8, Option<Matter>)> {
    match action {
        Action::Cut(from, to) => Some((Some((*from, *to)), 0, Some(Matter::Cut))),
        Action::Mend(from, to) => Some((Some((*from, *to)), 0, None)),
        Action::Mute(from, to) => Some((Some((*from, *to)), 1, Some(Matter::Muted))),
        Action::Thin(from, to, loss) => Some((Some((*from, *to)), 1, Some(Matter::Thin(*loss)).filter(|_| 0 < *loss))),
        Action::ThinGroup(from, to, loss) => {
            Some((Some((*from, *to)), 5, Some(Matter::ThinGroup(*loss)).filter(|_| 0 < *loss)))
        }
        Action::Unmute(from, to) => Some((Some((*from, *to)), 1, None)),
        Action::Hold(from, to) => Some((Some((*from, *to)), 2, Some(Matter::Held))),
        Action::Release(from, to) => Some((Some((*from, *to)), 2, None)),
        Action::Lag(from, to, length) => {
            Some((Some((*from, *to)), 3, Some(Matter::Slow(*length)).filter(|_| !length.is_zero())))
        }
        Action::Narrow(wire, rate) => Some((place(*wire), 6, Some(Matter::Narrow(*rate)).filter(|_| 0 < *rate))),
        Action::Room(wire, room) => Some((place(*wire), 7, Some(Matter::Room(*room)).filter(|_| 0 < *room))),
        Action::Swallow(one, other) => {
            Some((Some(((*one).min(*other), (*one).max(*other))), 8, Some(Matter::Swallowed)))
        }
        Action::Spare(one, other) => Some((Some(((*one).min(*other), (*one).max(*other))), 8, None)),
        Action::Weather(weather) => {
            let words = show_weather(weather).join(" ");
            Some((None, 4, Some(Matter::Weather(words)).filter(|_| 0 < weather.lost() + weather.garble)))
        }
        Action::Start(_)
        | Action::Install(..)
        | Action::Kill(..)
        | Action::PowerOff(_)
        | Action::Pause(_)
        | Action::Resume(_)
        | Action::Leave(_)
        | Action::Drain(..)
        | Action::CountOut(_)
        | Action::Break(..)
        | Action::Drift(..)
        | Action::StepWall(..)
        | Action::Heal(_)
        | Action::Commit(..)
        | Action::SetName(..)
        | Action::RemoveName(..)
        | Action::Send(..)
        | Action::SendToAll(_)
        | Action::Touch(..) => None,
    }
}

/// Where a wire is: that of a host leads to nobody but the host, here.
const fn place(wire: Wire) -> Place {
    match wire {
        Wire::Host(host) => Some((host, host)),
        Wire::Way(from, to) => Some((from, to)),
    }
}

fn band(from: Moment, to: Moment, matter: &Matter, ways: &BTreeSet<(HostId, HostId)>) -> Band {
    let hosts = ways.iter().flat_map(|(one, other)| [*one, *other]).collect();
    let ways = match sides(ways) {
        Some([one, other]) => format!("{one} | {other}"),
        None => ways.iter().map(|(one, other)| way(*one, *other)).collect::<Vec<_>>().join(" "),
    };
    let text = match matter {
        Matter::Cut => format!("cut {ways}"),
        Matter::Muted => format!("no datagrams {ways}"),
        Matter::Thin(loss) => format!("{loss} of 1000 datagrams lost {ways}"),
        Matter::ThinGroup(loss) => format!("{loss} of 1000 datagrams to the group lost {ways}"),
        Matter::Held => format!("streams stand still {ways}"),
        Matter::Slow(length) => format!("{length:?} longer {ways}"),
        Matter::Narrow(rate) => format!("{rate} bytes a second {ways}"),
        Matter::Room(room) => format!("room for {room} bytes {ways}"),
        Matter::Swallowed => format!("streams bring nothing {ways}"),
        Matter::Weather(words) => words.clone(),
    };
    Band { from, to, hosts, text }
}

fn way(one: HostId, other: HostId) -> String {
    if one == other { format!("from {one}") } else { format!("{one}>{other}") }
}

/// The two sides of a cut that separates some from all others of it, both ways.
fn sides(ways: &BTreeSet<(HostId, HostId)>) -> Option<[String; 2]> {
    let (first, _) = ways.first()?;
    let all: BTreeSet<HostId> = ways.iter().flat_map(|(one, other)| [*one, *other]).collect();
    let (near, far): (Vec<HostId>, Vec<HostId>) = all.into_iter().partition(|host| !ways.contains(&(*first, *host)));
    let crossing = near.iter().flat_map(|one| far.iter().flat_map(move |other| [(*one, *other), (*other, *one)]));
    let names = |hosts: &[HostId]| hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    (crossing.collect::<BTreeSet<_>>() == *ways).then(|| [names(&near), names(&far)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_both_ways_has_two_sides() {
        let [a, b, c] = [0, 1, 2].map(HostId);
        let both = BTreeSet::from([(a, c), (c, a), (b, c), (c, b)]);
        assert_eq!(sides(&both), Some(["n0 n1".into(), "n2".into()]));
        assert_eq!(sides(&BTreeSet::from([(a, c), (c, a), (b, c)])), None);
    }
}
