//! The laboratory: power loss on real file systems, at the level of blocks.
//!
//! A FUSE server shows one file, a loop device makes it a disk, and a real file system is made on it and mounted. The
//! server writes down every write and every flush, and with them what a workload was told is done. From that recording
//! come the disks that a loss of power may leave; each is mounted, recovered with the real program, and compared with
//! what the workload was told. `docs/evidence.md` says what this shows, and what it cannot.
//!
//! `treewal-lab [ext4] [xfs] [btrfs]`, as root. The environment says how far to go; see [`settings`].
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a laboratory is a test: it fails by panicking, counts out loud, and touches the disk it examines"
)]

mod bench;
mod bent;
mod count;
mod cuts;
mod explore;
mod filesystem;
mod hand;
mod image;
mod judge;
mod log;
mod needs;
mod order;
mod server;
mod settings;
mod slot;
mod walk;
mod workloads;

use std::process::ExitCode;

use count::Count;
use explore::{Control, Job, Knobs, explore};
use filesystem::Fs;
use order::{Kernel, Sync};
use settings::Settings;
use workloads::WORKLOADS;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, order] = &arguments[..] {
        if word == "hand" {
            let order: order::Order = serde_json::from_str(order).unwrap();
            let facts = hand::obey(&order);
            std::fs::write(&order.facts, serde_json::to_vec(&facts).unwrap()).unwrap();
            return ExitCode::SUCCESS;
        }
    }
    if let Some(missing) = needs::missing() {
        println!("skipped: the laboratory: {missing}");
        return ExitCode::from(needs::SKIPPED);
    }
    if !needs::is_inside() {
        return needs::go_inside(&arguments);
    }
    let settings = Settings::read(&arguments);
    needs::end_with_us(settings.time_max);
    println!("{settings}");
    let knobs = settings.knobs();
    let mut is_good = true;
    for fs in &settings.file_systems {
        match fs.missing() {
            Some(missing) => println!("skipped: {}: {missing}", fs.name()),
            None => is_good &= one(*fs, &settings, &knobs),
        }
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Everything on one file system; gives whether it went as it must.
fn one(fs: Fs, settings: &Settings, knobs: &Knobs) -> bool {
    let began = std::time::Instant::now();
    let mut jobs = Vec::new();
    for workload in &WORKLOADS {
        for kernel in [Kernel::Plain, Kernel::Eager, Kernel::Slow] {
            if settings.is_wanted(workload, kernel) {
                jobs.push(Job { workload, kernel, control: Control::None, images: 0 });
            }
        }
    }
    let wanted = jobs.len().max(1);
    for job in &mut jobs {
        job.images = settings.images.div_ceil(wanted);
    }
    let counts = explore(fs, &jobs, knobs);
    for workload in &WORKLOADS {
        let of_it = jobs.iter().zip(&counts).filter(|(job, _)| job.workload.name == workload.name);
        let Count { distinct, tried, tried_inside, with_work, failed, .. } = Count::sum(of_it.map(|(_, count)| count));
        if tried > 0 {
            println!(
                "  {}, {}: tried {tried} of {distinct}, inside recovery {tried_inside}, with work {with_work}, failed {failed}",
                fs.name(),
                workload.name
            );
        }
    }
    let count = Count::sum(&counts);
    println!("{}: {count}; {} s", fs.name(), began.elapsed().as_secs());
    let mut is_good = count.failed == 0 && count.refused == 0 && count.tried > 0;
    for (control, name, workloads, must_be_noticed) in CONTROLS {
        // Few of a file system's states show that a flush was ignored: enough of them that one does.
        let images = settings.images.div_ceil(24).max(if must_be_noticed { 60 } else { 10 });
        let workloads = WORKLOADS.iter().filter(|workload| workloads.contains(&workload.name));
        let jobs: Vec<Job> =
            workloads.map(|workload| Job { workload, kernel: Kernel::Plain, control, images }).collect();
        let Count { tried, failed, lost, .. } = Count::sum(&explore(fs, &jobs, knobs));
        println!("{}, control, {name}: tried {tried}, failed {failed}, acknowledged and gone {lost}", fs.name());
        if must_be_noticed && lost == 0 {
            println!("FAILED: {}: the laboratory does not notice {name}", fs.name());
            is_good = false;
        }
    }
    is_good
}

const MANY_CHANGES: &[&str] = &["commits", "directories"];
const NAMES_ALONE: &[&str] = &["removals"];

/// What is broken on purpose, in which workloads, and whether every file system must show it there. To drop the sync of a
/// file goes unnoticed where the next sync of another, or of the file system, makes up for it.
const CONTROLS: [(Control, &str, &[&str], bool); 5] = [
    (Control::DeafDisk, "a disk that ignores flushes", MANY_CHANGES, true),
    (Control::Dropped(Sync::Data), "sync_data does nothing", MANY_CHANGES, true),
    (Control::Dropped(Sync::All), "sync_all does nothing", MANY_CHANGES, false),
    (Control::Dropped(Sync::File), "sync_file does nothing", MANY_CHANGES, false),
    (Control::Dropped(Sync::Dir), "sync_dir does nothing", NAMES_ALONE, true),
];
