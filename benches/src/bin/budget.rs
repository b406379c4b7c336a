//! Compares the instructions of each small measurement with its budget in `benches/budget.toml`.
//!
//! `budget` fails when one takes more than 5 % above its budget, and says which budgets can be lowered. `budget write` writes
//! what it has counted as the new budgets; `budget print SESSIONS` only tells the counts, with tables of another size, and `budget
//! large` what depends on the size of the table alone, up to 1,000,000 sessions, which takes minutes. It needs valgrind, which counts the same on each run, but not the same with every compiler and C library.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use serde::Deserialize;

/// So many sessions are in the tables that are there for their size.
const LARGE: usize = 10_000;
const BUDGETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/budget.toml");
const HEAD: &str = "\
# Instructions of one operation of each small measurement (benches/src/micro.rs), by valgrind, release build.
# Checked by `.ci/run instructions`: more than 5 % above is an error. When the code gets faster, lower them:
#   cargo run --release -p heirloom-benches --bin budget -- write
";

#[derive(Debug, Default, Deserialize)]
struct Budgets {
    instructions: BTreeMap<String, u64>,
}

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match words[..] {
        [] => check(),
        ["write"] => write(),
        ["print", sessions] => sessions.parse().map_err(io::Error::other).and_then(print),
        ["large"] => large(),
        _ => Err(io::Error::other("usage: budget [write | print SESSIONS | large]")),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("budget: {error}");
            ExitCode::from(2)
        }
    }
}

fn check() -> io::Result<bool> {
    let text = fs::read_to_string(BUDGETS)?;
    let Budgets { instructions: budgets } = toml::from_str(&text).map_err(io::Error::other)?;
    let counts = counts(LARGE)?;
    let mut good = true;
    println!("{:>10} {:>10}  each operation", "counted", "budget");
    for (name, count) in &counts {
        let Some(budget) = budgets.get(name).copied() else {
            println!("{count:>10} {:>10}  {name}: it has no budget", "-");
            good = false;
            continue;
        };
        let verdict = if budget * 105 < count * 100 {
            good = false;
            ": TOO MUCH"
        } else if count * 105 < budget * 100 {
            ": the budget can be lowered"
        } else {
            ""
        };
        println!("{count:>10} {budget:>10}  {name}{verdict}");
    }
    for name in budgets.keys().filter(|name| !counts.iter().any(|(counted, _)| counted == *name)) {
        println!("{:>10} {:>10}  {name}: it is not measured any more", "-", "");
        good = false;
    }
    if !good {
        println!("not within the budget of benches/budget.toml: see above");
    }
    Ok(good)
}

fn write() -> io::Result<bool> {
    let rows = counts(LARGE)?.into_iter().map(|(name, count)| format!("{name:?} = {count}\n"));
    fs::write(BUDGETS, format!("{HEAD}[instructions]\n{}", rows.collect::<String>()))?;
    Ok(true)
}

fn print(sessions: usize) -> io::Result<bool> {
    counts(sessions)?.iter().for_each(|(name, count)| println!("{count:>10}  {name}"));
    Ok(true)
}

/// The same operations with tables of more and more sessions.
fn large() -> io::Result<bool> {
    let mut first: Vec<u64> = Vec::new();
    for sessions in [1_000, 100_000, 1_000_000] {
        let counts = counts_of(&[&sessions.to_string(), "table"], &["--instr-atstart=no"])?;
        let counts: Vec<_> =
            counts.into_iter().filter(|(name, _)| name.ends_with(&format!(" {sessions} sessions"))).collect();
        first.extend(counts.iter().map(|(_, count)| *count).filter(|_| sessions == 1_000));
        for ((name, count), first) in counts.iter().zip(&first) {
            println!("{count:>10} {:>5}.{:02}  {name}", count / first, count * 100 / first % 100);
        }
    }
    Ok(true)
}

/// The instructions of one operation of each case.
fn counts(large: usize) -> io::Result<Vec<(String, u64)>> {
    counts_of(&[&large.to_string()], &[])
}

fn counts_of(words: &[&str], options: &[&str]) -> io::Result<Vec<(String, u64)>> {
    let folder = Folder::new()?;
    let program = env::current_exe()?.with_file_name("micro");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=micro::measured", "--dump-after=micro::measured"])
        .arg(format!("--callgrind-out-file={}", folder.0.join("out").display()))
        .args(options)
        .arg(&program)
        .args(words)
        // Else what stands in the allocator's small bins, and so the cost of the next block, depends on all that was before.
        .env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=127")
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("valgrind: {error}")))?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let of_line = |(at, line): (usize, &str)| {
        let (operations, name) = line.split_once('\t').ok_or_else(|| io::Error::other(format!("{line:?}")))?;
        let operations: u64 = operations.parse().map_err(io::Error::other)?;
        // The calls are dumped in their order, from one on.
        let total = total(&folder.0.join(format!("out.{}", at + 1)))?;
        Ok((name.to_owned(), total / operations))
    };
    said.lines().enumerate().map(of_line).collect()
}

fn total(dump: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(dump)?;
    let total = text
        .lines()
        .find_map(|line| line.strip_prefix("totals: "))
        .or_else(|| text.lines().find_map(|line| line.strip_prefix("summary: ")));
    let total = total.and_then(|total| total.trim().parse().ok());
    total.ok_or_else(|| io::Error::other(format!("{} has no sum", dump.display())))
}

/// A folder that is gone in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let path = env::temp_dir().join(format!("heirloom-budget-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays is small.
        let _stays = fs::remove_dir_all(&self.0);
    }
}
