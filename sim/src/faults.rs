//! What the world does to a run, with a note of it in the ledger.

use core::time::Duration;

use heirloom_core::{Damage, MemberId, SessionKey};

use crate::{
    chance::Purpose,
    choices::Twist,
    ledger::{Scope, Trouble},
    net::{HostId, LastBytes, Presence},
    oracles::{End, View},
    record::Way,
    sim::Sim,
    trigger::{Occasion, Trigger, Triggers},
    violation::Violation,
    weather::Weather,
    wires::Wire,
};

/// A fault that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Cut(HostId, HostId),
    Thin(HostId, HostId, u64),
    ThinGroup(HostId, HostId, u64),
    Hold(HostId, HostId),
    Lag(HostId, HostId),
    Narrow(Wire),
    Room(Wire),
    Swallow(HostId, HostId),
    Pause(HostId),
    Lossy,
    /// Streams bring nothing for long: they break on a bit that has flipped.
    Garbled,
    Slow,
}

impl Fault {
    pub(crate) fn trouble(self) -> (Trouble, Scope) {
        match self {
            Self::Cut(from, to) => (Trouble::Reach, Scope::pair(from, to)),
            Self::Pause(host) => (Trouble::Reach, Scope::Host(host)),
            Self::Thin(from, to, _) | Self::ThinGroup(from, to, _) => (Trouble::Loss, Scope::pair(from, to)),
            Self::Lag(from, to) => (Trouble::Slow, Scope::pair(from, to)),
            Self::Narrow(Wire::Host(host)) | Self::Room(Wire::Host(host)) => (Trouble::Narrow, Scope::Host(host)),
            Self::Narrow(Wire::Way(from, to)) | Self::Room(Wire::Way(from, to)) => {
                (Trouble::Narrow, Scope::pair(from, to))
            }
            Self::Hold(from, to) | Self::Swallow(from, to) => (Trouble::Hold, Scope::pair(from, to)),
            Self::Lossy => (Trouble::Loss, Scope::Everywhere),
            Self::Garbled => (Trouble::Hold, Scope::Everywhere),
            Self::Slow => (Trouble::Slow, Scope::Everywhere),
        }
    }
}

impl Sim {
    pub(crate) fn start(&mut self, host: HostId) -> Result<(), Violation> {
        if self.cluster.process(host).is_some() {
            return Ok(());
        }
        let number = u64::try_from(self.cluster.host(host).lives.len()).expect("a run is short");
        let mut draws = self.chance.draws(Purpose::Life, host.word(), number, 0);
        let life = match self.is_plain {
            true => MemberId((host.word() + 1) << 32 | number),
            false => MemberId(draws.bits()),
        };
        self.ledger.strike(self.now(), Trouble::Reach, Scope::Host(host));
        self.cluster.start(host, life, draws.bits())
    }

    pub(crate) fn end(&mut self, host: HostId, presence: Presence, last: LastBytes) {
        let Some(life) = self.cluster.process(host).map(|process| process.life) else { return };
        self.cluster.stop(host, presence, last);
        self.handle_exit(life);
        self.note_death(host, life, End::Crash);
    }

    pub(crate) fn note_death(&mut self, host: HostId, life: MemberId, end: End) {
        if self.faults.remove(&Fault::Pause(host)) {
            self.ledger.end(self.cluster.now(), Trouble::Reach, Scope::Host(host));
        }
        let view = View::new(&self.cluster, &self.history, &self.ledger);
        self.oracles.handle_end(view, life, end);
        self.ledger.handle_death(self.cluster.now(), life);
        self.ledger.strike(self.cluster.now(), Trouble::Reach, Scope::Host(host));
    }

    pub(crate) fn leave(&mut self, host: HostId) -> Result<(), Violation> {
        let Some(process) = self.cluster.process(host).filter(|process| !process.is_asleep) else { return Ok(()) };
        self.ledger.handle_leave(process.life);
        self.ledger.strike(self.now(), Trouble::Reach, Scope::Host(host));
        self.cluster.leave(host)
    }

