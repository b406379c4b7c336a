//! Looks at the cluster through the eyes of its members: each is asked again until it sees what is waited for.

use core::time::Duration;
use std::{io, thread, time::Instant};

use super::{
    client::{Client, Reply},
    member::Member,
};

/// Fine enough to time what takes some milliseconds, and next to nothing for a node.
const ASK_EVERY: Duration = Duration::from_millis(1);

/// What one member tells about the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct View {
    /// The ids of the other members, in order.
    pub(crate) others: Vec<String>,
    /// Whether all others serve.
    pub(crate) all_ready: bool,
    /// Whether the sessions of everybody who is gone have owners and copies again.
    pub(crate) settled: bool,
    /// How many sessions it holds.
    pub(crate) sessions: u64,
    /// How often a copy came to it that it had not had before.
    pub(crate) received: u64,
}

impl View {
    /// Reads what `INFO` tells.
    fn parse(info: &str) -> Self {
        // A node that says nothing of the dead waits for nothing of theirs.
        let mut view = Self { all_ready: true, settled: true, ..Self::default() };
        for (key, value) in info.lines().filter_map(|line| line.split_once(':')) {
            let is_member = key.strip_prefix("member").is_some_and(|at| at.parse::<usize>().is_ok());
            match key {
                "settled" => view.settled = value != "no",
                "sessions" => view.sessions = value.parse().unwrap_or_default(),
                "copies_received" => view.received = value.parse().unwrap_or_default(),
                _ if is_member => view.handle_member(value),
                _ => {}
            }
        }
        view.others.sort();
        view
    }

    fn handle_member(&mut self, member: &str) {
        let value = |key: &str| member.split(',').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        self.others.extend(value("id").map(str::to_owned));
        self.all_ready &= value("state") == Some("ready");
    }

    /// Whether it lists these and nobody else.
    pub(crate) fn lists<'a>(&self, others: impl Iterator<Item = &'a Member>) -> bool {
        let mut ids: Vec<_> = others.map(|member| &member.id).collect();
        ids.sort();
        self.others.iter().eq(ids)
    }
}

/// A member that did not come to see what was waited for, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unseen {
    pub(crate) name: String,
    pub(crate) why: String,
}

/// Asks a member once.
///
/// # Errors
///
/// When it does not answer.
pub(crate) fn look(client: &mut Client) -> io::Result<View> {
    let reply = client.ask(&[b"INFO", b"heirloom"])?;
    let Reply::Bulk(info) = reply else { return Err(reply.unexpected("INFO")) };
    Ok(View::parse(&String::from_utf8_lossy(&info)))
}

/// Waits until each of these members sees what is asked for; tells when the last one did, and what it saw.
///
/// # Errors
///
/// The first member that did not see it in this time.
pub(crate) fn wait(
    members: &[&Member],
    until: Instant,
    is_seen: impl Fn(&Member, &View) -> bool + Sync,
) -> Result<(Instant, Vec<View>), Unseen> {
    let wait_for = |member: &Member| {
        let unseen = |why: String| Unseen { name: member.name.clone(), why };
        let mut client = Client::connect(member.listen).map_err(|error| unseen(error.to_string()))?;
        loop {
            let view = look(&mut client).map_err(|error| unseen(error.to_string()))?;
            let now = Instant::now();
            if is_seen(member, &view) {
                return Ok((now, view));
            }
            if until <= now {
                return Err(unseen(format!("it sees {view:?}")));
            }
            thread::sleep(ASK_EVERY);
        }
    };
    let seen = thread::scope(|scope| {
        let wait_for = &wait_for;
        let watchers: Vec<_> = members.iter().map(|member| scope.spawn(move || wait_for(member))).collect();
        let join = |watcher: thread::ScopedJoinHandle<'_, _>| watcher.join().expect("a watcher does not panic");
        watchers.into_iter().map(join).collect::<Result<Vec<_>, Unseen>>()
    })?;
    let last = seen.iter().map(|(at, _)| *at).max().unwrap_or_else(Instant::now);
    Ok((last, seen.into_iter().map(|(_, view)| view).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_member_tells_is_read() {
        let info = "# Heirloom\r\nname:a\r\nsettled:yes\r\nmembers:2\r\n\
                    member0:id=02,name=c,address=127.0.0.1:4001,state=joining,suspect=no\r\n\
                    member1:id=01,name=b,address=127.0.0.1:4000,state=ready,suspect=no\r\nsessions:17\r\ncopies_received:9\r\n";
        let others = vec!["01".into(), "02".into()];
        let view = View { others, all_ready: false, settled: true, sessions: 17, received: 9 };
        assert_eq!(View::parse(info), view);
    }
}
