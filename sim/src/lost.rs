//! Which sessions were lost in a run, and why: those that the last member which held them took along.

use core::fmt::Write as _;
use std::collections::{BTreeMap, BTreeSet};

use heirloom_core::{EndCause, SessionKey};

use crate::{
    action::Action,
    clients,
    clock::Moment,
    net::HostId,
    record::{Happened, Record, State, Step, Subject},
};

/// What was lost until all faults were over, each with when and why, and of how many sessions that were written to.
pub fn lost(record: &Record) -> String {
    let Losses { written, lost, .. } = Losses::of(record);
    let mut out = String::new();
    // Writing to a text never fails.
    let _ = writeln!(out, "sessions: {} written to, {} lost", written.len(), lost.len());
    for (key, (at, why)) in &lost {
        let name = clients::number(*key).map_or(key.to_string(), |number| format!("s{number}"));
        let _ = writeln!(out, "  {name} at {at}: {why}");
    }
    out
}

#[derive(Default)]
struct Losses {
    written: BTreeSet<SessionKey>,
    /// Who holds what that lives.
    holders: BTreeMap<SessionKey, BTreeSet<HostId>>,
    /// What the world has just done to a host.
    blow: BTreeMap<HostId, &'static str>,
    lost: BTreeMap<SessionKey, (Moment, String)>,
}

impl Losses {
    fn of(record: &Record) -> Self {
        let mut all = Self::default();
        for entry in record.entries.iter().take_while(|entry| entry.at < record.healed_at) {
            match &entry.what {
                Happened::Done(Action::Kill(host, _)) => all.note(*host, "was killed"),
                Happened::Done(Action::PowerOff(host)) => all.note(*host, "was off"),
                Happened::Done(Action::Leave(host) | Action::Drain(host, _)) => all.note(*host, "left"),
                Happened::Commit(_, Subject::Session(key), _, Step::Taken) => {
                    all.written.insert(*key);
                }
                Happened::State(host, State::Down) => all.handle_down(entry.at, *host),
                Happened::Copy(host, key, copy) => {
                    let ended = copy.as_ref().map(|copy| copy.ended);
                    all.handle_copy(entry.at, *host, *key, ended);
                }
                Happened::Done(_)
                | Happened::State(..)
                | Happened::View(..)
                | Happened::Told(..)
                | Happened::Commit(..)
                | Happened::Read(..)
                | Happened::Mail(..)
                | Happened::Message(_)
                | Happened::Broken(_)
                | Happened::Left(..) => {}
            }
        }
        all
    }

    fn note(&mut self, host: HostId, blow: &'static str) {
        self.blow.insert(host, blow);
    }

    fn handle_down(&mut self, at: Moment, host: HostId) {
        let why = self.blow.get(&host).copied().unwrap_or("ended");
        for (key, holders) in &mut self.holders {
            if holders.remove(&host) && holders.is_empty() {
                self.lost.insert(*key, (at, format!("{host} {why}, and no other member had it")));
            }
        }
    }

    fn handle_copy(&mut self, at: Moment, host: HostId, key: SessionKey, ended: Option<Option<EndCause>>) {
        let holders = self.holders.entry(key).or_default();
        match ended {
            Some(None) => {
                holders.insert(host);
                self.lost.remove(&key);
            }
            Some(Some(cause)) => {
                holders.clear();
                match cause {
                    EndCause::Evicted => self.lost.insert(key, (at, format!("{host} made room"))),
                    EndCause::Lost => self.lost.insert(key, (at, "its owner was gone before others had it".into())),
                    EndCause::Forgotten => self.lost.insert(key, (at, format!("{host} was away for too long"))),
                    EndCause::Idle | EndCause::MaxAge | EndCause::Ended | EndCause::Replaced | EndCause::Moved => {
                        self.lost.remove(&key)
                    }
                };
            }
            None => {
                holders.remove(&host);
            }
        }
    }
}
