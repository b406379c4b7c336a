//! The words of a line, and what the names in it stand for.

use heirloom_core::SessionKey;

use crate::{
    clients,
    clock::Moment,
    names::Name,
    net::HostId,
    stored::forms::{read_key, read_time, show_key},
};

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

const UNITS: [&str; 11] = ["s", "ms", "us", "ns", "h", "%", "ppm", "B", "kB", "B/s", "kB/s"];

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
    /// Each with its key, in the order in which they are named.
    pub(super) sessions: Vec<(String, SessionKey)>,
    /// The names of the shared map, likewise.
    pub(super) entries: Vec<(String, Name)>,
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

    /// The key of a session; a name that is not known yet is that of another one. `s4` is the session that plans call so;
    /// every other name has the first number that is left.
    pub(super) fn session(&mut self, name: &str) -> Result<SessionKey, String> {
        if let Some(key) = self.known_session(name) {
            return Ok(key);
        }
        self.check_new(name)?;
        let is_free = |key: &SessionKey| self.sessions.iter().all(|(_, known)| known != key);
        let key = match own_key(name) {
            Some(key) if is_free(&key) => key,
            Some(_) => return Err(format!("`{name}` is a session that has another name before")),
            None => (1..).map(clients::key).find(is_free).ok_or("there are too many sessions")?,
        };
        self.sessions.push((name.into(), key));
        Ok(key)
    }

    pub(super) fn known_session(&self, name: &str) -> Option<SessionKey> {
        self.sessions.iter().find(|(session, _)| session == name).map(|(_, key)| *key)
    }

    /// A name of the shared map; `m4` is the one that plans call so.
    pub(super) fn entry(&mut self, name: &str) -> Result<Name, String> {
        if let Some((_, known)) = self.entries.iter().find(|(entry, _)| entry == name) {
            return Ok(*known);
        }
        self.check_new(name)?;
        let is_free = |number: &Name| self.entries.iter().all(|(_, known)| known != number);
        let number = match name.strip_prefix('m').and_then(|number| number.parse().ok()).map(Name) {
            Some(number) if is_free(&number) => number,
            Some(_) => return Err(format!("`{name}` is a name of the shared map that has another name before")),
            None => {
                (0..=u8::MAX).map(Name).find(is_free).ok_or("a scenario has at most 256 names in the shared map")?
            }
        };
        self.entries.push((name.into(), number));
        Ok(number)
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
        let sessions = self.sessions.iter().map(|(name, _)| name);
        let entries = self.entries.iter().map(|(name, _)| name);
        let mut known = self.members.iter().chain(sessions).chain(entries).chain(writes);
        match known.any(|known| known == name) {
            true => Err(format!("`{name}` is already the name of something else")),
            false => Ok(()),
        }
    }
}

/// The key of the session that plans call so: `s4`, or an `x` and the 32 digits of a key that has no number.
fn own_key(name: &str) -> Option<SessionKey> {
    if let Some(digits) = name.strip_prefix('x').filter(|digits| digits.len() == 32) {
        return read_key(digits).ok();
    }
    read_key(name).ok().filter(|_| name.starts_with('s'))
}

/// What a session is called that has no other name.
pub(super) fn plain_name(key: SessionKey) -> String {
    let name = show_key(key);
    if name.starts_with('s') { name } else { format!("x{name}") }
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
