//! What copies cost: bytes and messages of a commit and of a read, and what a change of the view moves.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use heirloom_benches::{Net, SETTLES_IN, Sent, cpu_time, keys, value};
use heirloom_core::{AtRisk, Copies, Delta, Durability, Fetch, Fetched, Purpose, SessionKey};

const USAGE: &str = "usage: copies [bytes] [messages] [reads] [moves] [restore] [drain] [split] [idle] [--sessions N]";

fn main() {
    let mut sessions = 100_000;
    let mut parts = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--sessions" => sessions = arguments.next().and_then(|count| count.parse().ok()).expect(USAGE),
            _ => parts.push(argument),
        }
    }
    if parts.is_empty() {
        parts = ["bytes", "messages", "reads", "moves", "restore", "drain", "split", "idle"].map(str::to_owned).into();
    }
    for part in parts {
        match part.as_str() {
            "bytes" => bytes(1000),
            "messages" => messages(&[2, 4, 8, 64], 100),
            "reads" => reads(100),
            "moves" => moves(&[3, 5, 8], sessions / 5),
            "restore" => restore(sessions),
            "drain" => drain(sessions),
            "split" => split(sessions / 10),
            "idle" => idle(&[3, 10, 100]),
            _ => {
                eprintln!("{USAGE}");
                std::process::exit(2);
            }
        }
        println!();
    }
}

/// Where the member stands that writes to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    /// It is among those that the ranking picks.
    Ranked,
    /// It is one more.
    Elsewhere,
}

/// Sessions to which the first member stands like this.
fn keys_with(net: &Net, writer: Writer, count: usize) -> Vec<SessionKey> {
    let ranked = |key: &SessionKey| net.holders(key).contains(&0) == (writer == Writer::Ranked);
    keys(100_000).into_iter().filter(ranked).take(count).collect()
}

fn millisecond(net: &mut Net) {
    net.run(Duration::from_millis(1));
}

/// What all, and the first member, have sent for so many rounds of commits, each of which is carried as a whole.
fn cost_of(net: &mut Net, rounds: usize, round: &[SessionKey], length: usize) -> (Sent, Sent) {
    let before = (net.sent(), net.sent_by(0));
    for n in 0..rounds {
        for (at, key) in round.iter().enumerate() {
            net.commit(0, *key, value(n * round.len() + at, length));
        }
        net.pump();
        millisecond(net);
    }
    (net.sent() - before.0, net.sent_by(0) - before.1)
}

fn bytes(rounds: usize) {
    println!("Bytes of streams for a commit of 100 B to a session that exists: of the writer / of all members");
    println!();
    println!("| members | one commit at a time | 16 of one session | 16 of 16 sessions |");
    println!("|---|---|---|---|");
    for (name, count, copies, writer) in [
        ("2, everywhere", 2, Copies::Everywhere, Writer::Ranked),
        ("5, backups:1, the writer is one of the two", 5, Copies::Backups(1), Writer::Ranked),
        ("5, backups:1, the writer is a third", 5, Copies::Backups(1), Writer::Elsewhere),
    ] {
        let mut net = Net::ready(count, copies);
        let sessions = keys_with(&net, writer, 16);
        net.load(&sessions, 100, |_, _, _| 0);
        let one = [sessions[0]];
        let rows = [&one[..], &[sessions[0]; 16], &sessions].map(|round| {
            cost_of(&mut net, rounds, round, 100);
            let (all, writer) = cost_of(&mut net, rounds, round, 100);
            let commits = rounds * round.len();
            format!("{} / {}", per(writer.bytes, commits), per(all.bytes, commits))
        });
        println!("| {name} | {} |", rows.join(" | "));
    }
}

fn messages(counts: &[usize], rounds: usize) {
    println!("Writes to streams for a commit: of the writer / of all members; where these are not half feeds and half");
    println!("acknowledgements it says so");
    println!();
    println!(
        "| members | everywhere | backups:1 | backups:1, writer elsewhere | backups:2 | backups:2, writer elsewhere |"
    );
    println!("|---|---|---|---|---|---|");
    for &count in counts {
        let mut row = Vec::new();
        for (copies, writer) in [
            (Copies::Everywhere, Writer::Ranked),
            (Copies::Backups(1), Writer::Ranked),
            (Copies::Backups(1), Writer::Elsewhere),
            (Copies::Backups(2), Writer::Ranked),
            (Copies::Backups(2), Writer::Elsewhere),
        ] {
            let mut net = Net::ready(count, copies);
            let keys = keys_with(&net, writer, 1);
            if keys.is_empty() {
                row.push("-".to_owned());
                continue;
            }
            net.load(&keys, 100, |_, _, _| 0);
            let (all, writer) = cost_of(&mut net, rounds, &keys, 100);
            let halves = all.feeds == writer.writes && all.acks == writer.writes && all.writes == 2 * writer.writes;
            let but = if halves { String::new() } else { format!(" ({} feeds, {} acks)", all.feeds, all.acks) };
            row.push(format!("{} / {}{but}", per(writer.writes, rounds), per(all.writes, rounds)));
        }
        println!("| {count} | {} |", row.join(" | "));
    }
}

