//! Disks without room: filled up before any call of a commit, they let it happen, or put it back; and recovery needs nothing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use treewal::{Durability, Outcome};
use treewal_vfs::{RealDisk, Verb};

use crate::hooked::Hooked;
use crate::image::{Image, KINDS};
use crate::work::{Files, change, files, options, prepare, recovered, states, step};

/// Takes all the room there is, block by block in the end.
fn fill(ballast: &Path) {
    fs::create_dir_all(ballast).unwrap();
    let whole = ballast.join("whole");
    let mut file = File::create(&whole).unwrap();
    let (mut chunk, mut at) = (64 << 20, 0u64);
    while chunk >= 4096 {
        let range = ["--offset".to_owned(), at.to_string(), "--length".to_owned(), chunk.to_string()];
        if Command::new("fallocate").args(range).arg(&whole).output().unwrap().status.success() {
            at += chunk;
        } else {
            chunk /= 4;
        }
    }
    // Data that is really written: what is reserved for none may still be free.
    file.seek(SeekFrom::Start(at)).unwrap();
    for _ in 0..500 {
        if file.write_all(&[0x55; 4096]).and_then(|()| file.sync_all()).is_err() {
            return;
        }
    }
}

/// Takes all the inodes there are.
fn fill_inodes(ballast: &Path) {
    fs::create_dir_all(ballast).ok();
    for n in 0.. {
        if File::create(ballast.join(format!("{n}"))).is_err() {
            return;
        }
    }
}

#[derive(Debug, Default)]
struct Ends(BTreeMap<String, u32>);

/// One commit, with something done to the disk before its `at`th changing call; `None` where it has fewer.
struct Trial<'a> {
    image: &'a Image,
    moves: bool,
    durability: Durability,
    states: &'a [Files; 2],
    spoil: fn(&Path),
    /// Somebody changes a file in that moment, too, so that a step fails, and the others are put back.
    provoked: bool,
}

impl Trial<'_> {
    /// What the tree holds, but for what somebody else changed.
    fn files(&self, tree: &Path) -> Files {
        let mut found = files(tree);
        if self.provoked {
            found.remove("gone");
        }
        found
    }

    fn run(&self, at: usize, ends: &mut Ends) -> bool {
        let (tree, ballast) = (self.image.at().join(format!("tree{at}")), self.image.at().join("ballast"));
        prepare(&tree);
        let calls = Arc::new(AtomicUsize::new(usize::MAX / 2));
        let hook = {
            let (calls, ballast, spoil) = (Arc::clone(&calls), ballast.clone(), self.spoil);
            let (gone, provoked) = (tree.join("gone"), self.provoked);
            move |verb: Verb| {
                if (verb.is_mutating() || verb.is_sync()) && calls.fetch_add(1, Ordering::SeqCst) + 1 == at {
                    spoil(&ballast);
                    if provoked {
                        // In place, into a block that it has.
                        File::options().write(true).open(&gone).and_then(|mut gone| gone.write_all(b"GOING")).ok();
                    }
                }
            }
        };
        let disk = Arc::new(Hooked { inner: RealDisk, after: hook });
        let handle = options().durability(self.durability).open_on(disk, &tree).unwrap();
        // The stage is made, and what the handle needs once.
        handle.transaction(|tx| tx.write("b", "old b, again")).unwrap();
        handle.transaction(|tx| tx.write("b", "old b")).unwrap();
        handle.checkpoint().unwrap();
        calls.store(0, Ordering::SeqCst);
        if at == 0 {
            (self.spoil)(&ballast);
        }
        let mut committed = Err(None);
        let result = handle.transaction(|tx| change(tx, self.moves));
        match &result {
            Ok(()) => committed = Ok(()),
            Err(error) => committed = committed.map_err(|_: Option<Outcome>| Some(error.outcome())),
        }
        let name = format!("{:?}, call {at}: {result:?}", self.durability);
        let was_spoilt = calls.load(Ordering::SeqCst) >= at;
        if let Err(error) = &result {
            assert!(self.provoked || error.kind() == ErrorKind::StorageFull, "{name}");
        }
        let [before, after] = self.states;
        let wanted: &[&Files] = match committed {
            Ok(()) => &[after],
            Err(Some(Outcome::Unchanged | Outcome::RolledBack)) => &[before],
            Err(_) => &[before, after],
        };
        let found = self.files(&tree);
        assert!(committed == Err(Some(Outcome::Undecided)) || wanted.contains(&&found), "{name}: {found:?}");
        drop(handle);
        *ends.0.entry(format!("{committed:?}")).or_default() += 1;
        // Not a block is free, and the tree opens.
        options().open(&tree).map(drop).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let (report, _) = recovered(&tree, &name);
        let found = self.files(&tree);
        assert!(wanted.contains(&&found) && !report.found_damage(), "{name}: {report}: {found:?}");
        fs::remove_dir_all(&ballast).ok();
        recovered(&tree, &name);
        assert!(wanted.contains(&&self.files(&tree)), "{name}");
        fs::remove_dir_all(&tree).unwrap();
        was_spoilt
    }
}

const TRIALS: [(bool, Durability, bool); 5] = [
    (false, Durability::Journal, false),
    (true, Durability::Journal, false),
    (false, Durability::Tree, false),
    (false, Durability::Journal, true),
    (true, Durability::Journal, true),
];

fn filled(kind: &str, image: &Image, spoil: fn(&Path)) {
    for (moves, durability, provoked) in TRIALS {
        let whole: PathBuf = image.at().join("whole");
        prepare(&whole);
        let mut states = states(&whole, moves);
        if provoked {
            states[0].remove("gone");
        }
        fs::remove_dir_all(&whole).unwrap();
        let trial = Trial { image, moves, durability, states: &states, spoil, provoked };
        let mut ends = Ends::default();
        let mut last = 0;
        for at in (0..).step_by(step()) {
            last = at;
            if !trial.run(at, &mut ends) {
                break;
            }
        }
        println!(
            "{kind}, {durability:?}, moves {moves}, provoked {provoked}: full before any of {last} calls: {:?}",
            ends.0
        );
    }
}

#[test]
fn a_disk_that_fills_up_in_the_middle_of_a_commit() {
    for (kind, bytes) in KINDS {
        let with: &[&str] = if kind == "ext4" { &["-m", "0"] } else { &[] };
        let Some(image) = Image::new(kind, bytes, with, "a_disk_that_fills_up") else { continue };
        filled(kind, &image, fill);
    }
}

#[test]
fn a_disk_without_inodes() {
    let Some(image) = Image::new("ext4", 64 << 20, &["-N", "128", "-m", "0"], "a_disk_without_inodes") else { return };
    filled("ext4, 128 inodes", &image, fill_inodes);
}
