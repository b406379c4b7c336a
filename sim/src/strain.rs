//! Faults that wear a cluster down: noise, links that are bad in one direction, members that are slow, clocks whose rate
//! changes, a switch that loses what is for the group, wires that carry little and streams that bring nothing.
//!
//! They have draws of their own: a seed without them is as it was before there were any.

use core::time::Duration;

use crate::{
    action::Action,
    chance::Draws,
    clock::{Moment, RATE_ERROR_MAX, signed},
    net::HostId,
    weather::Weather,
    wires::Wire,
};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
enum Kind {
    Noise,
    Switch,
    Thin,
    Lag,
    SlowMember,
    Drift,
}

/// Streams are not garbled here: TCP guards them, and where a bit flips in the length of a frame all the same, its reader waits
/// for bytes that never come. Nothing notices that yet.
const KINDS: [Kind; 6] = [Kind::Noise, Kind::Switch, Kind::Thin, Kind::Lag, Kind::SlowMember, Kind::Drift];

/// Draws such faults for some seeds: so many of a thousand.
pub(crate) fn actions(
    draws: &mut Draws,
    share: u64,
    (hosts, usual): (u16, &Weather),
    (from, until): (Moment, Moment),
) -> Vec<(Moment, Action)> {
    let mut actions = Vec::new();
    if !draws.per_mille(share) || hosts < 2 {
        return actions;
    }
    let kinds = [draws.pick(&KINDS), draws.pick(&KINDS)];
    for _ in 0..draws.between(1, 4) {
        let at = from + draws.duration(Duration::ZERO, until.since(from));
        let end = (at + draws.duration(MILLI, SECOND * 6)).rounded_up(MILLI);
        let one = host(draws.below(u64::from(hosts)), hosts);
        let other = host(u64::from(one.0) + draws.between(1, u64::from(hosts) - 1), hosts);
        let storm = |worse| [(at, Action::Weather(worse)), (end, Action::Weather(usual.clone()))];
        match draws.pick(&kinds) {
            Kind::Noise => actions.extend(storm(Weather { corrupt: 200, truncate: 100, ..usual.clone() })),
            Kind::Switch => actions.extend(storm(Weather { switch_loss: 500, ..usual.clone() })),
            Kind::Thin => {
                let loss = draws.between(100, 900);
                actions.push((at, Action::Thin(one, other, loss)));
            }
            Kind::Lag => actions.extend(lag(draws, &[(one, other)], (at, end))),
            Kind::SlowMember => {
                let others = (0..hosts).map(HostId).filter(|other| *other != one);
                let links: Vec<_> = others.flat_map(|other| [(one, other), (other, one)]).collect();
                actions.extend(lag(draws, &links, (at, end)));
            }
            Kind::Drift => {
                let most = i64::try_from(RATE_ERROR_MAX).unwrap_or(0);
                actions.push((at, Action::Drift(one, signed(draws, most))));
            }
        }
    }
    actions.retain(|(at, _)| *at < until);
    actions
}

#[derive(Clone, Copy)]
enum Strait {
    Narrow,
    Room,
    Swallow,
}

const STRAITS: [Strait; 3] = [Strait::Narrow, Strait::Room, Strait::Swallow];

/// Draws wires with limits, and streams that swallow what they take, for some seeds: so many of a thousand.
///
/// A wire is never so narrow, and its queue never so short or long, that beats do not get through: whoever lives must not be
/// taken for dead.
pub(crate) fn straits(
    draws: &mut Draws,
    share: u64,
    hosts: u16,
    (from, until): (Moment, Moment),
) -> Vec<(Moment, Action)> {
    let mut actions = Vec::new();
    if !draws.per_mille(share) || hosts < 2 {
        return actions;
    }
    let kinds = [draws.pick(&STRAITS), draws.pick(&STRAITS)];
    for _ in 0..draws.between(1, 4) {
        let at = from + draws.duration(Duration::ZERO, until.since(from));
        let end = (at + draws.duration(MILLI, SECOND * 9)).rounded_up(MILLI);
        let one = host(draws.below(u64::from(hosts)), hosts);
        let other = host(u64::from(one.0) + draws.between(1, u64::from(hosts) - 1), hosts);
        let rate = draws.pick(&[4000, 8000, 20_000, 80_000]);
        let wire = if draws.per_mille(500) { Wire::Way(one, other) } else { Wire::Host(one) };
        match draws.pick(&kinds) {
            Strait::Narrow => actions.extend(narrow(wire, rate, (at, end))),
            Strait::Room => {
                let room = draws.pick(&[400, 800, 1500, 4000]) + draws.below(400);
                actions.extend([(at, Action::Room(wire, room)), (end, Action::Room(wire, 0))]);
                if draws.per_mille(500) {
                    actions.extend(narrow(wire, rate, (at, end)));
                }
            }
            Strait::Swallow => actions.extend([(at, Action::Swallow(one, other)), (end, Action::Spare(one, other))]),
        }
    }
    actions.retain(|(at, _)| *at < until);
    actions
}

fn narrow(wire: Wire, rate: u64, (at, end): (Moment, Moment)) -> [(Moment, Action); 2] {
    [(at, Action::Narrow(wire, rate)), (end, Action::Narrow(wire, 0))]
}

fn lag(draws: &mut Draws, links: &[(HostId, HostId)], (at, end): (Moment, Moment)) -> Vec<(Moment, Action)> {
    let length = Duration::from_millis(draws.between(20, 1500));
    let both = |(from, to): &(HostId, HostId)| {
        [(at, Action::Lag(*from, *to, length)), (end, Action::Lag(*from, *to, Duration::ZERO))]
    };
    links.iter().flat_map(both).collect()
}

fn host(number: u64, hosts: u16) -> HostId {
    HostId(u16::try_from(number % u64::from(hosts)).unwrap_or(0))
}
