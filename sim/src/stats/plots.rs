//! The numbers of a run over time, as a picture: what travelled, whom members list, how many copies they hold, how old those were, and
//! how much each member held; with deaths through all of it.

use core::{fmt::Write as _, time::Duration};
use std::collections::{BTreeMap, BTreeSet};

mod words;

use words::{grouped, in_words};

use super::{Death, ages, deaths};
use crate::{
    clock::Moment,
    net::HostId,
    record::{Happened, Record, State},
    show::escaped,
};

const STYLE: &str = include_str!("plots.css");
const WIDTH: u64 = 960;
const LEFT: u64 = 74;
/// Where what the colours mean stands.
const RIGHT: u64 = 148;
const AXIS: u64 = 30;
const BAND: u64 = 18;
const PANEL: u64 = 104;
/// Between two panels there is the title of the next.
const GAP: u64 = 36;
/// In how many parts of the time messages are counted.
const PARTS: u64 = 240;
/// How many kinds have a colour of their own.
const KINDS: usize = 6;
const COLOURS: usize = 7;

/// What is plotted over time.
type Series = Vec<(Moment, u64)>;

/// The numbers of a run over time, as a picture.
pub fn stats_svg(record: &Record) -> String {
    let deaths = deaths(record);
    let bands = u64::try_from(record.bands().len().min(12)).unwrap_or(0);
    let rows = u64::try_from(deaths.len()).unwrap_or(0);
    let top = AXIS + BAND * (bands + rows) + GAP;
    let mut sheet = Sheet { record, end: record.end.max(Moment::from_nanos(1)), top, out: String::new() };
    sheet.draw(&deaths);
    sheet.out
}

struct Sheet<'a> {
    record: &'a Record,
    end: Moment,
    /// Where the next panel begins.
    top: u64,
    out: String,
}

