//! Records of what came to the core of a node, and runs of them against this build.
//!
//! The core is a machine: the same inputs at the same times give the same outputs, byte for byte. So whoever keeps the
//! inputs of a node that did something strange can let it happen again at the desk. A [`Recorder`] writes them as the driver
//! hands them in, and a hash of everything that came out; [`replay`] hands them to a fresh node and compares.
//!
//! Values are not kept, unless that is asked for: each is replaced by bytes of the same length that depend on it and on a
//! key that is drawn for the record and thrown away with it. Equal values stay equal and different ones different, so the
//! node does the same with them. In what comes by stream they are found with the decoder of the wire itself, replaced in
//! place, and the checksum of the frame is made right again. What comes out is hashed after the same has been done to it.
//! Keys of sessions (which are hashes of ids), names of attributes and of entries of the shared map, and what members say of
//! themselves stay as they are.
//!
//! A record is bounded: when its file has got as long as it may, it says so and ends. What was written before a process died
//! can be read; a byte that has changed since is told.
#![forbid(unsafe_code)]

mod bytes_of_streams;
mod form;
mod hide;
mod reader;
mod recorder;
mod replay;

pub use form::{Answer, BadRecord, Ending, Entry, Header, Input, Output, VERSION};
pub use reader::{Reader, is_record};
pub use recorder::{Recorder, Recording, State};
pub use replay::{Difference, Replayed, replay};
