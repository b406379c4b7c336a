//! A run in numbers: what travelled, how long a failover took, how old copies were, how much was held.

use core::{fmt::Write as _, time::Duration};
use std::collections::{BTreeMap, BTreeSet};

use heirloom_core::{Event, MemberId, SessionKey};

use crate::{
    action::Action,
    clock::Moment,
    net::HostId,
    record::{Fate, Happened, Record, State, Step, Subject, Way},
};

mod plots;

pub use plots::stats_svg;

/// How many columns a plot has.
const COLUMNS: u64 = 60;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The numbers of a run, as tables and small plots over time.
pub fn stats(record: &Record) -> String {
    let mut out = String::new();
    // Writing to a text never fails.
    let _ = traffic(record, &mut out);
    let _ = commits(record, &mut out);
    let _ = failovers(record, &mut out);
    let _ = memory(record, &mut out);
    let _ = small_plots(record, &mut out);
    out
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    messages: u64,
    bytes: u64,
    lost: u64,
    /// Of those, how many found no room.
    no_room: u64,
    late: u64,
}

impl Sum {
    fn add(&mut self, bytes: u64, fate: Fate) {
        self.messages += 1;
        self.bytes += bytes;
        self.lost += u64::from(fate.is_lost());
        self.no_room += u64::from(fate == Fate::NoRoom);
        self.late += u64::from(fate == Fate::Late);
    }
}

fn traffic(record: &Record, out: &mut String) -> core::fmt::Result {
    let (mut ways, mut kinds, mut senders) =
        (BTreeMap::<Way, Sum>::new(), BTreeMap::<&str, Sum>::new(), BTreeMap::<HostId, Sum>::new());
    let mut all = Sum::default();
    for message in record.messages().map(|(_, message)| message) {
        let bytes = u64::try_from(message.bytes).unwrap_or(u64::MAX);
        let names: BTreeSet<&str> = message.kinds.iter().map(|(name, _)| *name).collect();
        names.into_iter().for_each(|name| kinds.entry(name).or_default().add(bytes, message.fate));
        for sum in [&mut all, ways.entry(message.way).or_default(), senders.entry(message.from).or_default()] {
            sum.add(bytes, message.fate);
        }
    }
    let millis = record.end.since(Moment::ZERO).as_millis().max(1);
    let row = |out: &mut String, name: &str, sum: &Sum| {
        let Sum { messages, bytes, lost, no_room, late } = sum;
        let rate = u128::from(*bytes) * 1000 / millis;
        writeln!(out, "  {name:<22} {messages:>9} {bytes:>11} {rate:>9} {lost:>7} {no_room:>7} {late:>7}")
    };
    writeln!(
        out,
        "{:<24} {:>9} {:>11} {:>9} {:>7} {:>7} {:>7}",
        "what travelled", "messages", "bytes", "a second", "lost", "no room", "late"
    )?;
    for (way, sum) in &ways {
        let name = match way {
            Way::Datagram => "datagrams to one",
            Way::Group => "datagrams to the group",
            Way::Stream => "writes to streams",
        };
        row(out, name, sum)?;
    }
    row(out, "in all", &all)?;
    senders.iter().try_for_each(|(host, sum)| row(out, &format!("sent by {host}"), sum))?;
    kinds.iter().try_for_each(|(name, sum)| row(out, &format!("with {}", name.replace("feed: ", "")), sum))
}

fn commits(record: &Record, out: &mut String) -> core::fmt::Result {
    let mut taken = BTreeMap::new();
    let mut ends: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for entry in &record.entries {
        let Happened::Commit(_, subject, serial, step) = &entry.what else { continue };
        let since = *taken.entry((matches!(subject, Subject::Name(_)), *serial)).or_insert(entry.at);
        if let Some(name) = end(step) {
            ends.entry(name).or_default().push(entry.at.since(since));
        }
    }
    writeln!(out, "\n{:<24} {:>9} {:>13} {:>13} {:>13}", "writes", "", "half within", "99 of 100", "longest")?;
    for (name, times) in &mut ends {
        times_row(out, name, times)?;
    }
    let mut ages: Vec<Duration> = ages(record).into_iter().map(|(_, age)| age).collect();
    times_row(out, "on another member", &mut ages)
}

