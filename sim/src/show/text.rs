//! A record as text: a column for each member, a line for each change.

use core::fmt::Write as _;
use std::collections::BTreeMap;

use heirloom_core::SessionKey;

use super::{Filter, words};
use crate::{
    net::HostId,
    record::{Copy, Happened, Record, State},
};

const LEGEND: &str = "\
- down  j joins  R serves  P takes no writes  L leaves  z does not run  [] whom the line is about";

/// The part of a record that is wanted, as text.
pub fn text(record: &Record, filter: &Filter) -> String {
    let mut columns = Columns::new(record, filter.session);
    let mut out = format!("{LEGEND}{}\n", if filter.session.is_some() { "  * owns it  + holds it" } else { "" });
    // Writing to a text never fails.
    if !record.called.iter().all(Vec::is_empty) {
        let _ = writeln!(out, "{}", record.also_called());
    }
    let names: String = (0..record.hosts).map(|host| format!("{:<5}", HostId(host).to_string())).collect();
    let _ = writeln!(out, "{:>12}  {names} {:<9} what", "seconds", "kind");
    for entry in &record.entries {
        columns.follow(&entry.what);
        if filter.shows(entry) {
            let (cells, kind) = (columns.cells(&entry.what), entry.what.kind());
            let at = entry.at.to_string();
            let _ =
                writeln!(out, "{:>12}  {cells} {kind:<9} {}", at.trim_end_matches(" s"), words(record, &entry.what));
        }
    }
    out
}

/// What each member is like at one moment.
struct Columns<'a> {
    record: &'a Record,
    session: Option<SessionKey>,
    states: BTreeMap<HostId, State>,
    copies: BTreeMap<HostId, &'a Copy>,
}

impl<'a> Columns<'a> {
    fn new(record: &'a Record, session: Option<SessionKey>) -> Self {
        Self { record, session, states: BTreeMap::new(), copies: BTreeMap::new() }
    }

    fn follow(&mut self, what: &'a Happened) {
        match what {
            Happened::State(host, state) => {
                self.states.insert(*host, *state);
                if *state == State::Down {
                    self.copies.remove(host);
                }
            }
            Happened::Copy(host, key, copy) if Some(*key) == self.session => {
                match copy.as_ref().filter(|copy| copy.ended.is_none()) {
                    Some(copy) => self.copies.insert(*host, copy),
                    None => self.copies.remove(host),
                };
            }
            Happened::Done(_)
            | Happened::View(..)
            | Happened::Told(..)
            | Happened::Copy(..)
            | Happened::Commit(..)
            | Happened::Read(..)
            | Happened::Mail(..)
            | Happened::Message(_)
            | Happened::Broken(_)
            | Happened::Left(..) => {}
        }
    }

    fn cells(&self, what: &Happened) -> String {
        let concerned = what.hosts();
        let cell = |host: HostId| {
            let letter = match self.states.get(&host).copied().unwrap_or_default() {
                State::Down => '-',
                State::Joining => 'j',
                State::Ready => 'R',
                State::Paused => 'P',
                State::Leaving => 'L',
                State::Asleep => 'z',
            };
            let held = self.copies.get(&host).map_or("", |copy| {
                let is_owner =
                    copy.owner.and_then(|life| self.record.lives.get(&life)).is_some_and(|life| life.0 == host);
                if is_owner { "*" } else { "+" }
            });
            match concerned.contains(&host) {
                true => format!("{:<5}", format!("[{letter}{held}]")),
                false => format!(" {:<4}", format!("{letter}{held}")),
            }
        };
        (0..self.record.hosts).map(|host| cell(HostId(host))).collect()
    }
}
