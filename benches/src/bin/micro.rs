//! The small measurements for an instruction counter: each shot is one call of `measured`.
//!
//! `budget` runs this under valgrind. It prints the name and the number of operations of each case, in the order of the calls.

use std::io::{self, Write as _};

use heirloom_benches::micro::{self, Shot};

/// More operations than a shot that is warmed up has.
const COLD: u64 = 1_000;

fn main() -> io::Result<()> {
    let Some(Ok(large)) = std::env::args().nth(1).map(|text| text.parse()) else {
        eprintln!("usage: micro SESSIONS");
        std::process::exit(2);
    };
    for recipe in micro::recipes(large) {
        for mut case in recipe() {
            if case.operations < COLD {
                (case.prepare)()();
            }
            let shot = (case.prepare)();
            measured(shot);
            writeln!(io::stdout(), "{}\t{}", case.operations, case.name)?;
        }
    }
    Ok(())
}

#[inline(never)]
fn measured(shot: Shot) {
    shot();
}
