//! A bare round trip between two processes, as a commit makes it: 1 KiB there, 16 bytes back.

use std::{
    env,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::cells::{Figure, Unit};

/// What starts this program as the other end.
const ANSWERS: &str = "--answer-trips";

/// Answers, if this process was started for it; `None` if not, and it does not come back if so.
pub(crate) fn answer() -> Option<io::Error> {
    if env::args().nth(1).as_deref() != Some(ANSWERS) {
        return None;
    }
    let answered = (|| -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        writeln!(io::stdout(), "{}", listener.local_addr()?.port())?;
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut question = [0; 1024];
        loop {
            stream.read_exact(&mut question)?;
            stream.write_all(&question[..16])?;
        }
    })();
    match answered {
        // The other side has gone.
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Some(error),
        Ok(()) | Err(_) => std::process::exit(0),
    }
}

/// Makes round trips, one at a time.
pub(crate) fn measure(length: Duration) -> io::Result<Figure> {
    let mut other = Command::new(env::current_exe()?).arg(ANSWERS).stdout(Stdio::piped()).spawn()?;
    let told = other.stdout.take().ok_or_else(|| io::Error::other("it tells nothing"))?;
    let mut port = String::new();
    BufReader::new(told).read_line(&mut port)?;
    let port: u16 = port.trim().parse().map_err(io::Error::other)?;
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_nodelay(true)?;
    let (question, mut answer) = ([b'q'; 1024], [0; 16]);
    let (mut took, began) = (Vec::new(), Instant::now());
    while began.elapsed() < length {
        let asked = Instant::now();
        stream.write_all(&question)?;
        stream.read_exact(&mut answer)?;
        took.push(asked.elapsed());
    }
    let rate = took.len() as f64 / began.elapsed().as_secs_f64();
    drop(stream);
    other.wait()?;
    took.sort_unstable();
    let at = |share: usize| took[(took.len() - 1) * share / 100];
    Ok(Figure {
        number: rate,
        text: format!("{rate:.0}/s, p50 {:.1?}, p99 {:.1?}", at(50), at(99)),
        unit: Unit::PerSecond,
        time: Some(at(50)),
    })
}
