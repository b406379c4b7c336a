//! A picture of a measurement, as SVG: how long commits and reads took, and how many there were over time.

use core::{fmt::Write as _, time::Duration};

use super::{
    events::Event,
    figures::{Pace, Times},
    load::Results,
};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 700.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 870.0;
const INK: &str = "#333";
const GRID: &str = "#ddd";
const COMMITS: &str = "#1f6fb4";
const READS: &str = "#2a9d5c";
const EVENTS: &str = "#c0392b";
/// The share of a hundred that is shown as one of so many: 50 %, 90 %, 99 %, 99.9 %, 99.99 %.
const PERCENTS: [(f64, &str); 5] =
    [(50.0, "50 %"), (90.0, "90 %"), (99.0, "99 %"), (99.9, "99.9 %"), (99.99, "99.99 %")];

/// A field with a scale on each side.
struct Field {
    top: f64,
    bottom: f64,
    x_max: f64,
    y_min: f64,
    y_max: f64,
}

/// Draws both pictures, one below the other.
pub(super) fn draw(title: &str, results: &Results) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let middle = WIDTH / 2.0;
    text(&mut svg, middle, 24.0, "middle", INK, title);
    latency(&mut svg, results);
    throughput(&mut svg, results);
    svg + "</svg>\n"
}

/// How long it took, over the percentile: each step to the right leaves a tenth as many that took longer.
fn latency(svg: &mut String, results: &Results) {
    let of_kinds = [(&results.tally.writes, COMMITS, "commits"), (&results.tally.reads, READS, "reads")];
    let kinds: Vec<_> = of_kinds.into_iter().filter(|(times, ..)| 0 < times.count()).collect();
    let all = || kinds.iter().flat_map(|(times, ..)| curve(times));
    let least = all().map(|(_, micros)| micros).fold(f64::INFINITY, f64::min);
    let most = all().map(|(_, micros)| micros).fold(0.0, f64::max);
    let (y_min, y_max) = if most < least { (0.0, 1.0) } else { (least.log10().floor(), most.log10().ceil()) };
    let field = Field { top: 70.0, bottom: 340.0, x_max: rank(99.999), y_min, y_max: y_max.max(y_min + 1.0) };
    text(svg, LEFT, 54.0, "start", INK, "how long one takes, by percentile");
    let mut decade = field.y_min;
    while decade <= field.y_max {
        let label = micros_shown(10_f64.powf(decade));
        field.line_across(svg, decade, &label);
        decade += 1.0;
    }
    for (percent, label) in PERCENTS {
        field.line_up(svg, rank(percent), GRID);
        text(svg, field.x(rank(percent)), field.bottom + 18.0, "middle", INK, label);
    }
    for (at, (times, colour, name)) in kinds.iter().enumerate() {
        let points = curve(times).map(|(rank, micros)| (field.x(rank), field.y(micros.log10())));
        path(svg, points, colour);
        legend(svg, field.top, at, colour, name);
    }
}

/// How many there were, over time, with what happened to the view.
fn throughput(svg: &mut String, results: &Results) {
    let of_kinds = [(&results.tally.commits, COMMITS, "commits"), (&results.tally.looks, READS, "reads")];
    let kinds: Vec<_> = of_kinds.into_iter().filter(|(pace, ..)| pace.rates().next().is_some()).collect();
    let called_for = results.called_for.as_secs_f64();
    let most = kinds.iter().flat_map(|(pace, ..)| whole(pace, called_for)).map(|(_, rate)| rate).fold(1.0, f64::max);
    let step = step(most);
    let field =
        Field { top: 420.0, bottom: 640.0, x_max: called_for.max(0.1), y_min: 0.0, y_max: (most / step).ceil() * step };
    text(svg, LEFT, 404.0, "start", INK, "how many in a second, by time");
    let mut rate = 0.0;
    while rate <= field.y_max {
        field.line_across(svg, rate, &format!("{rate:.0}"));
        rate += step;
    }
    for tenth in 0..=10 {
        let at = field.x_max * f64::from(tenth) / 10.0;
        text(svg, field.x(at), field.bottom + 18.0, "middle", INK, &format!("{at:.1} s"));
    }
    for (at, (pace, colour, name)) in kinds.iter().enumerate() {
        path(svg, whole(pace, called_for).map(|(at, rate)| (field.x(at), field.y(rate))), colour);
        legend(svg, field.top, at, colour, name);
    }
    for (at, Event { at: when, what }) in results.events.iter().enumerate() {
        let x = when.as_secs_f64().min(field.x_max);
        field.line_up(svg, x, EVENTS);
        // Those that come together stand below each other.
        let row = f64::from(u32::try_from(at % 8).unwrap_or_default());
        text(svg, field.x(x) + 4.0, field.top + 14.0 + row * 14.0, "start", EVENTS, what);
    }
}

