//! A door for fuzzers: a client at a node that has no sockets. It is no part of the interface, and there only with the
//! feature `fuzz`.

use core::time::Duration;

use crate::{
    commands::{
        After, Table,
        testing::{Alone, Desk},
    },
    resp::{Arguments, Limits, Scan, Scanner, Violation, parse},
};

/// The names of all commands.
pub fn commands() -> impl Iterator<Item = &'static str> {
    Table::<Alone>::ALL.iter().map(|command| command.name)
}

/// A client sends these pieces, each after some time. Every request that is found in them is run, and has exactly one
/// reply that is well formed.
///
/// # Panics
///
/// It has not, or more is kept of a request than may be.
pub fn client<'a>(pieces: impl IntoIterator<Item = (Duration, &'a [u8])>) {
    let limits = Limits { argument_bytes_max: 64, request_bytes_max: 512 };
    let desk = Desk::new();
    let mut scanner = Scanner::new(limits);
    let (mut kept, mut ranges) = (Vec::new(), Vec::new());
    for (pause, piece) in pieces {
        desk.pass(pause);
        kept.extend_from_slice(piece);
        loop {
            match scanner.scan(&kept) {
                Ok(Scan::Incomplete { passed }) => {
                    kept.drain(..passed);
                    break;
                }
                Ok(Scan::Empty { len }) => drop(kept.drain(..len)),
                Ok(Scan::Refused { passed, .. }) => drop(kept.drain(..passed)),
                Ok(Scan::Request { len }) => {
                    parse(&kept[..len], &mut ranges).expect("what was found can be parsed");
                    if !ranges.is_empty() {
                        desk.ask_request(Arguments::new(&kept[..len], &ranges));
                        if matches!(desk.after.get(), After::Close | After::Shutdown) {
                            return;
                        }
                    }
                    kept.drain(..len);
                }
                Err(Violation(text)) => {
                    assert!(text.starts_with("ERR "), "the client is told why");
                    return;
                }
            }
        }
    }
}