fn reads(rounds: usize) {
    println!("A question of a member that need not hold a session, of 5 with backups:1: all members together");
    println!();
    println!("| question | value | writes | feed frames | acknowledgements | bytes |");
    println!("|---|---|---|---|---|---|");
    for (name, purpose, owner, length) in [
        ("read", Purpose::Read, Writer::Ranked, 100),
        ("read", Purpose::Read, Writer::Ranked, 1024),
        ("read, its owner is a third", Purpose::Read, Writer::Elsewhere, 100),
        ("look without use", Purpose::Peek, Writer::Ranked, 100),
        ("for a write", Purpose::Write, Writer::Ranked, 100),
        ("there is no such session", Purpose::Read, Writer::Ranked, 0),
    ] {
        let mut net = Net::ready(5, Copies::Backups(1));
        let sessions = keys_with(&net, owner, rounds);
        if length != 0 {
            net.load(&sessions, length, |_, _, _| 0);
        }
        let mut sum = Sent::default();
        for key in sessions {
            let before = net.sent();
            let reader = net.living().find(|n| *n != 0 && !net.holders(&key).contains(n)).expect("a fifth");
            let answer = fetch(&mut net, reader, key, purpose);
            assert_eq!(matches!(answer, Fetched::Unknown), length == 0, "it is found if it is there");
            sum += net.sent() - before;
            millisecond(&mut net);
        }
        let row = [sum.writes, sum.feeds, sum.acks, sum.bytes].map(|count| per(count, rounds));
        println!("| {name} | {length} B | {} |", row.join(" | "));
    }
}

fn fetch(net: &mut Net, n: usize, key: SessionKey, purpose: Purpose) -> Fetched {
    let now = net.now();
    let Fetch::Asked(asked) = net.node_mut(n).fetch(now, key, purpose).expect("the node serves") else {
        panic!("it need not hold it");
    };
    net.pump();
    let (answered, fetched) = net.node_mut(n).poll_fetched().expect("all have answered");
    assert_eq!(answered, asked, "it is the only question");
    fetched
}

/// What became of the copies of all sessions in a change of the view.
struct Moved {
    copies: usize,
    dead: usize,
    made: usize,
    dropped: usize,
    sent: Sent,
    deltas: u64,
    took: Duration,
    cpu: Duration,
}

fn change(net: &mut Net, sessions: &[SessionKey], change: impl FnOnce(&mut Net)) -> Moved {
    let deltas = |net: &Net| net.living().map(|n| net.node(n).stats().deltas_sent).sum::<u64>();
    let held = |net: &Net| net.living().map(|n| (n, net.held(n))).collect::<Vec<_>>();
    let before = held(net);
    change(net);
    let (deltas_before, sent) = (deltas(net), net.sent());
    let began = cpu_time();
    let took = net.run_until_settled(SETTLES_IN);
    let cpu = cpu_time() - began;
    let after = held(net);
    let nothing = BTreeSet::new();
    let at = |all: &'_ [(usize, BTreeSet<SessionKey>)], n| all.iter().position(|(one, _)| *one == n);
    let mut moved = Moved {
        copies: before.iter().map(|(_, held)| held.len()).sum(),
        dead: 0,
        made: 0,
        dropped: 0,
        sent: net.sent() - sent,
        deltas: deltas(net) - deltas_before,
        took,
        cpu,
    };
    for (n, held) in &before {
        match at(&after, *n) {
            Some(at) => moved.dropped += held.difference(&after[at].1).count(),
            None => moved.dead += held.len(),
        }
    }
    for (n, held) in &after {
        moved.made += held.difference(at(&before, *n).map_or(&nothing, |at| &before[at].1)).count();
    }
    for key in sessions {
        let holders: BTreeSet<_> = after.iter().filter(|(_, held)| held.contains(key)).map(|(n, _)| *n).collect();
        let records = holders.iter().filter_map(|n| net.node(*n).session(key));
        let owners: Vec<_> = records.map(|session| session.owner()).collect();
        assert_eq!(owners.len(), holders.len(), "every copy is served from (P6)");
        let mut must = net.holders(key);
        must.extend(net.living().filter(|n| owners.first() == Some(&Some(net.node(*n).id()))));
        assert_eq!(holders, must, "who must hold it does, nobody else (P6)");
    }
    moved
}

