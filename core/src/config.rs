//! What can be set about a node, with the limits that are checked before it starts.

pub mod keys;

use alloc::{format, string::String};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    copies::{BACKUPS_MAX, COPIES, Copies, Unit},
    limits::WhenFull,
    protocol::{self, Versions},
    quorum::Partition,
    session::Lifetime,
};

/// The settings of a node. `Default` is Tomcat's wherever Tomcat has the setting.
///
/// In a text file durations are written as `500ms`, `3s`, `30m` or `2h`, and copies as `everywhere` or `backups:2`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Keeps clusters apart that share a network; at most 255 bytes.
    pub cluster_name: String,
    /// A name of this member for people.
    pub name: String,
    /// How much this member holds of what is not held by all, 1 to 1000: one of twice the weight ranks highest for twice the
    /// sessions, and holds about twice the copies where members are many more than copies of one session.
    pub weight: u16,
    /// The machine that this member runs on, at most 64 bytes: copies of a session go to different ones as far as there
    /// are any. Empty: not known, so no other member is on it.
    pub host: String,
    /// What fails as a whole and holds machines, say a rack or a data center, at most 64 bytes: copies of a session go to
    /// different ones as far as there are any. Machines of two zones are two, whatever they are called. Empty: not known.
    pub zone: String,
    /// Cuts one network into several groups of members, at most 64 bytes: those of another domain are seen and not fed. They
    /// hold and get no sessions of this one.
    pub domain: String,
    /// What this member lets the others know of it, at most 128 bytes: an application may put anything here, and replace it
    /// while it runs by [`Node::set_payload`](crate::Node::set_payload).
    pub payload: String,
    /// How often a member sends a sign of life.
    #[serde(with = "text")]
    pub frequency: Duration,
    /// How long a member may be silent before it is suspected.
    #[serde(with = "text")]
    pub drop_time: Duration,
    /// How long a suspect has to answer before it is declared dead.
    #[serde(with = "text")]
    pub probe_time: Duration,
    /// How often a suspect is asked within `probe_time`.
    pub probe_attempts: u32,
    /// The longest time between two tries of a configured address at which no member is, or of one that was lost. Below
    /// `join_for`, others find a member that starts again and knows nobody before it starts alone.
    #[serde(with = "text")]
    pub search_max: Duration,
    /// How long a starting member looks for a ready one before it may start alone.
    #[serde(with = "text")]
    pub join_for: Duration,
    /// Which members hold a copy of a session. The same on all members.
    pub copies: Copies,
    /// What of a session travels when it has changed.
    pub unit: Unit,
    /// The idle time of a session for which nothing else was asked; zero means that it never expires.
    #[serde(with = "text")]
    pub idle: Duration,
    /// The greatest age of a session for which nothing else was asked: it ends that long after its creation however much
    /// it is used. Zero means that there is none.
    #[serde(with = "text")]
    pub max_age: Duration,
    /// How long the end of a session is remembered.
    #[serde(with = "text")]
    pub ended_for: Duration,
    /// How long a question for a session that is not held here may take.
    #[serde(with = "text")]
    pub fetch_for: Duration,
    /// How long `leave` waits for others to acknowledge what they lack.
    #[serde(with = "text")]
    pub leave_for: Duration,
    /// What this member does when it sees too few others: fewer than a majority of those that were last agreed to be there,
    /// or than `members_min`. The same on all members.
    pub partition: Partition,
    /// How many ready members, this one included, are enough. Under [`Partition::Pause`] nobody starts alone where fewer are.
    pub members_min: usize,
    /// How often two members compare what both of them hold; zero: never. In a correct run there is no difference.
    #[serde(with = "text")]
    pub digest_every: Duration,
    /// How many ends are remembered; past it the oldest is forgotten, with an event.
    pub ended_max: usize,
    /// How many sessions a node holds, copies of others' included; what becomes of a commit that would create one more
    /// says `when_full`. What other members bring is always taken.
    pub sessions_max: usize,
    /// How many bytes the sessions of a node take, as [`Node::memory`](crate::Node::memory) counts them; zero is without
    /// a limit. As `sessions_max`.
    pub memory_max: usize,
    /// What becomes of a commit for which `sessions_max` or `memory_max` leave no room.
    pub when_full: WhenFull,
    /// How many members a view holds; past it others are not listed.
    pub members_max: usize,
    /// The longest frame of a stream, in bytes.
    pub frame_max: usize,
    /// The longest attribute, name and value, in bytes.
    pub attribute_bytes_max: usize,
    /// The longest session, all names and values, in bytes.
    pub session_bytes_max: usize,
    /// The most attributes of a session, removed ones included.
    pub attributes_max: usize,
    /// The most commits in flight.
    pub commits_max: usize,
    /// The most names in the shared map, removed ones that are still remembered included.
    pub map_entries_max: usize,
    /// The longest shared map, all names and values, in bytes. One name with its value is at most as long as an attribute.
    pub map_bytes_max: usize,
    /// The longest message of the application, in bytes.
    pub message_bytes_max: usize,
    /// The most messages of the application that wait to be sent to one member, and to be read here; past it they are
    /// refused or dropped.
    pub messages_max: usize,
    /// The newest version of the protocol that this member speaks. Two members speak the newest that both do, so this
    /// needs no care when members of two releases serve together.
    pub version_max: u8,
    /// The most events kept for a reader; past it they become one `Event::Lagged`.
    pub events_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cluster_name: "heirloom".into(),
            name: String::new(),
            weight: 100,
            host: String::new(),
            zone: String::new(),
            domain: String::new(),
            payload: String::new(),
            frequency: Duration::from_millis(500),
            drop_time: Duration::from_secs(3),
            probe_time: Duration::from_secs(1),
            probe_attempts: 3,
            search_max: Duration::from_secs(2),
            join_for: Duration::from_secs(3),
            copies: Copies::default(),
            unit: Unit::default(),
            idle: Duration::from_secs(30 * 60),
            max_age: Duration::ZERO,
            ended_for: Duration::from_secs(30 * 60),
            fetch_for: Duration::from_secs(5),
            leave_for: Duration::from_secs(10),
            partition: Partition::default(),
            members_min: 1,
            digest_every: Duration::from_secs(5),
            ended_max: 1 << 20,
            sessions_max: 1 << 24,
            memory_max: 0,
            when_full: WhenFull::default(),
            members_max: 256,
            frame_max: 4 << 20,
            attribute_bytes_max: 1 << 20,
            session_bytes_max: 16 << 20,
            attributes_max: 4096,
            commits_max: 1 << 16,
            map_entries_max: 1024,
            map_bytes_max: 1 << 20,
            message_bytes_max: 32 << 10,
            messages_max: 256,
            version_max: protocol::LAST,
            events_max: 1 << 12,
        }
    }
}

