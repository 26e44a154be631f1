//! The parts of a case that run in processes of their own.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::states;

const LIMIT: Duration = Duration::from_secs(20);

/// What the test runs in other processes; by itself it has nothing to do.
#[test]
fn part() {
    let (Some(part), Some(dir)) = (std::env::var_os("TREEWAL_DAMAGE_PART"), std::env::var_os("TREEWAL_DAMAGE_DIR"))
    else {
        return;
    };
    let (part, dir) = (part.to_str().unwrap(), Path::new(&dir));
    match part.split_once(' ') {
        Some(("make", state)) => states::make(state, dir),
        Some(("fail", _)) => states::fail(dir),
        Some(("open", how)) => crate::judge::open(how, dir),
        _ => panic!("{part}"),
    }
}

/// Runs a part; `None` where it takes too long.
pub(crate) fn part_in(part: &str, dir: &Path) -> Option<Output> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child::part", "--nocapture", "--test-threads=1"]);
    command.env("TREEWAL_DAMAGE_PART", part).env("TREEWAL_DAMAGE_DIR", dir).env("RUST_BACKTRACE", "0");
    // A bound on memory that nothing here comes near, whatever a damaged length asks for.
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Some(child.wait_with_output().unwrap())
}

/// Makes a state.
pub(crate) fn make(state: &str, dir: &Path) {
    let made = part_in(&format!("make {state}"), dir).unwrap();
    assert!(made.status.success(), "{state}: {}", String::from_utf8_lossy(&made.stderr));
    if state.starts_with("owed") {
        let failed = part_in("fail -", dir).unwrap();
        assert!(failed.status.success(), "{state}: {}", String::from_utf8_lossy(&failed.stderr));
    }
}
