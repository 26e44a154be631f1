//! Guards, named snapshots and their restores on ext4, xfs and btrfs, each in an image behind a loop device: killed at calls of
//! the disk, at system calls, and at system calls of the recovery after a kill.
//!
//! A run takes one point in so many, so that all three are seen within seconds; `TREEWAL_KILL_FULL=1` takes each.

use crate::image::{Image, KINDS};
use crate::kernel::Strace;
use crate::rig::{Tally, Target, each, full};
use crate::workloads::Workload;
use crate::{run_some, say};

const TEST: &str = "guards_and_snapshots_on_loop_images";

#[test]
fn guards_and_snapshots_on_loop_images() {
    let strace = Strace::find();
    if strace.is_none() {
        say(&format!("skipped: {TEST}, system calls: strace is not installed, or may not trace here"));
    }
    for (kind, bytes) in KINDS {
        let Some(image) = Image::in_memory(kind, bytes, TEST) else { continue };
        let about = |workload: &&Workload| ["guard", "snapshot"].iter().any(|word| workload.name.contains(word));
        run_some(kind, about, Some(image.at()), |workload, tally| {
            let target = Target::new(workload);
            let disk = disk(&target, tally);
            let system = strace.as_ref().map_or(0, |strace| system(strace, &target, None, tally));
            let crashes = [1, 2, 3].map(|quarter| target.calls() * quarter / 4);
            let crashes = if full() { &crashes[..] } else { &crashes[1..2] };
            let recovery = |strace| crashes.iter().map(|crash| system_of(strace, &target, *crash, tally)).sum();
            let recovery: usize = strace.as_ref().map_or(0, recovery);
            format!(
                "{disk} calls of the disk, {system} system calls, {recovery} of recovery after {} kills",
                crashes.len()
            )
        });
    }
}

/// One in so many.
fn chosen<P>(points: Vec<P>, every: usize) -> Vec<P> {
    let every = if full() { 1 } else { every };
    let first = points.len() % every;
    points.into_iter().skip(first).step_by(every).collect()
}

fn disk(target: &Target, tally: &Tally) -> usize {
    let points = chosen((1..=target.calls()).collect(), 11);
    let tried = points.len();
    each(points.into_iter(), tally, target.workload, |n| target.kill_and_judge(n));
    tried
}

fn system(strace: &Strace, target: &Target, crash: Option<u64>, tally: &Tally) -> usize {
    let points = chosen(strace.survey(target, crash), 61);
    let tried = points.len();
    each(points.into_iter(), tally, target.workload, |point| strace.kill_and_judge(target, crash, &point));
    tried
}

fn system_of(strace: &Strace, target: &Target, crash: u64, tally: &Tally) -> usize {
    system(strace, target, Some(crash), tally)
}
