//! Everything on one file system: the recordings, a mount that is not the usual one, and the controls.

use std::time::Instant;

use crate::count::Count;
use crate::explore::{Control, Job, Knobs, explore};
use crate::filesystem::Fs;
use crate::order::{Kernel, Sync};
use crate::settings::Settings;
use crate::workloads::WORKLOADS;

const KERNELS: [Kernel; 3] = [Kernel::Plain, Kernel::Eager, Kernel::Slow];

/// Mounts that are not the usual one, and of which every promise is expected all the same. What a mount leaves unwritten
/// shows most where nobody else writes back.
const VARIANTS: [(Fs, &str); 1] = [(Fs::Ext4, "data=writeback")];
/// Of how many images of the usual mount there is one of these.
const VARIANT_EVERY: usize = 4;

/// Gives whether it went as it must.
pub(crate) fn run(fs: Fs, settings: &Settings, knobs: &Knobs) -> bool {
    let mut is_good = recordings(fs, settings, knobs);
    if knobs.options.is_none() {
        for (_, options) in VARIANTS.iter().filter(|(of, _)| *of == fs) {
            is_good &= variant(fs, settings, &Knobs { options: Some((*options).to_owned()), ..knobs.clone() });
        }
    }
    controls(fs, settings, knobs) && is_good
}

/// Of each workload a recording with each of the kernels; `images` are shared out among them.
fn jobs(settings: &Settings, kernels: &[Kernel], images: usize) -> Vec<Job> {
    let all = WORKLOADS.iter().flat_map(|workload| kernels.iter().map(move |kernel| (workload, *kernel)));
    let wanted: Vec<_> = all.filter(|(workload, kernel)| settings.is_wanted(workload, *kernel)).collect();
    let images = images.div_ceil(wanted.len().max(1));
    wanted.into_iter().map(|(workload, kernel)| Job { workload, kernel, control: Control::None, images }).collect()
}

fn recordings(fs: Fs, settings: &Settings, knobs: &Knobs) -> bool {
    let began = Instant::now();
    let jobs = jobs(settings, &KERNELS, settings.images);
    let counts = explore(fs, &jobs, knobs);
    for workload in &WORKLOADS {
        let of_it = jobs.iter().zip(&counts).filter(|(job, _)| job.workload.name == workload.name);
        let Count { distinct, tried, tried_inside, with_work, failed, .. } = Count::sum(of_it.map(|(_, count)| count));
        if tried > 0 {
            println!(
                "  {}, {}: tried {tried} of {distinct}, inside recovery {tried_inside}, with work {with_work}, failed {failed}",
                knobs.label(fs),
                workload.name
            );
        }
    }
    let count = Count::sum(&counts);
    println!("{}: {count}; {} s", knobs.label(fs), began.elapsed().as_secs());
    let is_slow = jobs.iter().any(|job| job.kernel == Kernel::Slow);
    if is_slow && count.overtaking == 0 {
        println!("FAILED: {}: no flush has overtaken a write", knobs.label(fs));
    }
    count.is_good() && !(is_slow && count.overtaking == 0)
}

fn variant(fs: Fs, settings: &Settings, knobs: &Knobs) -> bool {
    let began = Instant::now();
    let jobs = jobs(settings, &[Kernel::Plain], settings.images.div_ceil(VARIANT_EVERY));
    if jobs.is_empty() {
        return true;
    }
    let count = Count::sum(&explore(fs, &jobs, knobs));
    println!("{}: {count}; {} s", knobs.label(fs), began.elapsed().as_secs());
    count.is_good()
}

fn controls(fs: Fs, settings: &Settings, knobs: &Knobs) -> bool {
    let mut is_good = true;
    for (control, name, workloads, must_be_noticed) in CONTROLS {
        // Few of a file system's states show that a flush was ignored: enough of them that one does.
        let images = settings.images.div_ceil(24).max(if must_be_noticed { 60 } else { 10 });
        let workloads = WORKLOADS.iter().filter(|workload| workloads.contains(&workload.name));
        let jobs: Vec<Job> =
            workloads.map(|workload| Job { workload, kernel: Kernel::Plain, control, images }).collect();
        let count = Count::sum(&explore(fs, &jobs, knobs));
        let Count { tried, failed, lost, deaf, .. } = count;
        let fs = knobs.label(fs);
        println!("{fs}, control, {name}: tried {tried}, failed {failed}, acknowledged and gone {lost}");
        if control == Control::DeafDisk {
            println!("{fs}, expected of {name}: {deaf}");
            is_good &= deaf.unexpected == 0;
        }
        if must_be_noticed && lost == 0 {
            println!("FAILED: {fs}: the laboratory does not notice {name}");
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
