//! A snapshot of the whole tree, restored while a guard goes on: what the guard has nothing of comes back, and what it has is
//! refused with its name, or waited for.

use std::fs;
use std::path::Path;
use std::time::Duration;

use treewal::{Error, GuardOptions, Options, Others, SnapshotOptions, Tree};
use treewal_vfs::sim::{Outcome, Profile, SimDisk};
use treewal_vfs::{Disk, RelPath};

use crate::crash::{open, put};
use crate::end;
use crate::seen::{leftovers, look};

fn world() -> (tempfile::TempDir, Tree) {
    let dir = tempfile::tempdir().unwrap();
    for path in ["guarded/deep", "free"] {
        fs::create_dir_all(dir.path().join(path)).unwrap();
    }
    for path in ["guarded/g", "guarded/deep/x", "free/f", "index.db", "top"] {
        fs::write(dir.path().join(path), "old").unwrap();
    }
    let tree = Options::new().segment_bytes(64 << 10).lock_wait(Duration::ZERO).open(dir.path()).unwrap();
    tree.snapshot("one").unwrap();
    (dir, tree)
}

fn restore(tree: &Tree) -> treewal::Result<()> {
    tree.restore(&tree.find_snapshot("one")?).map(drop)
}

/// What a program does under the guard.
type Change = fn(&Path);

/// Refused by a guard, with what it guards.
fn refused(result: treewal::Result<()>, guarded: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.path(), Some(Path::new(guarded)), "{error}");
    assert!(error.to_string().contains(&format!("{guarded:?}")), "{error}");
    let Error::Locked { holder } = error else { unreachable!("{error:?}") };
    assert!(holder.this_process && holder.guards.is_some_and(|path| path == Path::new(guarded)));
}

#[test]
fn what_no_guard_has_comes_back_beside_it() {
    for commits in [false, true] {
        let (dir, tree) = world();
        let read = |path: &str| fs::read_to_string(dir.path().join(path)).unwrap();
        tree.transaction(|tx| {
            tx.write("free/f", "new")?;
            tx.rename("top", "free/top")?;
            tx.write("more", "more")
        })
        .unwrap();
        let guard = tree.guard_with(GuardOptions::new().matching("index.db*"), ["guarded", "absent"]).unwrap();
        restore(&tree).unwrap();
        assert_eq!([read("free/f"), read("top")], ["old", "old"]);
        assert!(!dir.path().join("more").exists() && !dir.path().join("free/top").exists());
        // And what the guard does afterwards is its own.
        fs::write(dir.path().join("guarded/g"), "new").unwrap();
        fs::write(dir.path().join("index.db-wal"), "new").unwrap();
        end(guard, commits).unwrap();
        assert_eq!(read("guarded/g"), if commits { "new" } else { "old" });
        assert_eq!(dir.path().join("index.db-wal").exists(), commits);
        restore(&tree).unwrap();
        assert_eq!(read("guarded/g"), "old");
        assert!(!dir.path().join("index.db-wal").exists());
        drop(tree);
        assert!(Tree::open(dir.path()).unwrap().recovery().is_clean());
    }
}

#[test]
fn what_a_guard_has_is_refused_with_its_name_and_nothing_has_happened() {
    let changes: [(&str, Change); 6] = [
        ("guarded", |dir| fs::write(dir.join("guarded/g"), "new").unwrap()),
        ("guarded", |dir| fs::remove_dir_all(dir.join("guarded/deep")).unwrap()),
        ("guarded", |dir| fs::rename(dir.join("guarded"), dir.join("aside")).unwrap()),
        ("absent/one", |dir| fs::create_dir(dir.join("absent")).unwrap()),
        ("index.db*", |dir| fs::write(dir.join("index.db"), "new").unwrap()),
        ("index.db*", |dir| fs::write(dir.join("index.db-wal"), "new").unwrap()),
    ];
    for (guarded, change) in changes {
        let (dir, tree) = world();
        tree.transaction(|tx| tx.write("free/f", "new")).unwrap();
        let guard = tree.guard_with(GuardOptions::new().matching("index.db*"), ["guarded", "absent/one"]).unwrap();
        change(dir.path());
        refused(restore(&tree), guarded);
        assert_eq!(fs::read(dir.path().join("free/f")).unwrap(), b"new");
        // Of what the guard has nothing of, it is brought back all the same.
        tree.restore_paths(&tree.find_snapshot("one").unwrap(), ["free"]).unwrap();
        assert_eq!(fs::read(dir.path().join("free/f")).unwrap(), b"old");
        guard.rollback().unwrap();
        if !matches!(guarded, "absent/one") {
            fs::remove_dir_all(dir.path().join("aside")).ok();
        }
        restore(&tree).unwrap();
        assert_eq!(fs::read(dir.path().join("guarded/g")).unwrap(), b"old");
        assert!(!dir.path().join("absent").exists());
    }
}

/// What stands there is as the snapshot has it, and the end of the guard would bring something else back.
#[test]
fn what_a_guard_would_bring_back_is_in_the_way_though_it_is_gone() {
    let (dir, tree) = world();
    fs::write(dir.path().join("index.db-wal"), "newer than the snapshot").unwrap();
    let guard = tree.guard_with(GuardOptions::new().matching("index.db*"), ["guarded"]).unwrap();
    refused(restore(&tree), "index.db*");
    fs::remove_file(dir.path().join("index.db-wal")).unwrap();
    refused(restore(&tree), "index.db*");
    guard.rollback().unwrap();
    assert!(dir.path().join("index.db-wal").exists());
    restore(&tree).unwrap();
    assert!(!dir.path().join("index.db-wal").exists());
}

