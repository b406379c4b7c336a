//! Requests that no line names: so many, to sessions without a name, drawn from the seed.

use serde::Deserialize;

use super::{
    deeds::{asked, share_of},
    words::{Names, moment, split},
};
use crate::{
    action::Action,
    ask::{Ask, Attribute, Start},
    chance::{Chance, Purpose},
    clients,
    clock::Moment,
    net::HostId,
    stored::forms::read_time,
};

/// Clients that ask again and again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Traffic {
    from: String,
    to: String,
    /// How long from one request to the next.
    every: String,
    /// To so many sessions.
    #[serde(default = "ten")]
    sessions: u64,
    /// To which members; to all if none is named.
    #[serde(default)]
    on: Vec<String>,
    /// How many of them only look.
    reads: Option<String>,
    /// What else is said of a write, as in a line of the timeline.
    #[serde(default)]
    options: String,
}

const fn ten() -> u64 {
    10
}

/// The most requests of one table.
const REQUESTS_MAX: usize = 1_000_000;
/// Sessions with a name have lesser numbers.
const FIRST: u64 = 1 << 20;

impl Traffic {
    /// All requests, in their order.
    pub(super) fn requests(&self, names: &Names, seed: u64) -> Result<Vec<(Moment, Action)>, String> {
        let time = |text: &str| split(text).concat();
        let (from, to, every) = (moment(&time(&self.from))?, moment(&time(&self.to))?, read_time(&time(&self.every))?);
        if to <= from || every.is_zero() || self.sessions == 0 {
            return Err("traffic goes from one moment to a later one, every so often, to at least one session".into());
        }
        let hosts: Vec<HostId> = match self.on.is_empty() {
            true => names.all().collect(),
            false => self.on.iter().map(|name| names.host(name)).collect::<Result<_, String>>()?,
        };
        let reads = self.reads.as_deref().map_or(Ok(0), |share| share_of(&time(share)))?;
        let options: Vec<&str> = self.options.split_whitespace().collect();
        let mut draws = Chance::new(seed).draws(Purpose::Clients, 0, 0, 21);
        let (mut at, mut requests) = (from, Vec::new());
        while at < to {
            let key = clients::key(FIRST + draws.below(self.sessions));
            let host = draws.pick(&hosts);
            let attribute = u8::try_from(draws.below(5)).unwrap_or(0);
            if draws.per_mille(reads) {
                requests.push((at, Action::Touch(host, key)));
            } else {
                let mut ask: Ask = asked(key, Start::There, &options)?;
                if ask.sets.is_empty() && ask.removes.is_empty() {
                    ask.sets.insert(Attribute(attribute));
                }
                requests.push((at, Action::Commit(host, ask)));
            }
            if REQUESTS_MAX < requests.len() {
                return Err(format!("these are more than {REQUESTS_MAX} requests"));
            }
            at = at + every;
        }
        Ok(requests)
    }
}
