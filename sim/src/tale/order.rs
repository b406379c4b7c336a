//! What happens, in its order, and whether that can be: nobody is killed who does not run.

use std::collections::{BTreeMap, BTreeSet};

use super::{deeds::Deed, words::Names};
use crate::{
    action::Action,
    clock::Moment,
    net::HostId,
    stored::{BadPlan, records},
};

/// All that happens.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// When, in which line it stands, what, and which of the writes with a name it is.
    happens: Vec<(Moment, usize, Action, Option<usize>)>,
    /// From when to when something lasts, and in which line that stands.
    lasts: BTreeMap<String, Vec<(Moment, Moment, usize)>>,
}

impl Order {
    /// Adds what a line says.
    pub(super) fn add(&mut self, line: usize, deed: Deed) -> Result<(), BadPlan> {
        let Deed { at, until, actions, ends, write } = deed;
        if let Some(until) = until {
            for action in &actions {
                self.reserve(line, action, (at, until))?;
            }
            let ends = ends.into_iter().flatten();
            self.happens.extend(ends.map(|action| (until, line, action, None)));
        }
        self.happens.extend(actions.into_iter().map(|action| (at, line, action, write)));
        Ok(())
    }

    /// Two lines must not both say of one thing how long it lasts: the end of the first would end the other.
    fn reserve(&mut self, line: usize, action: &Action, (at, until): (Moment, Moment)) -> Result<(), BadPlan> {
        let (_, words) = records::show(action);
        let words: Vec<&str> = words.split(' ').collect();
        let what = match words[..] {
            ["weather", ..] => "weather".into(),
            ["thin", way, _, "group"] => format!("thin {way} group"),
            _ => words.iter().take(2).copied().collect::<Vec<&str>>().join(" "),
        };
        let spans = self.lasts.entry(what).or_default();
        if let Some((_, _, other)) = spans.iter().find(|(from, end, _)| *from < until && at < *end) {
            return Err(BadPlan { line, story: format!("line {other} says the same of a part of this time") });
        }
        spans.push((at, until, line));
        Ok(())
    }

    /// Adds what no line says.
    pub(super) fn add_all(&mut self, actions: Vec<(Moment, Action)>) {
        self.happens.extend(actions.into_iter().map(|(at, action)| (at, 0, action, None)));
    }

    /// Starts whom no line starts.
    pub(super) fn start_others(&mut self, all: impl Iterator<Item = HostId>) {
        let starts = |action: &Action| if let Action::Start(host) = action { Some(*host) } else { None };
        let started: BTreeSet<HostId> = self.happens.iter().filter_map(|(_, _, action, _)| starts(action)).collect();
        let mut happens: Vec<_> = all
            .filter(|host| !started.contains(host) || self.ends_first(*host))
            .map(|host| (Moment::ZERO, 0, Action::Start(host), None))
            .collect();
        happens.append(&mut self.happens);
        self.happens = happens;
    }

    /// Whether a line ends it before one starts it: so it ran from the beginning.
    fn ends_first(&self, host: HostId) -> bool {
        let of_it = |action: &Action| match Turn::of(action) {
            Some(Turn::Starts(one)) => (one == host).then_some(false),
            Some(Turn::Ends(one)) => (one == host).then_some(true),
            Some(Turn::Needs(_)) | None => None,
        };
        let first = self.happens.iter().filter_map(|(at, _, action, _)| Some((*at, of_it(action)?)));
        first.min_by_key(|(at, _)| *at).is_some_and(|(_, ends)| ends)
    }

    /// The last moment at which something happens.
    pub(super) fn last(&self) -> Moment {
        self.happens.iter().map(|(at, ..)| *at).max().unwrap_or(Moment::ZERO)
    }

    /// That all of this can be.
    pub(super) fn check(&mut self, names: &Names, healed_at: Moment) -> Result<(), BadPlan> {
        self.happens.sort_by_key(|(at, ..)| *at);
        let mut running = BTreeSet::new();
        for (at, line, action, _) in &self.happens {
            let wrong = |story| Err(BadPlan { line: *line, story });
            let idle = |host| wrong(format!("{} does not run at {at}: no line before starts it", names.of(host)));
            match Turn::of(action) {
                Some(Turn::Starts(host)) if !running.insert(host) => {
                    return wrong(format!("{} runs already at {at}", names.of(host)));
                }
                Some(Turn::Ends(host)) if !running.remove(&host) => return idle(host),
                Some(Turn::Needs(host)) if !running.contains(&host) => return idle(host),
                Some(Turn::Starts(_) | Turn::Ends(_) | Turn::Needs(_)) | None => {}
            }
            if healed_at < *at {
                return wrong(format!("{at} is after everything is healed, at {healed_at}"));
            }
        }
        Ok(())
    }

    /// The actions of a plan, and for each write with a name its order among all that are asked for.
    pub(super) fn finish(self, writes: usize) -> (Vec<(Moment, Action)>, Vec<usize>) {
        let mut orders = vec![0; writes];
        let asked = self.happens.iter().filter(|(_, _, action, _)| matches!(action, Action::Commit(..)));
        for (order, (.., write)) in asked.enumerate() {
            if let Some(write) = write {
                orders[*write] = order;
            }
        }
        (self.happens.into_iter().map(|(at, _, action, _)| (at, action)).collect(), orders)
    }
}

/// What an action has to do with whether a member runs.
enum Turn {
    Starts(HostId),
    Ends(HostId),
    Needs(HostId),
}

impl Turn {
    fn of(action: &Action) -> Option<Self> {
        if let Action::Start(host) = action {
            Some(Self::Starts(*host))
        } else if let Action::Kill(host, _) | Action::PowerOff(host) | Action::Leave(host) | Action::Drain(host, _) =
            action
        {
            Some(Self::Ends(*host))
        } else if let Action::Pause(host) | Action::CountOut(host) = action {
            Some(Self::Needs(*host))
        } else {
            None
        }
    }
}
