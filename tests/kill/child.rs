//! The process that is killed: what this binary does when it is run once more.

use std::fs;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use treewal::{CheckpointSync, Options};
use treewal_vfs::{Fault, FaultDisk, RealDisk};

use crate::workloads::{Renames, find};

const TREE: &str = "TREEWAL_KILL_TREE";
const WORKLOAD: &str = "TREEWAL_KILL_WORKLOAD";
const STEPS: &str = "TREEWAL_KILL_STEPS";
const AT: &str = "TREEWAL_KILL_AT";
const RENAMES: &str = "TREEWAL_KILL_RENAMES";
/// Removing these, which do not exist, is seen by a tracer: between the two lies the work.
pub(crate) const BEGIN: &str = "/treewal-the-work-begins";
pub(crate) const END: &str = "/treewal-the-work-ends";

/// What a process is told to do.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    pub(crate) tree: &'a Path,
    /// Its steps follow the opening.
    pub(crate) workload: &'a str,
    /// How many of them.
    pub(crate) steps: usize,
    /// The call of the disk that the process does not live to make; 0 for none.
    pub(crate) at: u64,
    pub(crate) renames: Renames,
}

/// How a process ended, and what it had said.
pub(crate) struct Ended {
    pub(crate) killed: bool,
    /// Steps that were acknowledged.
    pub(crate) acknowledged: usize,
    /// Calls of the disk, where the process came to its end.
    pub(crate) calls: Option<u64>,
}

impl Job<'_> {
    /// Tells a command, this binary or something around it, to do this job.
    pub(crate) fn order<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            // Where cargo puts libraries is searched by the loader, with many calls.
            .env_remove("LD_LIBRARY_PATH")
            .args(["child::process", "--exact", "--nocapture", "--test-threads=1"])
            .env(TREE, self.tree)
            .env(WORKLOAD, self.workload)
            .env(STEPS, self.steps.to_string())
            .env(AT, self.at.to_string())
            .env(RENAMES, format!("{:?}", self.renames))
    }

    /// Runs the process to its end.
    pub(crate) fn run(&self) -> Ended {
        let mut command = Command::new(std::env::current_exe().unwrap());
        Ended::of(&self.order(&mut command).output().unwrap())
    }
}

impl Ended {
    /// # Panics
    /// Where the process ended neither well nor by SIGKILL.
    pub(crate) fn of(output: &Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let said = String::from_utf8_lossy(&output.stdout);
        let killed = output.status.signal() == Some(9);
        let well = killed || output.status.success();
        assert!(well, "the process: {}: {said}{}", output.status, String::from_utf8_lossy(&output.stderr));
        let calls = said.lines().find_map(|line| line.strip_prefix("calls ")).map(|calls| calls.parse().unwrap());
        assert_eq!(calls.is_none(), killed, "only a killed process says no last word: {said}");
        Self { killed, acknowledged: said.lines().filter(|line| *line == "acknowledged").count(), calls }
    }
}

/// Options that make small things large: a short journal, and files that do not fit into it.
pub(crate) fn options() -> Options {
    // How a checkpoint syncs must not depend on what the machine has to write meanwhile: calls are counted.
    let options = Options::new().checkpoint_sync(CheckpointSync::FileSystem);
    options.segment_bytes(64 << 10).inline_max(16 << 10)
}

/// No test unless the environment says what to do: then this is the process that is killed.
#[test]
fn process() {
    let Ok(tree) = std::env::var(TREE) else { return };
    let told = |name: &str| std::env::var(name).unwrap();
    let at: u64 = told(AT).parse().unwrap();
    let fault = if at == 0 { Fault::None } else { Fault::Kill { at } };
    let workload = told(WORKLOAD);
    let steps = find(&workload).into_iter().flat_map(|workload| workload.steps);
    // A tracer counts the calls of each thread and of each name. The test harness makes some from another thread: with
    // these made first, no call of the work has the number of one of the harness.
    for _ in 0..48 {
        drop(fs::File::open(BEGIN).unwrap_err());
        say("");
        std::hint::black_box(std::io::stdin().is_terminal());
    }
    fs::remove_file(BEGIN).unwrap_err();
    let disk = FaultDisk::new(Arc::new(RealDisk), fault);
    let disk = Arc::new(match told(RENAMES).as_str() {
        "Plain" => disk.without_exchange().without_links(),
        "NoExchange" => disk.without_exchange(),
        _ => disk,
    });
    let handle = options().open_on(disk.clone(), &tree).unwrap();
    for step in steps.take(told(STEPS).parse().unwrap()) {
        step(&handle, Path::new(&tree));
        say("acknowledged");
    }
    drop(handle);
    fs::remove_file(END).unwrap_err();
    say(&format!("calls {}", disk.mutations()));
}

/// One line, on its way before this returns: from here on it is a promise.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}