impl Sheet<'_> {
    fn draw(&mut self, deaths: &[Death]) {
        let height = self.top + 6 * (PANEL + GAP) - 12;
        self.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<style>\n{}\n</style>",
            STYLE.trim_end()
        ));
        self.put(format_args!("<title>A run in numbers, over {}</title>", self.record.end));
        self.put(format_args!("<rect class=\"back\" width=\"{WIDTH}\" height=\"{height}\" rx=\"8\"/>"));
        self.axis(height);
        self.faults(deaths);
        self.messages();
        self.bytes();
        self.views();
        self.copies();
        self.ages();
        self.memory();
        for death in deaths {
            let x = self.x(death.at);
            self.put(format_args!("<path class=\"dies\" d=\"M{x} {AXIS}V{}\"/>", height - 8));
        }
        self.put(format_args!("</svg>"));
    }

    fn put(&mut self, line: core::fmt::Arguments<'_>) {
        // Writing to a text never fails.
        let _ = writeln!(self.out, "{line}");
    }

    /// Where a moment is, in tenths.
    fn tenths(&self, at: Moment) -> u64 {
        let (passed, all) = (u128::from(at.min(self.end).as_nanos()), u128::from(self.end.as_nanos()));
        LEFT * 10 + u64::try_from(passed * u128::from((WIDTH - LEFT - RIGHT) * 10) / all).unwrap_or(0)
    }

    fn x(&self, at: Moment) -> String {
        shown(self.tenths(at))
    }

    fn axis(&mut self, height: u64) {
        let seconds = self.end.as_nanos().div_ceil(SECOND);
        let steps = (0..6).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
        let step = steps.into_iter().find(|step| seconds <= step * 10).unwrap_or(seconds.max(1));
        for second in (0..=seconds).step_by(usize::try_from(step).unwrap_or(1)) {
            let at = Moment::from_nanos(second * SECOND);
            if at <= self.end {
                let x = self.x(at);
                self.put(format_args!("<path class=\"line\" d=\"M{x} {}V{}\"/>", AXIS - 8, height - 8));
                self.put(format_args!("<text class=\"soft\" x=\"{x}\" y=\"16\" dx=\"3\">{second} s</text>"));
            }
        }
    }

    /// Faults of the network, and for each death how long it took until others had noticed and taken over.
    fn faults(&mut self, deaths: &[Death]) {
        let mut y = AXIS;
        for band in self.record.bands().into_iter().take(12) {
            let (from, to) = (self.tenths(band.from), self.tenths(band.to));
            self.bar("fault", (from, to), y, &band.text);
            y += BAND;
        }
        for Death { at, host, how, removed, owned, .. } in deaths {
            let bars = [("out", removed.iter().max()), ("taken", owned.values().flatten().max())];
            let mut told = format!("{host} {how}");
            for (class, length) in bars {
                let Some(length) = length else { continue };
                let name = if class == "out" { "out of all views" } else { "its sessions owned by others" };
                let _ = write!(told, "; {name} after {}", super::seconds(*length));
            }
            let last = bars.iter().filter_map(|(_, length)| *length).max().copied().unwrap_or_default();
            let ends = (self.tenths(*at), self.tenths(*at + last));
            let class = if bars[1].1.is_some() { "taken" } else { "out" };
            self.bar(class, ends, y, &told);
            y += BAND;
        }
    }

    fn bar(&mut self, class: &str, (from, to): (u64, u64), y: u64, text: &str) {
        let (x, width) = (shown(from), shown((to - from).max(20)));
        self.put(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{}\"/>",
            BAND - 2
        ));
        // Text that would end outside is written towards the left.
        let is_late = (WIDTH * 10 - from) / 65 < u64::try_from(text.len()).unwrap_or(0);
        let (anchor, dx) = if is_late { (" text-anchor=\"end\"", "-5") } else { ("", "5") };
        let text = escaped(text);
        self.put(format_args!("<text class=\"told\" x=\"{x}\" y=\"{}\" dx=\"{dx}\"{anchor}>{text}</text>", y + 12));
    }

    /// Begins a panel: answers where its lowest line is.
    fn panel(&mut self, title: &str, most: &str) -> u64 {
        let (y, base) = (self.top, self.top + PANEL);
        self.put(format_args!("<text class=\"name\" x=\"{LEFT}\" y=\"{}\">{title}</text>", y - 8));
        self.put(format_args!(
            "<text class=\"soft\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{most}</text>",
            LEFT - 6,
            y + 8
        ));
        self.put(format_args!("<text class=\"soft\" x=\"{}\" y=\"{base}\" text-anchor=\"end\">0</text>", LEFT - 6));
        for at in [y, base] {
            self.put(format_args!("<path class=\"line\" d=\"M{LEFT} {at}H{}\"/>", WIDTH - RIGHT));
        }
        self.top += PANEL + GAP;
        base
    }

    /// What the colours of a panel mean.
    fn legend(&mut self, base: u64, rows: &[(String, String)]) {
        for (row, (class, name)) in rows.iter().take(8).enumerate() {
            let y = base - PANEL + 13 * u64::try_from(row).unwrap_or(0) + 4;
            let x = WIDTH - RIGHT + 10;
            self.put(format_args!("<rect class=\"{class}\" x=\"{x}\" y=\"{}\" width=\"8\" height=\"8\"/>", y - 2));
            self.put(format_args!("<text class=\"soft\" x=\"{}\" y=\"{}\">{}</text>", x + 13, y + 6, escaped(name)));
        }
    }

    fn points(&self, base: u64, most: u64, series: &[(Moment, u64)]) -> Vec<String> {
        let height = |value: u64| shown((base * 10).saturating_sub(part(value, most)));
        series.iter().map(|(at, value)| format!("{},{}", self.x(*at), height(*value))).collect()
    }

    /// A line that stays where it is until the next value.
    fn steps(&mut self, base: u64, most: u64, class: &str, series: &[(Moment, u64)]) {
        let mut points: Series = Vec::new();
        for (at, value) in series {
            if let Some((_, before)) = points.last().copied() {
                points.push((*at, before));
            }
            points.push((*at, *value));
        }
        if let Some((_, last)) = points.last().copied() {
            points.push((self.end, last));
        }
        let points = self.points(base, most, &points).join(" ");
        self.put(format_args!("<polyline class=\"{class}\" points=\"{points}\"/>"));
    }

    /// Counts in equal parts of the time, as so much a second.
    fn rate(&self, counted: impl Iterator<Item = (Moment, u64)>) -> Vec<u64> {
        let mut parts = vec![0_u64; usize::try_from(PARTS).unwrap_or(0)];
        for (at, count) in counted {
            let place =
                u128::from(at.min(self.end).as_nanos()) * u128::from(PARTS) / (u128::from(self.end.as_nanos()) + 1);
            if let Some(part) = usize::try_from(place).ok().and_then(|place| parts.get_mut(place)) {
                *part += count;
            }
        }
        let length = u128::from(self.end.as_nanos() / PARTS).max(1);
        let a_second = |count: u64| u64::try_from(u128::from(count) * u128::from(SECOND) / length).unwrap_or(u64::MAX);
        parts.into_iter().map(a_second).collect()
    }

    fn at_part(&self, part: usize) -> Moment {
        let part = u64::try_from(part).unwrap_or(PARTS);
        Moment::from_nanos(self.end.as_nanos() / PARTS * part + self.end.as_nanos() / PARTS / 2)
    }

    fn in_time(&self, rate: &[u64]) -> Series {
        rate.iter().enumerate().map(|(part, value)| (self.at_part(part), *value)).collect()
    }

    fn messages(&mut self) {
        let all = self.rate(self.record.messages().map(|(at, _)| (at, 1)));
        let lost = self.record.messages().filter(|(_, message)| message.fate.is_lost()).map(|(at, _)| (at, 1));
        let lost = self.rate(lost);
        let most = all.iter().copied().max().unwrap_or(0).max(1);
        let base = self.panel("messages a second", &grouped(most));
        for (class, rate) in [("c0", &all), ("bad", &lost)] {
            let points = self.points(base, most, &self.in_time(rate)).join(" ");
            self.put(format_args!("<polyline class=\"{class}\" points=\"{points}\"/>"));
        }
        self.legend(base, &[("c0".into(), "sent".into()), ("bad".into(), "of these lost".into())]);
    }

    /// What is in a message of several kinds counts in equal parts for each.
    fn bytes(&mut self) {
        let mut kinds: BTreeMap<&str, Series> = BTreeMap::new();
        for (at, message) in self.record.messages() {
            let names: BTreeSet<&str> = message.kinds.iter().map(|(name, _)| *name).collect();
            let items: BTreeSet<&str> = names.iter().filter(|name| **name != "feed").copied().collect();
            let names = if items.is_empty() { names } else { items };
            let bytes = u64::try_from(message.bytes / names.len().max(1)).unwrap_or(u64::MAX);
            names.into_iter().for_each(|name| kinds.entry(name).or_default().push((at, bytes)));
        }
        let sum = |series: &Series| series.iter().map(|(_, bytes)| *bytes).sum::<u64>();
        let mut by_size: Vec<(&str, Series)> = kinds.into_iter().collect();
        by_size.sort_by_key(|(name, series)| (core::cmp::Reverse(sum(series)), *name));
        let others: Series =
            by_size.split_off(by_size.len().min(KINDS)).into_iter().flat_map(|(_, series)| series).collect();
        if !others.is_empty() {
            by_size.push(("others", others));
        }
        let rates: Vec<Vec<u64>> = by_size.iter().map(|(_, series)| self.rate(series.iter().copied())).collect();
        let mut tops = vec![vec![0_u64; usize::try_from(PARTS).unwrap_or(0)]];
        for rate in &rates {
            let below = tops.last().map_or(&[][..], Vec::as_slice);
            tops.push(below.iter().zip(rate).map(|(below, value)| below + value).collect());
        }
        let most = tops.last().and_then(|top| top.iter().copied().max()).unwrap_or(0).max(1);
        let base = self.panel("bytes a second, by kind", &grouped(most));
        let mut legend = Vec::new();
        for (number, (name, _)) in by_size.iter().enumerate() {
            let class = colour(number);
            let upper = self.points(base, most, &self.in_time(&tops[number + 1]));
            let mut lower = self.points(base, most, &self.in_time(&tops[number]));
            lower.reverse();
            let points = [upper, lower].concat().join(" ");
            self.put(format_args!("<polygon class=\"{class}\" points=\"{points}\"/>"));
            legend.push((class, name.replace("feed: ", "")));
        }
        self.legend(base, &legend);
    }

    /// A line for each host.
    fn hosts(&mut self, title: &str, most: &str, top: u64, series: &BTreeMap<HostId, Series>) {
        let base = self.panel(title, most);
        let mut legend = Vec::new();
        for (number, (host, series)) in series.iter().enumerate() {
            let class = colour(number);
            // Lines that say the same must be seen all the same.
            let shift = u64::try_from(number).unwrap_or(0) % 5;
            self.steps(base - shift, top, &class, series);
            legend.push((class, host.to_string()));
        }
        self.legend(base, &legend);
    }

    fn views(&mut self) {
        let mut series: BTreeMap<HostId, Series> = BTreeMap::new();
        for entry in &self.record.entries {
            let (host, count) = match &entry.what {
                Happened::View(host, sight) => (*host, sight.listed.len() + 1),
                Happened::State(host, State::Down) => (*host, 0),
                Happened::State(host, State::Joining) => (*host, 1),
                Happened::Done(_)
                | Happened::State(..)
                | Happened::Told(..)
                | Happened::Copy(..)
                | Happened::Commit(..)
                | Happened::Read(..)
                | Happened::Mail(..)
                | Happened::Message(_)
                | Happened::Broken(_)
                | Happened::Left(..) => continue,
            };
            series.entry(host).or_default().push((entry.at, u64::try_from(count).unwrap_or(0)));
        }
        let most = u64::from(self.record.hosts).max(1);
        self.hosts("members in the view of each, itself included", &most.to_string(), most, &series);
    }

    fn copies(&mut self) {
        let mut held: BTreeMap<HostId, BTreeSet<heirloom_core::SessionKey>> = BTreeMap::new();
        let mut series: BTreeMap<HostId, Series> = BTreeMap::new();
        for entry in &self.record.entries {
            let host = match &entry.what {
                Happened::Copy(host, key, copy) => {
                    let held = held.entry(*host).or_default();
                    match copy.as_ref().is_some_and(|copy| copy.ended.is_none()) {
                        true => held.insert(*key),
                        false => held.remove(key),
                    };
                    *host
                }
                Happened::State(host, State::Down) => {
                    held.remove(host);
                    *host
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
                | Happened::Left(..) => continue,
            };
            let count = held.get(&host).map_or(0, BTreeSet::len);
            series.entry(host).or_default().push((entry.at, u64::try_from(count).unwrap_or(0)));
        }
        let most = series.values().flatten().map(|(_, count)| *count).max().unwrap_or(0).max(1);
        self.hosts("sessions that each holds, owned or as a copy", &grouped(most), most, &series);
    }

    fn ages(&mut self) {
        let ages = ages(self.record);
        let most = ages.iter().map(|(_, age)| *age).max().unwrap_or(Duration::ZERO).max(Duration::from_micros(1));
        let nanos = |age: Duration| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        let base = self.panel("how long a write took to another member that served", &in_words(most));
        for (at, age) in &ages {
            let y = shown((base * 10).saturating_sub(part(nanos(*age), nanos(most))));
            let x = self.x(*at);
            self.put(format_args!("<circle class=\"c0\" cx=\"{x}\" cy=\"{y}\" r=\"2\"/>"));
        }
        self.legend(base, &[("c0".into(), "a write and a copy".into())]);
    }

    fn memory(&mut self) {
        let mut series: BTreeMap<HostId, Series> = BTreeMap::new();
        for (at, host, bytes) in &self.record.memory {
            series.entry(*host).or_default().push((*at, u64::try_from(*bytes).unwrap_or(u64::MAX)));
        }
        for entry in &self.record.entries {
            if let Happened::State(host, State::Down) = &entry.what {
                series.entry(*host).or_default().push((entry.at, 0));
            }
        }
        // What it held at that moment came before.
        series.values_mut().for_each(|series| series.sort_by_key(|(at, _)| *at));
        let most = series.values().flatten().map(|(_, bytes)| *bytes).max().unwrap_or(0).max(1);
        self.hosts("bytes that each holds", &grouped(most), most, &series);
    }
}

const SECOND: u64 = 1_000_000_000;

/// How high a value is, in tenths.
fn part(value: u64, most: u64) -> u64 {
    u64::try_from(u128::from(value) * u128::from(PANEL * 10) / u128::from(most)).unwrap_or(0)
}

fn shown(tenths: u64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn colour(number: usize) -> String {
    format!("c{}", number % (COLOURS + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Choice, Plan};

    #[test]
    fn the_numbers_of_any_run_are_a_picture() {
        for seed in 0..3 {
            let (_, record) = Record::of(&Plan::draw(seed, Choice::Any));
            let picture = stats_svg(&record);
            assert!(picture.starts_with("<svg ") && picture.trim_end().ends_with("</svg>"), "seed {seed}");
            assert_eq!(picture.matches("class=\"name\"").count(), 6, "seed {seed}");
            assert!(!picture.contains("NaN") && picture.matches("<polyline").count() >= 5, "seed {seed}");
        }
        let empty = stats_svg(&Record::default());
        assert!(empty.contains("</svg>"));
    }
}
