//! Reads back what was acknowledged, from every node but the one that was written through.

use core::time::Duration;
use std::{collections::BTreeSet, io, thread, time::Instant};

use heirloom_core::Copies;

use super::{
    Plan,
    cluster::{Cluster, Site},
    line::{Answer, Line, Place},
};

/// What is still on its way comes within this.
const COMES_WITHIN: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(10);
/// How many values are asked for at once, and how many bytes if that is less.
const BATCH_MAX: usize = 64;
const BATCH_BYTES_MAX: usize = 1 << 20;

/// The number of the last acknowledged write of an attribute.
pub(super) type Acknowledged = (Place, u64);

/// How many attributes some other node has only as they were before their last acknowledged write. A node that is gone is
/// not asked.
pub(super) fn count(plan: &Plan, cluster: &Cluster, acknowledged: &[Acknowledged]) -> u64 {
    let mut lost = BTreeSet::new();
    if plan.copies != Copies::Nowhere {
        let last = |site| missing(plan, cluster, site, acknowledged).unwrap_or_default();
        cluster.copies().iter().for_each(|site| lost.extend(last(site)));
    }
    lost.len() as u64
}

/// The places in the list of those that a node lacks, in the end.
fn missing(plan: &Plan, cluster: &Cluster, site: &Site, acknowledged: &[Acknowledged]) -> io::Result<Vec<usize>> {
    let began = Instant::now();
    let Ok(mut line) = site.line() else { return Ok(Vec::new()) };
    let mut left: Vec<usize> = (0..acknowledged.len()).collect();
    if plan.copies != Copies::Everywhere && site.handle().is_some() {
        // A handle only looks: who need not hold a session is not asked for it.
        left.retain(|at| is_holder(cluster, site, acknowledged[*at].0));
    }
    loop {
        let bytes = usize::try_from(plan.value_bytes).unwrap_or(usize::MAX);
        let batch = (BATCH_BYTES_MAX / bytes).clamp(1, BATCH_MAX);
        let mut older = Vec::new();
        for batch in left.chunks(batch) {
            ask(&mut line, batch, acknowledged, &mut older)?;
        }
        left = older;
        if left.is_empty() || COMES_WITHIN < began.elapsed() {
            return Ok(left);
        }
        thread::sleep(AGAIN);
    }
}

fn ask(line: &mut Line, batch: &[usize], acknowledged: &[Acknowledged], older: &mut Vec<usize>) -> io::Result<()> {
    batch.iter().for_each(|at| line.read(acknowledged[*at].0));
    line.send()?;
    for at in batch {
        let answer = line.answer()?;
        if !matches!(answer, Answer::Value(Some(number)) if acknowledged[*at].1 <= number) {
            older.push(*at);
        }
    }
    Ok(())
}

fn is_holder(cluster: &Cluster, site: &Site, place: Place) -> bool {
    let (Some(writer), Some(handle)) = (cluster.writer().handle(), site.handle()) else { return true };
    writer.holders(&place.key(writer)).contains(&handle.id())
}
