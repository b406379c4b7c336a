//! The demonstration itself, step by step.

use core::{net::SocketAddr, time::Duration};
use std::{
    io::{self, Write as _},
    process::ExitStatus,
    sync::mpsc::Receiver,
    thread,
    time::Instant,
};

use indicatif::HumanCount;

use super::{
    Flags,
    model::Written,
    readback,
    screen::{Screen, Tone, list, time},
    summary::{Summary, per_second},
    traffic::{self, Plan, Tally, Writer},
};
use crate::local::{
    Failed,
    children::{ChildId, Children},
    member::{Member, Starting},
    network::{Network, random},
    watch::{self, Unseen, View},
};

/// How long members may take to see that one has come or is gone.
const SEE_FOR: Duration = Duration::from_secs(10);
/// How long the survivors have, once nobody writes any more, until everything is read.
const REPAIR_FOR: Duration = Duration::from_secs(5);
/// How long a node may take to leave: what it may wait for others, and some more.
const LEAVE_FOR: Duration = Duration::from_secs(15);
/// Which of the nodes is killed; another, the first, is stopped later.
const VICTIM: usize = 1;

/// The demonstration as far as it has come.
pub(super) struct Demo<'a> {
    flags: &'a Flags,
    screen: Screen,
    children: Children,
    network: Network,
    cluster: String,
    /// Those that are meant to run.
    members: Vec<Member>,
    sessions: Vec<Written>,
    summary: Summary,
}

impl<'a> Demo<'a> {
    pub(super) fn new(flags: &'a Flags, screen: Screen) -> Result<Self, Failed> {
        let durability = flags.durability.name();
        let (nodes, sessions, bytes) = (flags.nodes, HumanCount(flags.sessions.into()), flags.value_bytes);
        let copies = flags.copies;
        let title =
            format!("{nodes} nodes, {sessions} sessions of {bytes} bytes, copies {copies}, durability {durability}");
        screen.line(&format!("{} {title}", screen.toned(Tone::Bold, "heirloom demo:")));
        let children = Children::new().map_err(|error| Failed(format!("cannot take signals: {error}")))?;
        let cluster = format!("demo-{:08x}", random() >> 32);
        // One more for the replacement.
        let (network, refused) = Network::find(usize::from(nodes) + 1)
            .map_err(|error| Failed(format!("there are not enough free ports on 127.0.0.1: {error}")))?;
        match (&network, refused) {
            (Network::Group(group), _) => screen.tell(format!("{cluster} meets in {group} on the loopback interface")),
            (Network::Addresses(_), why) => {
                let why = why.unwrap_or_default();
                screen.tell(format!("{cluster} has static addresses, as there is no multicast: {why}"));
            }
        }
        let summary = Summary::new(nodes, flags.sessions, bytes);
        let sessions = (0..flags.sessions).map(|_| Written::default()).collect();
        Ok(Self { flags, screen, children, network, cluster, members: Vec::new(), sessions, summary })
    }

    pub(super) fn show(mut self) -> Result<Summary, Failed> {
        if let Err(failed) = self.play() {
            // If somebody has ended, that is why.
            return self.check_alive().and(Err(failed));
        }
        let Self { summary, screen, children, .. } = self;
        drop(children);
        summary.show(&screen);
        Ok(summary)
    }

    fn play(&mut self) -> Result<(), Failed> {
        self.start_all()?;
        let repaired_by = self.write_and_kill()?;
        self.read_back(0, repaired_by)?;
        self.replace()?;
        self.read_back(self.members.len() - 1, Instant::now())?;
        self.stop_one()?;
        self.read_back(0, Instant::now())
    }

    fn start_all(&mut self) -> Result<(), Failed> {
        let starting: Vec<_> = (0..self.flags.nodes.into()).map(|node| self.start(node)).collect::<Result<_, _>>()?;
        let names = names(starting.iter().map(Starting::name));
        self.screen.tell(format!("{names} are started and look for each other"));
        let waiting = self.screen.spinner("whoever finds nobody to join waits for some seconds");
        for starting in starting {
            let member = starting.wait(&self.children)?;
            self.show_ready(&member);
            self.members.push(member);
        }
        waiting.finish_and_clear();
        self.wait_for_each_other()
    }

