//! What the next version of the protocol has more than the present one, so that two versions at once can be tested. It
//! says nothing, and shows how a version adds something: see *Versions* in `docs/wire.md`.

use serde::{Deserialize, Serialize};

/// Behind a beat, also that of a greeting. What goes to anybody has it, and who does not know it reads past it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BeatMore {
    pub(crate) word: u32,
}

/// Behind an acknowledgement, between two members that both speak the next version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AckMore {
    pub(crate) word: u32,
}
