//! A cluster on this machine, for the demonstration and for measurements: nodes as processes of their own, none of which
//! outlives this one, and clients that ask them.

pub(crate) mod children;
pub(crate) mod client;
pub(crate) mod member;
pub(crate) mod network;
pub(crate) mod watch;

use core::{fmt::Display, ops::RangeInclusive, str::FromStr};

use self::watch::Unseen;

/// Why what was begun on the cluster could not be brought to its end, on one line.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) String);

impl From<Unseen> for Failed {
    fn from(Unseen { name, why }: Unseen) -> Self {
        Self(format!("node {name} does not see what it should: {why}"))
    }
}

/// Reads a number of this range, and says what it must be like if it is another.
pub(crate) fn within<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: Copy + Display + FromStr + PartialOrd,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("write a whole number from {} to {}", range.start(), range.end()))
    }
}
