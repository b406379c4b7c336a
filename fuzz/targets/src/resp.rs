//! A client of the node program.

use core::time::Duration;

use heirloom_core::fuzz::Choose as _;
use heirloom_node::fuzz;

use crate::choices::Choices;

/// Words that commands mean something by, besides their own names.
const WORDS: [&str; 40] = [
    "a",
    "b",
    "h",
    "f",
    "0",
    "1",
    "-1",
    "10",
    "100",
    "2000000000",
    "9223372036854775807",
    "3.5",
    "x",
    "EX",
    "PX",
    "EXAT",
    "PXAT",
    "KEEPTTL",
    "PERSIST",
    "NX",
    "XX",
    "GT",
    "LT",
    "GET",
    "IFEQ",
    "FIELDS",
    "COUNT",
    "MATCH",
    "*",
    "2",
    "3",
    "AUTH",
    "SETNAME",
    "server",
    "LIST",
    "INFO",
    "NO-EVICT",
    "on",
    "VERSION",
    "session",
];

/// Either words that make requests, or bytes as they are.
pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let bytes = if choices.below(4) == 3 { choices.bytes(2000) } else { requests(&mut choices) };
    // How it is cut, and when the pieces come, is chosen by the same bytes from their end.
    let mut cuts = input.iter().rev();
    let mut rest = &bytes[..];
    let pieces = core::iter::from_fn(|| {
        let cut = usize::from(*cuts.next().unwrap_or(&u8::MAX)) + 1;
        let (piece, behind) = rest.split_at(cut.min(rest.len()));
        rest = behind;
        let pause = if cut % 16 == 1 { Duration::from_secs(5 * cut as u64) } else { Duration::ZERO };
        (!piece.is_empty()).then_some((pause, piece))
    });
    fuzz::client(pieces);
}

fn requests(choices: &mut Choices<'_>) -> Vec<u8> {
    let names: Vec<_> = fuzz::commands().collect();
    let mut bytes = Vec::new();
    while !choices.is_empty() {
        let count = choices.index(6);
        bytes.extend(format!("*{}\r\n", count + 1).bytes());
        put(&mut bytes, names[choices.index(names.len())].as_bytes());
        for _ in 0..count {
            match choices.index(WORDS.len() + 8) {
                at if at < WORDS.len() => put(&mut bytes, WORDS[at].as_bytes()),
                _ => put(&mut bytes, &choices.bytes(70)),
            }
        }
    }
    bytes
}

fn put(bytes: &mut Vec<u8>, word: &[u8]) {
    bytes.extend(format!("${}\r\n", word.len()).bytes());
    bytes.extend(word);
    bytes.extend(b"\r\n");
}

/// What clients send, and requests of words.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let sent: [&[u8]; 6] = [
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\n",
        b"*4\r\n$4\r\nHSET\r\n$1\r\nh\r\n$1\r\nf\r\n$1\r\n1\r\n*2\r\n$7\r\nHGETALL\r\n$1\r\nh\r\n",
        b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n*1\r\n$4\r\nPING\r\n",
        b"set a 1\r\nrename a b\r\nttl b\r\nquit\r\n",
        b"*2\r\n$4\r\nINFO\r\n$7\r\nmembers\r\n*1\r\n$7\r\nCOMMAND\r\n",
        b"*-1\r\n*0\r\n*1\r\n$600000000\r\n",
    ];
    let sent = sent.iter().map(|bytes| {
        let len = u16::try_from(bytes.len()).expect("it is short");
        [&[3], &len.to_be_bytes()[..], bytes].concat()
    });
    sent.chain(crate::drawn()).collect()
}
