//! Disks that were pulled out within one boot, and backups in which tree and `.treewal` are of different days.
//!
//! Trees that are copied, moved or mounted elsewhere while something is owed: `tests/images`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use treewal::{Options, Tree};
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Disk, Fault, FaultDisk, Open, RealDisk, RelPath, write_all};

fn options() -> Options {
    Options::new().segment_bytes(64 << 10)
}

fn holds(disk: &SimDisk, name: &str) -> Option<String> {
    let node = disk.dump().remove(&RelPath::new(name).unwrap())?;
    Some(String::from_utf8_lossy(&node.contents).into_owned())
}

fn put(disk: &SimDisk, name: &str, contents: &str) {
    let root = disk.open_root("/".as_ref()).unwrap();
    let file = disk.open(&root, name.as_ref(), Open::Create { mode: 0o644 }).unwrap();
    write_all(disk, &file, contents.as_bytes(), 0).unwrap();
}

/// The boot is the same before and after, so nothing that a boot tells may save recovery any work.
#[test]
fn what_a_disk_lost_that_was_pulled_out_within_a_boot_is_redone_and_undone() {
    let disk = SimDisk::new();
    put(&disk, "a", "old");
    put(&disk, "guarded", "before");
    disk.sync_all(&disk.open_root("/".as_ref()).unwrap()).unwrap();
    let mut tried = 0;
    for guarded in [false, true] {
        let disk = disk.remount();
        let tree = options().open_on(Arc::new(disk.clone()), "/").unwrap();
        let guard = guarded.then(|| tree.guard(["guarded"]).unwrap());
        if guarded {
            put(&disk, "guarded", "halfwy");
        }
        tree.transaction(|tx| {
            tx.write("a", "new")?;
            tx.write("b", vec![b'b'; 100_000])
        })
        .unwrap();
        for profile in [Profile::Strict, Profile::Ordered] {
            let all = disk.outcomes(profile);
            let some = [all.nothing(), all.everything(), all.names_without_contents(), all.contents_without_names()];
            for outcome in some.into_iter().chain(all.sample(17, 100)) {
                let again = disk.after_reattaching(&outcome);
                assert_eq!(again.boot_id(), disk.boot_id());
                let tree = options().open_on(Arc::new(again.clone()), "/").unwrap();
                let told = format!("{}\n{}", tree.recovery(), disk.describe(&outcome));
                assert!(!tree.recovery().found_damage() && tree.recovery().pending().count() == 0, "{told}");
                assert_eq!(holds(&again, "a").as_deref(), Some("new"), "{told}");
                assert_eq!(holds(&again, "b").map(|text| text.len()), Some(100_000), "{told}");
                assert_eq!(holds(&again, "guarded").as_deref(), Some("before"), "{told}");
                tried += 1;
            }
        }
        std::mem::forget((guard, tree));
    }
    println!("{tried} ways to pull a disk out");
}

pub(crate) fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// The tree at `dir` gets its own `.treewal` from elsewhere.
fn replace_store(dir: &Path, from: &Path) {
    fs::remove_dir_all(dir.join(".treewal")).unwrap();
    copy(&from.join(".treewal"), &dir.join(".treewal"));
}

pub(crate) fn text(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap_or_default()
}

/// Everything that tree and quarantine hold.
pub(crate) fn held(dir: &Path) -> BTreeSet<Vec<u8>> {
    let (mut found, mut dirs) = (BTreeSet::new(), vec![dir.to_owned()]);
    while let Some(at) = dirs.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                found.insert(fs::read(path).unwrap());
            }
        }
    }
    found
}

/// Each of three files is written once a day. What is written on a day is in the tree or owed to it, as the disk goes off before the
/// day's checkpoint; then tree and `.treewal` are backed up, each by itself.
fn days(home: &Path) -> [std::path::PathBuf; 3] {
    let dir = home.join("tree");
    fs::create_dir(&dir).unwrap();
    for name in ["a", "b", "c"] {
        fs::write(dir.join(name), "day 0").unwrap();
    }
    [1, 2, 3].map(|day| {
        let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None));
        let tree = options().open_on(disk.clone(), &dir).unwrap();
        tree.transaction(|tx| ["a", "b", "c"].iter().try_for_each(|name| tx.write(name, format!("day {day}"))))
            .unwrap();
        disk.arm(Fault::Off { at: 1 });
        drop(tree);
        let backup = home.join(format!("backup-{day}"));
        copy(&dir, &backup);
        backup
    })
}