    pub(crate) fn drain(&mut self, host: HostId, within: Duration) -> Result<(), Violation> {
        let Some(process) = self.cluster.process(host).filter(|process| !process.is_asleep) else { return Ok(()) };
        self.ledger.handle_leave(process.life);
        self.ledger.strike(self.now(), Trouble::Reach, Scope::Host(host));
        self.cluster.drain(host, within)
    }

    pub(crate) fn damage(&mut self, host: HostId, key: SessionKey, damage: Damage) -> Result<(), Violation> {
        self.cluster.damage(host, key, damage)
    }

    pub(crate) fn pause(&mut self, host: HostId) {
        if self.cluster.process(host).is_some() {
            self.impose(Fault::Pause(host));
        }
    }

    pub(crate) fn set_weather(&mut self, weather: Weather) -> Result<(), Violation> {
        let is_slower = self.usual.delay_max < weather.delay_max;
        self.lift(Fault::Lossy)?;
        self.lift(Fault::Slow)?;
        self.lift(Fault::Garbled)?;
        if 0 < weather.garble {
            self.impose(Fault::Garbled);
        }
        if 0 < weather.lost() {
            self.impose(Fault::Lossy);
        }
        if is_slower {
            self.impose(Fault::Slow);
        }
        self.cluster.net_mut().set_weather(weather);
        Ok(())
    }

    /// Makes one direction slower by so much; zero ends it.
    pub(crate) fn lag(&mut self, from: HostId, to: HostId, length: Duration) -> Result<(), Violation> {
        self.lift(Fault::Lag(from, to))?;
        if !length.is_zero() {
            self.impose(Fault::Lag(from, to));
            self.cluster.net_mut().lag(from, to, length);
        }
        Ok(())
    }

    /// Lets a wire carry so many bytes in a second; zero ends it.
    pub(crate) fn narrow(&mut self, wire: Wire, rate: u64) -> Result<(), Violation> {
        self.lift(Fault::Narrow(wire))?;
        if 0 < rate {
            self.impose(Fault::Narrow(wire));
            self.cluster.net_mut().wires_mut().narrow(wire, rate);
        }
        Ok(())
    }

    /// Lets so many bytes wait for a wire; zero ends it.
    pub(crate) fn room(&mut self, wire: Wire, room: u64) -> Result<(), Violation> {
        self.lift(Fault::Room(wire))?;
        if 0 < room {
            self.impose(Fault::Room(wire));
            self.cluster.net_mut().wires_mut().confine(wire, room);
        }
        Ok(())
    }

    /// Loses so many of a thousand datagrams of one direction; zero ends it.
    pub(crate) fn thin(&mut self, from: HostId, to: HostId, loss: u64) -> Result<(), Violation> {
        if loss == 0 {
            return self.lift_all(|fault| matches!(fault, Fault::Thin(one, other, _) if (one, other) == (from, to)));
        }
        self.impose(Fault::Thin(from, to, loss));
        Ok(())
    }

    /// The same for those that are sent to the group.
    pub(crate) fn thin_group(&mut self, from: HostId, to: HostId, loss: u64) -> Result<(), Violation> {
        self.lift_all(|fault| matches!(fault, Fault::ThinGroup(one, other, _) if (one, other) == (from, to)))?;
        if 0 < loss {
            self.impose(Fault::ThinGroup(from, to, loss));
        }
        Ok(())
    }

    /// Lets these happen when it is time for them.
    pub(crate) fn wait(&mut self, triggers: &[Trigger]) {
        self.triggers = Triggers::new(triggers);
        self.cluster.lookout.begin(self.triggers.kinds());
    }

    /// All faults are over, and so is what waits.
    pub(crate) fn end_waiting(&mut self) {
        self.unfired.extend(self.triggers.waiting().cloned());
        self.wait(&[]);
    }

