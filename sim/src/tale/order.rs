//! What happens, in its order, and whether that can be: nobody is killed who does not run.

use std::collections::{BTreeMap, BTreeSet};

use super::{deeds::Deed, words::Names};
use crate::{
    action::Action,
    clock::Moment,
    net::HostId,
    stored::{BadPlan, records},
};

/// One thing that happens.
#[derive(Debug)]
struct Happening {
    at: Moment,
    /// In which line it stands.
    line: usize,
    action: Action,
    /// Which of the writes with a name it is.
    write: Option<usize>,
    /// It must be possible.
    is_sure: bool,
}

impl Happening {
    const fn sure(at: Moment, line: usize, action: Action) -> Self {
        Self { at, line, action, write: None, is_sure: true }
    }
}

/// All that happens.
#[derive(Debug, Default)]
pub(super) struct Order {
    happens: Vec<Happening>,
    /// From when to when something lasts, and in which line that stands.
    lasts: BTreeMap<String, Vec<(Moment, Moment, usize)>>,
}

impl Order {
    /// Adds what a line says.
    pub(super) fn add(&mut self, line: usize, deed: Deed) -> Result<(), BadPlan> {
        let Deed { at, until, actions, ends, write, is_sure } = deed;
        if let Some(until) = until {
            for action in &actions {
                self.reserve(line, action, (at, until))?;
            }
            let ends = ends.into_iter().flatten();
            self.happens.extend(ends.map(|action| Happening::sure(until, line, action)));
        }
        let actions = actions.into_iter();
        self.happens.extend(actions.map(|action| Happening { at, line, action, write, is_sure }));
        Ok(())
    }

    /// Two lines must not both say of one thing how long it lasts: the end of the first would end the other.
    fn reserve(&mut self, line: usize, action: &Action, (at, until): (Moment, Moment)) -> Result<(), BadPlan> {
        let what = lasting(action);
        let spans = self.lasts.entry(what).or_default();
        if let Some((_, _, other)) = spans.iter().find(|(from, end, _)| *from < until && at < *end) {
            return Err(BadPlan { line, story: format!("line {other} says the same of a part of this time") });
        }
        spans.push((at, until, line));
        Ok(())
    }

    /// Adds what no line says.
    pub(super) fn add_all(&mut self, actions: Vec<(Moment, Action)>) {
        self.happens.extend(actions.into_iter().map(|(at, action)| Happening::sure(at, 0, action)));
    }

    /// Starts those that run from the beginning: if nothing is said of them, those whom no line starts.
    pub(super) fn start_others(&mut self, all: impl Iterator<Item = HostId>, said: Option<Vec<HostId>>) {
        let starts = |action: &Action| if let Action::Start(host) = action { Some(*host) } else { None };
        let started: BTreeSet<HostId> = self.happens.iter().filter_map(|thing| starts(&thing.action)).collect();
        let runs =
            said.unwrap_or_else(|| all.filter(|host| !started.contains(host) || self.ends_first(*host)).collect());
        let starts = runs.into_iter().map(|host| Happening::sure(Moment::ZERO, 0, Action::Start(host)));
        self.happens.splice(0..0, starts);
    }

    /// Whether a line ends it before one starts it: so it ran from the beginning.
    fn ends_first(&self, host: HostId) -> bool {
        let of_it = |action: &Action| match Turn::of(action) {
            Some(Turn::Starts(one)) => (one == host).then_some(false),
            Some(Turn::Ends(one)) => (one == host).then_some(true),
            Some(Turn::Needs(_)) | None => None,
        };
        let first = self.happens.iter().filter_map(|thing| Some((thing.at, of_it(&thing.action)?)));
        first.min_by_key(|(at, _)| *at).is_some_and(|(_, ends)| ends)
    }

    /// The last moment at which something happens.
    pub(super) fn last(&self) -> Moment {
        self.happens.iter().map(|thing| thing.at).max().unwrap_or(Moment::ZERO)
    }

    /// That all of this can be.
    pub(super) fn check(&mut self, names: &Names, healed_at: Moment) -> Result<(), BadPlan> {
        self.happens.sort_by_key(|thing| thing.at);
        let mut running = Running::default();
        for Happening { at, line, action, is_sure, .. } in &self.happens {
            let wrong = |story| Err(BadPlan { line: *line, story });
            match running.take(action) {
                Err(Turn::Starts(host)) if *is_sure => {
                    return wrong(format!("{} runs already at {at}", names.of(host)));
                }
                Err(Turn::Ends(host) | Turn::Needs(host)) if *is_sure => {
                    return wrong(format!("{} does not run at {at}: no line before starts it", names.of(host)));
                }
                Ok(()) | Err(_) => {}
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
        let asked = self.happens.iter().filter(|thing| matches!(thing.action, Action::Commit(..)));
        for (order, thing) in asked.enumerate() {
            if let Some(write) = thing.write {
                orders[write] = order;
            }
        }
        (self.happens.into_iter().map(|thing| (thing.at, thing.action)).collect(), orders)
    }
}

/// Of what an action says how it is, so that a later one says that it is otherwise.
pub(super) fn lasting(action: &Action) -> String {
    let (_, words) = records::show(action);
    let words: Vec<&str> = words.split(' ').collect();
    match words[..] {
        ["weather", ..] => "weather".into(),
        ["thin", way, _, "group"] => format!("thin {way} group"),
        _ => words.iter().take(2).copied().collect::<Vec<&str>>().join(" "),
    }
}

/// Who runs, as far as the lines tell.
#[derive(Debug, Default)]
pub(super) struct Running(BTreeSet<HostId>);

impl Running {
    /// Goes on to the next action.
    ///
    /// # Errors
    ///
    /// Why it cannot be: who is to start runs, or who is to do something else does not.
    pub(super) fn take(&mut self, action: &Action) -> Result<(), Turn> {
        let Some(turn) = Turn::of(action) else { return Ok(()) };
        let can_be = match turn {
            Turn::Starts(host) => self.0.insert(host),
            Turn::Ends(host) => self.0.remove(&host),
            Turn::Needs(host) => self.0.contains(&host),
        };
        if can_be { Ok(()) } else { Err(turn) }
    }
}

/// What an action has to do with whether a member runs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
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
