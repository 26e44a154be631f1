//! The laboratory, a slice of it: every recording on every file system that is there, a few images of each, and the
//! controls. `docs/evidence.md` has longer runs.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and looks at what the kernel says"
)]

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const LAB: &str = env!("CARGO_BIN_EXE_treewal-lab");
const SKIPPED: i32 = 77;
/// How the rows begin that `docs/guarantees.md` rests on, and of which file system they are.
const EXPECTED: [(&str, &str); 4] = [
    ("ext4, data=writeback: 9 recordings", "ext4"),
    ("ext4, expected of a disk that ignores flushes: ", "ext4"),
    ("xfs, expected of a disk that ignores flushes: ", "xfs"),
    ("btrfs, expected of a disk that ignores flushes: ", "btrfs"),
];

#[test]
fn after_a_loss_of_power_real_file_systems_hold_what_was_acknowledged() {
    let test = "power loss on real file systems";
    let output = lab(&[]).env("TREEWAL_LAB_MINUTES", "20").output().unwrap();
    let said = text(&output);
    if output.status.code() == Some(SKIPPED) {
        return tell(&format!("{test}: {said}"));
    }
    tell(&said);
    assert!(output.status.success(), "{test}: {}\n{said}", output.status);
    for fs in ["ext4", "xfs", "btrfs"] {
        let is_told = said.lines().any(|line| line.starts_with(fs) || line.starts_with(&format!("skipped: {fs}")));
        assert!(is_told, "{fs} is neither counted nor skipped by name:\n{said}");
    }
    // What is written down as an expectation is asked for, wherever the file system is there.
    for (row, of) in EXPECTED {
        let is_told = said.lines().any(|line| line.starts_with(row) || line.starts_with(&format!("skipped: {of}")));
        assert!(is_told, "nothing of {row:?}:\n{said}");
    }
}

/// A `kill -9` in the middle of its work leaves no loop device, and no mount can be left where no process is.
#[test]
fn a_laboratory_that_is_killed_leaves_nothing_behind() {
    let mut lab = lab(&["ext4"]).env("TREEWAL_LAB_IMAGES", "100000").stdout(Stdio::piped()).spawn().unwrap();
    let ours = format!("/lab-{}/", lab.id());
    let Some(()) = wait(|| loops(&ours) >= 2, &mut lab) else {
        let output = lab.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(SKIPPED), "it never had a disk: {}", text(&output));
        return tell(&format!("a killed laboratory: {}", text(&output)));
    };
    // In the middle of a recording, or of a trial.
    std::thread::sleep(Duration::from_secs(2));
    lab.kill().unwrap();
    lab.wait().unwrap();
    let began = Instant::now();
    while loops(&ours) > 0 {
        assert!(began.elapsed() < Duration::from_secs(30), "{} loop devices are left", loops(&ours));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The laboratory, with the program beside it as the source says now.
fn lab(arguments: &[&str]) -> Command {
    let beside = Path::new(LAB).with_file_name("treewal");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--offline", "-p", "treewal-cli"]);
    if beside.parent().is_some_and(|dir| dir.ends_with("release")) {
        build.arg("--release");
    }
    let built = build.output().unwrap();
    assert!(built.status.success(), "the program cannot be built: {}", String::from_utf8_lossy(&built.stderr));
    let mut command = Command::new(LAB);
    command.args(arguments).env("TREEWAL_LAB_PROGRAM", beside);
    command
}

/// Waits for something; `None` where the process ends first.
fn wait(is_so: impl Fn() -> bool, process: &mut Child) -> Option<()> {
    let began = Instant::now();
    while !is_so() {
        if process.try_wait().unwrap().is_some() {
            return None;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "nothing happens");
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(())
}

/// How many loop devices have a file behind them whose path has this in it.
fn loops(path: &str) -> usize {
    let devices =
        fs::read_dir("/sys/block").map(|dir| dir.map(|entry| entry.unwrap().path()).collect::<Vec<PathBuf>>());
    let files = devices.into_iter().flatten().filter_map(|at| fs::read_to_string(at.join("loop/backing_file")).ok());
    files.filter(|file| file.contains(path)).count()
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// To where nobody catches it: counts, and what is left out, are told also where the test passes.
fn tell(text: &str) {
    io::stderr().write_all(format!("{}\n", text.trim_end()).as_bytes()).unwrap();
}
