//! A node's own configuration file, as far as it says something of the cluster.
//!
//! ```
//! use heirloom_sim::NodeFile;
//!
//! let mine = NodeFile::read("copies = \"backups:1\"\nlisten = \"127.0.0.1:6379\"\n[cluster]\ndrop_time = \"1s\"\n").unwrap();
//! let tale = mine.what_if(4).unwrap();
//! assert_eq!(tale.plan().setup.config.drop_time.as_secs(), 1);
//! ```

use core::{fmt::Write as _, time::Duration};
use std::collections::BTreeMap;

use heirloom_core::{
    Config,
    config::keys::{OF_THE_CLUSTER, OF_THE_NODE},
};
use serde::Deserialize;
use toml::{Spanned, Value};

use crate::{
    places::Discovery,
    stored::{
        BadPlan,
        forms::{DISCOVERIES, read_durability, show_named, show_time},
    },
    tale::{
        Tale,
        file::{self, Base, Lines},
        settings::{self, Settings},
    },
};

/// What a node's configuration file says of the cluster: the base of what-if runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFile {
    config: Config,
    discovery: Discovery,
    durability: String,
}

/// The one table of such a file, with where its lines stand.
#[derive(Deserialize)]
struct Table {
    #[serde(default)]
    cluster: Settings,
}

impl NodeFile {
    /// Reads such a file as a node does. What is for one node alone, like its addresses and its name, is passed over.
    ///
    /// # Errors
    ///
    /// The first line that a node would refuse, with what is allowed.
    pub fn read(text: &str) -> Result<Self, BadPlan> {
        let lines = Lines::new(text);
        let keys: BTreeMap<Spanned<String>, Spanned<Value>> =
            toml::from_str(text).map_err(|error| lines.bad_toml(&error))?;
        let Table { cluster } = toml::from_str(text).map_err(|error| lines.bad_toml(&error))?;
        let mut config = settings::with(lines, &Config::default(), &cluster)?;
        let (mut discovery, mut durability) = (Discovery::Both, "one".to_owned());
        for (key, value) in &keys {
            let name = &key.get_ref()[..];
            if name == "cluster" {
                continue;
            }
            let Some(text) = word(value.get_ref()) else {
                return Err(lines.bad(key)(format!("{name}: must be a text, a number, true or false")));
            };
            let bad = |story| lines.bad(key)(format!("{name}: {story}"));
            match name {
                "durability" => durability = read_durability(&text).map(|_| text).map_err(bad)?,
                "multicast" if text == "off" => discovery = Discovery::Peers,
                _ if OF_THE_CLUSTER.contains(&name) => config.set(name, &text).map_err(bad)?,
                _ if OF_THE_NODE.contains(&name) => {}
                _ => {
                    let allowed = OF_THE_CLUSTER.iter().chain(&OF_THE_NODE).copied().collect::<Vec<&str>>().join(", ");
                    return Err(lines.bad(key)(format!(
                        "unknown key `{name}`, expected one of {allowed} or [cluster]"
                    )));
                }
            }
        }
        config.check().map_err(|error| {
            let told = keys.keys().find(|key| key.get_ref() == error.setting);
            told.map_or(BadPlan { line: 1, story: error.to_string() }, |key| lines.bad(key)(error.to_string()))
        })?;
        // Each member stands on a machine of its own.
        let usual = Config::default();
        let config = Config { name: usual.name, host: usual.host, payload: usual.payload, ..config };
        Ok(Self { config, discovery, durability })
    }

    /// The settings of the cluster.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// A scenario with these settings, where it sets nothing else.
    ///
    /// # Errors
    ///
    /// Those of [`Tale::read`].
    pub fn tale(&self, file: &str, text: &str) -> Result<Tale, BadPlan> {
        let base = Base { config: self.config.clone(), discovery: self.discovery };
        file::read(file, text, &base)
    }