#[test]
fn a_backup_of_one_day_with_the_treewal_of_another_loses_nothing() {
    let home = tempfile::tempdir().unwrap();
    let days = days(home.path());
    for (files_of, backup) in days.iter().enumerate() {
        for (store_of, store) in days.iter().enumerate() {
            let dir = home.path().join(format!("restored-{files_of}-{store_of}"));
            copy(backup, &dir);
            replace_store(&dir, store);
            let tree = options().open(&dir).unwrap();
            let told = format!("files of day {}, .treewal of day {}: {}", files_of + 1, store_of + 1, tree.recovery());
            assert_eq!(tree.recovery().pending().count(), 0, "{told}");
            for name in ["a", "b", "c"] {
                let found = text(&dir, name);
                let (files, journal) = (format!("day {}", files_of + 1), format!("day {}", store_of + 1));
                println!("files of day {}, .treewal of day {}: {found:?}", files_of + 1, store_of + 1);
                assert!(found == files || found == journal, "{name}: {found:?} {told}");
                let held = held(&dir);
                for contents in [files, journal] {
                    assert!(held.contains(contents.as_bytes()), "{contents:?} is nowhere: {told}");
                }
            }
            tree.transaction(|tx| tx.write("a", "on")).unwrap();
            drop(tree);
            assert!(options().open(&dir).unwrap().recovery().is_clean(), "{told}");
        }
    }
}

/// One that was closed when it was copied owes nothing, so the files stay as they are, of whatever day.
#[test]
fn a_treewal_that_was_closed_leaves_files_of_any_day_alone() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("tree");
    fs::create_dir(&dir).unwrap();
    let days = [1, 2].map(|day| {
        options().open(&dir).unwrap().transaction(|tx| tx.write("a", format!("day {day}"))).unwrap();
        let backup = home.path().join(format!("backup-{day}"));
        copy(&dir, &backup);
        backup
    });
    for (files, store) in [(0, 1), (1, 0)] {
        let restored = home.path().join(format!("restored-{files}"));
        copy(&days[files], &restored);
        replace_store(&restored, &days[store]);
        let tree = options().open(&restored).unwrap();
        assert!(tree.recovery().is_clean(), "{}", tree.recovery());
        assert_eq!(text(&restored, "a"), format!("day {}", files + 1));
        assert_eq!(tree.read().unwrap().read_to_string("a").unwrap(), text(&restored, "a"));
    }
}

/// A `.treewal` that was backed up while a guard was alive says that its paths are to be restored, whatever came later; see
/// `guarded_copies` for what becomes of that.
#[test]
fn a_treewal_of_the_time_of_a_guard_restores_what_it_guarded() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("tree");
    fs::create_dir(&dir).unwrap();
    for name in ["guarded", "other"] {
        fs::write(dir.join(name), "before").unwrap();
    }
    let tree: Tree = options().open(&dir).unwrap();
    let guard = tree.guard(["guarded"]).unwrap();
    fs::write(dir.join("guarded"), "in place").unwrap();
    let backup = home.path().join("backup");
    copy(&dir, &backup);
    guard.commit().unwrap();
    tree.transaction(|tx| tx.write("other", "later")).unwrap();
    drop(tree);
    replace_store(&dir, &backup);
    let tree = options().open(&dir).unwrap();
    assert_eq!(tree.recovery().transactions[0].label, "undo", "{}", tree.recovery());
    assert_eq!((text(&dir, "guarded").as_str(), text(&dir, "other").as_str()), ("before", "later"));
    tree.transaction(|tx| tx.write("guarded", "on")).unwrap();
}
