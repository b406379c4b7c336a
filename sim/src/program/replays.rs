//! Stored plans and records of nodes, once more.

use std::{
    fs,
    io::{self, Write},
};

use clap::Args;
use heirloom_record::is_record;
use heirloom_sim::{Fires, Replayed, Trial};

use super::{
    Done, Refused, Status,
    source::{self, Found},
};

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Files with plans or scenarios, or records of nodes (heirloom node --record).
    #[arg(required = true)]
    files: Vec<String>,
}

impl Replay {
    pub(crate) fn perform(&self) -> Done {
        let mut status = Status::Kept;
        let mut out = io::stdout().lock();
        for file in &self.files {
            if let Some(record) = fs::read(file).ok().filter(|bytes| is_record(bytes)) {
                status = status.and(replay_record(&mut out, file, &record)?);
                continue;
            }
            let trial = match source::read_file(file)? {
                Found::Plan(stored) => {
                    let replayed = stored.replay();
                    tell_result(&mut out, file, &replayed.trial)?;
                    tell_of(&mut out, &replayed)?;
                    replayed.trial
                }
                Found::Tale(tale) => {
                    let trial = tale.trial();
                    tell_result(&mut out, file, &trial)?;
                    tell_unmet(&mut out, &trial.unmet)?;
                    trial
                }
            };
            status = status.and(Status::of(trial.failure));
        }
        Ok(status)
    }
}

/// Hands a fresh node what had come to one, and tells whether it answers the same.
fn replay_record(out: &mut impl Write, file: &str, record: &[u8]) -> Done {
    let replayed = heirloom_record::replay(record).map_err(|error| Refused(format!("{file}: {error}")))?;
    let heirloom_record::Replayed { header, inputs, sent, length, difference, ending } = replayed;
    let values = if header.has_values { "with values" } else { "without values" };
    let of = format!("{inputs} inputs in {:.1} s, {sent} things sent", length.as_secs_f64());
    let is_same = difference.is_none();
    match difference {
        None => writeln!(out, "{file}: the same: {of}; {ending}")?,
        Some(difference) => writeln!(out, "{file}: {difference}\n  until then it is the same: {of}")?,
    }
    writeln!(out, "  recorded by heirloom {} at {}, {values}", header.build, header.address)?;
    Ok(if is_same { Status::Kept } else { Status::Differs })
}

fn tell_result(out: &mut impl Write, file: &str, trial: &Trial) -> io::Result<()> {
    match &trial.result {
        Ok(_) => writeln!(out, "{file}: every promise is kept"),
        Err(violation) => writeln!(out, "{file}: {violation}\nreplay: heirloom-sim replay {file}"),
    }
}

/// Tells what the plan says of things that did not come.
pub(crate) fn tell_unmet(out: &mut impl Write, unmet: &[String]) -> io::Result<()> {
    unmet.iter().try_for_each(|record| writeln!(out, "  drifted: `{record}` came to nothing"))
}

/// Tells what has become of what was noted when the plan was stored.
pub(crate) fn tell_of(out: &mut impl Write, replayed: &Replayed) -> io::Result<()> {
    match replayed.fires {
        Fires::None | Fires::Other(None) => {}
        Fires::Again => writeln!(out, "  it is what the plan was stored for")?,
        Fires::NoLonger(promise) => writeln!(out, "  {promise} was broken when the plan was stored; it no longer is")?,
        Fires::Other(Some(promise)) => writeln!(out, "  when the plan was stored it was {promise} that was broken")?,
    }
    tell_unmet(out, &replayed.unmet)?;
    match replayed.drifted {
        Some(check) => writeln!(
            out,
            "  drifted: among the first {} things sent, some are not those that were sent when the plan was stored",
            check.count
        ),
        None => Ok(()),
    }
}