    /// Writes everything. Tells until when the survivors must have repaired what the kill has broken.
    fn write_and_kill(&mut self) -> Result<Instant, Failed> {
        let writes = u64::from(traffic::ROUNDS) * u64::from(self.flags.sessions);
        let rounds = traffic::ROUNDS;
        self.screen.tell(format!("writing every session {rounds} times, each time through another node"));
        let addresses: Vec<SocketAddr> = self.members.iter().map(|member| member.listen).collect();
        let bar = self.screen.bar("written", writes);
        let plan = Plan { addresses: &addresses, value_bytes: self.value_bytes(), victim: VICTIM, bar: &bar };
        let mut sessions = core::mem::take(&mut self.sessions);
        let child = self.members[VICTIM].child;
        let (writers, was_killed) = traffic::writers(&plan, &mut sessions, &self.children, child);
        let started = Instant::now();
        let (tally, wrote_for, noticed) = thread::scope(|scope| {
            let timed = move |writer: Writer<'_>| (writer.run(), started.elapsed());
            let running: Vec<_> = writers.into_iter().map(|writer| scope.spawn(move || timed(writer))).collect();
            let noticed = self.notice(&was_killed);
            let (mut tally, mut wrote_for) = (Tally::default(), Duration::ZERO);
            for writer in running {
                let (written, elapsed) = writer.join().expect("a writer does not panic");
                tally.add(written);
                wrote_for = wrote_for.max(elapsed);
            }
            (tally, wrote_for, noticed)
        });
        bar.finish_and_clear();
        self.sessions = sessions;
        self.summary.wrote_for = wrote_for;
        let victim = self.members.remove(VICTIM);
        let (detected, before) = noticed?;
        self.summary.detected = detected;
        self.show_written(&tally);
        self.summary.writes = tally;
        let repaired_by = Instant::now() + REPAIR_FOR;
        self.wait_for_repair(&victim, repaired_by);
        let survivors: Vec<_> = self.members.iter().collect();
        self.summary.copied = received(&survivors)?.saturating_sub(before);
        self.check_alive()?;
        Ok(repaired_by)
    }

    /// Waits until the node is killed and nobody lists it any more. Tells how long that took, and how many copies had been
    /// made till then.
    fn notice(&self, was_killed: &Receiver<Instant>) -> Result<(Duration, u64), Failed> {
        let victim = &self.members[VICTIM];
        let name = &victim.name;
        let Ok(killed) = was_killed.recv() else {
            return Err(Failed(format!("node {name} broke off before it was killed")));
        };
        let pid = self.children.pid(victim.child);
        let kill = self.screen.toned(Tone::Bold, format!("kill -9 {name}"));
        self.screen.tell(format!("{kill} (process {pid}) in the middle of its traffic"));
        let survivors: Vec<_> = self.members.iter().filter(|member| member.id != victim.id).collect();
        let received = received(&survivors)?;
        let is_gone = |_: &Member, view: &View| !view.others.contains(&victim.id);
        let (seen, _) = watch::wait(&survivors, killed + SEE_FOR, is_gone).map_err(Failed::from)?;
        let (took, names) = (seen - killed, names_of(&survivors));
        self.screen.tell(format!("{name} is no longer listed by {names}: {} after the kill", time(took)));
        Ok((took, received))
    }

    fn wait_for_repair(&self, victim: &Member, until: Instant) {
        let survivors: Vec<_> = self.members.iter().collect();
        let started = Instant::now();
        let is_repaired = |me: &Member, view: &View| {
            let others = survivors.iter().copied().filter(|other| other.id != me.id);
            view.settled && view.lists(others)
        };
        match watch::wait(&survivors, until, is_repaired) {
            Ok((seen, views)) => {
                let (took, sessions) = (time(seen.saturating_duration_since(started)), counts(&survivors, &views));
                let name = &victim.name;
                self.screen.tell(format!("the sessions of {name} are settled {took} after that: {sessions}"));
            }
            Err(Unseen { name, why }) => {
                let limit = time(REPAIR_FOR);
                self.screen.tell(format!("{name} has not settled the sessions within {limit} ({why}); reading anyway"));
            }
        }
    }

