//! Members that hear each other badly, or only through others (P9), as scripts.

use core::time::Duration;

use heirloom_core::{Config, Durability, Event, RemovalCause};
use heirloom_sim::{Action, Ask, HostId, Scenario, Weather, clients::key};

const SECOND: Duration = Duration::from_secs(1);

/// The kind of datagram by which a member asks another to probe a suspect.
const RELAY: u8 = 6;

/// A network in which nobody is asked to probe for another.
const WITHOUT_RELAYS: Weather = Weather { unheard: &[RELAY], ..Weather::calm() };

/// Removals that two hosts make while something happens between them.
fn removals(weather: &Weather, seed: u64, trouble: impl Fn(&mut Scenario)) -> usize {
    let mut story = Scenario::with("a bad link", 4, |setup| (setup.seed, setup.weather) = (seed, weather.clone()));
    story.start_all();
    trouble(&mut story);
    let count = removed(&story, 0, 1) + removed(&story, 1, 0);
    assert_eq!(removed(&story, 2, 1) + removed(&story, 0, 3), 0, "nobody else has anything to do with it");
    story.heal();
    count
}

/// P9: streams break and open again only after a while, and so few datagrams pass that no answer may come in time.
#[test]
fn who_loses_most_datagrams_and_a_stream_on_one_link_stays_as_others_hear_it() {
    let trouble = |story: &mut Scenario| {
        for (from, to) in [(0, 1), (1, 0)] {
            story.act(Action::Thin(HostId(from), HostId(to), 800));
            story.act(Action::Hold(HostId(from), HostId(to)));
        }
        story.act(Action::Break(HostId(0), HostId(1)));
        story.run_for(SECOND * 3);
        story.act_both(Action::Release, 0, 1);
        story.run_for(SECOND * 10);
    };
    let removals = |weather: &Weather| (0..20).map(|seed| removals(weather, seed, trouble)).sum::<usize>();
    assert_eq!(removals(&Weather::calm()), 0);
    let without = removals(&WITHOUT_RELAYS);
    assert!(5 < without, "{without}");
}

#[test]
fn a_link_may_be_cut_for_longer_than_a_member_may_be_silent() {
    let trouble = |story: &mut Scenario| {
        story.act_both(Action::Cut, 0, 1);
        story.run_for(SECOND * 6);
        story.act_both(Action::Mend, 0, 1);
        story.run_for(SECOND * 10);
    };
    assert_eq!(removals(&Weather::calm(), 1, trouble), 0);
    assert_eq!(removals(&WITHOUT_RELAYS, 1, trouble), 2);
}

/// Others hear it all the time, but nothing can be brought to it: a commit must not wait for that for ever.
#[test]
fn who_is_reached_only_through_others_is_removed_once_and_no_commit_waits_for_it_longer() {
    let Config { drop_time, probe_time, frequency, .. } = Config::default();
    let cuts: [&[(u16, u16)]; 3] = [&[(0, 1)], &[(1, 0)], &[(0, 1), (1, 0)]];
    for (cut, is_held) in cuts.into_iter().flat_map(|cut| [(cut, false), (cut, true)]) {
        let mut story = Scenario::ready("only through others", 4);
        for (from, to) in cut.iter().map(|(from, to)| (HostId(*from), HostId(*to))) {
            // A stream that is held never breaks by itself.
            if is_held {
                story.act(Action::Mute(from, to));
                story.act(Action::Hold(from, to));
            } else {
                story.act(Action::Cut(from, to));
            }
        }
        let write = story.commit(0, Ask::set(key(1), 0, Durability::All));
        let most = (drop_time + probe_time) * 2 + frequency * 2;
        story.run_until("the commit has ended", most, |sim| sim.told(write).is_some());
        story.run_for(SECOND * 60);
        assert_eq!([removed(&story, 0, 1), removed(&story, 1, 0)], [1, 1], "{cut:?} {is_held}");
        for (by, of) in [(0, 1), (1, 0)] {
            let doubts = story.events(by).filter(|(_, event)| matches!(event, Event::MemberSuspect(..))).count();
            assert!(doubts <= 4, "n{by} of n{of}: {doubts}");
        }
        assert_eq!(removed(&story, 2, 0) + removed(&story, 2, 1), 0);
        story.heal();
        assert_eq!(story.lists(0).len(), 3);
    }
}

/// How often one host removed another for anything but a new life.
fn removed(story: &Scenario, by: u16, of: u16) -> usize {
    let id = story.sim().cluster().process(HostId(of)).map(|process| process.life);
    let is_it = |event: &Event| matches!(event, Event::MemberRemoved(removed, cause) if Some(*removed) == id && *cause != RemovalCause::Superseded);
    story.events(by).filter(|(_, event)| is_it(event)).count()
}