    /// What waited for something that did not happen.
    pub(crate) fn unfired(&self) -> impl Iterator<Item = &Trigger> {
        self.unfired.iter().chain(self.triggers.waiting())
    }

    /// Does what it is time for.
    pub(crate) fn fire(&mut self) -> Result<(), Violation> {
        while let Some((kind, host)) = self.cluster.lookout.poll_seen() {
            self.triggers.handle(Occasion::Reaches(kind, host));
        }
        while let Some(action) = self.triggers.poll_due() {
            self.act(action)?;
        }
        Ok(())
    }

    /// Notes what happened to single packets.
    pub(crate) fn note_twists(&mut self) {
        let now = self.now();
        for (from, to) in self.cluster.take_crowded_out() {
            self.ledger.strike(now, Trouble::Loss, Scope::pair(from, to));
        }
        while let Some((packet, twist)) = self.cluster.net().choices().poll_struck() {
            let scope = Scope::pair(packet.from, packet.to);
            match twist {
                Twist::Lost | Twist::Corrupt => self.ledger.strike(now, Trouble::Loss, scope),
                Twist::Late(late) => {
                    let trouble = if packet.way == Way::Stream { Trouble::Hold } else { Trouble::Slow };
                    self.ledger.strike(now + late, trouble, scope);
                }
                Twist::Twice => {}
            }
        }
    }

    fn lift_all(&mut self, which: impl Fn(Fault) -> bool) -> Result<(), Violation> {
        let faults: Vec<Fault> = self.faults.iter().copied().filter(|fault| which(*fault)).collect();
        faults.into_iter().try_for_each(|fault| self.lift(fault))
    }

    pub(crate) fn impose(&mut self, fault: Fault) {
        if !self.faults.insert(fault) {
            return;
        }
        let now = self.now();
        let (trouble, scope) = fault.trouble();
        self.ledger.begin(trouble, scope);
        match fault {
            Fault::Cut(from, to) => self.cluster.net_mut().cut(now, from, to),
            Fault::Thin(from, to, loss) => self.cluster.net_mut().thin(from, to, loss),
            Fault::ThinGroup(from, to, loss) => self.cluster.net_mut().thin_group(from, to, loss),
            Fault::Hold(from, to) => self.cluster.net_mut().hold(now, from, to),
            Fault::Pause(host) => self.cluster.pause(host),
            Fault::Swallow(one, other) => self.cluster.net_mut().swallow(now, one, other),
            Fault::Lag(..) | Fault::Narrow(_) | Fault::Room(_) | Fault::Lossy | Fault::Garbled | Fault::Slow => {}
        }
    }

    pub(crate) fn lift(&mut self, fault: Fault) -> Result<(), Violation> {
        if !self.faults.remove(&fault) {
            return Ok(());
        }
        let now = self.now();
        let (trouble, scope) = fault.trouble();
        self.ledger.end(now, trouble, scope);
        match fault {
            Fault::Cut(from, to) => self.cluster.net_mut().mend(now, from, to),
            Fault::Thin(from, to, _) => self.cluster.net_mut().thicken(from, to),
            Fault::ThinGroup(from, to, _) => self.cluster.net_mut().thin_group(from, to, 0),
            Fault::Hold(from, to) => self.cluster.net_mut().release(now, from, to),
            Fault::Pause(host) => return self.cluster.resume(host),
            Fault::Lag(from, to) => self.cluster.net_mut().lag(from, to, Duration::ZERO),
            Fault::Narrow(wire) => self.cluster.net_mut().widen(now, |wires| wires.narrow(wire, 0)),
            Fault::Room(wire) => self.cluster.net_mut().widen(now, |wires| wires.confine(wire, 0)),
            Fault::Swallow(one, other) => {
                self.ledger.strike(now, Trouble::Break, scope);
                self.cluster.net_mut().spare(now, one, other);
            }
            Fault::Lossy | Fault::Garbled | Fault::Slow => {}
        }
        Ok(())
    }
}
