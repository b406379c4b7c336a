//! Questions whether a node lives: those to this one, and those that members ask for each other.
//!
//! One question leads to one probe at the most, to an address that this member knows by itself, and to one answer to who
//! asked, where this member knows it to be: no datagram grows or goes astray here.

use core::net::SocketAddr;

use serde::Serialize;

use super::Node;
use crate::{
    io::Transmit,
    member::MemberId,
    time::Time,
    wire::{Alive, FrameWriter, Kind, Probe, Relay, Relayed},
};

impl Node {
    /// Asks a member whether it lives.
    pub(super) fn send_probe(&mut self, member: MemberId, to: SocketAddr, nonce: u64) {
        self.send_datagram(to, Kind::Probe, &Probe { from: self.id, to: member, nonce });
    }

    /// Asks another to probe a suspect.
    pub(super) fn send_relay(&mut self, suspect: MemberId, nonce: u64, to: SocketAddr) {
        self.send_datagram(to, Kind::Relay, &Relay { from: self.id, suspect, nonce });
    }

    pub(super) fn receive_probe(&mut self, from: SocketAddr, probe: Probe) {
        if probe.to == self.id {
            self.send_datagram(from, Kind::Alive, &Alive { from: self.id, to: probe.from, nonce: probe.nonce });
        }
    }

    pub(super) fn receive_alive(&mut self, now: Time, alive: Alive) {
        if alive.to != self.id {
            return;
        }
        self.membership.handle_life(now, alive.from);
        for asker in self.relays.handle_answer(now, alive.from, alive.nonce) {
            if let Some(to) = self.membership.member(asker).map(|member| member.address) {
                let relayed = Relayed { from: self.id, to: asker, suspect: alive.from, nonce: alive.nonce };
                self.send_datagram(to, Kind::Relayed, &relayed);
            }
        }
    }

    pub(super) fn receive_relay(&mut self, now: Time, relay: Relay) {
        let Relay { from, suspect, nonce } = relay;
        let address = self.membership.member(suspect).map(|member| member.address);
        let to = address.filter(|_| self.membership.member(from).is_some() && from != suspect);
        match to {
            Some(to) if self.relays.handle_question(now, from, suspect, nonce) => {
                self.stats.relays += 1;
                self.send_probe(suspect, to, nonce);
            }
            Some(_) | None => self.stats.relays_refused += 1,
        }
    }

    pub(super) fn receive_relayed(&mut self, now: Time, relayed: Relayed) {
        if relayed.to == self.id && self.membership.member(relayed.from).is_some() {
            self.membership.handle_relayed(now, relayed.suspect, relayed.nonce);
        }
    }

    fn send_datagram(&mut self, to: SocketAddr, kind: Kind, body: &impl Serialize) {
        let bytes = FrameWriter::new(self.cluster).datagram(kind, body).into();
        self.outbox.push_back(Transmit::Datagram { to, bytes });
    }
}
