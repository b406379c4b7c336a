//! What a peer is told besides sessions: looked up when the frame is built.

use core::time::Duration;

use super::{building::Building, send::Source};
use crate::{
    digest,
    feed::{Carried, Feed, Note},
    join::Said,
    key::SessionKey,
    member::MemberId,
    wire::{self, Listing},
};

impl Source<'_> {
    /// Adds what a peer must be told besides sessions, as far as there is room.
    pub(super) fn add_notes(&self, peer: MemberId, feed: &mut Feed, frame: &mut Building<'_>) {
        while frame.has_room() {
            let Some(note) = feed.next_note().filter(|note| frame.has_room_for(self.room_of(peer, *note))) else {
                break;
            };
            if note.compares() && !(feed.is_drained() && frame.is_bare()) {
                break;
            }
            feed.drop_note(note);
            if let Note::Listing(from) = note {
                let rest = self.add_listing(peer, from, frame);
                rest.into_iter().for_each(|from| feed.note(Note::Listing(from)));
                frame.carried.push(Carried::Note(note));
            } else if let Note::Found(key) = note {
                if !self.add_found(feed, key, frame) {
                    feed.note(note);
                }
            } else {
                self.add_note(peer, note, frame);
                frame.carried.push(Carried::Note(note));
            }
        }
    }

    /// How many bytes a note takes at the most.
    fn room_of(&self, peer: MemberId, note: Note) -> usize {
        let listed = match note {
            Note::Offered | Note::OfferedBefore => self.ownership.gone().len(),
            Note::Done => self.joiners.said(peer).map_or(0, |said| said.view.len() + said.settled.len()),
            Note::Views => self.quorum.places(),
            Note::Pull(_)
            | Note::Leaving
            | Note::Round
            | Note::Use(_)
            | Note::UseElsewhere(_)
            | Note::Ask(_)
            | Note::Answer(_)
            | Note::Fetch(_)
            | Note::Found(_)
            | Note::Offer(_)
            | Note::Release(_)
            | Note::Map
            | Note::MapBack
            | Note::Digest => return wire::NOTE_ROOM,
            Note::Sums => return wire::SUMS_ROOM,
            Note::Listing(_) => return wire::LISTING_ROOM,
        };
        wire::LIST_ROOM + listed * wire::ID_ROOM
    }

    fn add_note(&self, peer: MemberId, note: Note, frame: &mut Building<'_>) {
        let mut items = frame.items();
        match note {
            Note::Leaving => items.leaving(),
            Note::Views => items.views(self.quorum.announced()),
            Note::Round => items.round(self.round),
            Note::Use(key) => {
                if let Some(remaining) = self.sessions.remaining(self.now, &key) {
                    items.use_of(key, remaining);
                } else {
                    items.missing(key);
                }
            }
            Note::Ask(key) => items.ask(key),
            Note::Answer(key) => {
                let remaining = self.sessions.remaining(self.now, &key);
                items.answer(key, remaining.filter(|remaining| !remaining.is_zero()));
            }
            Note::Pull(key) => items.pull(key),
            Note::Offer(key) => match self.sessions.record(&key).and_then(|session| session.held()) {
                Some(held) => items.offer(key, held),
                None => items.missing(key),
            },
            Note::UseElsewhere(key) => items.use_of(key, Duration::MAX),
            Note::Fetch(key) => items.fetch(key),
            Note::Found(_) | Note::Listing(_) => {}
            Note::Release(key) => {
                if let Some(digest) = self.relocation.release(&key, peer) {
                    items.release(key, digest)
                }
            }
            Note::Offered => items.offered(self.ownership.gone(), true),
            Note::Digest => {
                if let Some(digests) = self.digests {
                    items.digest(digests.view(), digests.given(peer).root());
                }
            }
            Note::Sums => {
                if let Some(digests) = self.digests {
                    items.sums(digests.view(), digests.held(peer).numbers());
                }
            }
            Note::Map => items.map(self.map.digest(), true),
            Note::MapBack => items.map(self.map.digest(), false),
            Note::OfferedBefore => items.offered(self.ownership.gone(), false),
            Note::Done => {
                if let Some(Said { round, view, settled }) = self.joiners.said(peer) {
                    items.done(round, view, settled);
                }
            }
        }
    }

    /// Adds what this member owns of a bucket over which it and a peer differ, from a key on. Tells from where on there is more.
    fn add_listing(&self, peer: MemberId, from: SessionKey, frame: &mut Building<'_>) -> Option<SessionKey> {
        let digests = self.digests?;
        let (ours, theirs) = digests.doubt(peer, digest::bucket(&from))?;
        let summed = self.sessions.summed(digest::range(from, None));
        let (listed, until) = digests.list(peer, summed, |key| self.placement.sharers(key));
        frame.items().listing(&Listing { view: digests.view(), ours, theirs, from, until, listed });
        until
    }
}