/// When each write was taken, and how much later each other member that served then had it.
fn ages(record: &Record) -> Vec<(Moment, Duration)> {
    let (mut writes, mut ages, mut seen) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
    let mut ready: BTreeMap<HostId, Moment> = BTreeMap::new();
    for entry in &record.entries {
        match &entry.what {
            Happened::Commit(host, subject, serial, Step::Taken) => {
                writes.entry((subject_key(*subject), *serial)).or_insert((entry.at, *host));
            }
            Happened::Copy(host, key, Some(copy)) => {
                for serial in copy.shown.values() {
                    let Some((at, writer)) = writes.get(&(Some(*key), *serial)) else { continue };
                    // Who has joined since then got it with all the others.
                    let was_there = ready.get(host).is_some_and(|since| since < at);
                    if writer != host && was_there && seen.insert((*host, *serial)) {
                        ages.push((*at, entry.at.since(*at)));
                    }
                }
            }
            Happened::State(host, State::Ready) => {
                ready.entry(*host).or_insert(entry.at);
            }
            Happened::State(host, State::Down | State::Joining) => {
                ready.remove(host);
            }
            Happened::Done(_)
            | Happened::State(..)
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
    ages
}

fn subject_key(subject: Subject) -> Option<SessionKey> {
    match subject {
        Subject::Session(key) => Some(key),
        Subject::Name(_) => None,
    }
}

const fn end(step: &Step) -> Option<&'static str> {
    match step {
        Step::Waits | Step::Taken => None,
        Step::Refused(_) => Some("refused"),
        Step::Durable(_) => Some("durable"),
        Step::NotDurable(_, true) => Some("late"),
        Step::NotDurable(_, false) => Some("not durable"),
        Step::Unknown => Some("its member died"),
    }
}

fn times_row(out: &mut String, name: &str, times: &mut [Duration]) -> core::fmt::Result {
    times.sort();
    let part = |of_hundred: usize| times.get((times.len() * of_hundred / 100).min(times.len().saturating_sub(1)));
    let [half, most, longest] = [50, 99, 100].map(|part_of| part(part_of).map_or("-".into(), |time| seconds(*time)));
    writeln!(out, "  {name:<22} {:>9} {half:>13} {most:>13} {longest:>13}", times.len())
}

fn seconds(length: Duration) -> String {
    format!("{}.{:06} s", length.as_secs(), length.subsec_micros())
}

/// What became of a member that ended without a word.
struct Death {
    at: Moment,
    host: HostId,
    life: MemberId,
    how: &'static str,
    /// When others removed it from their views.
    removed: Vec<Duration>,
    /// The sessions that it owned, and when each had another owner.
    owned: BTreeMap<SessionKey, Option<Duration>>,
}

fn failovers(record: &Record, out: &mut String) -> core::fmt::Result {
    let deaths = deaths(record);
    writeln!(out, "\nmembers that died")?;
    if deaths.is_empty() {
        return writeln!(out, "  none");
    }
    for Death { at, host, how, removed, owned, .. } in deaths {
        let views = match (removed.iter().min(), removed.iter().max()) {
            (Some(first), Some(last)) => {
                let (first, last) = (seconds(*first), seconds(*last));
                format!("out of the first view after {first}, of the last of {} after {last}", removed.len())
            }
            _ => "nobody removed it".into(),
        };
        let taken = owned.values().flatten();
        let others = match taken.clone().max() {
            Some(last) => {
                format!("{} of its {} sessions owned by others after {}", taken.count(), owned.len(), seconds(*last))
            }
            None => format!("it owned {} sessions, and none got another owner", owned.len()),
        };
        writeln!(out, "  {host} {how} at {at}: {views}; {others}")?;
    }
    Ok(())
}

fn deaths(record: &Record) -> Vec<Death> {
    let mut deaths: Vec<Death> = Vec::new();
    let mut copies: BTreeMap<(HostId, SessionKey), MemberId> = BTreeMap::new();
    let (mut numbers, mut is_up) = (BTreeMap::<HostId, usize>::new(), BTreeSet::new());
    for entry in &record.entries {
        match &entry.what {
            Happened::Done(Action::Kill(host, _) | Action::PowerOff(host)) if is_up.contains(host) => {
                let how =
                    if matches!(entry.what, Happened::Done(Action::PowerOff(_))) { "was off" } else { "was killed" };
                let number = numbers.get(host).copied().unwrap_or(0);
                let life = record.lives.iter().find(|(_, life)| life.0 == *host && life.1 == number);
                let Some((&life, _)) = life else { continue };
                let owned = copies.iter().filter(|((of, _), owner)| of == host && **owner == life);
                let owned = owned.map(|((_, key), _)| (*key, None)).collect();
                deaths.push(Death { at: entry.at, host: *host, life, how, removed: Vec::new(), owned });
            }
            Happened::State(host, state) => {
                if *state == State::Down {
                    is_up.remove(host);
                    copies.retain(|(of, _), _| of != host);
                } else if is_up.insert(*host) {
                    *numbers.entry(*host).or_default() += 1;
                }
            }
            Happened::Told(_, Event::MemberRemoved(life, _)) => {
                let death = deaths.iter_mut().rev().find(|death| death.life == *life);
                death.into_iter().for_each(|death| death.removed.push(entry.at.since(death.at)));
            }
            Happened::Copy(host, key, copy) => {
                let owner = copy.as_ref().filter(|copy| copy.ended.is_none()).and_then(|copy| copy.owner);
                match owner {
                    Some(owner) => copies.insert((*host, *key), owner),
                    None => copies.remove(&(*host, *key)),
                };
                for death in deaths.iter_mut().filter(|death| owner.is_some_and(|owner| owner != death.life)) {
                    if let Some(taken) = death.owned.get_mut(key) {
                        taken.get_or_insert(entry.at.since(death.at));
                    }
                }
            }
            Happened::Done(_)
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
    deaths
}

fn memory(record: &Record, out: &mut String) -> core::fmt::Result {
    let mut most: BTreeMap<HostId, (usize, Moment)> = BTreeMap::new();
    for (at, host, bytes) in &record.memory {
        let before = most.entry(*host).or_insert((*bytes, *at));
        if before.0 < *bytes {
            *before = (*bytes, *at);
        }
    }
    writeln!(out, "\nmost that was held, in bytes, by the second")?;
    most.iter().try_for_each(|(host, (bytes, at))| writeln!(out, "  {host} {bytes} at {at}"))
}

fn small_plots(record: &Record, out: &mut String) -> core::fmt::Result {
    let column = |at: Moment| at.as_nanos().saturating_mul(COLUMNS) / (record.end.as_nanos() + 1);
    let mut rows: BTreeMap<String, BTreeMap<u64, u64>> = BTreeMap::new();
    for (at, message) in record.messages() {
        let bytes = u64::try_from(message.bytes).unwrap_or(u64::MAX);
        *rows.entry("bytes sent".into()).or_default().entry(column(at)).or_default() += bytes;
        if message.fate.is_lost() {
            *rows.entry("messages lost".into()).or_default().entry(column(at)).or_default() += 1;
        }
    }
    for (at, host, bytes) in &record.memory {
        let most = rows.entry(format!("held by {host}")).or_default().entry(column(*at)).or_default();
        *most = (*most).max(u64::try_from(*bytes).unwrap_or(u64::MAX));
    }
    let end = record.end;
    writeln!(out, "\n{:<16} from 0 s to {end}, {COLUMNS} parts; the highest is as the number says", "over time")?;
    for (name, row) in rows {
        let most = row.values().copied().max().unwrap_or(0).max(1);
        let bar = |column| match row.get(&column).copied().unwrap_or(0) {
            0 => ' ',
            value => BARS[usize::try_from(value.saturating_mul(7).div_ceil(most)).unwrap_or(7).min(7)],
        };
        let bars: String = (0..COLUMNS).map(bar).collect();
        writeln!(out, "  {name:<14} {bars} {most}")?;
    }
    Ok(())
}
