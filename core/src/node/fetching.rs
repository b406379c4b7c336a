//! Sessions that this member need not hold, asked of those who must.

use alloc::{sync::Arc, vec::Vec};

use super::Node;
use crate::{
    copies::Copies,
    delta::CommitError,
    feed::Note,
    fetch::{Answered, Fetch, FetchId, Fetched, Found, Purpose},
    key::SessionKey,
    member::{MemberId, MemberState},
    sessions::Brought,
    time::Time,
};

impl Node {
    /// Makes sure that a session can be looked at or changed here, where not every member holds it. The answer is for
    /// now: fetch again before each look or change. Who needs no answer, because the session is new or is created anew,
    /// need not ask.
    ///
    /// # Errors
    ///
    /// The node does not serve, or `commits_max` questions are under way.
    pub fn fetch(&mut self, now: Time, key: SessionKey, purpose: Purpose) -> Result<Fetch, CommitError> {
        let now = self.moved_to(now);
        match self.state {
            MemberState::Joining => return Err(CommitError::NotReady),
            MemberState::Leaving => return Err(CommitError::Leaving),
            MemberState::Ready => {}
        }
        if matches!(self.config.copies, Copies::Everywhere | Copies::Nowhere) || self.serves(&key) {
            return Ok(Fetch::Here);
        }
        if self.config.commits_max <= self.fetches.len() {
            return Err(CommitError::TooManyCommits { max: self.config.commits_max });
        }
        self.stats.fetches += 1;
        let (id, news) = self.fetches.ask(key, purpose, now + self.config.fetch_for);
        if news {
            self.ask_holders(key);
        }
        self.advance(now);
        Ok(Fetch::Asked(id))
    }

    fn ask_holders(&mut self, key: SessionKey) {
        let ready = &self.others.ready;
        let holders = self.other_holders(&key).into_iter().filter(|member| ready.contains(member)).collect();
        self.ask_for(key, holders);
    }

    fn ask_for(&mut self, key: SessionKey, members: Vec<MemberId>) {
        for member in self.fetches.handle_asked(&key, members) {
            if let Some(feed) = self.feeds.get_mut(&member) {
                feed.note(Note::Fetch(key));
            }
        }
    }

    /// Goes on with the questions for which the answers are in.
    pub(super) fn answer_fetches(&mut self, now: Time) {
        while let Some((key, answered, later)) = self.fetches.poll_answered(&self.others.ready) {
            match answered {
                Answered::Widen => self.ask_for(key, self.others.ready.iter().copied().collect()),
                Answered::Unknown(wanted) => match self.sessions.record(&key).cloned() {
                    // Not all that there was, perhaps, but all that there is.
                    Some(session) => {
                        let remaining = self.sessions.remaining(now, &key);
                        let found = Found { session: (*session).clone(), remaining, whole: true };
                        self.answer_found(now, key, found, wanted);
                    }
                    None => wanted.into_iter().for_each(|(id, _)| self.fetches.answer(id, Fetched::Unknown)),
                },
                Answered::Found(found, wanted) => self.answer_found(now, key, found, wanted),
            }
            if self.serves(&key) {
                later.into_iter().for_each(|(id, _)| self.fetches.answer(id, Fetched::Here));
            } else if !later.is_empty() {
                self.fetches.start(key, later, now + self.config.fetch_for);
                self.ask_holders(key);
            }
        }
    }

    fn answer_found(&mut self, now: Time, key: SessionKey, mut found: Found, wanted: Vec<(FetchId, Purpose)>) {
        if let Some(mine) = self.sessions.record(&key) {
            // Not to be served from, but perhaps newer.
            found.session.merge(mine);
        }
        let live = found.session.is_live();
        if live && wanted.iter().any(|(_, purpose)| *purpose == Purpose::Write) {
            self.take_over_found(now, key, &found);
        } else if live && wanted.iter().any(|(_, purpose)| *purpose == Purpose::Read) {
            self.tell_use_elsewhere(key, found.session.owner());
        }
        let deadline = found.remaining.map(|remaining| now + remaining);
        let session = Arc::new(found.session);
        for (id, purpose) in wanted {
            let fetched = match purpose {
                Purpose::Write if live => Fetched::Here,
                Purpose::Write => Fetched::Unknown,
                Purpose::Read | Purpose::Peek => Fetched::Copy(session.clone(), deadline),
            };
            self.fetches.answer(id, fetched);
        }
    }

    /// This member becomes the owner of what it has found.
    fn take_over_found(&mut self, now: Time, key: SessionKey, found: &Found) {
        let brought = Brought { whole: true, remaining: found.remaining };
        let effect = self.sessions.apply_whole(now, key, &found.session, brought);
        let before = self.sessions.record(&key).and_then(|session| session.owner());
        if before != Some(self.id) {
            self.stats.takeovers += 1;
            self.sessions.take_over(key, self.id);
        }
        let change = self.next_change();
        self.feed_takeover(key, change, before.filter(|owner| *owner != self.id));
        self.feed_to_joiners(key);
        self.settle_record(now, key, effect.ended);
    }

    /// A copy was looked at here: its owner hears of the use, or if that is out of the view, all who hold it.
    fn tell_use_elsewhere(&mut self, key: SessionKey, owner: Option<MemberId>) {
        match owner.and_then(|owner| self.feeds.get_mut(&owner)) {
            Some(feed) => feed.note(Note::UseElsewhere(key)),
            None => self.note_holders(&key, Note::UseElsewhere(key), None),
        }
    }
}
