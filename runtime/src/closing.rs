//! The end of streams whose node has stopped.
//!
//! A socket that is closed with something unread in it is reset by the kernel, and what was written last may be thrown away.
//! So each stream first gets its rest written, then says that nothing more comes, and is closed when the other side has
//! closed too; those that take longer are given up.

use core::time::Duration;
use std::{collections::BTreeMap, io, sync::Arc, time::Instant};

use heirloom_core::StreamId;

use crate::{
    poller::{Interest, Poller, Ready},
    stream::{Phase, Stream, Written},
};

/// Streams that are being closed: wait on them for as long as [`Closing::timeout`] says, then [`Closing::turn`], until
/// [`Closing::is_over`]. To drop it gives them up.
#[derive(Debug)]
pub struct Closing {
    poller: Arc<Poller>,
    streams: BTreeMap<u64, Stream>,
    until: Instant,
}

impl Closing {
    /// Of streams that no poller knows.
    pub(crate) fn new(streams: BTreeMap<StreamId, Stream>, length: Duration) -> io::Result<Self> {
        let mut closing =
            Self { poller: Arc::new(Poller::new()?), streams: BTreeMap::new(), until: Instant::now() + length };
        for (StreamId(number), stream) in streams.into_iter().filter(|(_, stream)| stream.phase != Phase::Opening) {
            let ended = stream.rest() != 0 || stream.end().is_ok();
            let interest = if stream.rest() == 0 { Interest::Readable } else { Interest::Writable };
            // One that fails is closed, which is all that is wanted.
            if ended && closing.poller.add(&stream.socket, number, interest).is_ok() {
                closing.streams.insert(number, stream);
            }
        }
        Ok(closing)
    }

    /// Deals with the streams that are ready.
    pub fn turn(&mut self, ready: &[Ready]) {
        for ready in ready {
            let Some(stream) = self.streams.get_mut(&ready.token) else { continue };
            let goes_on = if stream.rest() == 0 { drain(stream) } else { write(stream, ready.token, &self.poller) };
            if !goes_on.unwrap_or(false)
                && let Some(stream) = self.streams.remove(&ready.token)
            {
                let _ = self.poller.delete(&stream.socket);
            }
        }
    }

    /// How long the streams may be waited for. To be asked after the last turn.
    pub fn timeout(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// All are closed, or their time has come.
    pub fn is_over(&self) -> bool {
        self.streams.is_empty() || self.timeout().is_zero()
    }

    /// What to wait on.
    pub fn poller(&self) -> &Arc<Poller> {
        &self.poller
    }

    /// Blocks until it is over.
    pub(crate) fn wait(mut self) {
        let mut ready = Vec::new();
        while !self.is_over() && self.poller.wait(&mut ready, Some(self.timeout())).is_ok() {
            self.turn(&ready);
        }
    }
}

/// Reads what nobody wants any more. Answers whether the other side has still to close.
fn drain(stream: &mut Stream) -> io::Result<bool> {
    let mut unread = [0; 4096];
    Ok(stream.read(&mut unread)? != Some(0))
}

fn write(stream: &mut Stream, token: u64, poller: &Poller) -> io::Result<bool> {
    if stream.write_rest()? == Written::All {
        stream.end()?;
        poller.modify(&stream.socket, token, Interest::Readable)?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::{io::Read as _, thread};

    use bytes::Bytes;

    use super::*;
    use crate::stream::tests::pair;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn what_was_written_last_arrives_though_something_is_unread_here() {
        let (mut here, mut there) = pair();
        assert_eq!(there.write(Bytes::from_static(b"unread")).unwrap(), Written::All);
        assert_eq!(here.write(Bytes::from_static(b"last")).unwrap(), Written::All);
        assert_eq!(closed_with(here, there), b"last");
    }

    #[test]
    fn a_rest_that_was_blocked_is_written_first() {
        let (mut here, there) = pair();
        let bytes = Bytes::from(vec![7; 8 << 20]);
        assert_eq!(here.write(bytes.clone()).unwrap(), Written::Part);
        assert!(closed_with(here, there) == bytes);
    }

    #[test]
    fn a_stream_that_does_not_end_is_given_up() {
        let (here, _there) = pair();
        let length = Duration::from_millis(20);
        let before = Instant::now();
        Closing::new(BTreeMap::from([(StreamId(1), here)]), length).unwrap().wait();
        assert!(length <= before.elapsed());
    }

    /// What the other side reads to the end of a stream that is closed here.
    fn closed_with(here: Stream, mut there: Stream) -> Vec<u8> {
        let closing = Closing::new(BTreeMap::from([(StreamId(1), here)]), LONG).unwrap();
        let closes = thread::spawn(move || closing.wait());
        there.socket.set_nonblocking(false).unwrap();
        let mut read = Vec::new();
        there.socket.read_to_end(&mut read).unwrap();
        drop(there);
        closes.join().unwrap();
        read
    }
}
