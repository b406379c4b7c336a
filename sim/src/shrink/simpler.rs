//! What may be simpler in a plan.

use core::{mem::Discriminant, ops::Range, time::Duration};

use heirloom_core::{Config, Copies, Durability, Unit};

use crate::{
    action::Action,
    ask::{Ask, Start},
    clock::Moment,
    places::{Discovery, Places},
    plan::Plan,
    trial::Trial,
    weather::Weather,
};

/// Worlds that are simpler, from the whole to details. What is simpler about the network is so in its storms too: what was
/// still under way of one would be later than a calm network allows.
pub(super) const WORLDS: [fn(&mut Plan); 20] = [
    |plan| weathers(plan, |weather| *weather = Weather::calm()),
    |plan| plan.setup.is_plain = true,
    |plan| plan.setup.discovery = Discovery::Both,
    |plan| plan.setup.places = Places::Alike,
    |plan| weathers(plan, |weather| (weather.loss, weather.multicast_loss, weather.switch_loss) = (0, 0, 0)),
    |plan| weathers(plan, |weather| (weather.corrupt, weather.truncate, weather.garble) = (0, 0, 0)),
    |plan| weathers(plan, |weather| weather.repeat = 0),
    |plan| weathers(plan, |weather| weather.reorder = false),
    |plan| weathers(plan, |weather| (weather.loopback, weather.unreachable) = (true, false)),
    |plan| weathers(plan, |weather| weather.quantum = Duration::ZERO),
    |plan| {
        let Weather { delay_min, delay_max, delay_tail, .. } = Weather::calm();
        weathers(plan, |weather| {
            (weather.delay_min, weather.delay_max, weather.delay_tail) = (delay_min, delay_max, delay_tail);
        });
    },
    |plan| {
        let Weather { stream_room, piece_max, stall_max, .. } = Weather::calm();
        weathers(plan, |weather| {
            (weather.stream_room, weather.piece_max, weather.stall_max) = (stream_room, piece_max, stall_max);
        });
    },
    |plan| plan.setup.own.clear(),
    |plan| plan.setup.config.unit = Unit::Delta,
    |plan| {
        if let Copies::Backups(2..) = plan.setup.config.copies {
            plan.setup.config.copies = Copies::Backups(1);
        }
    },
    |plan| plan.setup.config.max_age = Duration::ZERO,
    |plan| {
        let Config { commits_max, events_max, frame_max, attribute_bytes_max, .. } = Config::default();
        let config = &mut plan.setup.config;
        (config.commits_max, config.events_max) = (commits_max, events_max);
        (config.frame_max, config.attribute_bytes_max) = (frame_max, attribute_bytes_max);
    },
    |plan| {
        let Config { sessions_max, memory_max, when_full, .. } = Config::default();
        let config = &mut plan.setup.config;
        (config.sessions_max, config.memory_max, config.when_full) = (sessions_max, memory_max, when_full);
    },
    |plan| plan.setup.config.idle = Duration::from_secs(60),
    |plan| {
        (plan.setup.config.drop_time, plan.setup.config.probe_time) = (Duration::from_secs(3), Duration::from_secs(1))
    },
];

fn weathers(plan: &mut Plan, how: impl Fn(&mut Weather)) {
    how(&mut plan.setup.weather);
    for (_, action) in &mut plan.actions {
        if let Action::Weather(weather) | Action::Heal(weather) = action {
            how(weather);
        }
    }
}

/// Commands that ask for less.
pub(super) const COMMANDS: [fn(&mut Action); 5] = [
    |action| change(action, |ask| ask.durability = Durability::Local),
    |action| change(action, |ask| ask.within = None),
    |action| change(action, |ask| (ask.bytes, ask.lifetime) = (16, None)),
    |action| change(action, |ask| ask.removes.clear()),
    |action| {
        change(action, |ask| {
            if ask.start != Start::End {
                ask.sets = ask.sets.first().copied().into_iter().collect();
            }
        });
    },
];

fn change(action: &mut Action, how: impl FnOnce(&mut Ask)) {
    if let Action::Commit(_, ask) = action {
        how(ask);
    }
}

/// What is the same about actions that may go together.
pub(super) fn kind(action: &Action) -> (Discriminant<Action>, Option<[u8; 16]>, bool) {
    let (key, moves) = if let Action::Commit(_, ask) = action {
        (Some(ask.key.0), ask.moves_to.is_some())
    } else if let Action::Touch(_, key) = action {
        (Some(key.0), false)
    } else {
        (None, false)
    };
    (core::mem::discriminant(action), key, moves)
}

/// The kinds of actions that there are, but for the starts: without them nothing happens.
pub(super) fn kinds(plan: &Plan) -> Vec<(Discriminant<Action>, Option<[u8; 16]>, bool)> {
    let mut kinds = Vec::new();
    for (_, action) in plan.actions.iter().filter(|(_, action)| !matches!(action, Action::Start(_))) {
        let kind = kind(action);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

/// The same where each packet that the weather loses, repeats or damages is named, and the weather does nothing of that.
pub(super) fn named(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    let storms = plan
        .actions
        .iter()
        .filter_map(|(_, action)| if let Action::Weather(weather) = action { Some(weather) } else { None });
    if storms.chain([&plan.setup.weather]).all(|weather| weather.lost() + weather.repeat == 0) {
        return plan;
    }
    plan.packets.extend(Trial::noted(&plan));
    weathers(&mut plan, |weather| {
        (weather.loss, weather.multicast_loss, weather.switch_loss) = (0, 0, 0);
        (weather.corrupt, weather.truncate, weather.repeat) = (0, 0, 0);
    });
    plan
}

/// Takes these packets out, in their order.
pub(super) fn without_packets(plan: &mut Plan, part: Range<usize>) {
    let mut at = 0;
    plan.packets.retain(|_, _| {
        at += 1;
        !part.contains(&(at - 1))
    });
}

/// The same at moments on a grid, in the same order.
pub(super) fn rounded(plan: &Plan, grid: Duration) -> Plan {
    let mut plan = plan.clone();
    plan.actions.iter_mut().for_each(|(at, _)| *at = at.rounded_up(grid));
    let last = plan.actions.last().map_or(Moment::ZERO, |(at, _)| *at);
    plan.healed_at = plan.healed_at.rounded_up(grid).max(last);
    plan
}
