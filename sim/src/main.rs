//! `heirloom-sim`: lets whole clusters happen in virtual time, and tells which promises they break.

#![forbid(unsafe_code)]

use std::process::ExitCode;

mod program;

fn main() -> ExitCode {
    program::main()
}