/// A setting that cannot be: which one, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {allowed}")]
pub struct ConfigError {
    /// The name of the setting.
    pub setting: &'static str,
    /// What is allowed, for a person.
    pub allowed: String,
}

impl Config {
    pub(crate) fn versions(&self) -> Versions {
        Versions::up_to(self.version_max)
    }

    /// The lifetime of a session for which nothing else was asked.
    pub(crate) fn lifetime(&self) -> Lifetime {
        match self.idle {
            Duration::ZERO => Lifetime::Never,
            idle => Lifetime::Idle(idle),
        }
    }

    /// The greatest age of a session for which nothing else was asked.
    pub(crate) fn max_age(&self) -> Option<Duration> {
        Some(self.max_age).filter(|length| !length.is_zero())
    }

    /// Checks every setting against what a node can work with.
    ///
    /// # Errors
    ///
    /// The first setting that is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |setting, allowed: String| Err(ConfigError { setting, allowed });
        if self.cluster_name.is_empty() || 255 < self.cluster_name.len() {
            return refuse("cluster_name", "must have 1 to 255 bytes".into());
        }
        let labels = [("name", &self.name), ("host", &self.host), ("zone", &self.zone), ("domain", &self.domain)];
        for (setting, label) in labels {
            if LABEL_MAX < label.len() {
                return refuse(setting, format!("must have at most {LABEL_MAX} bytes"));
            }
        }
        if PAYLOAD_MAX < self.payload.len() {
            return refuse("payload", format!("must have at most {PAYLOAD_MAX} bytes"));
        }
        if !matches!(self.copies, Copies::Everywhere | Copies::Nowhere | Copies::Backups(1..=BACKUPS_MAX)) {
            return refuse("copies", COPIES.into());
        }
        let spans = [
            ("frequency", self.frequency, Duration::from_millis(1), Duration::from_secs(60)),
            ("drop_time", self.drop_time, self.frequency * 2, Duration::from_secs(3600)),
            ("probe_time", self.probe_time, Duration::from_millis(1), Duration::from_secs(600)),
            ("search_max", self.search_max, self.frequency, Duration::from_secs(3600)),
            ("join_for", self.join_for, Duration::ZERO, Duration::from_secs(3600)),
            ("idle", self.idle, Duration::ZERO, LIFETIME_MAX),
            ("max_age", self.max_age, Duration::ZERO, LIFETIME_MAX),
            ("ended_for", self.ended_for, Duration::from_secs(1), Duration::from_secs(7 * 24 * 3600)),
            ("fetch_for", self.fetch_for, Duration::from_millis(1), Duration::from_secs(3600)),
            ("leave_for", self.leave_for, Duration::ZERO, Duration::from_secs(3600)),
        ];
        for (setting, value, least, most) in spans {
            if value < least || most < value {
                return refuse(setting, format!("must be {} to {}", text::show(least), text::show(most)));
            }
        }
        let every = self.digest_every;
        if every != Duration::ZERO && every < DIGEST_EVERY_MIN || LIFETIME_MAX < every {
            return refuse("digest_every", format!("must be 0s or at least {}", text::show(DIGEST_EVERY_MIN)));
        }
        let counts = [
            ("weight", usize::from(self.weight), 1, usize::from(WEIGHT_MAX)),
            ("probe_attempts", self.probe_attempts as usize, 1, 100),
            ("ended_max", self.ended_max, 1, 1 << 28),
            ("sessions_max", self.sessions_max, 1, SESSIONS_MAX),
            ("members_max", self.members_max, 1, MEMBERS_MAX),
            ("members_min", self.members_min, 1, self.members_max),
            ("attribute_bytes_max", self.attribute_bytes_max, 1, 1 << 26),
            ("frame_max", self.frame_max, self.attribute_bytes_max + FRAME_ROOM, 1 << 27),
            ("session_bytes_max", self.session_bytes_max, self.attribute_bytes_max, 1 << 30),
            ("attributes_max", self.attributes_max, 1, 1 << 20),
            ("commits_max", self.commits_max, 1, 1 << 24),
            ("map_entries_max", self.map_entries_max, 1, 1 << 20),
            ("map_bytes_max", self.map_bytes_max, 1, 1 << 30),
            ("message_bytes_max", self.message_bytes_max, 1, self.frame_max.saturating_sub(MESSAGE_ROOM)),
            ("messages_max", self.messages_max, 1, 1 << 20),
            ("version_max", self.version_max.into(), protocol::FIRST.into(), protocol::NEXT.into()),
            ("events_max", self.events_max, 1, 1 << 24),
        ];
        for (setting, value, least, most) in counts {
            if value < least || most < value {
                return refuse(setting, format!("must be {least} to {most}"));
            }
        }
        Ok(())
    }
}

