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
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a laboratory is a test: it fails by panicking, counts out loud, and touches the disk it examines"
)]

mod bench;
mod bent;
mod count;
mod cuts;
mod deaf;
mod explore;
mod filesystem;
mod hand;
mod image;
mod judge;
mod log;
mod needs;
mod order;
mod run;
mod server;
mod settings;
mod slot;
mod stir;
mod walk;
mod workloads;

use std::process::ExitCode;

use settings::Settings;

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
            None => is_good &= run::run(*fs, &settings, &knobs),
        }
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
