//! How a run hears what its members tell: first the history, then the oracles.

use heirloom_core::{CommitId, EndCause, Event, Outcome};

use crate::{
    cluster::{Fact, What},
    names::{Name, shown},
    oracles::{End, View},
    record::{Happened, Step, Subject},
    sim::Sim,
    violation::{Promise, Violation},
};

impl Sim {
    /// Hears what processes told: first the history, then the oracles.
    pub(crate) fn attend(&mut self) -> Result<(), Violation> {
        while let Some(fact) = self.cluster.poll_fact() {
            self.hear(&fact)?;
        }
        self.note_twists();
        Ok(())
    }

    /// A member tells that it, or another, has made room. Where too few events fit, what it holds says so as well.
    fn hear_eviction(&mut self, fact: &Fact) {
        let evictions = self.history.evictions_mut();
        match &fact.what {
            What::Event(Event::SessionEnded(key, EndCause::Evicted)) => {
                evictions.handle_word(self.cluster.now(), fact.life, *key);
            }
            What::Changed(key) => {
                let living = self.cluster.living(fact.life);
                let is_evicted = living.is_some_and(|(_, process)| process.node.ended(key) == Some(EndCause::Evicted));
                evictions.handle_state(self.cluster.now(), fact.life, *key, is_evicted);
            }
            What::Event(_) | What::Outcome(..) | What::Fetched(..) | What::Message(_) => {}
        }
    }

    fn hear(&mut self, fact: &Fact) -> Result<(), Violation> {
        let now = self.cluster.now();
        match &fact.what {
            What::Event(event) => self.cluster.note(|_| Happened::Told(fact.host, event.clone())),
            What::Message(message) => self.cluster.note(|_| Happened::Mail(fact.host, message.from)),
            What::Outcome(..) | What::Fetched(..) | What::Changed(_) => {}
        }
        if let What::Outcome(id, outcome) = &fact.what {
            self.cluster.marks.ended(outcome);
            self.hear_outcome(fact, *id, outcome)?;
        }
        if let What::Message(message) = &fact.what
            && let Err(story) = self.history.mail_mut().handle_message(fact.life, message)
        {
            return Err(Violation { promise: Promise::Turn, at: now, story });
        }
        self.hear_name(fact);
        self.hear_eviction(fact);
        let view = View::new(&self.cluster, &self.history, &self.ledger);
        self.oracles.handle_fact(view, fact)?;
        if let What::Fetched(id, fetched) = &fact.what {
            self.cluster.marks.fetched(fetched);
            self.hear_fetched(fact, *id, fetched)?;
        }
        if let What::Event(event) = &fact.what {
            self.cluster.marks.told(event);
            if !self.triggers.is_empty() {
                self.triggers.handle_event(fact.host, event, |member| self.cluster.host_of(member));
            }
            self.events.push((now, fact.host, event.clone()));
        }
        if let What::Event(Event::Left { at_risk }) = &fact.what {
            self.handle_exit(fact.life);
            let end = if at_risk.is_none() { End::HandedOver } else { End::AtRisk };
            self.note_death(fact.host, fact.life, end);
        }
        Ok(())
    }

    fn hear_outcome(&mut self, fact: &Fact, id: CommitId, outcome: &Outcome) -> Result<(), Violation> {
        let now = self.cluster.now();
        if let Some(write) = self.history.names_mut().handle_outcome(now, fact.life, id, outcome).cloned() {
            self.note_step(fact.host, Subject::Name(write.name), write.serial, Step::of(outcome));
            let view = View::new(&self.cluster, &self.history, &self.ledger);
            return self.oracles.handle_name_outcome(view, &write);
        }
        let Some(serial) = self.history.handle_outcome(now, fact.life, id, outcome) else {
            let story = format!("{} tells the end of {id:?}, which is not in flight", fact.host);
            return Err(Violation { promise: Promise::Turn, at: now, story });
        };
        match self.history.attempt(serial) {
            Some(attempt) => {
                self.cluster.note(|_| {
                    Happened::Commit(fact.host, Subject::Session(attempt.ask.key), serial, Step::of(outcome))
                });
                let view = View::new(&self.cluster, &self.history, &self.ledger);
                self.oracles.handle_outcome(view, attempt)
            }
            None => Ok(()),
        }
    }

    /// A member that shows what another wrote has seen it.
    fn hear_name(&mut self, fact: &Fact) {
        let What::Event(Event::MapChanged(name)) = &fact.what else { return };
        let Some((_, process)) = self.cluster.living(fact.life) else { return };
        if let Some(name) = Name::named(name) {
            self.history.names_mut().handle_shown(fact.life, name, shown(&process.node, name));
        }
    }
}
