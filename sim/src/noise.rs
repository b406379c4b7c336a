//! Damage to what is on its way: bits that flip, and datagrams that arrive cut.
//!
//! It has draws of its own, so a run without damage is as it was before there was any. Whoever receives something damaged must
//! refuse it: the checksum of a frame is wrong then.

use bytes::Bytes;

use crate::{
    chance::{Draws, Purpose},
    choices::{Packet, Twist},
    net::{HostId, Scene},
};

/// What arrives of a datagram.
pub(crate) fn datagram(scene: &Scene<'_>, packet: Packet, count: u64, bytes: &Bytes) -> Bytes {
    let (weather, Packet { from, to, .. }) = (scene.weather, packet);
    if weather.corrupt + weather.truncate == 0 {
        return bytes.clone();
    }
    let mut draws = scene.chance.draws(Purpose::Noise, from.word(), to.word(), count);
    let arrived = match draws.per_mille(weather.truncate) {
        true => bytes.slice(..draws.index(bytes.len())),
        false if draws.per_mille(weather.corrupt) => flipped(&mut draws, bytes),
        false => return bytes.clone(),
    };
    scene.choices.handle_weather(packet, Twist::Corrupt);
    arrived
}

/// A datagram of which a bit flips for certain.
pub(crate) fn flip(scene: &Scene<'_>, (from, to): (HostId, HostId), count: u64, bytes: &Bytes) -> Bytes {
    flipped(&mut scene.chance.draws(Purpose::Noise, from.word(), to.word(), count), bytes)
}

/// What arrives of a piece of a stream; a stream keeps its length.
pub(crate) fn piece(scene: &Scene<'_>, way: u64, number: u64, count: u64, bytes: Bytes) -> Bytes {
    if scene.weather.garble == 0 {
        return bytes;
    }
    let mut draws = scene.chance.draws(Purpose::Noise, 1 << 32 | way, number, count);
    if draws.per_mille(scene.weather.garble) { flipped(&mut draws, &bytes) } else { bytes }
}

fn flipped(draws: &mut Draws, bytes: &Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    if !bytes.is_empty() {
        let at = draws.index(bytes.len());
        bytes[at] ^= 1 << draws.below(8);
    }
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chance::Chance, choices::Choices, clock::Moment, net::Paths, record::Way, weather::Weather, wires::Wires,
    };

    #[test]
    fn one_bit_flips_or_the_end_is_missing() {
        let (chance, paths, choices) = (Chance::new(1), Paths::default(), Choices::default());
        let wires = Wires::default();
        let bytes = Bytes::from_static(b"a datagram");
        let arrived = |weather: &Weather, count| {
            let scene =
                Scene { now: Moment::ZERO, chance: &chance, weather, paths: &paths, choices: &choices, wires: &wires };
            let packet = Packet { from: HostId(0), to: HostId(1), way: Way::Datagram, number: count };
            datagram(&scene, packet, count, &bytes)
        };
        let flips = Weather { corrupt: 1000, ..Weather::calm() };
        let differ =
            |one: &[u8]| one.iter().zip(&bytes[..]).map(|(one, other)| (one ^ other).count_ones()).sum::<u32>();
        assert!((0..50).all(|count| differ(&arrived(&flips, count)) == 1));
        let cuts = Weather { truncate: 1000, ..Weather::calm() };
        assert!(
            (0..50).map(|count| arrived(&cuts, count)).all(|cut| cut.len() < bytes.len() && bytes.starts_with(&cut))
        );
        assert_eq!(arrived(&Weather::calm(), 0), bytes);
    }
}
