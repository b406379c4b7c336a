//! What a seed makes of a run: settings, weather, faults and clients, as a plain list of actions.
//!
//! Each seed draws which kinds of fault there are at all: a fault that is always there hides what others do.

use core::{fmt, str::FromStr, time::Duration};
use std::collections::BTreeMap;

use heirloom_core::{Config, ConfigError, Copies, Unit};

use crate::{
    action::{Action, Setup},
    chance::{Chance, Draws, Purpose},
    choices::{Packet, Twist},
    clients,
    clock::{Moment, signed},
    logins::log_in,
    net::{HostId, LastBytes},
    places::{Discovery, Places},
    policies, strain, surprises,
    swarm::Profile,
    trigger::Trigger,
    weather::Weather,
};

/// A run that is yet to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What it starts from.
    pub setup: Setup,
    /// What happens when.
    pub actions: Vec<(Moment, Action)>,
    /// What happens to single packets, whatever the weather is.
    pub packets: BTreeMap<Packet, Twist>,
    /// What happens when something else happens.
    pub triggers: Vec<Trigger>,
    /// When faults and clients end.
    pub healed_at: Moment,
    /// A member may be away for longer than ends are remembered.
    pub forgets: bool,
}

const SECOND: Duration = Duration::from_secs(1);

/// Among which ways of copying a seed chooses; in text `any`, `everywhere`, `backups` or `backups:1` to `backups:8`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// All members or some backups.
    #[default]
    Any,
    /// One backup or two.
    Backups,
    /// This one.
    Only(Copies),
}

impl Choice {
    fn draw(self, draws: &mut Draws) -> Copies {
        let backups = draws.pick(&[1, 1, 2]);
        let is_everywhere = draws.per_mille(500);
        match self {
            Self::Any if is_everywhere => Copies::Everywhere,
            Self::Any | Self::Backups => Copies::Backups(backups),
            Self::Only(copies) => copies,
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Backups => f.write_str("backups"),
            Self::Only(copies) => copies.fmt(f),
        }
    }
}

impl FromStr for Choice {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "any" => Ok(Self::Any),
            "backups" => Ok(Self::Backups),
            copies => copies.parse().map(Self::Only),
        }
    }
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64, choice: Choice) -> Self {
        Self::drawn(seed, choice, Profile::Default)
    }

    pub(crate) fn drawn(seed: u64, choice: Choice, profile: Profile) -> Self {
        Self::chosen(seed, choice, profile, [&[]; 3])
    }

    /// The plan of a seed, except that these bytes choose: settings and weather, faults, and what clients do. When they
    /// are used up, the seed draws the rest; it also draws what the network does to each packet.
    pub fn choose(seed: u64, choice: Choice, choices: [&[u8]; 3]) -> Self {
        Self::chosen(seed, choice, Profile::Default, choices)
    }

    fn chosen(seed: u64, choice: Choice, profile: Profile, [settings, faulty, by_clients]: [&[u8]; 3]) -> Self {
        let chance = Chance::new(seed);
        let mut draws = chance.draws(Purpose::Plan, 0, 0, 0).chosen_by(settings);
        let mut rare = chance.draws(Purpose::Plan, 0, 0, 1);
        let mut copying = chance.draws(Purpose::Plan, 0, 0, 2);
        let copies = choice.draw(&mut copying);
        // Where not all hold everything, there should be some who do not.
        let more = if copies == Copies::Everywhere { 0 } else { 1 };
        let hosts = draws.pick(&[1, 2, 2, 3, 3, 3, 4, 5]) + if rare.per_mille(100) { 3 } else { 0 } + more;
        let is_large = draws.per_mille(200);
        let mut ages = chance.draws(Purpose::Plan, 0, 0, 3);
        let mut setup = Setup {
            seed,
            hosts,
            config: Config {
                copies,
                unit: copying.pick(&[Unit::Delta, Unit::Delta, Unit::Delta, Unit::WholeSession]),
                commits_max: rare.pick(&[1 << 16, 1 << 16, 1 << 16, 4]),
                events_max: rare.pick(&[1 << 12, 1 << 12, 1 << 12, 8]),
                digest_every: chance.draws(Purpose::Plan, 0, 0, 12).pick(&[SECOND * 2, SECOND * 5]),
                max_age: ages.pick(&[Duration::ZERO, Duration::ZERO, Duration::ZERO, SECOND * 12, SECOND * 40]),
                ..config(&mut draws, is_large)
            },
            own: BTreeMap::new(),
            weather: weather(&mut draws, is_large),
            discovery: draws.pick(&[Discovery::Group, Discovery::Peers, Discovery::Both, Discovery::Both]),
            places: copying.pick(&[Places::Alike, Places::Alike, Places::Machines, Places::Zones]),
            is_plain: false,
        };
        // A stream must be able to open while a suspect is asked.
        setup.config.probe_time = setup.config.probe_time.max((setup.weather.delay_tail * 3).min(SECOND));
        let mut actions = starts(&mut draws, hosts);
        let clients_from = setup.clients_from();
        let healed_at = clients_from + draws.duration(SECOND * 8, SECOND * 30);
        let faults = profile.faults(&mut draws);
        let world = Faults { setup: &setup, from: clients_from, until: healed_at, kinds: profile.kinds() };
        actions.extend(world.draw(&mut chance.draws(Purpose::Faults, 0, 0, 0).chosen_by(faulty), faults));
        let share = profile.strain();
        let mut strained = chance.draws(Purpose::Faults, 0, 0, 1);
        actions.extend(strain::actions(&mut strained, share, (hosts, &setup.weather), (clients_from, healed_at)));
        let mut narrowed = chance.draws(Purpose::Faults, 0, 0, 4);
        actions.extend(strain::straits(&mut narrowed, share, hosts, (clients_from, healed_at)));
        let triggers =
            surprises::triggers(&mut chance.draws(Purpose::Faults, 0, 0, 3), profile.surprise(), hosts, &actions);
        policies::drain(&mut actions, &mut chance.draws(Purpose::Faults, 0, 0, 2), setup.config.leave_for);
        let clients = [(0, by_clients), (1, &[])];
        let clients = clients.map(|(index, by)| chance.draws(Purpose::Clients, 0, 0, index).chosen_by(by));
        let mut asked = clients::actions(clients, hosts, clients_from, healed_at, is_large);
        let mut logins = chance.draws(Purpose::Clients, 0, 0, 2);
        if logins.per_mille(400) {
            log_in(&mut logins, &mut asked, hosts, (clients_from, healed_at));
        }
        actions.extend(asked);
        let mut shared = chance.draws(Purpose::Clients, 0, 0, 10);
        actions.extend(clients::shared(&mut shared, hosts, clients_from, healed_at));
        policies::pause(&mut chance.draws(Purpose::Plan, 0, 0, 12), &mut setup, &mut actions, healed_at);
        actions.sort_by_key(|(at, _)| *at);
        policies::limit_sizes(&mut chance.draws(Purpose::Plan, 0, 0, 20), &mut setup, &mut actions);
        policies::limit(&mut chance.draws(Purpose::Plan, 0, 0, 11), &mut setup);
        let actions = policies::mixed(&mut chance.draws(Purpose::Plan, 0, 0, 10), actions);
        let absence_max = healed_at.since(Moment::ZERO) + setup.config.drop_time + setup.config.probe_time;
        let forgets = setup.config.ended_for < absence_max;
        let packets = BTreeMap::new();
        let mut plan = Self { setup, actions, packets, triggers, healed_at, forgets };
        profile.adapt(&mut plan);
        plan
    }
}