/// The longest name and label of a member, in bytes: a beat must fit a datagram.
pub(crate) const LABEL_MAX: usize = 64;

/// The longest payload of a member, in bytes: a beat must fit a datagram.
pub const PAYLOAD_MAX: usize = 128;

/// The greatest weight of a member.
pub(crate) const WEIGHT_MAX: u16 = 1000;

/// The most sessions that a member may be set to hold.
pub(crate) const SESSIONS_MAX: usize = 1 << 28;

/// The most members that a view may be set to hold.
pub(crate) const MEMBERS_MAX: usize = 1024;

/// Two members have little to say to each other that is worth comparing more often.
pub(crate) const DIGEST_EVERY_MIN: Duration = Duration::from_millis(100);

/// What a frame needs beside its largest attribute: the header and everything else of a delta.
pub(crate) const FRAME_ROOM: usize = 32 << 10;

/// What a frame needs beside the message that it carries.
const MESSAGE_ROOM: usize = 64;

/// The longest lifetime of a session: about 68 years, as far as Redis' seconds in 32 bits reach.
pub const LIFETIME_MAX: Duration = Duration::from_secs(1 << 31);

/// Durations as people write them: a whole number and `ms`, `s`, `m`, `h` or `d`.
pub mod text {
    use alloc::{borrow::Cow, format, string::String};
    use core::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

    /// Reads `500ms`, `3s`, `30m`, `2h` or `1d`; a bare `0` needs no unit.
    ///
    /// # Errors
    ///
    /// A sentence that says what is allowed.
    pub fn parse(text: &str) -> Result<Duration, String> {
        let wrong = || format!("`{text}` is not a duration: write a whole number with ms, s, m, h or d, like 500ms");
        if text == "0" {
            return Ok(Duration::ZERO);
        }
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let (_, millis) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        number.checked_mul(*millis).map(Duration::from_millis).ok_or_else(wrong)
    }

    /// Writes a duration in the largest unit that keeps it whole.
    pub fn show(length: Duration) -> String {
        let millis = length.as_millis();
        let whole = |(_, unit): &&(&str, u64)| millis.is_multiple_of(u128::from(*unit));
        let (name, unit) = UNITS.iter().find(whole).unwrap_or(&("ms", 1));
        match millis {
            0 => "0s".into(),
            _ => format!("{}{name}", millis / u128::from(*unit)),
        }
    }

    /// For `#[serde(with)]`.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(length: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&show(*length))
    }

    /// For `#[serde(with)]`.
    ///
    /// # Errors
    ///
    /// Those of the deserializer, or what [`parse`] says.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_allowed() {
        assert_eq!(Config::default().check(), Ok(()));
    }

    #[test]
    fn a_setting_out_of_range_is_named_with_what_is_allowed() {
        let config = Config { drop_time: Duration::from_millis(600), ..Config::default() };
        let error = config.check().expect_err("shorter than two beats");
        assert_eq!(format!("{error}"), "drop_time: must be 1s to 1h");
    }

    #[test]
    fn durations_are_read_and_written_as_people_write_them() {
        for shown in ["500ms", "3s", "30m", "2h", "1d", "1500ms"] {
            assert_eq!(text::show(text::parse(shown).expect(shown)), shown);
        }
        for wrong in ["", "3", "3 s", "s", "3x", "-1s", "99999999999999999999s", "18446744073709551615d"] {
            assert!(text::parse(wrong).is_err(), "{wrong}");
        }
    }
}
