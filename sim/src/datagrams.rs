//! Datagrams on their way.
//!
//! The fate of each is drawn when it is sent: lost, repeated, late. A host that sleeps finds a bounded number of them when
//! it wakes.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::{
    chance::Purpose,
    clock::Moment,
    net::{Arrival, HostId, Paths, Presence, Scene},
    noise,
};

/// How many datagrams a host keeps for a process that does not read them.
const KEPT_MAX: usize = 256;
/// A datagram must be shorter than this.
pub(crate) const DATAGRAM_END: usize = 1200;

#[derive(Clone, Debug, Default)]
pub(crate) struct Datagrams {
    due: BTreeMap<(Moment, u64), (HostId, Arrival)>,
    sequence: u64,
    sent: BTreeMap<(Purpose, HostId, HostId), Link>,
    kept: BTreeMap<HostId, VecDeque<Arrival>>,
    /// How many each has sent to the group.
    to_group: BTreeMap<HostId, u64>,
}

#[derive(Clone, Debug, Default)]
struct Link {
    count: u64,
    last_at: Moment,
}

impl Datagrams {
    /// A process woke, perhaps: it finds what was kept for it.
    pub(crate) fn handle_change(&mut self, now: Moment, paths: &Paths) {
        let awake: Vec<_> = self.kept.keys().copied().filter(|host| paths.presence(*host) == Presence::Up).collect();
        for host in awake {
            for arrival in self.kept.remove(&host).into_iter().flatten() {
                self.push(now, host, arrival);
            }
        }
    }

    pub(crate) fn handle_exit(&mut self, host: HostId) {
        self.kept.remove(&host);
    }

    pub(crate) fn send(&mut self, scene: &Scene<'_>, from: HostId, to: HostId, bytes: &Bytes) {
        self.launch(scene, Purpose::Unicast, (from, to), bytes);
    }

    pub(crate) fn send_to_group(&mut self, scene: &Scene<'_>, from: HostId, bytes: &Bytes) {
        let count = self.to_group.entry(from).or_default();
        *count += 1;
        let loss = scene.weather.switch_loss;
        if 0 < loss && scene.chance.draws(Purpose::Strain, 1 << 32, from.word(), *count).per_mille(loss) {
            return;
        }
        for to in scene.paths.hosts().filter(|to| scene.weather.loopback || *to != from) {
            self.launch(scene, Purpose::Multicast, (from, to), bytes);
        }
    }

    pub(crate) fn poll_arrival(&mut self, now: Moment, paths: &Paths) -> Option<(HostId, Arrival)> {
        while let Some(entry) = self.due.first_entry().filter(|entry| entry.key().0 <= now) {
            let (host, arrival) = entry.remove();
            match paths.presence(host) {
                Presence::Up => return Some((host, arrival)),
                Presence::Asleep => {
                    let kept = self.kept.entry(host).or_default();
                    if kept.len() < KEPT_MAX {
                        kept.push_back(arrival);
                    }
                }
                Presence::Down | Presence::Off => {}
            }
        }
        None
    }

    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        self.due.first_key_value().map(|(&(at, _), _)| at)
    }

    fn launch(&mut self, scene: &Scene<'_>, cast: Purpose, (from, to): (HostId, HostId), bytes: &Bytes) {
        let weather = scene.weather;
        let link = self.sent.entry((cast, from, to)).or_default();
        let mut draws = scene.chance.draws(cast, from.word(), to.word(), link.count);
        let count = link.count;
        link.count += 1;
        let loss = if cast == Purpose::Multicast { weather.multicast_loss } else { weather.loss };
        if draws.per_mille(loss) || bytes.get(1).is_some_and(|kind| weather.unheard.contains(kind)) {
            return;
        }
        // A draw more only where it decides anything.
        let loss = match cast == Purpose::Multicast {
            true => scene.paths.group_loss(from, to),
            false => scene.paths.loss(from, to),
        };
        if 0 < loss && draws.per_mille(loss) {
            return;
        }
        let bytes = noise::datagram(scene, (from, to), count, bytes);
        let copies = if draws.per_mille(weather.repeat) { 2 } else { 1 };
        for _ in 0..copies {
            let mut at =
                (scene.now + weather.delay(&mut draws) + scene.paths.lag(from, to)).rounded_up(weather.quantum);
            if !weather.reorder {
                at = at.max(self.sent.get(&(cast, from, to)).map_or(at, |link| link.last_at));
            }
            self.sent.entry((cast, from, to)).or_default().last_at = at;
            let nobody = cast == Purpose::Unicast && scene.paths.presence(to) == Presence::Down;
            if nobody && weather.unreachable {
                self.push(at, from, Arrival::SendFailed { to });
            } else {
                self.push(at, to, Arrival::Datagram { from, bytes: bytes.clone() });
            }
        }
    }

    fn push(&mut self, at: Moment, host: HostId, arrival: Arrival) {
        self.sequence += 1;
        self.due.insert((at, self.sequence), (host, arrival));
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::{chance::Chance, net::Net, weather::Weather};

    const A: HostId = HostId(0);
    const B: HostId = HostId(1);

    #[test]
    fn a_datagram_arrives_once_in_calm() {
        let mut net = net(Weather::calm());
        net.send(Moment::ZERO, A, B, &bytes());
        let at = net.poll_timeout().unwrap();
        assert_eq!(net.poll_arrival(at), Some((B, Arrival::Datagram { from: A, bytes: bytes() })));
        assert_eq!(net.poll_arrival(Moment::NEVER), None);
    }

    #[test]
    fn half_of_them_are_lost_on_request() {
        let mut net = net(Weather { loss: 500, ..Weather::calm() });
        (0..1000).for_each(|_| net.send(Moment::ZERO, A, B, &bytes()));
        let arrived = core::iter::from_fn(|| net.poll_arrival(Moment::NEVER)).count();
        assert!((400..600).contains(&arrived), "{arrived}");
    }

    #[test]
    fn a_cut_loses_datagrams_of_its_direction_alone() {
        let mut net = net(Weather::calm());
        net.cut(Moment::ZERO, A, B);
        net.send(Moment::ZERO, A, B, &bytes());
        net.send(Moment::ZERO, B, A, &bytes());
        assert!(matches!(net.poll_arrival(Moment::NEVER), Some((A, Arrival::Datagram { .. }))));
        assert_eq!(net.poll_arrival(Moment::NEVER), None);
    }

    #[test]
    fn a_sleeper_finds_its_datagrams_when_it_wakes() {
        let mut net = net(Weather::calm());
        net.handle_presence(Moment::ZERO, B, Presence::Asleep);
        net.send(Moment::ZERO, A, B, &bytes());
        let later = Moment::ZERO + Duration::from_secs(1);
        assert_eq!(net.poll_arrival(later), None);
        net.handle_presence(later, B, Presence::Up);
        assert!(net.poll_arrival(later).is_some());
    }

    fn bytes() -> Bytes {
        Bytes::from_static(b"hello")
    }

    fn net(weather: Weather) -> Net {
        let mut net = Net::new(Chance::new(1), weather);
        net.handle_presence(Moment::ZERO, A, Presence::Up);
        net.handle_presence(Moment::ZERO, B, Presence::Up);
        net
    }
}
