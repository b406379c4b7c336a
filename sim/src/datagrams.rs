//! Datagrams on their way.
//!
//! The fate of each is drawn when it is sent: lost, repeated, late. A host that sleeps finds a bounded number of them when
//! it wakes.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::{
    chance::Purpose,
    choices::{Packet, Twist},
    clock::Moment,
    net::{Arrival, HostId, Paths, Presence, Scene},
    noise,
    record::Way,
    wires::Wire,
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
    /// Those that found no room since somebody asked.
    crowded_out: Vec<(HostId, HostId, Way)>,
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
        let number = self.sent.get(&(Purpose::Unicast, from, to)).map_or(0, |link| link.count) + 1;
        let sent_at = scene.wires.pass(scene.now, Wire::Host(from), bytes.len());
        self.launch(scene, Purpose::Unicast, Packet { from, to, way: Way::Datagram, number }, (sent_at, bytes));
    }

    pub(crate) fn send_to_group(&mut self, scene: &Scene<'_>, from: HostId, bytes: &Bytes) {
        let count = self.to_group.entry(from).or_default();
        *count += 1;
        let number = *count;
        let sent_at = scene.wires.pass(scene.now, Wire::Host(from), bytes.len());
        let loss = scene.weather.switch_loss;
        let is_lost = 0 < loss && scene.chance.draws(Purpose::Strain, 1 << 32, from.word(), number).per_mille(loss);
        for to in scene.paths.hosts().filter(|to| scene.weather.loopback || *to != from) {
            let packet = Packet { from, to, way: Way::Group, number };
            if is_lost {
                scene.choices.handle_weather(packet, Twist::Lost);
            } else {
                self.launch(scene, Purpose::Multicast, packet, (sent_at, bytes));
            }
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

    /// The datagrams that found no room since this was asked last.
    pub(crate) fn take_crowded_out(&mut self) -> Vec<(HostId, HostId, Way)> {
        core::mem::take(&mut self.crowded_out)
    }

    /// Sends a datagram that has passed the wire of its host by then, if it found room there.
    fn launch(&mut self, scene: &Scene<'_>, cast: Purpose, packet: Packet, (sent_at, bytes): (Option<Moment>, &Bytes)) {
        let (weather, Packet { from, to, .. }) = (scene.weather, packet);
        let link = self.sent.entry((cast, from, to)).or_default();
        let mut draws = scene.chance.draws(cast, from.word(), to.word(), link.count);
        let count = link.count;
        link.count += 1;
        let is_reached = !scene.paths.is_nobody(to) && scene.paths.loss(from, to) < 1000;
        let twist = scene.choices.twist(packet, is_reached);
        let passed = sent_at.and_then(|at| scene.wires.pass(at, Wire::Way(from, to), bytes.len()));
        let Some(sent_at) = passed else { return self.crowded_out.push((from, to, packet.way)) };
        scene.wires.handle_passed(sent_at.since(scene.now));
        let loss = if cast == Purpose::Multicast { weather.multicast_loss } else { weather.loss };
        if draws.per_mille(loss) && twist.is_none() {
            return scene.choices.handle_weather(packet, Twist::Lost);
        }
        if twist == Some(Twist::Lost) || bytes.get(1).is_some_and(|kind| weather.unheard.contains(kind)) {
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
        let bytes = match twist {
            Some(Twist::Corrupt) => noise::flip(scene, (from, to), count, bytes),
            Some(Twist::Lost | Twist::Late(_) | Twist::Twice) => bytes.clone(),
            None => noise::datagram(scene, packet, count, bytes),
        };
        let copies = match draws.per_mille(weather.repeat) {
            true if twist.is_none() => 2,
            true | false => {
                if twist == Some(Twist::Twice) {
                    2
                } else {
                    1
                }
            }
        };
        if twist.is_none() && 1 < copies {
            scene.choices.handle_weather(packet, Twist::Twice);
        }
        for _ in 0..copies {
            let at = self.arrival_at(scene, cast, packet, (sent_at + weather.delay(&mut draws), twist));
            let nobody = cast == Purpose::Unicast && scene.paths.presence(to) == Presence::Down;
            if nobody && weather.unreachable {
                self.push(at, from, Arrival::SendFailed { to });
            } else {
                self.push(at, to, Arrival::Datagram { from, bytes: bytes.clone() });
            }
        }
    }

    /// When it arrives. What is late is overtaken by others, even where these keep their order.
    fn arrival_at(
        &mut self,
        scene: &Scene<'_>,
        cast: Purpose,
        Packet { from, to, .. }: Packet,
        (at, twist): (Moment, Option<Twist>),
    ) -> Moment {
        let at = at + scene.paths.lag(from, to);
        if let Some(Twist::Late(late)) = twist {
            return (at + late).rounded_up(scene.weather.quantum);
        }
        let link = self.sent.entry((cast, from, to)).or_default();
        let at = at.rounded_up(scene.weather.quantum);
        link.last_at = if scene.weather.reorder { at } else { at.max(link.last_at) };
        link.last_at
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
    fn what_is_said_of_a_packet_happens_to_it_and_to_no_other() {
        let arrivals = |twist| {
            let mut net = net(Weather::calm());
            let packet = Packet { from: A, to: B, way: Way::Datagram, number: 2 };
            net.choices().say(&BTreeMap::from([(packet, twist)]));
            (1..=3).for_each(|byte| net.send(Moment::ZERO, A, B, &Bytes::from(vec![byte])));
            let arrived = core::iter::from_fn(|| net.poll_arrival(Moment::NEVER));
            let first = |arrival| if let Arrival::Datagram { bytes, .. } = arrival { bytes[0] } else { 0 };
            arrived.map(|(_, arrival)| first(arrival)).collect::<Vec<u8>>()
        };
        assert_eq!(arrivals(Twist::Lost), [1, 3]);
        assert_eq!(arrivals(Twist::Late(Duration::from_millis(1))), [1, 3, 2]);
        assert_eq!(arrivals(Twist::Twice).iter().filter(|byte| **byte == 2).count(), 2);
        assert!(!arrivals(Twist::Corrupt).contains(&2) && arrivals(Twist::Corrupt).len() == 3);
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
