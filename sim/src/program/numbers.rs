//! How seeds, parts and times are written on a command line.

use core::{str::FromStr, time::Duration};

use heirloom_core::config::text;

/// `0..1000`, or `0..` for as many as there is time for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seeds {
    pub(crate) first: u64,
    pub(crate) end: Option<u64>,
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write 0..1000, or 0.. together with --budget".to_owned();
        let (first, end) = text.split_once("..").ok_or_else(wrong)?;
        let first = first.parse().map_err(|_| wrong())?;
        let end = if end.is_empty() { None } else { Some(end.parse().map_err(|_| wrong())?) };
        match end.is_none_or(|end| first < end) {
            true => Ok(Self { first, end }),
            false => Err("there is no seed in it: the second number is greater than the first".into()),
        }
    }
}

/// `2/4`: the second of four parts of the seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) number: u64,
    pub(crate) of: u64,
}

impl Shard {
    pub(crate) const WHOLE: Self = Self { number: 1, of: 1 };
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(one, of)| Some((one.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((number, of)) if 1 <= number && number <= of => Ok(Self { number, of }),
            Some(_) | None => Err("write 1/4 for the first of four parts, up to 4/4".into()),
        }
    }
}

pub(crate) fn time(text: &str) -> Result<Duration, String> {
    text::parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_and_parts_are_read_or_refused_with_what_is_allowed() {
        assert_eq!("3..9".parse(), Ok(Seeds { first: 3, end: Some(9) }));
        assert_eq!("3..".parse(), Ok(Seeds { first: 3, end: None }));
        assert_eq!("2/4".parse(), Ok(Shard { number: 2, of: 4 }));
        assert!(["", "3", "9..3", "3..3", "a..b", "..", "-1..3"].iter().all(|text| text.parse::<Seeds>().is_err()));
        assert!(["", "0/4", "5/4", "1", "/", "1/0"].iter().all(|text| text.parse::<Shard>().is_err()));
    }
}
