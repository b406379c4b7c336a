//! The demonstration: a cluster on this machine that loses a member and no session.

use crate::options::Failure;

/// What can be set about the demonstration.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {}

/// Runs the demonstration.
///
/// # Errors
///
/// When it cannot start.
pub(crate) fn run(_: &Flags) -> Result<(), Failure> {
    Err(Failure::Start("the demonstration is not there yet".into()))
}