/// The tenths of a second that were called in to their end.
fn whole(pace: &Pace, called_for: f64) -> impl Iterator<Item = (f64, f64)> {
    pace.rates().map(|(at, rate)| (at + 0.05, rate)).take_while(move |(at, _)| at + 0.05 <= called_for + 1e-6)
}

/// The time of each percentile that there are enough of.
fn curve(times: &Times) -> impl Iterator<Item = (f64, f64)> {
    let last = rank(100.0 - 100.0 / times.count().max(2) as f64).min(rank(99.999));
    let ranks = (0_u32..).map(|at| f64::from(at) / 20.0).take_while(move |rank| *rank <= last);
    ranks.map(|rank| {
        let percent = 100.0 - 100.0 * 10_f64.powf(-rank);
        (rank, micros(times.percentile(percent)).max(0.01))
    })
}

/// One of ten longer is 1, one of a hundred is 2.
fn rank(percent: f64) -> f64 {
    -(1.0 - percent / 100.0).log10()
}

/// One, two or five of something round, so that there are at most ten.
fn step(most: f64) -> f64 {
    let decade = 10_f64.powf((most / 10.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|of| of * decade).into_iter().find(|step| most / step <= 10.0).unwrap_or(most)
}

impl Field {
    fn x(&self, at: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * at / self.x_max
    }

    fn y(&self, at: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * (at - self.y_min) / (self.y_max - self.y_min)
    }

    fn line_across(&self, svg: &mut String, at: f64, label: &str) {
        let y = self.y(at);
        line(svg, (LEFT, y), (RIGHT, y), GRID);
        text(svg, LEFT - 8.0, y + 4.0, "end", INK, label);
    }

    fn line_up(&self, svg: &mut String, at: f64, colour: &str) {
        let x = self.x(at);
        line(svg, (x, self.top), (x, self.bottom), colour);
    }
}

fn legend(svg: &mut String, top: f64, at: usize, colour: &str, name: &str) {
    let x = RIGHT - 80.0 * f64::from(u32::try_from(at + 1).unwrap_or_default());
    line(svg, (x, top - 20.0), (x + 20.0, top - 20.0), colour);
    text(svg, x + 26.0, top - 16.0, "start", INK, name);
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    put(svg, &format!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>"));
}

fn path(svg: &mut String, points: impl Iterator<Item = (f64, f64)>, colour: &str) {
    let points: Vec<_> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let points = points.join(" ");
    put(svg, &format!("<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"));
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, colour: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    put(svg, &format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\">{text}</text>"));
}

fn put(svg: &mut String, element: &str) {
    writeln!(svg, "{element}").expect("a string takes what is written");
}

fn micros(length: Duration) -> f64 {
    length.as_secs_f64() * 1e6
}

fn micros_shown(micros: f64) -> String {
    match micros {
        1e6.. => format!("{:.0} s", micros / 1e6),
        1e3.. => format!("{:.0} ms", micros / 1e3),
        1.0.. => format!("{micros:.0} us"),
        _ => format!("{micros:.2} us"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_was_seen_is_drawn_and_names_are_harmless() {
        let mut results = Results { called_for: Duration::from_secs(1), ..Results::default() };
        for at in 1..1000 {
            results.tally.writes.record(Duration::from_micros(at));
            results.tally.commits.count(Duration::from_millis(at));
        }
        results.events.push(Event { at: Duration::from_millis(500), what: "<n2> is gone".into() });
        let svg = draw("a & b", &results);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("a &amp; b") && svg.contains("&lt;n2&gt; is gone") && svg.ends_with("</svg>\n"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn of_nothing_there_is_a_picture_too() {
        let svg = draw("", &Results::default());
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn steps_are_round() {
        assert_eq!([7.0, 15.0, 30.0, 80_000.0].map(step), [1.0, 2.0, 5.0, 10_000.0]);
    }
}