fn config(draws: &mut Draws, is_large: bool) -> Config {
    let standard = Config::default();
    let attribute_bytes_max = if is_large { 16 << 10 } else { standard.attribute_bytes_max };
    Config {
        drop_time: draws.pick(&[SECOND, SECOND * 3, SECOND * 3]),
        probe_time: draws.pick(&[Duration::from_millis(300), SECOND]),
        join_for: draws.pick(&[SECOND, SECOND * 3]),
        idle: draws.pick(&[SECOND * 3, SECOND * 8, SECOND * 20, SECOND * 60, SECOND * 60]),
        ended_for: draws.pick(&[SECOND * 30, SECOND * 90, SECOND * 90, SECOND * 90]),
        leave_for: SECOND * 3,
        frame_max: if is_large { 48 << 10 } else { standard.frame_max },
        attribute_bytes_max,
        ..standard
    }
}

fn weather(draws: &mut Draws, is_large: bool) -> Weather {
    let millis = Duration::from_millis;
    let (delay_max, delay_tail) = match draws.below(3) {
        1 if !is_large => (millis(20), millis(60)),
        2 if !is_large => (millis(100), millis(300)),
        _ => (Duration::from_micros(300), millis(2)),
    };
    Weather {
        delay_max,
        delay_tail,
        quantum: draws.pick(&[Duration::ZERO, Duration::ZERO, millis(1), millis(50)]),
        loss: draws.pick(&[0, 0, 50, 200]),
        multicast_loss: draws.pick(&[0, 0, 50, 200]),
        repeat: draws.pick(&[0, 100]),
        reorder: draws.per_mille(500),
        loopback: draws.per_mille(700),
        unreachable: draws.per_mille(500),
        stream_room: if is_large { 8 << 10 } else { draws.pick(&[4 << 10, 64 << 10, 1 << 20]) },
        piece_max: draws.pick(&[0, 0, 50, 1400]),
        stall_max: draws.duration(SECOND, SECOND * 20),
        ..Weather::calm()
    }
}

/// The weather of a healed network: nothing is lost, and what belongs to the place stays.
pub(crate) fn healed(weather: &Weather) -> Weather {
    weather.healed()
}

fn starts(draws: &mut Draws, hosts: u16) -> Vec<(Moment, Action)> {
    let together = draws.per_mille(400);
    let late = |draws: &mut Draws| if together { Duration::ZERO } else { draws.duration(Duration::ZERO, SECOND * 12) };
    (0..hosts).map(|host| (Moment::ZERO + late(draws), Action::Start(HostId(host)))).collect()
}

