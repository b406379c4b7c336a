//! A plan that gets shorter, and what is left of the one that it began as.

use crate::{action::Action, choices::Packet, clock::Moment, net::HostId, plan::Plan};

/// What is left of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    /// As it is now.
    pub(crate) plan: Plan,
    /// Which actions of the first plan its actions are; some may ask for less than that.
    pub(crate) kept: Vec<usize>,
    /// Which hosts of the first plan its hosts are.
    pub(crate) hosts: Vec<HostId>,
}

impl Draft {
    /// All of it.
    pub(super) fn whole(plan: &Plan) -> Self {
        let hosts = (0..plan.setup.hosts).map(HostId).collect();
        Self { kept: (0..plan.actions.len()).collect(), hosts, plan: plan.clone() }
    }

    /// Keeps some actions.
    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(Moment, &Action) -> bool) {
        let stays: Vec<bool> = self.plan.actions.iter().map(|(at, action)| is_kept(*at, action)).collect();
        let (mut actions, mut kept) = (stays.iter(), stays.iter());
        self.plan.actions.retain(|_| actions.next().is_none_or(|stays| *stays));
        self.kept.retain(|_| kept.next().is_none_or(|stays| *stays));
    }

    /// Takes so many actions out.
    pub(super) fn remove(&mut self, at: usize, count: usize) {
        let end = (at + count).min(self.plan.actions.len());
        self.plan.actions.drain(at..end);
        self.kept.drain(at..end);
    }

    /// The same without one host and all that is done to it; what clients ask it for, they ask the next one for.
    pub(super) fn without_host(&self, gone: u16) -> Self {
        let mut draft = self.clone();
        draft.hosts.remove(usize::from(gone));
        draft.plan.setup.hosts -= 1;
        let last = draft.plan.setup.hosts.saturating_sub(1);
        let there = |host: HostId| if host.0 < gone { host } else { HostId(host.0.saturating_sub(1).min(last)) };
        draft.retain(|_, action| action.is_of_a_client() || !action.hosts().contains(&HostId(gone)));
        let plan = &mut draft.plan;
        for (_, action) in &mut plan.actions {
            action.hosts_mut().into_iter().for_each(|host| *host = there(*host));
        }
        plan.triggers.retain_mut(|trigger| {
            let hosts = trigger.occasion.hosts_mut().into_iter().chain(trigger.action.hosts_mut());
            hosts.fold(true, |stays, host| {
                let is_gone = host.0 == gone;
                *host = there(*host);
                stays && !is_gone
            })
        });
        let packets = core::mem::take(&mut plan.packets).into_iter();
        let packets = packets.filter(|(packet, _)| packet.from.0 != gone && packet.to.0 != gone);
        let moved = |packet: Packet| Packet { from: there(packet.from), to: there(packet.to), ..packet };
        plan.packets = packets.map(|(packet, twist)| (moved(packet), twist)).collect();
        let own = core::mem::take(&mut plan.setup.own).into_iter().filter(|(host, _)| host.0 != gone);
        plan.setup.own = own.map(|(host, own)| (there(host), own)).collect();
        draft
    }
}