    /// Reads everything from the members from this one on, and shows what is there.
    fn read_back(&mut self, from: usize, until: Instant) -> Result<(), Failed> {
        let members: Vec<_> = self.members[from..].iter().collect();
        let values = u64::try_from(members.len() * self.sessions.len()).unwrap_or(u64::MAX);
        let bar = self.screen.bar("read", values);
        let found = readback::read(&members, &self.sessions, self.value_bytes(), until, &bar)?;
        bar.finish_and_clear();
        let rate = HumanCount(per_second(found.values, found.elapsed));
        let tone = if found.lost.is_empty() && found.wrong.is_empty() { Tone::Good } else { Tone::Bad };
        let verdict = format!("lost {}, wrong {}", found.lost.len(), found.wrong.len());
        let (verdict, names) = (self.screen.toned(tone, verdict), names_of(&members));
        self.screen.tell(format!("read everything from {names}: {verdict} ({rate} a second)"));
        if 0 < found.late {
            let late = HumanCount(found.late);
            self.screen.tell(format!("{late} of the values came {} late", time(found.late_for)));
        }
        self.summary.add(found);
        self.check_alive()
    }

    fn replace(&mut self) -> Result<(), Failed> {
        let starting = self.start(self.flags.nodes.into())?;
        self.screen.tell(format!("a replacement starts: {}", starting.name()));
        let waiting = self.screen.spinner("it receives the sessions");
        let member = starting.wait(&self.children)?;
        waiting.finish_and_clear();
        self.show_ready(&member);
        self.screen.tell(format!("{} says so {} after its start", member.name, time(member.ready_after)));
        self.summary.joined = member.ready_after;
        self.members.push(member);
        Ok(())
    }

    fn stop_one(&mut self) -> Result<(), Failed> {
        self.wait_for_each_other()?;
        let leaver = self.members.remove(0);
        let name = &leaver.name;
        let others: Vec<_> = self.members.iter().collect();
        let asked = Instant::now();
        self.children
            .terminate(leaver.child)
            .map_err(|error| Failed(format!("cannot send SIGTERM to node {name}: {error}")))?;
        let pid = self.children.pid(leaver.child);
        self.screen.tell(format!("{} {name} (process {pid})", self.screen.toned(Tone::Bold, "SIGTERM to")));
        let (left, seen) = thread::scope(|scope| {
            let is_gone = |_: &Member, view: &View| !view.others.contains(&leaver.id);
            let watching = scope.spawn(move || watch::wait(&others, asked + LEAVE_FOR, is_gone));
            let left = self.wait_for_end(leaver.child, asked + LEAVE_FOR);
            (left, watching.join().expect("a watcher does not panic"))
        });
        let Some((status, ended)) = left else {
            return Err(Failed(format!("node {name} did not leave within {}", time(LEAVE_FOR))));
        };
        let ((seen, _), names) = (seen?, names_of(&self.members.iter().collect::<Vec<_>>()));
        self.screen.tell(format!("{name} is no longer listed by {names}: {} after the signal", time(seen - asked)));
        self.screen.tell(format!("{name} has ended: {} after the signal, with {status}", time(ended - asked)));
        if status.success() { Ok(()) } else { Err(Failed(format!("node {name} has left, but with {status}"))) }
    }

    fn start(&self, node: usize) -> Result<Starting, Failed> {
        let name = char::from(b'a' + u8::try_from(node).unwrap_or_default()).to_string();
        let mut flags = vec!["--cluster-name".into(), self.cluster.clone()];
        flags.extend(["--durability".into(), self.flags.durability.name().into()]);
        flags.extend(["--copies".into(), self.flags.copies.to_string()]);
        flags.extend(self.network.flags(node));
        Starting::new(&self.children, &name, &flags)
    }

