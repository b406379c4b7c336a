//! How the network behaves at present.

use core::time::Duration;

use crate::chance::Draws;

/// What the network does to what it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weather {
    /// The shortest way from host to host.
    pub delay_min: Duration,
    /// The longest usual way.
    pub delay_max: Duration,
    /// The longest way of one packet in fifty.
    pub delay_tail: Duration,
    /// Every arrival is put off to a multiple of this: zero for none. It makes events meet deadlines.
    pub quantum: Duration,
    /// How many of a thousand unicast datagrams are lost.
    pub loss: u64,
    /// How many of a thousand multicast datagrams are lost, apart for each receiver.
    pub multicast_loss: u64,
    /// How many of a thousand multicast datagrams no receiver gets: the switch loses them.
    pub switch_loss: u64,
    /// In how many of a thousand datagrams a bit flips.
    pub corrupt: u64,
    /// How many of a thousand datagrams arrive cut.
    pub truncate: u64,
    /// In how many of a thousand pieces of streams a bit flips.
    pub garble: u64,
    /// Kinds of datagrams that get lost, as if no member knew them: what they are good for shows without them. For scripts:
    /// no stored plan says it.
    pub unheard: &'static [u8],
    /// How many of a thousand datagrams arrive twice.
    pub repeat: u64,
    /// Whether datagrams overtake each other.
    pub reorder: bool,
    /// Whether the sender of a multicast datagram hears it too.
    pub loopback: bool,
    /// Whether a sender is told that nothing takes its datagrams.
    pub unreachable: bool,
    /// How many bytes a stream takes before it is full.
    pub stream_room: usize,
    /// The longest piece in which bytes of a stream travel: zero for whole writes.
    pub piece_max: usize,
    /// How long a stream waits behind a cut before it breaks.
    pub stall_max: Duration,
}

impl Weather {
    /// A network without a fault.
    pub const fn calm() -> Self {
        Self {
            delay_min: Duration::from_micros(100),
            delay_max: Duration::from_micros(300),
            delay_tail: Duration::from_micros(500),
            quantum: Duration::ZERO,
            loss: 0,
            multicast_loss: 0,
            switch_loss: 0,
            corrupt: 0,
            truncate: 0,
            garble: 0,
            unheard: &[],
            repeat: 0,
            reorder: false,
            loopback: true,
            unreachable: false,
            stream_room: 1 << 20,
            piece_max: 0,
            stall_max: Duration::from_secs(10),
        }
    }

    /// The same without faults: what belongs to the place stays.
    pub(crate) fn healed(&self) -> Self {
        let (loss, multicast_loss, switch_loss, repeat) = (0, 0, 0, 0);
        let (corrupt, truncate, garble) = (0, 0, 0);
        Self { loss, multicast_loss, switch_loss, corrupt, truncate, garble, repeat, ..self.clone() }
    }

    /// The same on links that are busy.
    pub(crate) fn slower(&self) -> Self {
        let delay_max = (self.delay_max * 20).min(Duration::from_secs(1));
        Self { delay_max, delay_tail: delay_max * 2, ..self.clone() }
    }

    /// The same with half of all datagrams lost.
    pub(crate) fn lossier(&self) -> Self {
        Self { loss: 500, multicast_loss: 500, ..self.clone() }
    }

    /// How many of a thousand datagrams do not arrive as they were sent, at most.
    pub(crate) fn lost(&self) -> u64 {
        let damaged = self.corrupt + self.truncate;
        (self.loss + damaged).max(self.multicast_loss + self.switch_loss + damaged)
    }

    pub(crate) fn delay(&self, draws: &mut Draws) -> Duration {
        if draws.per_mille(20) {
            return draws.duration(self.delay_min, self.delay_tail.max(self.delay_min));
        }
        draws.duration(self.delay_min, self.delay_max.max(self.delay_min))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::{Chance, Purpose};

    #[test]
    fn calm_delays_stay_within_the_bounds() {
        let weather = Weather::calm();
        let mut draws = Chance::new(3).draws(Purpose::Plan, 0, 0, 0);
        let delays: Vec<_> = (0..1000).map(|_| weather.delay(&mut draws)).collect();
        assert!(delays.iter().all(|delay| weather.delay_min <= *delay && *delay <= weather.delay_tail));
    }
}