    /// What would happen to so many members under traffic if one crashed, the machine of another one failed, and one left:
    /// one after the other, with time between to get well.
    ///
    /// # Errors
    ///
    /// If there are too many members.
    pub fn what_if(&self, members: u16) -> Result<Tale, BadPlan> {
        let Config { join_for, drop_time, probe_time, leave_for, .. } = self.config;
        let second = Duration::from_secs(1);
        let gone = drop_time + probe_time + second * 5;
        let ready = join_for * 2 + second * 2;
        let (crash, again) = (ready + second * 10, ready + second * 20);
        let (off, on) = (again + second * 10, again + second * 10 + gone);
        let leaves = on + second * 10;
        let end = leaves + leave_for + second * 5;
        let time = |at: Duration| show_time(at);
        let names: Vec<String> = (0..members).map(|number| format!("n{number}")).collect();
        let mut timeline = format!("\"at {} kill n0\", \"at {} start n0\"", time(crash), time(again));
        if 1 < members {
            // Writing to a text never fails.
            let _ = write!(timeline, ", \"at {} power off n1\", \"at {} start n1\"", time(off), time(on));
        }
        if 2 < members {
            let _ = write!(timeline, ", \"at {} ask n2 to leave\"", time(leaves));
        }
        let text = format!(
            "version = 1\nabout = \"A crash, a failure of a machine and a leave, under traffic.\"\nmembers = {names:?}\n\
             discovery = \"{}\"\ntimeline = [{timeline}]\nuntil = \"{}\"\n[[traffic]]\nfrom = \"{}\"\nto = \"{}\"\n\
             every = \"20ms\"\nsessions = 100\nreads = \"50 %\"\noptions = \"durability={}\"\n",
            show_named(&DISCOVERIES, &self.discovery),
            time(end),
            time(ready),
            time(leaves + second * 5),
            self.durability
        );
        self.tale("what-if", &text)
    }
}

/// A value of one word, as a flag would have it.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(yes) => Some(yes.to_string()),
        Value::Array(values) => values.iter().map(word).collect::<Option<Vec<String>>>().map(|words| words.join(",")),
        Value::Datetime(_) | Value::Float(_) | Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;

    fn refused(text: &str) -> String {
        NodeFile::read(text).expect_err(text).to_string()
    }

    #[test]
    fn a_file_of_a_node_says_of_the_cluster_what_it_says_to_the_node() {
        let text = "name = \"one\"\nidle = 60\ncopies = \"backups:2\"\npeer = [\"a:1\", \"b:2\"]\nmulticast = \"off\"\nmemory_max = \"1kb\"\n\
                    durability = \"majority\"\n[cluster]\nidle = \"1h\"\nfrequency = \"100ms\"\n";
        let file = NodeFile::read(text).unwrap();
        let Config { idle, frequency, memory_max, name, .. } = file.config();
        assert_eq!((idle.as_secs(), frequency.as_millis(), *memory_max, &name[..]), (60, 100, 1024, ""));
        assert_eq!((file.discovery, &file.durability[..]), (Discovery::Peers, "majority"));
    }

    #[test]
    fn what_a_node_refuses_is_refused_with_its_line() {
        assert!(refused("idle = 60\nlissen = \"x\"").starts_with("2: unknown key `lissen`, expected one of name, "));
        assert_eq!(refused("\ncopies = \"most\""), "2: copies: must be everywhere, nowhere or backups:1 to backups:8");
        assert_eq!(refused("idle = \"x\""), "1: idle: write whole seconds, 0 to 2147483648");
        assert!(refused("[cluster]\nidel = \"1h\"").starts_with("2: unknown field `idel`, expected one of"));
        assert_eq!(refused("members_min = 0"), "1: members_min: must be 1 to 256");
        assert!(refused("idle = ").starts_with("1: "));
    }

    /// It goes well with any number of members, and its last moment is after all that happens.
    #[test]
    fn a_what_if_goes_through_with_the_settings_of_the_file() {
        let file = NodeFile::read("copies = \"backups:1\"\nidle = 20\n[cluster]\nended_for = \"20s\"").unwrap();
        for members in 1..4 {
            let tale = file.what_if(members).unwrap();
            assert!(tale.plan().actions.iter().all(|(at, _)| *at <= tale.plan().healed_at && Moment::ZERO <= *at));
            tale.run().expect("every promise is kept");
        }
        assert!(file.what_if(1000).is_err());
    }
}
