//! A tree that is copied, or moved, with its `.treewal` while a guard of any kind is alive: what was guarded comes back, what stood
//! there is in the tree or in quarantine, and the recovery says what it did.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use treewal::{GuardOptions, Options, Sharing};
use treewal_vfs::{Fault, FaultDisk, RealDisk};

use crate::copies::held;

type Kind = fn(GuardOptions) -> GuardOptions;
type Fate = fn(&Path) -> PathBuf;

/// How a guard keeps what it protects.
const KINDS: [(&str, Kind); 4] = [
    ("copies", |options| options.sharing(Sharing::Copy)),
    ("hard links", |options| options.sharing(Sharing::HardLink)),
    ("hard links with checksums", |options| options.sharing(Sharing::HardLink).digest(true)),
    ("exchange", |options| options.exchange(true)),
];

/// What becomes of the directory, the guard being alive. Gives where it is then.
const FATES: [(&str, Fate); 4] = [
    ("moved", |dir| {
        let to = dir.with_extension("moved");
        fs::rename(dir, &to).unwrap();
        to
    }),
    ("cp -a", |dir| copied(dir, "-a")),
    ("cp -r", |dir| copied(dir, "-r")),
    (".treewal moved into a copy", |dir| {
        let to = copied(dir, "-r");
        fs::remove_dir_all(to.join(".treewal")).unwrap();
        fs::rename(dir.join(".treewal"), to.join(".treewal")).unwrap();
        to
    }),
];

fn copied(dir: &Path, how: &str) -> PathBuf {
    let to = dir.with_extension("copied");
    assert!(Command::new("cp").arg(how).arg(dir).arg(&to).status().unwrap().success());
    to
}

const FILES: [&str; 7] = [
    "guarded/same",
    "guarded/replaced",
    "guarded/in place",
    "guarded/gone",
    "guarded/deep/f",
    "index.db",
    "index.db-wal",
];

/// A guard is alive on a tree, and a program has done half of its work, when the disk goes off. `in_place`: it also writes into
/// files.
fn at_work(dir: &Path, options: GuardOptions, in_place: bool) {
    fs::create_dir_all(dir.join("guarded/deep")).unwrap();
    for path in FILES {
        fs::write(dir.join(path), format!("{path} before")).unwrap();
    }
    let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None));
    let tree = Options::new().segment_bytes(64 << 10).lock_wait(Duration::ZERO).open_on(disk.clone(), dir).unwrap();
    let guard = tree.guard_with(options.matching("index.db*"), ["guarded", "absent"]).unwrap();
    let write = |path: &str| fs::write(dir.join(path), format!("{path} at work")).unwrap();
    for path in ["guarded/replaced", "index.db"] {
        write("part");
        fs::rename(dir.join("part"), dir.join(path)).unwrap();
        fs::write(dir.join(path), format!("{path} at work")).unwrap();
    }
    if in_place {
        write("guarded/in place");
    }
    fs::remove_file(dir.join("guarded/gone")).unwrap();
    fs::remove_file(dir.join("index.db-wal")).unwrap();
    fs::remove_dir_all(dir.join("guarded/deep")).unwrap();
    for path in ["guarded/deep", "guarded/new", "index.db-shm", "absent"] {
        write(path);
    }
    disk.arm(Fault::Off { at: 1 });
    drop(guard);
    drop(tree);
}

#[test]
fn what_was_guarded_comes_back_and_nothing_is_lost() {
    for (kind, options) in KINDS {
        for (fate, happens) in FATES {
            let home = tempfile::tempdir().unwrap();
            let dir = home.path().join("tree");
            at_work(&dir, options(GuardOptions::new()), kind == "copies" || kind == "exchange");
            let stood = files(&dir);
            let dir = happens(&dir);
            let at = format!("{kind}, {fate}");
            let tree = Options::new().open(&dir).unwrap();
            let report = tree.recovery();
            assert_eq!(report.transactions.len(), 1, "{at}: {report}");
            let line = &report.transactions[0];
            let held = held(&dir);
            if (kind, fate) == ("hard links", "cp -r") {
                // Neither inodes nor times nor checksums tell what the backups are: they are not guessed, and kept.
                assert!(line.quarantine.is_some() && report.to_string().contains("given up"), "{at}: {report}");
                for path in FILES {
                    assert!(held.contains(format!("{path} before").as_bytes()), "{at}: {path:?} is lost: {report}");
                }
            } else {
                assert!(line.error.is_none() && (fate != "moved" || !report.found_damage()), "{at}: {report}");
                let before = FILES.iter().map(|path| (path.into(), format!("{path} before"))).collect();
                assert_eq!(files(&dir), sorted(before), "{at}: {report}");
            }
            // A tree that was copied may be newer work: what stood there is kept.
            for (path, text) in stood {
                assert!(fate == "moved" || held.contains(text.as_bytes()), "{at}: {path:?} is lost: {report}");
            }
            assert_eq!(line.quarantine.is_some(), fate != "moved", "{at}: {report}");
            drop(tree);
            assert!(Options::new().open(&dir).unwrap().recovery().is_clean(), "{at}");
        }
    }
}

/// What is written into a file that is its own backup is not undone, and not lost either: it is named, and the rest comes back.
#[test]
fn what_was_written_into_its_own_backup_is_named_and_stays() {
    for (kind, options) in &KINDS[1..3] {
        for (fate, happens) in FATES {
            let home = tempfile::tempdir().unwrap();
            let dir = home.path().join("tree");
            at_work(&dir, options(GuardOptions::new()), true);
            let dir = happens(&dir);
            let at = format!("{kind}, {fate}");
            let tree = Options::new().open(&dir).unwrap();
            let report = tree.recovery();
            let written = "guarded/in place at work";
            assert!(held(&dir).contains(written.as_bytes()), "{at}: {report}");
            assert!(!report.is_clean() && report.to_string().contains("guarded/in place"), "{at}: {report}");
            for path in FILES.iter().filter(|path| **path != "guarded/in place") {
                let found = fs::read_to_string(dir.join(path)).unwrap_or_default();
                let kept = held(&dir).contains(format!("{path} before").as_bytes());
                assert!(found == format!("{path} before") || kept, "{at}: {path}: {report}");
            }
        }
    }
}

fn sorted(mut files: Vec<(PathBuf, String)>) -> Vec<(PathBuf, String)> {
    files.sort();
    files
}

/// The files of a tree, treewal's own left out.
fn files(dir: &Path) -> Vec<(PathBuf, String)> {
    let (mut found, mut dirs) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(at) = dirs.pop() {
        for entry in fs::read_dir(dir.join(&at)).unwrap() {
            let path = at.join(entry.unwrap().file_name());
            if dir.join(&path).is_dir() {
                dirs.extend(Some(path).filter(|path| path != Path::new(".treewal")));
            } else {
                found.push((path.clone(), fs::read_to_string(dir.join(&path)).unwrap()));
            }
        }
    }
    sorted(found)
}
