//! Clocks that jump between commit, crash and recovery, and files whose times lie before 1970 or far ahead. The same is decided
//! as with a clock that goes on: nothing is ordered by time but what `docs/guarantees.md` says.

use std::ffi::OsStr;
use std::sync::Arc;

use treewal::{FileTimes, Options, Tree};
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Disk, Open, RelPath, Time, write_all};

const YEAR: u64 = 31_557_600;
/// Where the clock of the simulated disk begins.
const NOW: u64 = 1_000_000_000;

fn open(disk: &SimDisk) -> Tree {
    Options::new().segment_bytes(64 << 10).open_on(Arc::new(disk.clone()), "/").unwrap()
}

fn put(disk: &SimDisk, name: &str, contents: &str) {
    let root = disk.open_root("/".as_ref()).unwrap();
    let file = disk.open(&root, OsStr::new(name), Open::Create { mode: 0o644 }).unwrap();
    disk.set_len(&file, 0).unwrap();
    write_all(disk, &file, contents.as_bytes(), 0).unwrap();
}

fn holds(disk: &SimDisk, name: &str) -> Option<String> {
    let node = disk.dump().remove(&RelPath::new(name).unwrap())?;
    Some(String::from_utf8_lossy(&node.contents).into_owned())
}

fn set_modified(disk: &SimDisk, name: &str, secs: i64) {
    let root = disk.open_root("/".as_ref()).unwrap();
    let time = Time { secs, nanos: 1 };
    disk.set_times(&root, OsStr::new(name), time, time).unwrap();
}

fn is_whole(tree: &Tree, told: &str) {
    let report = tree.recovery();
    assert!(!report.found_damage() && report.pending().count() == 0, "{told}: {report}");
    assert!(report.transactions.iter().all(|done| done.superseded.is_empty()), "{told}: {report}");
}

/// The same after a commit whose clock had been set back: what lies in a directory that was to go is newer than the commit, so
/// it is taken for somebody else's, and stays there or in quarantine, with a report. Says whether that is so.
fn is_whole_but_for_a_directory(tree: &Tree, told: &str) -> bool {
    let report = tree.recovery();
    assert!(report.pending().count() == 0, "{told}: {report}");
    let left: Vec<_> = report.transactions.iter().flat_map(|done| &done.superseded).collect();
    assert!(left.is_empty() || left == ["dir"], "{told}: {report}");
    !left.is_empty()
}

/// Where the clock goes between two things: on, to years before, to years after, and to 1970 itself.
const JUMPS: [u64; 4] = [NOW + 60, NOW - 20 * YEAR, NOW + 20 * YEAR, 1];

#[test]
fn a_commit_is_redone_whatever_the_clock_says_then() {
    let (mut outcomes, mut left) = (0, 0);
    for during in JUMPS {
        for after in JUMPS {
            let disk = SimDisk::new();
            put(&disk, "a", "old a");
            put(&disk, "gone", "old");
            disk.create_dir(&disk.open_root("/".as_ref()).unwrap(), OsStr::new("dir"), 0o755).unwrap();
            put_in(&disk, "dir", "inside");
            disk.sync_all(&disk.open_root("/".as_ref()).unwrap()).unwrap();
            let tree = open(&disk);
            tree.checkpoint().unwrap();
            disk.set_clock(during);
            tree.transaction(|tx| {
                tx.write("a", "new a")?;
                tx.write("fresh", "new")?;
                tx.remove_file("gone")?;
                tx.remove_dir_all("dir")
            })
            .unwrap();
            for profile in [Profile::Strict, Profile::Ordered] {
                let all = disk.outcomes(profile);
                let some = [all.nothing(), all.everything(), all.names_without_contents()];
                for outcome in some.into_iter().chain(all.sample(during ^ after, 20)) {
                    let lost = disk.after(&outcome);
                    lost.set_clock(after);
                    let told = format!("commit at {during}, recovery at {after}\n{}", disk.describe(&outcome));
                    let tree = open(&lost);
                    let stays = during < NOW && is_whole_but_for_a_directory(&tree, &told);
                    if !stays {
                        is_whole(&tree, &told);
                    }
                    left += u32::from(stays);
                    assert_eq!(holds(&lost, "a").as_deref(), Some("new a"), "{told}");
                    assert_eq!(holds(&lost, "fresh").as_deref(), Some("new"), "{told}");
                    assert_eq!(holds(&lost, "gone"), None, "{told}");
                    let kept = lost.dump().values().any(|node| node.contents == b"inside");
                    assert_eq!(kept, stays, "{told}");
                    outcomes += 1;
                }
            }
        }
    }
    println!(
        "{outcomes} power losses behind {} jumps, a directory left and told of in {left}",
        JUMPS.len() * JUMPS.len()
    );
    assert!(left > 0 && left < outcomes, "{left} of {outcomes}");
}