/// Picks the member that writes a session.
type Pick = fn(&Net, usize, &SessionKey) -> usize;

/// The members take turns, wherever the copies are: what a balancer does that knows nothing of them.
fn anywhere(net: &Net, at: usize, _: &SessionKey) -> usize {
    at % net.living().count()
}

/// Those that the ranking picks take turns.
fn ranked(net: &Net, at: usize, key: &SessionKey) -> usize {
    let holders = net.holders(key);
    holders.iter().copied().nth(at % holders.len()).expect("somebody must hold it")
}

fn moves(counts: &[usize], sessions: usize) {
    println!("{sessions} sessions of 100 B with backups:1; shares are of the copies before the change");
    println!();
    println!("| change | written on | copies | held by the dead | made anew | dropped | deltas of any kind |");
    println!("|---|---|---|---|---|---|---|");
    let keys = keys(sessions);
    for (who, pick) in [("one of the two", ranked as Pick), ("any member", anywhere)] {
        for &count in counts {
            for dies in [true, false] {
                let mut net = Net::ready(count, Copies::Backups(1));
                net.load(&keys, 100, pick);
                let moved =
                    change(&mut net, &keys, |net| if dies { net.kill(1) } else { net.start(Copies::Backups(1)) });
                let name = if dies { format!("one of {count} dies") } else { format!("one joins {count}") };
                let shares = [moved.dead, moved.made, moved.dropped].map(|part| share(part, moved.copies));
                println!("| {name} | {who} | {} | {} | {} |", moved.copies, shares.join(" | "), moved.deltas);
            }
        }
    }
}

fn restore(sessions: usize) {
    const LENGTH: usize = 1024;
    println!("One of 5 members dies; {sessions} sessions of {LENGTH} B with backups:1");
    println!();
    let keys = keys(sessions);
    let moved = [ranked as Pick, anywhere].map(|pick| {
        let mut net = Net::ready(5, Copies::Backups(1));
        net.load(&keys, LENGTH, pick);
        change(&mut net, &keys, |net| net.kill(2))
    });
    println!("| sessions are written on | one of the two | any member |");
    println!("|---|---|---|");
    let row = |name: &str, show: &dyn Fn(&Moved) -> String| {
        let [ranked, anywhere] = moved.each_ref().map(show);
        println!("| {name} | {ranked} | {anywhere} |");
    };
    row("copies before", &|moved| moved.copies.to_string());
    row("held by the dead", &|moved| format!("{} ({})", moved.dead, share(moved.dead, moved.copies)));
    row("made anew", &|moved| format!("{} ({})", moved.made, share(moved.made, moved.copies)));
    row("dropped", &|moved| moved.dropped.to_string());
    row("deltas sent, those without content included", &|moved| moved.deltas.to_string());
    row("bytes sent", &|moved| moved.sent.bytes.to_string());
    row("of these values of copies made anew", &|moved| (moved.made * LENGTH).to_string());
    row("writes", &|moved| moved.sent.writes.to_string());
    row("CPU time of the four together, ms", &|moved| moved.cpu.as_millis().to_string());
    row("time by their clocks, ms", &|moved| moved.took.as_millis().to_string());
}

fn drain(sessions: usize) {
    const LENGTH: usize = 1024;
    println!("One of 5 members is told to leave; {sessions} sessions of {LENGTH} B with backups:1");
    println!();
    let keys = keys(sessions);
    let mut took = Vec::new();
    let moved = [ranked as Pick, anywhere].map(|pick| {
        let mut net = Net::ready(5, Copies::Backups(1));
        net.load(&keys, LENGTH, pick);
        change(&mut net, &keys, |net| {
            let began = (cpu_time(), net.sent());
            let (time, at_risk) = net.drain(2, SETTLES_IN);
            assert_eq!(at_risk, AtRisk::default(), "others have everything when it has left");
            took.push((time, cpu_time() - began.0, net.sent() - began.1));
        })
    });
    println!("| sessions are written on | one of the two | any member |");
    println!("|---|---|---|");
    let row = |name: &str, [ranked, anywhere]: [String; 2]| println!("| {name} | {ranked} | {anywhere} |");
    let both = |show: &dyn Fn(usize) -> String| [show(0), show(1)];
    row("copies before", both(&|at| moved[at].copies.to_string()));
    row("held by the one that leaves", both(&|at| moved[at].dead.to_string()));
    row("made anew", both(&|at| format!("{} ({})", moved[at].made, share(moved[at].made, moved[at].copies))));
    row("bytes sent until it has left", both(&|at| took[at].2.bytes.to_string()));
    row("bytes sent after that", both(&|at| moved[at].sent.bytes.to_string()));
    row("CPU time of the five together until then, ms", both(&|at| took[at].1.as_millis().to_string()));
    row("time by their clocks until then, ms", both(&|at| took[at].0.as_millis().to_string()));
}

