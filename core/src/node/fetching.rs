//! Sessions that this member need not hold, asked of those who must.

use alloc::{sync::Arc, vec::Vec};

use super::{Node, copies::Pace};
use crate::{
    copies::Copies,
    delta::CommitError,
    feed::Note,
    fetch::{Answered, Fetch, FetchId, Fetched, Found, Purpose, Wanted},
    key::SessionKey,
    member::{MemberId, MemberState},
    sessions::Brought,
    time::Time,
    version::{AtLeast, SessionVersion},
};

impl Node {
    /// Makes sure that a session can be looked at or changed here, where not every member holds it. The answer is for
    /// now: fetch again before each look or change. Who needs no answer, because the session is new or is created anew,
    /// need not ask; but one that is created anew without asking also ends what an id change has moved away from the key.
    ///
    /// # Errors
    ///
    /// The node does not serve, or `commits_max` questions are under way.
    pub fn fetch(&mut self, now: Time, key: SessionKey, purpose: Purpose) -> Result<Fetch, CommitError> {
        let now = self.moved_to(now);
        let alone = matches!(self.config.copies, Copies::Everywhere | Copies::Nowhere);
        if self.state == MemberState::Ready && (alone || self.serves(&key)) {
            return Ok(Fetch::Here);
        }
        let id = self.ask(now, key, purpose, None)?;
        self.advance(now);
        Ok(Fetch::Asked(id))
    }

    /// A session that is not older than what was seen of it elsewhere, by who hands in its version: if the copy here is, or
    /// there is none, others are asked, for at most `fetch_for`. It is no use of it.
    ///
    /// # Errors
    ///
    /// The node does not serve, or `commits_max` questions are under way.
    pub fn session_at_least(
        &mut self,
        now: Time,
        key: &SessionKey,
        floor: &SessionVersion,
    ) -> Result<AtLeast, CommitError> {
        let now = self.moved_to(now);
        let record = self.sessions.record(key);
        let have = record.map(|session| session.version());
        let serves = self.serves(key) && have.as_ref().is_some_and(|have| have.covers(floor));
        match record.filter(|_| serves).map(|session| (session, session.ended())) {
            Some((session, None)) => return Ok(AtLeast::Here(session.clone())),
            Some((_, Some(cause))) => return Ok(AtLeast::Ended(cause)),
            None => {}
        }
        if self.others.ready.is_empty() {
            return Ok(AtLeast::Stale { have, want: floor.clone() });
        }
        let id = self.ask(now, *key, Purpose::Peek, Some(floor.clone()))?;
        self.advance(now);
        Ok(AtLeast::Asked(id))
    }

    fn ask(
        &mut self,
        now: Time,
        key: SessionKey,
        purpose: Purpose,
        floor: Option<SessionVersion>,
    ) -> Result<FetchId, CommitError> {
        match purpose {
            Purpose::Peek | Purpose::Read => self.admit(self.fetches.len())?,
            Purpose::Write => self.admit_write(self.fetches.len())?,
        }
        self.stats.fetches += 1;
        let (id, news) = self.fetches.ask(key, purpose, floor, now + self.config.fetch_for);
        if news {
            self.ask_holders(key);
        }
        Ok(id)
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
                        let until = self.sessions.remaining(now, &key).map(|remaining| now + remaining);
                        let found = Found { session: (*session).clone(), until, whole: true };
                        self.answer_found(now, key, found, wanted);
                    }
                    None => self.answer_unknown(wanted),
                },
                Answered::Found(found, wanted) => self.answer_found(now, key, found, wanted),
            }
            let serves = self.serves(&key);
            let (here, again): (Vec<_>, Vec<_>) = later.into_iter().partition(|late| serves && late.floor.is_none());
            here.into_iter().for_each(|wanted| self.fetches.answer(wanted.id, Fetched::Here));
            if !again.is_empty() {
                self.fetches.start(key, again, now + self.config.fetch_for);
                self.ask_holders(key);
            }
        }
    }

    fn answer_found(&mut self, now: Time, key: SessionKey, mut found: Found, wanted: Vec<Wanted>) {
        if let Some(mine) = self.sessions.record(&key) {
            // Not to be served from, but perhaps newer.
            found.session.merge(mine);
        }
        let live = found.session.is_live();
        if live && wanted.iter().any(|wanted| wanted.purpose == Purpose::Write) {
            self.take_over_found(now, key, &found);
        } else if live && wanted.iter().any(|wanted| wanted.purpose == Purpose::Read) {
            self.tell_use_elsewhere(key, found.session.owner());
        }
        if !live && wanted.iter().any(|wanted| wanted.purpose == Purpose::Write) {
            // What is created or moved here must be above the end.
            let brought = Brought { whole: true, until: None };
            self.sessions.apply_whole(now, key, &found.session, brought);
            self.settle_record(now, key, None);
            self.look_at_copy(now, key, Pace::News);
        }
        let deadline = [found.until, found.session.age_until()].into_iter().flatten().min();
        let session = Arc::new(found.session);
        let have = wanted.iter().any(|wanted| wanted.floor.is_some()).then(|| session.version());
        for Wanted { id, purpose, floor } in wanted {
            let stale = floor.filter(|floor| have.as_ref().is_none_or(|have| !have.covers(floor)));
            let fetched = match (stale, purpose) {
                (Some(want), _) => Fetched::Stale { have: have.clone(), want },
                (None, Purpose::Write) if live => Fetched::Here,
                (None, Purpose::Write) => Fetched::Unknown,
                (None, Purpose::Read | Purpose::Peek) => Fetched::Copy(session.clone(), deadline),
            };
            self.fetches.answer(id, fetched);
        }
    }

    fn answer_unknown(&mut self, wanted: Vec<Wanted>) {
        for Wanted { id, floor, .. } in wanted {
            let fetched = floor.map_or(Fetched::Unknown, |want| Fetched::Stale { have: None, want });
            self.fetches.answer(id, fetched);
        }
    }

    /// This member becomes the owner of what it has found.
    fn take_over_found(&mut self, now: Time, key: SessionKey, found: &Found) {
        let brought = Brought { whole: true, until: found.until };
        let effect = self.sessions.apply_whole(now, key, &found.session, brought);
        let before = self.sessions.record(&key).and_then(|session| session.owner());
        if before != Some(self.id) {
            self.stats.takeovers += 1;
            self.sessions.take_over(key, self.id);
        }
        let change = self.next_change();
        self.feed_takeover(key, change, before.filter(|owner| *owner != self.id));
        self.feed_to_joiners(key);
        self.tell_of_links(key);
        self.settle_record(now, key, effect.ended);
    }

    /// A session was used here, and others know how long it lives on: its owner hears of the use, or if that is out of the view,
    /// all who hold it.
    pub(super) fn tell_use_elsewhere(&mut self, key: SessionKey, owner: Option<MemberId>) {
        match owner.and_then(|owner| self.feeds.get_mut(&owner)) {
            Some(feed) => feed.note(Note::UseElsewhere(key)),
            None => self.note_holders(&key, Note::UseElsewhere(key), None),
        }
    }
}