fn put_in(disk: &SimDisk, dir: &str, name: &str) {
    let dir = disk.open_dir(&disk.open_root("/".as_ref()).unwrap(), &RelPath::new(dir).unwrap()).unwrap();
    let file = disk.open(&dir, OsStr::new(name), Open::CreateNew { mode: 0o644 }).unwrap();
    write_all(disk, &file, b"inside", 0).unwrap();
}

#[test]
fn a_guard_is_undone_whatever_the_clock_says_then() {
    for during in JUMPS {
        for after in JUMPS {
            for power in [false, true] {
                let disk = SimDisk::new();
                put(&disk, "a", "before");
                let tree = open(&disk);
                let guard = tree.guard(["a", "b"]).unwrap();
                disk.set_clock(during);
                put(&disk, "a", "halfwy");
                put(&disk, "b", "new");
                let lost = if power { disk.after(&disk.outcomes(Profile::Ordered).everything()) } else { disk.kill() };
                std::mem::forget((guard, tree));
                lost.set_clock(after);
                let tree = open(&lost);
                is_whole(&tree, &format!("written at {during}, recovery at {after}, power {power}"));
                assert_eq!((holds(&lost, "a").as_deref(), holds(&lost, "b")), (Some("before"), None));
            }
        }
    }
}

#[test]
fn a_handle_goes_on_over_a_clock_that_jumps() {
    let disk = SimDisk::new();
    let options = Options::new().segment_bytes(64 << 10).checkpoint_age(std::time::Duration::from_secs(5));
    let neighbour = disk.another_process();
    let one = options.open_on(Arc::new(disk.clone()), "/").unwrap();
    let two = options.open_on(Arc::new(neighbour), "/").unwrap();
    for (turn, clock) in JUMPS.into_iter().chain([NOW]).enumerate() {
        disk.set_clock(clock);
        for tree in [&one, &two] {
            tree.transaction(|tx| {
                let before = if turn == 0 { 0 } else { tx.read("a")?.len() };
                tx.write("a", vec![b'a'; before + 1])
            })
            .unwrap();
        }
        let reader = one.read().unwrap();
        assert!(reader.metadata("a").unwrap().len() > turn as u64);
    }
    // The first turn begins twice.
    assert_eq!(holds(&disk, "a").map(|text| text.len()), Some(9));
}

/// Times as nobody would expect them: long before 1970, the last second before it, 2038, far ahead.
const TIMES: [i64; 6] = [-10_000_000_000, -1, 0, 1 << 31, 10_000_000_000, 200_000_000_000];

#[test]
fn files_of_any_time_are_replaced_moved_guarded_and_redone() {
    for secs in TIMES {
        let disk = SimDisk::new();
        for name in ["a", "moved", "guarded"] {
            put(&disk, name, "old");
            set_modified(&disk, name, secs);
        }
        disk.sync_all(&disk.open_root("/".as_ref()).unwrap()).unwrap();
        let tree = open(&disk);
        let guard = tree.guard(["guarded"]).unwrap();
        put(&disk, "guarded", "new");
        guard.rollback().unwrap();
        let node = disk.dump().remove(&RelPath::new("guarded").unwrap()).unwrap();
        assert_eq!((node.contents.as_slice(), node.modified), (&b"old"[..], Time { secs, nanos: 1 }));
        tree.transaction(|tx| {
            tx.rename("moved", "there")?;
            tx.write("b", "with a time")?;
            let time = treewal_time(secs);
            tx.set_times("b", FileTimes::new().set_modified(time).set_accessed(time))
        })
        .unwrap();
        tree.transaction(|tx| tx.write("a", "new")).unwrap();
        let all = disk.outcomes(Profile::Ordered);
        let some = [all.nothing(), all.everything(), all.names_without_contents()];
        for outcome in some.into_iter().chain(all.sample(secs.unsigned_abs(), 20)) {
            let lost = disk.after(&outcome);
            is_whole(&open(&lost), &format!("{secs}\n{}", disk.describe(&outcome)));
            assert_eq!(holds(&lost, "a").as_deref(), Some("new"), "{secs}");
            assert_eq!(holds(&lost, "there").as_deref(), Some("old"), "{secs}");
            let node = lost.dump().remove(&RelPath::new("b").unwrap()).unwrap();
            assert_eq!(node.modified.secs, secs);
        }
    }
}

fn treewal_time(secs: i64) -> std::time::SystemTime {
    let distance = std::time::Duration::from_secs(secs.unsigned_abs());
    let epoch = std::time::SystemTime::UNIX_EPOCH;
    if secs < 0 { epoch - distance } else { epoch + distance }
}
