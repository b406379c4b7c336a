//! The words of a line, and what the names in it stand for.

use heirloom_core::SessionKey;

use crate::{clients, clock::Moment, names::Name, net::HostId, stored::forms::read_time};

/// The words of a line. A number and its unit are one word, and so is a list: `12 s` is `12s`, and `{a, b}` is `a,b`.
pub(super) fn split(text: &str) -> Vec<String> {
    let text = text.replace(['{', '}'], " ").replace(',', " , ");
    let mut words: Vec<String> = Vec::new();
    let mut is_list = false;
    for word in text.split_whitespace() {
        let last_is_number = words.last().is_some_and(|last| is_number(last));
        match words.last_mut() {
            Some(last) if word == "," || is_list || last_is_number && UNITS.contains(&word) => last.push_str(word),
            Some(_) | None => words.push(word.into()),
        }
        is_list = word == ",";
    }
    words
}

const UNITS: [&str; 7] = ["s", "ms", "us", "ns", "h", "%", "ppm"];

fn is_number(word: &str) -> bool {
    let digits = word.trim_start_matches(['+', '-']);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// A moment of the run.
pub(super) fn moment(word: &str) -> Result<Moment, String> {
    let length = read_time(word)?;
    let at = Moment::ZERO + length;
    if END < at { Err(format!("`{word}` is too late: 0 s to {} s", END.as_nanos() / 1_000_000_000)) } else { Ok(at) }
}

/// The last moment that can be told of.
const END: Moment = Moment::from_nanos(86_400_000_000_000);

/// Words that no name may be: lines would read in two ways.
const KEPT: [&str; 10] = ["at", "from", "to", "and", "on", "of", "all", "every", "anybody", "never"];

/// What a name stands for is told by where it stands first: members are listed, sessions are what clients write to, and a
/// write has the name that its line gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) members: Vec<String>,
    pub(super) sessions: Vec<String>,
    /// The names of the shared map.
    pub(super) entries: Vec<String>,
    /// Each with its session.
    pub(super) writes: Vec<(String, SessionKey)>,
}

impl Names {
    pub(super) fn host(&self, name: &str) -> Result<HostId, String> {
        let found = self.members.iter().position(|member| member == name).and_then(|at| u16::try_from(at).ok());
        found.map(HostId).ok_or_else(|| format!("`{name}` is no member: {}", self.members.join(", ")))
    }

    /// One or several members, none of them twice.
    pub(super) fn hosts(&self, list: &str) -> Result<Vec<HostId>, String> {
        let hosts = list.split(',').map(|name| self.host(name)).collect::<Result<Vec<HostId>, String>>()?;
        let twice = hosts.iter().enumerate().find(|(at, host)| hosts[..*at].contains(host));
        match twice {
            Some((_, host)) => Err(format!("{} is named twice", self.of(*host))),
            None => Ok(hosts),
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = HostId> + use<> {
        (0..u16::try_from(self.members.len()).unwrap_or(u16::MAX)).map(HostId)
    }

    pub(super) fn of(&self, host: HostId) -> &str {
        self.members.get(host.index()).map_or("a member", String::as_str)
    }

    /// The key of a session; a name that is not known yet is that of another one.
    pub(super) fn session(&mut self, name: &str) -> Result<SessionKey, String> {
        let at = match self.sessions.iter().position(|session| session == name) {
            Some(at) => at,
            None => {
                self.check_new(name)?;
                self.sessions.push(name.into());
                self.sessions.len() - 1
            }
        };
        Ok(key(at))
    }

    pub(super) fn known_session(&self, name: &str) -> Option<SessionKey> {
        self.sessions.iter().position(|session| session == name).map(key)
    }

    /// A name of the shared map.
    pub(super) fn entry(&mut self, name: &str) -> Result<Name, String> {
        let at = match self.entries.iter().position(|entry| entry == name) {
            Some(at) => at,
            None => {
                self.check_new(name)?;
                self.entries.push(name.into());
                self.entries.len() - 1
            }
        };
        u8::try_from(at).map(Name).map_err(|_| "a scenario has at most 256 names in the shared map".into())
    }

    /// Gives a write its name.
    pub(super) fn write(&mut self, name: &str, session: SessionKey) -> Result<usize, String> {
        self.check_new(name)?;
        self.writes.push((name.into(), session));
        Ok(self.writes.len() - 1)
    }

    pub(super) fn known_write(&self, name: &str) -> Option<usize> {
        self.writes.iter().position(|(write, _)| write == name)
    }

    /// That a name stands for nothing yet, and is one.
    pub(super) fn check_new(&self, name: &str) -> Result<(), String> {
        let mut letters = name.bytes();
        let begins = letters.next().is_some_and(|first| first.is_ascii_alphabetic());
        if !begins || !letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'-' || letter == b'_') {
            return Err(format!("`{name}` is no name: a letter, then letters, digits, - and _"));
        }
        if KEPT.contains(&name) {
            return Err(format!("`{name}` can be no name: lines have it as a word"));
        }
        let writes = self.writes.iter().map(|(name, _)| name);
        let mut known = [&self.members, &self.sessions, &self.entries].into_iter().flatten().chain(writes);
        match known.any(|known| known == name) {
            true => Err(format!("`{name}` is already the name of something else")),
            false => Ok(()),
        }
    }
}

fn key(at: usize) -> SessionKey {
    clients::key(u64::try_from(at).unwrap_or(u64::MAX).saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_their_units_and_lists_are_one_word() {
        assert_eq!(split("at 12 s cut {a, b} from {c,d}"), ["at", "12s", "cut", "a,b", "from", "c,d"]);
        assert_eq!(split("drop 60 % of multicast to c"), ["drop", "60%", "of", "multicast", "to", "c"]);
        assert_eq!(split("start a , b, c"), ["start", "a,b,c"]);
        assert_eq!(split("step clock of a by -500 ms"), ["step", "clock", "of", "a", "by", "-500ms"]);
    }
}
