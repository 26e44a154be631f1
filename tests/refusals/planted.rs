//! Something else planted in the place of any entry beneath `.treewal`, while work is owed: it leads nowhere, nobody waits for
//! it, and what lies outside stays as it is.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use treewal::Options;
use treewal_vfs::{Fault, FaultDisk, RealDisk};

use crate::tools::{walk, walk_tree};

fn options() -> Options {
    Options::new().segment_bytes(64 << 10).inline_max(4 << 10).lock_wait(Duration::ZERO)
}

/// A tree whose process ended in the middle of a commit, or with a guard alive.
fn left_at_work(dir: &Path, guarded: bool) {
    fs::create_dir(dir.join("d")).unwrap();
    for path in ["a", "b", "d/x"] {
        fs::write(dir.join(path), "old").unwrap();
    }
    let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None));
    let tree = options().open_on(disk.clone(), dir).unwrap();
    tree.transaction(|tx| tx.write("b", "before")).unwrap();
    tree.checkpoint().unwrap();
    if guarded {
        let guard = tree.guard(["a", "d"]).unwrap();
        fs::write(dir.join("d/x"), "in place").unwrap();
        disk.arm(Fault::Off { at: 1 });
        drop(guard);
    } else {
        // Behind the promise, before the first rename is made.
        disk.arm(Fault::None);
        let committed = tree.transaction(|tx| {
            tx.write("a", vec![b'N'; 5000])?;
            tx.create_dir("d/new")?;
            tx.write("d/new/y", "new")
        });
        committed.unwrap();
        disk.arm(Fault::Off { at: 1 });
    }
    drop(tree);
}

type Plant = fn(&Path, &Path);

const PLANTS: [(&str, Plant); 5] = [
    ("a symlink to a directory", |at, outside| symlink(outside, at).unwrap()),
    ("a symlink to a file", |at, outside| symlink(outside.join("kept"), at).unwrap()),
    ("a fifo", |at, _| assert!(Command::new("mkfifo").arg(at).status().unwrap().success())),
    ("a directory", |at, _| {
        fs::create_dir(at).unwrap();
        fs::write(at.join("inside"), "planted").unwrap();
    }),
    ("an empty file", |at, _| fs::write(at, "").unwrap()),
];

fn beneath(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                dirs.push(path.clone());
            }
            found.push(path);
        }
    }
    found
}

#[test]
fn whatever_is_planted_beneath_the_store_leads_nowhere() {
    let (mut opened, mut refused, mut slowest) = (0, 0, Duration::ZERO);
    for guarded in [false, true] {
        let model = tempfile::tempdir().unwrap();
        left_at_work(model.path(), guarded);
        let places = beneath(&model.path().join(".treewal"));
        let all = places.iter().flat_map(|place| PLANTS.map(|plant| (place, plant)));
        // Each of them where `TREEWAL_IMAGES` is `all`.
        let step = if std::env::var("TREEWAL_IMAGES").is_ok_and(|how| how == "all") { 1 } else { 3 };
        for (place, (what, plant)) in all.step_by(step) {
            let (home, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            fs::write(outside.path().join("kept"), "kept").unwrap();
            let dir = home.path().join("tree");
            assert!(Command::new("cp").arg("-a").arg(model.path()).arg(&dir).status().unwrap().success());
            let at = dir.join(place.strip_prefix(model.path()).unwrap());
            if fs::symlink_metadata(&at).unwrap().is_dir() {
                fs::remove_dir_all(&at).unwrap();
            } else {
                fs::remove_file(&at).unwrap();
            }
            plant(&at, outside.path());
            let before = (walk_tree(&dir).len(), walk(outside.path()));
            let begun = Instant::now();
            let name = format!("{what} at {place:?}, guarded {guarded}");
            match options().open(&dir) {
                Ok(tree) => {
                    opened += 1;
                    drop(tree.transaction(|tx| tx.write("b", "goes on")));
                }
                Err(error) => {
                    refused += 1;
                    assert!(!error.to_string().is_empty(), "{name}");
                }
            }
            drop(treewal::status(&dir));
            drop(treewal::verify(&dir));
            slowest = slowest.max(begun.elapsed());
            assert_eq!(walk(outside.path()), before.1, "{name}: what lies outside was changed");
            assert!(walk_tree(&dir).len() + 2 >= before.0, "{name}: entries of the tree are gone");
            assert!(begun.elapsed() < Duration::from_secs(20), "{name}: {:?}", begun.elapsed());
        }
    }
    println!("planted beneath .treewal: {opened} opened, {refused} refused, none above {slowest:?}");
    assert!(opened > 20, "{opened}");
}