    fn wait_for_each_other(&self) -> Result<(), Failed> {
        let members: Vec<_> = self.members.iter().collect();
        let is_seen = |me: &Member, view: &View| {
            view.all_ready && view.lists(members.iter().copied().filter(|other| other.id != me.id))
        };
        let (_, views) = watch::wait(&members, Instant::now() + SEE_FOR, is_seen)?;
        let (all, sessions) = (names_of(&members), counts(&members, &views));
        self.screen.tell(format!("{all} list each other, all ready: {sessions}"));
        Ok(())
    }

    fn wait_for_end(&self, child: ChildId, until: Instant) -> Option<(ExitStatus, Instant)> {
        while Instant::now() < until {
            if let Ok(Some(status)) = self.children.ended(child) {
                return Some((status, Instant::now()));
            }
            thread::sleep(Duration::from_millis(1));
        }
        None
    }

    /// Nobody may have ended by itself. Of one that has, shows what it said last.
    fn check_alive(&self) -> Result<(), Failed> {
        let ended = |member: &&Member| self.children.ended(member.child).ok().flatten().is_some();
        let Some(member) = self.members.iter().find(ended) else { return Ok(()) };
        for line in member.last_lines() {
            let _unheard = writeln!(io::stderr(), "{} | {line}", member.name);
        }
        let status = self.children.ended(member.child).ok().flatten().map(|status| status.to_string());
        let (name, status) = (&member.name, status.unwrap_or_default());
        Err(Failed(format!("node {name} has ended by itself with {status}; its last lines are above")))
    }

    fn show_ready(&self, member: &Member) {
        let Member { name, listen, bind, .. } = member;
        let cause = if member.cause == "first-member" { "first" } else { &member.cause };
        self.screen.tell(format!("{name} is ready: clients {listen}, members {bind}, {cause}"));
    }

    fn show_written(&self, tally: &Tally) {
        let [acknowledged, attempted, unanswered, refused] =
            [tally.acknowledged, tally.attempted, tally.unanswered(), tally.refused].map(HumanCount);
        let rate = HumanCount(per_second(tally.acknowledged, self.summary.wrote_for));
        self.screen.tell(format!("{acknowledged} of {attempted} writes acknowledged, {rate} a second"));
        if 0 < tally.unanswered() {
            self.screen.tell(format!("{unanswered} were not answered by the dead and tried again elsewhere"));
        }
        match &tally.error {
            None => {}
            Some(error) if error.starts_with("NOREPLICAS") => {
                self.screen.tell(format!("{refused} were refused for want of members to copy to (NOREPLICAS)"));
            }
            Some(error) => self.screen.tell(format!("{refused} were refused: {error}")),
        }
    }

    fn value_bytes(&self) -> usize {
        usize::try_from(self.flags.value_bytes).unwrap_or(usize::MAX)
    }
}

/// Names, unless they are too many for a line.
fn names<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    const SHOWN_MAX: usize = 4;
    if names.len() <= SHOWN_MAX { list(names) } else { format!("{} nodes", names.len()) }
}

fn names_of(members: &[&Member]) -> String {
    names(members.iter().map(|member| &*member.name))
}

/// How many copies have come to these members so far.
fn received(members: &[&Member]) -> Result<u64, Failed> {
    let (_, views) = watch::wait(members, Instant::now(), |_, _| true)?;
    Ok(views.iter().map(|view| view.received).sum())
}

/// How many sessions each of them holds, once if it is as many.
fn counts(members: &[&Member], views: &[View]) -> String {
    match views {
        [first, others @ ..] if others.iter().all(|view| view.sessions == first.sessions) => {
            format!("{} sessions each", HumanCount(first.sessions))
        }
        _ => {
            let count = |(member, view): (&&Member, &View)| format!("{} {}", member.name, HumanCount(view.sessions));
            let counts: Vec<_> = members.iter().zip(views).map(count).collect();
            let all = HumanCount(views.iter().map(|view| view.sessions).sum());
            format!("{all} copies: {}", counts.join(", "))
        }
    }
}
