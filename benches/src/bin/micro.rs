//! The small measurements for an instruction counter: each shot is one call of `measured`.
//!
//! `budget` runs this under valgrind. It prints the name and the number of operations of each case, in the order of the calls.
//! With `table` it makes only the cases that depend on the size of the table, and has the counting begin when that is loaded.

use std::{
    io::{self, Write as _},
    process::{Command, Stdio},
};

use heirloom_benches::micro::{self, Case, Shot};

/// More operations than a shot that is warmed up has.
const COLD: u64 = 1_000;

fn main() -> io::Result<()> {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let sessions = words.first().and_then(|text| text.parse().ok());
    match (sessions, words.get(1).map(String::as_str)) {
        (Some(large), None) => {
            for recipe in micro::recipes(large) {
                recipe().into_iter().try_for_each(run)?;
            }
            Ok(())
        }
        (Some(sessions), Some("table")) => {
            let cases = micro::table(sessions);
            let id = std::process::id().to_string();
            let began = Command::new("callgrind_control").args(["--instr=on", &id]).stdout(Stdio::null()).status()?;
            assert!(began.success(), "it runs under valgrind");
            cases.into_iter().try_for_each(run)
        }
        _ => {
            eprintln!("usage: micro SESSIONS [table]");
            std::process::exit(2);
        }
    }
}

fn run(mut case: Case) -> io::Result<()> {
    if case.operations < COLD {
        (case.prepare)()();
    }
    let shot = (case.prepare)();
    measured(shot);
    writeln!(io::stdout(), "{}\t{}", case.operations, case.name)
}

#[inline(never)]
fn measured(shot: Shot) {
    shot();
}
