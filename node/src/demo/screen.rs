//! What people see: one line for each thing that happens, with the time, and a bar while something goes on.
//!
//! On a terminal a bar moves and is gone when it is done; what it showed is then told in a line, as it is elsewhere.

use core::{
    fmt::{self, Display},
    time::Duration,
};
use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    time::Instant,
};

use indicatif::{HumanFloatCount, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// Where the demonstration is told.
#[derive(Debug)]
pub(super) struct Screen {
    started: Instant,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Silent,
    Plain,
    Terminal { bars: MultiProgress, has_colours: bool },
}

/// How a word is shown where there are colours.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tone {
    Bold,
    Dim,
    Good,
    Bad,
}

impl Screen {
    /// Standard output.
    pub(super) fn new() -> Self {
        let kind = if io::stdout().is_terminal() {
            let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
            let has_colours = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            Kind::Terminal { bars, has_colours }
        } else {
            Kind::Plain
        };
        Self { started: Instant::now(), kind }
    }

    /// Shows nothing.
    pub(super) fn silent() -> Self {
        Self { started: Instant::now(), kind: Kind::Silent }
    }

    /// Tells what has just happened.
    pub(super) fn tell(&self, text: impl Display) {
        let passed = self.started.elapsed().as_secs_f64();
        let time = self.toned(Tone::Dim, format!("[{passed:6.2} s]"));
        self.line(&format!("{time} {text}"));
    }

    /// Writes a line as it is.
    pub(super) fn line(&self, text: &str) {
        // Whoever reads may have gone; the demonstration goes on and its exit status tells the rest.
        let _unheard = match &self.kind {
            Kind::Silent => Ok(()),
            Kind::Plain => writeln!(io::stdout(), "{text}"),
            Kind::Terminal { bars, .. } => bars.suspend(|| writeln!(io::stdout(), "{text}")),
        };
    }

    /// A bar for so many things to do.
    pub(super) fn bar(&self, label: impl Into<String>, things: u64) -> ProgressBar {
        let style = "           {bar:30.cyan/blue} {percent:>3} %  {msg}, {rate} a second";
        self.show(ProgressBar::with_draw_target(Some(things), ProgressDrawTarget::hidden()), style, label.into())
    }

    /// A sign that something is being waited for.
    pub(super) fn spinner(&self, label: impl Into<String>) -> ProgressBar {
        self.show(
            ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
            "           {spinner} {msg}",
            label.into(),
        )
    }

    /// A text in a tone, where there are colours.
    pub(super) fn toned(&self, tone: Tone, text: impl Display) -> String {
        let code = match (&self.kind, tone) {
            (Kind::Silent | Kind::Plain | Kind::Terminal { has_colours: false, .. }, _) => return text.to_string(),
            (Kind::Terminal { .. }, Tone::Bold) => "1",
            (Kind::Terminal { .. }, Tone::Dim) => "2",
            (Kind::Terminal { .. }, Tone::Good) => "1;32",
            (Kind::Terminal { .. }, Tone::Bad) => "1;31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    fn show(&self, bar: ProgressBar, style: &str, label: String) -> ProgressBar {
        let Kind::Terminal { bars, .. } = &self.kind else { return bar };
        let style = ProgressStyle::with_template(style).expect("the template is one").with_key("rate", write_rate);
        let bar = bars.add(bar).with_style(style).with_message(label);
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }
}

fn write_rate(state: &ProgressState, text: &mut dyn fmt::Write) {
    // What cannot be written is not seen.
    let _unheard = write!(text, "{:.0}", HumanFloatCount(state.per_sec()));
}

/// A length of time, for people.
pub(super) fn time(length: Duration) -> String {
    let seconds = length.as_secs_f64();
    match length.as_millis() {
        0..10 => format!("{:.1} ms", seconds * 1000.0),
        10..1000 => format!("{:.0} ms", seconds * 1000.0),
        1000.. => format!("{seconds:.2} s"),
    }
}

/// `a, b and c`.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().collect();
    match names.split_last() {
        None => "nobody".into(),
        Some((last, [])) => (*last).into(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_lists_are_written_for_people() {
        let times = [300, 21_400, 999_400, 1_500_000].map(|micros| time(Duration::from_micros(micros)));
        assert_eq!(times, ["0.3 ms", "21 ms", "999 ms", "1.50 s"]);
        let lists = [&[][..], &["a"], &["a", "b"], &["a", "b", "c"]].map(|names| list(names.iter().copied()));
        assert_eq!(lists, ["nobody", "a", "a and b", "a, b and c"]);
    }
}
