//! Lines that wait for something.

use super::{
    deeds::what_happens,
    words::{Names, split},
};
use crate::{
    trigger::{Occasion, Trigger},
    weather::Weather,
};

/// Reads a line that waits for something.
pub(super) fn waiting(names: &mut Names, usual: &Weather, text: &str) -> Result<Vec<Trigger>, String> {
    let words = split(text);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let wrong = || format!("`{text}` waits for nothing: {WAITING}");
    let ["when", words @ ..] = &words[..] else { return Err(wrong()) };
    let (number, words) = match words {
        ["the", number, words @ ..] => (ordinal(number).ok_or_else(wrong)?, words),
        words => (1, words),
    };
    let (occasion, words) = match words {
        [kind, "reaches", host, rest @ ..] => (Occasion::Reaches(Occasion::kind(kind)?, names.host(host)?), rest),
        [kind, "frame", "reaches", host, rest @ ..] => {
            (Occasion::Reaches(Occasion::kind(kind)?, names.host(host)?), rest)
        }
        [host, "is", "ready", rest @ ..] => (Occasion::Ready(names.host(host)?), rest),
        [one, "adds", other, rest @ ..] => (Occasion::Adds(names.host(one)?, names.host(other)?), rest),
        [one, "suspects", other, rest @ ..] => (Occasion::Suspects(names.host(one)?, names.host(other)?), rest),
        [one, "removes", other, rest @ ..] => (Occasion::Removes(names.host(one)?, names.host(other)?), rest),
        _ => return Err(wrong()),
    };
    let deed = what_happens(names, usual, words)?;
    if deed.write.is_some() {
        return Err("a write with a name has its moment: at 12 s ...".into());
    }
    Ok(deed.actions.into_iter().map(|action| Trigger { occasion, number, action }).collect())
}

/// `first`, `second`, `third`, or `4th`.
fn ordinal(text: &str) -> Option<u64> {
    let names = ["first", "second", "third"].iter().zip(1..);
    let named = names.filter(|(name, _)| **name == text).map(|(_, number)| number).next();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    named.or_else(|| digits.parse().ok().filter(|number| 0 < *number))
}

const WAITING: &str = "when the first feed reaches c kill a; when the 3rd delta reaches b pause a; when b is ready power off a; when a adds, suspects or \
    removes c cut a from b";

/// Writes what a line waits for; what happens then comes after it.
pub(super) fn show(names: &Names, trigger: &Trigger) -> String {
    let often = match trigger.number {
        1 => "the first ".into(),
        number => format!("the {number}th "),
    };
    let name = |host| names.of(host);
    let what = match trigger.occasion {
        Occasion::Reaches(kind, host) => format!("{kind} reaches {}", name(host)),
        Occasion::Ready(host) => format!("{} is ready", name(host)),
        Occasion::Adds(one, other) => format!("{} adds {}", name(one), name(other)),
        Occasion::Suspects(one, other) => format!("{} suspects {}", name(one), name(other)),
        Occasion::Removes(one, other) => format!("{} removes {}", name(one), name(other)),
    };
    format!("when {often}{what} ")
}