/// Draws faults that leave at least one process running at every moment.
struct Faults<'a> {
    setup: &'a Setup,
    from: Moment,
    until: Moment,
    /// In how many of a thousand runs each kind occurs.
    kinds: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    End(Ending),
    Pause,
    Cut,
    OneWay,
    Break,
    Hold,
    Mute,
    StepWall,
    Storm(Storm),
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Kill,
    PowerOff,
    Leave,
}

/// How the network gets worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Storm {
    Loss,
    Slow,
}

const KINDS: [Kind; 12] = [
    Kind::End(Ending::Kill),
    Kind::End(Ending::PowerOff),
    Kind::Pause,
    Kind::Cut,
    Kind::OneWay,
    Kind::Break,
    Kind::Hold,
    Kind::Mute,
    Kind::End(Ending::Leave),
    Kind::StepWall,
    Kind::Storm(Storm::Loss),
    Kind::Storm(Storm::Slow),
];

impl Faults<'_> {
    fn draw(&self, draws: &mut Draws, count: u64) -> Vec<(Moment, Action)> {
        let kinds: Vec<Kind> = KINDS.into_iter().filter(|_| draws.per_mille(self.kinds)).collect();
        let mut actions = Vec::new();
        if kinds.is_empty() {
            return actions;
        }
        let span = self.until.since(self.from);
        // When each host is without a process.
        let mut down: Vec<(HostId, Moment, Moment)> = Vec::new();
        for _ in 0..count {
            let at = self.from + draws.duration(Duration::ZERO, span);
            let until =
                (at + draws.duration(Duration::from_millis(1), SECOND * 9)).rounded_up(Duration::from_millis(1));
            let (one, other) = self.two_hosts(draws);
            match draws.pick(&kinds) {
                Kind::End(ending) => {
                    let back_at =
                        if draws.per_mille(700) { until + self.setup.config.leave_for } else { Moment::NEVER };
                    if self.may_end(&down, one, at, back_at) {
                        down.push((one, at, back_at));
                        actions.push((at, end(draws, ending, one)));
                        if back_at < self.until {
                            actions.push((back_at, Action::Start(one)));
                        }
                    }
                }
                Kind::Pause => actions.extend([(at, Action::Pause(one)), (until, Action::Resume(one))]),
                Kind::Cut => actions.extend(self.partition(draws, at, until)),
                Kind::OneWay => actions.extend([(at, Action::Cut(one, other)), (until, Action::Mend(one, other))]),
                Kind::Break => actions.push((at, Action::Break(one, other))),
                Kind::Hold => actions.extend([(at, Action::Hold(one, other)), (until, Action::Release(one, other))]),
                Kind::Mute => actions.extend([(at, Action::Mute(one, other)), (until, Action::Unmute(one, other))]),
                Kind::StepWall => actions.push((at, Action::StepWall(one, signed(draws, 600_000)))),
                Kind::Storm(storm) => {
                    let usual = self.setup.weather.clone();
                    let worse = match storm {
                        Storm::Slow => usual.slower(),
                        Storm::Loss => usual.lossier(),
                    };
                    actions.extend([(at, Action::Weather(worse)), (until, Action::Weather(usual))]);
                }
            }
        }
        actions.retain(|(at, _)| *at < self.until);
        actions
    }

    /// Whether another process runs all the time in which this one does not.
    fn may_end(&self, down: &[(HostId, Moment, Moment)], host: HostId, at: Moment, back_at: Moment) -> bool {
        let overlaps = |(_, from, to): &&(HostId, Moment, Moment)| at <= *to && *from <= back_at;
        let others = down.iter().filter(overlaps).map(|(other, ..)| *other).filter(|other| *other != host);
        let others: std::collections::BTreeSet<HostId> = others.collect();
        let again = down.iter().filter(overlaps).any(|(other, ..)| *other == host);
        !again && others.len() + 1 < usize::from(self.setup.hosts)
    }

    fn partition(&self, draws: &mut Draws, at: Moment, until: Moment) -> Vec<(Moment, Action)> {
        let side: Vec<bool> = (0..self.setup.hosts).map(|_| draws.per_mille(500)).collect();
        let mut actions = Vec::new();
        for from in (0..self.setup.hosts).map(HostId) {
            for to in (0..self.setup.hosts).map(HostId).filter(|to| side[to.index()] != side[from.index()]) {
                actions.extend([(at, Action::Cut(from, to)), (until, Action::Mend(from, to))]);
            }
        }
        actions
    }

    fn two_hosts(&self, draws: &mut Draws) -> (HostId, HostId) {
        let hosts = self.setup.hosts;
        let number = |number: u64| HostId(u16::try_from(number).unwrap_or(0) % hosts);
        let one = draws.below(u64::from(hosts));
        (number(one), number(one + draws.between(1, u64::from(hosts).max(2) - 1)))
    }
}

fn end(draws: &mut Draws, ending: Ending, host: HostId) -> Action {
    match ending {
        Ending::PowerOff => Action::PowerOff(host),
        Ending::Leave => Action::Leave(host),
        Ending::Kill => Action::Kill(host, draws.pick(&[LastBytes::Delivered, LastBytes::Lost])),
    }
}
