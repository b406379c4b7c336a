//! What to expect of a configuration: how often members that live are suspected and removed, and after what time those
//! that die are found. A simulation counts the same things; a test holds the two against each other.
//!
//! A prediction decides nothing in a run, so it may reckon with floating numbers.

use core::{fmt::Write as _, time::Duration};

use heirloom_core::Config;

/// How many others are asked with each probe of a suspect.
const RELAYS: u32 = 2;

/// What to expect of a cluster that is idle but for comparing what its members hold (`digest_every`). What comes by a stream is
/// a sign of life too, so where members write to each other all the time there are fewer suspicions than this.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// How often in an hour a member suspects another one that lives, for one ordered pair.
    pub suspicions: f64,
    /// How often of that in an hour it removes it, if no stream to it holds and it can be asked by datagram alone. While a
    /// stream holds it never does: what answers there is not lost.
    pub removals: f64,
    /// After what time a host that goes silent is out of the view, on average.
    pub silent: Duration,
    /// The shortest and the longest time if no beat is lost.
    pub bounds: [Duration; 2],
    /// After what time a member is out of the view that only others reach, at the longest.
    pub apart: Duration,
}

/// What to expect if so many of a thousand datagrams are lost, each by itself, in a cluster of so many members.
///
/// A beat is sent each `frequency`; `ways` is 1 if it travels to the group or to each member, and 2 if it does both.
pub fn predict(config: &Config, members: u32, loss: u32, ways: u32) -> Prediction {
    let Config { frequency, drop_time, probe_time, probe_attempts, .. } = *config;
    let lost = f64::from(loss) / 1000.0;
    let beat_lost = lost.powi(power(ways));
    // The beats that must all be lost: those that come before the drop time is over. One that is due just then comes before
    // its end or after it, as its way is shorter or longer than that of the last one that arrived.
    let (needed, is_tie) = beats_within(drop_time, frequency);
    let rest = if is_tie { beat_lost + (1.0 - beat_lost) / 2.0 } else { 1.0 };
    let beats_an_hour = 3600.0 / frequency.as_secs_f64();
    let after_beat = beats_an_hour * (1.0 - beat_lost) * beat_lost.powi(power(needed)) * rest;
    // Ready members compare what they hold by stream: no comparison may fall into the silence, or one begins it.
    let all = needed + u32::from(is_tie);
    let (apart, after_comparison) = match config.digest_every.as_secs_f64() {
        0.0 => (1.0, 0.0),
        every => {
            let apart = (1.0 - drop_time.as_secs_f64() / every).max(0.0);
            (apart, if apart == 0.0 { 0.0 } else { 3600.0 / every * beat_lost.powi(power(all)) })
        }
    };
    let suspicions = after_beat * apart + after_comparison;
    // A probe and its answer, once directly and once through each relay, and the beats that come meanwhile.
    let arrives = 1.0 - lost;
    let relays = RELAYS.min(members.saturating_sub(2));
    let probe_fails = (1.0 - arrives.powi(2)) * (1.0 - arrives.powi(4)).powi(power(relays));
    let (beats, _) = beats_within(probe_time, frequency);
    let removals = suspicions * probe_fails.powi(power(probe_attempts)) * beat_lost.powi(power(beats));
    let longest = drop_time + probe_time;
    // On average the last beat was sent half a `frequency` before the end, and so many more before it were lost.
    let early = frequency.mul_f64(
        (0.5 + beat_lost / (1.0 - beat_lost).max(1e-9)).min(drop_time.as_secs_f64() / frequency.as_secs_f64()),
    );
    let bounds = [longest.saturating_sub(frequency), longest];
    Prediction { suspicions, removals, silent: longest.saturating_sub(early), bounds, apart: longest * 2 }
}

/// How many beats come within this time after one, and whether a further one is due just at its end.
fn beats_within(time: Duration, frequency: Duration) -> (u32, bool) {
    let (time, frequency) = (time.as_nanos(), frequency.as_nanos().max(1));
    let is_tie = time.is_multiple_of(frequency);
    let whole = u32::try_from(time / frequency).unwrap_or(u32::MAX);
    (if is_tie { whole.saturating_sub(1) } else { whole }, is_tie)
}

fn power(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// The prediction as a table, for these losses of a thousand.
pub fn table(config: &Config, members: u32, losses: &[u32], ways: u32) -> String {
    let Config { frequency, drop_time, probe_time, probe_attempts, .. } = config;
    let calm = predict(config, members, 0, ways);
    let mut out = format!(
        "{members} idle members: a beat each {frequency:?} {}, drop_time {drop_time:?}, {probe_attempts} probes within {probe_time:?}, \
         each also through {} others\n\n",
        if ways == 1 { "by one way" } else { "to the group and to each" },
        RELAYS.min(members.saturating_sub(2)),
    );
    let [first, last] = calm.bounds;
    let mut line = |text: String| {
        // Writing to a text never fails.
        let _ = writeln!(out, "{text}");
    };
    line("a process that is killed    out of the view when its listener refuses: a way there and back".into());
    line(format!("a host that goes silent     out of the view after {first:?} to {last:?}"));
    line(format!("who is reached by others    out of the view after {:?} at most", calm.apart));
    line(format!(
        "\n{:>6}  {:>24}  {:>24}  {:>24}  {:>14}",
        "lost", "suspected an hour: a pair", "all pairs", "removed an hour: a pair*", "silent host"
    ));
    for loss in losses {
        let expected = predict(config, members, *loss, ways);
        let pairs = f64::from(members * members.saturating_sub(1));
        line(format!(
            "{:>5}%  {:>24}  {:>24}  {:>24}  {:>14}",
            percent(*loss),
            number(expected.suspicions),
            number(expected.suspicions * pairs),
            number(expected.removals),
            format!("{:.2} s", expected.silent.as_secs_f64()),
        ));
    }
    line("\n* if no stream holds; while one does, none: what a node answers by stream is not lost".into());
    out
}

fn percent(loss: u32) -> String {
    if loss.is_multiple_of(10) { (loss / 10).to_string() } else { format!("{}.{}", loss / 10, loss % 10) }
}

fn number(value: f64) -> String {
    match value {
        0.0 => "0".into(),
        value if value < 0.01 => format!("{value:.1e}"),
        value if value < 10.0 => format!("{value:.2}"),
        value => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_suspected_where_nothing_is_lost() {
        let expected = predict(&Config::default(), 5, 0, 1);
        assert_eq!((expected.suspicions, expected.removals), (0.0, 0.0));
        assert_eq!(expected.bounds, [3500, 4000].map(Duration::from_millis));
        assert_eq!(expected.silent, Duration::from_millis(3750));
    }

    #[test]
    fn more_loss_more_ways_and_more_relays_count() {
        let config = Config::default();
        assert!(predict(&config, 5, 200, 1).suspicions < predict(&config, 5, 300, 1).suspicions);
        assert!(predict(&config, 5, 300, 2).suspicions < predict(&config, 5, 300, 1).suspicions);
        assert!(predict(&config, 5, 300, 1).removals < predict(&config, 2, 300, 1).removals);
    }

    #[test]
    fn a_beat_that_is_due_with_the_end_is_not_needed() {
        let within = |time, frequency| beats_within(Duration::from_millis(time), Duration::from_millis(frequency));
        assert_eq!((within(3000, 500), within(3100, 500), within(400, 500)), ((5, true), (6, false), (0, false)));
    }
}
