//! A file system that goes read only, or shuts down, after any call of a commit, as it does when it finds an error of its own.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use treewal::Outcome;
use treewal_vfs::{RealDisk, Verb};

use crate::hooked::Hooked;
use crate::image::{Image, skipped};
use crate::work::{Files, change, options, prepare, recovered, states, step};

/// Stops the file system on a device, mounted at a path.
type Stop = fn(&str, &Path) -> Result<(), String>;

/// ext4 that was made so remounts itself read only when it meets an error; the kernel has a switch to make it meet one.
fn ext4(device: &str, _: &Path) -> Result<(), String> {
    let name = device.rsplit('/').next().unwrap_or_default();
    fs::write(format!("/sys/fs/ext4/{name}/trigger_fs_error"), "a test").map_err(|error| error.to_string())
}

fn xfs(_: &str, at: &Path) -> Result<(), String> {
    match Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(at).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// How commits ended: done, untouched, rolled back, undecided.
type Ends = [u32; 4];

/// One commit on a file system that stops at its `at`th call, and what the tree is once it is mounted again. Says whether it
/// has so many calls.
fn stopped(image: &mut Image, (at, moves): (usize, bool), stop: Stop, [before, after]: &[Files; 2]) -> (bool, usize) {
    let tree = image.at().join("tree");
    prepare(&tree);
    let calls = Arc::new(AtomicUsize::new(usize::MAX / 2));
    let (device, mounted) = (image.device().to_owned(), image.at().to_owned());
    let hook = {
        let calls = Arc::clone(&calls);
        move |verb: Verb| {
            if (verb.is_mutating() || verb.is_sync()) && calls.fetch_add(1, Ordering::SeqCst) + 1 == at {
                stop(&device, &mounted).unwrap();
            }
        }
    };
    let handle = options().open_on(Arc::new(Hooked { inner: RealDisk, after: hook }), &tree).unwrap();
    // The stage is made, and what the handle needs once.
    handle.transaction(|tx| tx.write("b", "old b, again")).unwrap();
    handle.transaction(|tx| tx.write("b", "old b")).unwrap();
    handle.checkpoint().unwrap();
    // What the test itself has written.
    assert!(Command::new("sync").arg("--file-system").arg(&tree).status().unwrap().success());
    calls.store(0, Ordering::SeqCst);
    let result = handle.transaction(|tx| change(tx, moves));
    let name = format!("call {at}, moves {moves}: {result:?}");
    drop(handle);
    let is_stopped = calls.load(Ordering::SeqCst) >= at;
    if is_stopped {
        // An error that says so, and nothing worse.
        assert!(options().open(&tree).is_err(), "{name}");
        image.again();
    }
    let tree = image.at().join("tree");
    let (report, found) = recovered(&tree, &name);
    assert!(!report.found_damage(), "{name}: {report}");
    let (end, is_right) = match result.map_err(|error| error.outcome()) {
        Ok(()) => (0, found == *after),
        Err(Outcome::Unchanged) => (1, found == *before),
        Err(Outcome::RolledBack) => (2, found == *before),
        Err(_) => (3, found == *before || found == *after),
    };
    assert!(is_right, "{name}: {report}: {found:?}");
    fs::remove_dir_all(&tree).unwrap();
    (is_stopped, end)
}

#[test]
fn a_file_system_that_stops_in_the_middle_of_a_commit() {
    let kinds: [(&str, u64, &[&str], Stop); 2] =
        [("ext4", 64 << 20, &["-e", "remount-ro"], ext4), ("xfs", 300 << 20, &[], xfs)];
    for (kind, bytes, with, stop) in kinds {
        let test = "a_file_system_that_stops";
        let Some(mut image) = Image::new(kind, bytes, with, test) else { continue };
        if let Err(why) = stop(image.device(), image.at()) {
            skipped(&format!("{test}, {kind}"), &why);
            continue;
        }
        image.again();
        for moves in [false, true] {
            let whole = image.at().join("whole");
            prepare(&whole);
            let states = states(&whole, moves);
            fs::remove_dir_all(whole).unwrap();
            let mut ends: Ends = [0; 4];
            for at in (1..).step_by(step()) {
                let (is_stopped, end) = stopped(&mut image, (at, moves), stop, &states);
                ends[end] += 1;
                if !is_stopped {
                    break;
                }
            }
            println!("{kind}, moves {moves}: done, untouched, rolled back, undecided: {ends:?}");
            assert!(ends.iter().sum::<u32>() > 1);
        }
    }
}
