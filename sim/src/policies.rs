//! How the members of some plans are set otherwise than those of most, and leave otherwise.

use core::time::Duration;

use heirloom_core::{Config, Partition, WhenFull};

use crate::{
    action::{Action, Setup},
    chance::Draws,
    clock::Moment,
    net::HostId,
};

/// In one plan of ten, members hold only so much, now and then one of them less than the others.
pub(crate) fn limit(draws: &mut Draws, setup: &mut Setup) {
    if !draws.per_mille(100) {
        return;
    }
    let limited = |draws: &mut Draws, config: &Config| {
        let config = Config { when_full: draws.pick(&[WhenFull::Refuse, WhenFull::Evict]), ..config.clone() };
        match draws.per_mille(700) {
            true => Config { sessions_max: draws.index(12) + 3, ..config },
            false => Config { memory_max: (draws.index(12) + 3) * 700, ..config },
        }
    };
    if draws.per_mille(300) {
        let host = HostId(u16::try_from(draws.below(u64::from(setup.hosts))).unwrap_or(0));
        setup.own.insert(host, limited(draws, &setup.config));
    } else {
        setup.config = limited(draws, &setup.config);
    }
}

/// In one plan of ten, attributes, sessions or how many attributes one has are limited so that now and then a client asks for
/// more.
pub(crate) fn limit_sizes(draws: &mut Draws, setup: &mut Setup, actions: &mut [(Moment, Action)]) {
    if !draws.per_mille(100) {
        return;
    }
    let config = &mut setup.config;
    config.attribute_bytes_max = draws.pick(&[64, 300, 1000]);
    config.session_bytes_max = config.attribute_bytes_max * draws.pick(&[2, 3, 1000]);
    config.attributes_max = draws.pick(&[3, config.attributes_max]);
    let above = draws.pick(&[10, 50, 200]);
    for (_, action) in actions {
        if let Action::Commit(_, ask) = action
            && !ask.sets.is_empty()
            && draws.per_mille(above)
        {
            ask.bytes = draws.index(setup.config.attribute_bytes_max * 2);
        }
    }
}

/// In one plan of ten, members that see too few others pause, and in some of these nobody starts before a majority of all
/// hosts is there. Who waits for one that never comes back pauses for good, so in the end there is a member on every host.
pub(crate) fn pause(draws: &mut Draws, setup: &mut Setup, actions: &mut Vec<(Moment, Action)>, healed_at: Moment) {
    if draws.per_mille(100) {
        setup.config.partition = Partition::Pause;
        if draws.per_mille(400) {
            setup.config.members_min = usize::from(setup.hosts) / 2 + 1;
        }
        actions.extend((0..setup.hosts).map(|host| (healed_at, Action::Start(HostId(host)))));
    }
}

/// In one plan of ten, members of two versions of the protocol serve together.
pub(crate) fn mixed(draws: &mut Draws, actions: Vec<(Moment, Action)>) -> Vec<(Moment, Action)> {
    if !draws.per_mille(100) {
        return actions;
    }
    let installed = |(at, action)| {
        let mut install = None;
        if let Action::Start(host) = &action {
            install = Some((at, Action::Install(*host, draws.pick(&[1, 2]))));
        }
        install.into_iter().chain([(at, action)]).collect::<Vec<_>>()
    };
    actions.into_iter().flat_map(installed).collect()
}

/// In some runs members serve while they hand over.
pub(crate) fn drain(actions: &mut [(Moment, Action)], draws: &mut Draws, within: Duration) {
    if !draws.per_mille(400) {
        return;
    }
    for (_, action) in actions {
        if let Action::Leave(host) = *action {
            *action = Action::Drain(host, within);
        }
    }
}