/// What members say when nobody asks them for anything.
fn idle(counts: &[usize]) {
    const LENGTH: Duration = Duration::from_secs(60);
    let sessions = 1_000;
    println!("Members with {sessions} sessions that nobody uses, by a group, for {} s", LENGTH.as_secs());
    println!();
    println!("| members | datagrams/s | their bytes/s | writes to streams/s | their bytes/s | bytes/s of a member |");
    println!("|---|---|---|---|---|---|");
    for &count in counts {
        let mut net = Net::ready(count, Copies::Everywhere);
        net.load(&keys(sessions), 100, |_, _, _| 0);
        net.run(Duration::from_secs(10));
        let before = net.sent();
        net.run(LENGTH);
        let sent = net.sent() - before;
        let a_second = |number: u64| number as f64 / LENGTH.as_secs_f64();
        let all = a_second(sent.datagram_bytes + sent.bytes);
        println!(
            "| {count} | {:.1} | {:.0} | {:.1} | {:.0} | {:.0} |",
            a_second(sent.datagrams),
            a_second(sent.datagram_bytes),
            a_second(sent.writes),
            a_second(sent.bytes),
            all / count as f64
        );
    }
}

fn split(sessions: usize) {
    const APART: Duration = Duration::from_secs(10);
    println!(
        "4 members are 2 and 2 for {} s; each of {sessions} sessions of 100 B is written on both sides",
        APART.as_secs()
    );
    println!();
    println!(
        "| copies | until all have everything, ms by their clocks | bytes sent | CPU time of the four together, ms |"
    );
    println!("|---|---|---|---|");
    let keys = keys(sessions);
    for (name, copies) in [("everywhere", Copies::Everywhere), ("backups:1", Copies::Backups(1))] {
        let mut net = Net::ready(4, copies);
        net.load(&keys, 100, anywhere);
        let began = net.now();
        net.split([2, 3]);
        // By then each side has removed the other.
        net.run(APART / 2);
        for (at, key) in keys.iter().enumerate() {
            for (n, name) in SIDES {
                let now = net.now();
                let write = Delta::new().set(name.to_vec(), value(at, 100));
                net.node_mut(n).commit(now, *key, write, Durability::All).expect("the node serves");
            }
            if at % 64 == 63 {
                millisecond(&mut net);
            }
        }
        net.run(APART - net.now().since(began));
        let (sent, cpu) = (net.sent(), cpu_time());
        net.heal();
        let took = net.run_until_settled(SETTLES_IN);
        let (sent, cpu) = (net.sent() - sent, cpu_time() - cpu);
        assert_merged(&net, &keys);
        println!("| {name} | {} | {} | {} |", took.as_millis(), sent.bytes, cpu.as_millis());
    }
}

/// Who writes what on each side.
const SIDES: [(usize, &[u8]); 2] = [(0, b"here"), (2, b"there")];

/// Everybody who must hold a session has what was written to it on either side, and all have the same.
fn assert_merged(net: &Net, keys: &[SessionKey]) {
    for (at, key) in keys.iter().enumerate() {
        let holders = net.holders(key);
        let copies: Vec<_> = holders.iter().map(|n| net.node(*n).session(key).expect("it is there")).collect();
        let written: Bytes = value(at, 100);
        let both = copies.iter().all(|copy| SIDES.iter().all(|(_, name)| copy.attribute(name) == Some(&written)));
        assert!(both, "nothing that was written on either side is lost (P2)");
        assert!(copies.iter().all(|copy| copy.version() == copies[0].version()), "all have the same (P1)");
    }
}

fn per(total: u64, rounds: usize) -> String {
    let rounds = rounds as u64;
    let tenths = (total * 10 + rounds / 2) / rounds;
    if tenths.is_multiple_of(10) { (tenths / 10).to_string() } else { format!("{}.{}", tenths / 10, tenths % 10) }
}

fn share(part: usize, whole: usize) -> String {
    let mille = (part * 1000 + whole / 2) / whole;
    format!("{}.{} %", mille / 10, mille % 10)
}

#[cfg(test)]
mod tests {
    /// The checks inside hold, and the program still works.
    #[test]
    fn every_part_runs() {
        super::bytes(2);
        super::messages(&[2, 4], 2);
        super::reads(2);
        super::moves(&[3], 50);
        super::restore(50);
        super::drain(50);
        super::split(50);
    }
}
