//! A deterministic simulator of heirloom clusters: many nodes in virtual time, seeded faults, clients, and oracles that
//! judge what the nodes do by the promises of the design.
//!
//! A seed makes a [`Plan`]: settings, a network, faults and clients, as a plain list of actions. [`run()`] lets it happen:
//! traffic under faults, then calm, in which everything must become equal, then a fresh write on every member, then
//! idleness, until nothing is left. The same plan gives the same run, byte for byte.
//!
//! ```
//! use heirloom_sim::{Choice, Plan, run};
//! let report = run(&Plan::draw(1, Choice::Any)).expect("every promise is kept");
//! println!("{} events in {:?}", report.events, report.simulated);
//! ```
//!
//! Your own clients are a [`Workload`], and what must hold besides all promises is an [`Invariant`].
//!
//! A [`Tale`] is a scenario in a file, written as the story that it tells, with what is expected of it; so a test of a story
//! is three lines. A [`NodeFile`] is a node's own configuration, to see what it would come to. [`Scenario`] is for scripts: a
//! named failover, step by step, with the same oracles watching.

#![forbid(unsafe_code)]

mod action;
mod ask;
mod chance;
mod choices;
pub mod clients;
mod clock;
mod cluster;
mod datagrams;
mod evictions;
mod exhaust;
pub mod explain;
mod faults;
mod hearing;
mod history;
mod host;
mod ledger;
mod logins;
mod lost;
mod mail;
mod marks;
mod names;
mod net;
mod node_file;
mod noise;
mod oracles;
mod own;
mod pipe;
mod places;
mod plan;
mod policies;
pub mod predict;
pub mod record;
mod requests;
mod run;
mod scenario;
mod sent;
pub mod show;
mod shrink;
mod sim;
mod stats;
mod stored;
mod strain;
mod streams;
mod surprises;
mod swarm;
mod tale;
mod trail;
mod trial;
mod trigger;
mod turn;
mod twins;
mod violation;
mod walk;
mod weather;
mod wires;

pub use action::{Action, Setup};
pub use ask::{Ask, Attribute, Serial, Start};
pub use chance::{Chance, Draws, Purpose};
pub use choices::{Packet, Twist};
pub use clock::{Clock, Moment, RATE_ERROR_MAX};
pub use cluster::{Cluster, Counts, Fact, What};
pub use evictions::Evictions;
pub use exhaust::{Explored, World};
pub use history::{Attempt, History, Shown, Story, There, Told, Use, shown, shown_in};
pub use host::{Host, Process};
pub use ledger::{Ledger, Scope, Trouble};
pub use lost::lost;
pub use mail::Mail;
pub use marks::{Counts as Marks, Reached, missing};
pub use names::{Name, NameWrite, Names};
pub use net::{Arrival, HostId, LastBytes, Net, Paths, Presence};
pub use node_file::NodeFile;
pub use oracles::{Oracles, View};
pub use own::{Invariant, Workload};
pub use places::{Discovery, Places};
pub use plan::{Choice, Plan};
pub use record::Record;
pub use requests::{Answer, Question};
pub use run::{Report, run, wait_until_quiet};
pub use scenario::{MODES, Scenario};
pub use sent::{CHECK_EVERY, Check};
pub use shrink::{shrink, shrink_by};
pub use sim::Sim;
pub use stats::{stats, stats_svg};
pub use stored::{BadPlan, Fires, Replayed, Stored};
pub use streams::{Connection, Taken};
pub use swarm::{Profile, Swarm};
pub use tale::Tale;
pub use trial::{Difference, Failure, Trial, difference, run_twice};
pub use trigger::{Occasion, Trigger};
pub use twins::wall_difference;
pub use violation::{Promise, Violation};
pub use weather::Weather;
pub use wires::Wire;