#[test]
fn a_guard_that_lets_others_wait_is_waited_for() {
    let (dir, tree) = world();
    let guard = tree.guard_with(GuardOptions::new().others(Others::Wait), ["guarded"]).unwrap();
    fs::write(dir.path().join("guarded/g"), "new").unwrap();
    // The thread that has it would wait for itself.
    refused(restore(&tree), "guarded");
    std::thread::scope(|scope| {
        let restoring = scope.spawn(|| restore(&tree));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!restoring.is_finished());
        assert_eq!(fs::read(dir.path().join("guarded/g")).unwrap(), b"new");
        guard.commit().unwrap();
        restoring.join().unwrap().unwrap();
    });
    assert_eq!(fs::read(dir.path().join("guarded/g")).unwrap(), b"old");
}

/// Another handle has no part in it: the lock of the tree is the guard's, as for transactions.
#[test]
fn another_handle_waits_for_the_lock() {
    let (dir, tree) = world();
    let other = Options::new().lock_wait(Duration::ZERO).open(dir.path()).unwrap();
    let snapshot = other.find_snapshot("one").unwrap();
    let guard = tree.guard(["guarded"]).unwrap();
    let restored = std::thread::scope(|scope| scope.spawn(|| other.restore(&snapshot).map(drop)).join().unwrap());
    assert!(matches!(restored, Err(Error::Locked { .. })), "{restored:?}");
    guard.rollback().unwrap();
    other.restore(&snapshot).unwrap();
}

#[test]
fn the_power_goes_at_every_call_of_a_restore_beside_a_guard() {
    for (excludes, commits) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut states = 0;
        let base = snapped(excludes);
        for cut in 1.. {
            let disk = base.remount();
            let tree = open(&disk).unwrap();
            disk.cut_at(Some(cut));
            let told = tell(&tree, &disk, (excludes, commits));
            let off = disk.is_off();
            drop(tree);
            for profile in [Profile::Strict, Profile::Ordered] {
                let all = disk.outcomes(profile);
                let mut outcomes = vec![all.nothing(), all.everything(), all.names_without_contents()];
                outcomes.extend([all.contents_without_names(), all.names_and_lengths()]);
                outcomes.extend(all.sample(cut, 2).collect::<Vec<Outcome>>());
                for outcome in outcomes {
                    states += 1;
                    let at =
                        format!("{excludes} {commits} {told:?}, cut {cut}, {profile:?}: {}", disk.describe(&outcome));
                    judge(&disk.after(&outcome).remount(), &told, commits, &at);
                }
            }
            if !off {
                assert!(told.ended && cut > 20, "{cut} calls are too few to be true");
                break;
            }
        }
        assert!(states > 200, "{states}");
    }
}

/// How far a story came: begun and ended.
#[derive(Debug, Default)]
struct Told {
    restoring: bool,
    restored: bool,
    ending: bool,
    ended: bool,
}

fn snapped(excludes: bool) -> SimDisk {
    let disk = SimDisk::new();
    let tree = open(&disk).unwrap();
    tree.transaction(|tx| {
        tx.create_dir("guarded")?;
        tx.create_dir("free")?;
        tx.write("guarded/g", "old")?;
        tx.write("free/f", "old")?;
        tx.write("free/large", vec![b'L'; 9000])
    })
    .unwrap();
    let options = SnapshotOptions::new();
    tree.snapshot_with(if excludes { options.exclude("guarded") } else { options }, "one").unwrap();
    tree.transaction(|tx| {
        tx.write("free/f", "new")?;
        tx.remove_file("free/large")?;
        tx.rename("free", "moved")?;
        tx.write("more", "more")
    })
    .unwrap();
    drop(tree);
    disk.sync_all(&disk.open_root("/".as_ref()).unwrap()).unwrap();
    disk.remount()
}

fn tell(tree: &Tree, disk: &SimDisk, (excludes, commits): (bool, bool)) -> Told {
    let mut told = Told::default();
    let mut tell = || -> treewal::Result<()> {
        let guard = tree.guard(["guarded"])?;
        if excludes {
            put(disk, "guarded/g", "new");
        }
        told.restoring = true;
        restore(tree)?;
        told.restored = true;
        put(disk, "guarded/g", "new");
        put(disk, "guarded/n", "new");
        told.ending = true;
        end(guard, commits)?;
        told.ended = true;
        Ok(())
    };
    let done = tell();
    assert!(done.is_ok() || disk.is_off(), "{done:?}");
    told
}

fn judge(crashed: &SimDisk, told: &Told, commits: bool, at: &str) {
    let tree = open(crashed).unwrap();
    assert!(!tree.recovery().found_damage() && tree.recovery().pending().count() == 0, "{at}: {}", tree.recovery());
    drop(tree);
    let seen = look(crashed, "/");
    let has = |path: &str| seen.get(&RelPath::new(path).unwrap()).map(|entry| entry.contents.clone());
    let then = has("free/f") == Some(b"old".to_vec())
        && has("free/large") == Some(vec![b'L'; 9000])
        && has("moved").is_none()
        && has("more").is_none();
    let now = has("moved/f") == Some(b"new".to_vec())
        && has("moved/large").is_none()
        && has("free").is_none()
        && has("more").is_some();
    assert!(then && told.restoring || now && !told.restored, "{at}: {seen:#?}");
    let kept = has("guarded/g") == Some(b"new".to_vec()) && has("guarded/n").is_some();
    let back = has("guarded/g") == Some(b"old".to_vec()) && has("guarded/n").is_none();
    assert!(kept && commits && told.ending || back && !(commits && told.ended), "{at}: {seen:#?}");
    assert_eq!(leftovers(crashed, "/"), Vec::<String>::new(), "{at}");
    // And it can be had again.
    let tree = open(crashed).unwrap();
    restore(&tree).unwrap();
}
