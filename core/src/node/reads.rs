//! What can be seen of a node.

use alloc::{sync::Arc, vec::Vec};
use core::time::Duration;

use super::Node;
use crate::{
    config::Config,
    key::SessionKey,
    life::EndCause,
    member::{Member, MemberId, MemberState},
    session::Session,
    stats::Stats,
    time::Time,
    traffic::AttributeTraffic,
};

impl Node {
    /// Which life this is.
    pub fn id(&self) -> MemberId {
        self.id
    }

    /// How far this member is.
    pub fn state(&self) -> MemberState {
        self.state
    }

    /// Whether the sessions of everybody who is gone have owners again, every copy is where it must be and no other is
    /// left (P6), as far as this node is concerned.
    pub fn is_settled(&self) -> bool {
        self.ownership.is_settled() && self.relocation.is_settled()
    }

    /// Who must hold a copy of a session in the view of this node, itself included; its owner holds one too.
    pub fn holders(&self, key: &SessionKey) -> Vec<MemberId> {
        self.placement.holders(key)
    }

    /// A session that lives, if it may be served from here: where not everybody holds everything, [`fetch`](Self::fetch)
    /// first.
    pub fn session(&self, key: &SessionKey) -> Option<&Arc<Session>> {
        self.sessions.record(key).filter(|session| session.is_live() && self.serves(key))
    }

    /// A session that lives, as far as it is held here; [`fetch`](Self::fetch) tells whether it may be served from here.
    pub fn held(&self, key: &SessionKey) -> Option<&Arc<Session>> {
        self.sessions.record(key).filter(|session| session.is_live())
    }

    /// When a session ends if it is not used any more; `None` if never, or if there is none.
    pub fn deadline(&self, key: &SessionKey) -> Option<Time> {
        self.sessions.deadline(key)
    }

    /// When a session ends however much it is used: the end that was fixed for it, or its greatest age.
    pub fn ends_by(&self, key: &SessionKey) -> Option<Time> {
        self.sessions.ends_by(key)
    }

    /// Why a session is gone, as long as that is remembered.
    pub fn ended(&self, key: &SessionKey) -> Option<EndCause> {
        self.sessions.record(key).and_then(|session| session.ended())
    }

    /// What is held of a session, whether it is served here, or has ended.
    pub fn record(&self, key: &SessionKey) -> Option<&Arc<Session>> {
        self.sessions.record(key)
    }

    /// What is held of all sessions, the ended ones included.
    pub fn records(&self) -> impl Iterator<Item = (&SessionKey, &Arc<Session>)> {
        self.sessions.records()
    }

    /// How many sessions live.
    pub fn sessions(&self) -> usize {
        self.sessions.live()
    }

    /// How many bytes the sessions that are held here count, copies of others' included: names and values of all
    /// attributes, and for each session [`SESSION_OVERHEAD`](crate::SESSION_OVERHEAD) and for each attribute
    /// [`ATTRIBUTE_OVERHEAD`](crate::ATTRIBUTE_OVERHEAD), which the key and what is kept beside them take, about. One that
    /// has expired counts until it is dead for good; an end that is remembered counts nothing.
    pub fn memory(&self) -> usize {
        self.sessions.load().bytes
    }

    /// The other members of the view, the oldest ready one first.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.membership.members().into_iter()
    }

    /// Members of other domains on the same network, domain by domain: they are seen, and not fed.
    pub fn neighbors(&self) -> impl Iterator<Item = &Member> {
        self.membership.neighbors().listed().into_iter()
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        Stats { registers_sent: self.traffic.registers(), ..self.stats }
    }

    /// How far another member of the view lags behind: the age of the oldest change of a session that was to be brought to it
    /// and that it has not acknowledged. Zero if it has all; `None` if it is not in the view. The shared map does not count.
    pub fn lag(&self, now: Time, member: MemberId) -> Option<Duration> {
        let feed = self.feeds.get(&member)?;
        Some(feed.lags_since().map_or(Duration::ZERO, |since| now.since(since)))
    }

    /// The attributes that take the most room on the wire, the most bytes first: a short list, in which whatever takes a
    /// large part of all is found.
    pub fn attribute_traffic(&self) -> Vec<AttributeTraffic> {
        self.traffic.top()
    }
}
