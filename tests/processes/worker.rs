//! A process that commits for itself and to files that it shares, until it is told to stop or killed.
//!
//! What it tries, and what was acknowledged, it writes down outside of the tree: a line each, handed to the kernel before it
//! goes on, so that a kill takes none of them back.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use treewal::{Checkpoints, Error, Options, RetryPolicy, Transaction, Tree};
use treewal_vfs::random;

use crate::child::say;
use crate::contents::contents;

/// The shared counters, each with a log of who counted.
pub(crate) const SHARED: u64 = 3;
/// What each process has for itself: written together, and always there.
pub(crate) const OWN: [&str; 4] = ["seq", "a", "deep/b", "large"];
/// What is changed in place under a guard.
pub(crate) const GUARDED: [&str; 2] = ["guarded/x", "guarded/y"];

/// What is published as a directory, in the place of the one before.
pub(crate) const PUBLISHED: [&str; 2] = ["published/x", "published/large"];

/// The directory of a process.
pub(crate) fn own(id: u64) -> String {
    format!("p{id}")
}

/// The file outside of the tree in which a process writes down what it does.
pub(crate) fn record(dir: &Path, id: u64) -> PathBuf {
    dir.with_extension("records").join(id.to_string())
}

/// A file that tells all to stop.
pub(crate) fn stop(dir: &Path) -> PathBuf {
    dir.with_extension("records").join("stop")
}

pub(crate) fn options(beside: bool) -> Options {
    let options = Options::new().segment_bytes(128 << 10).inline_max(16 << 10);
    if beside { options.checkpoints(Checkpoints::Beside).checkpoint_age(Duration::from_millis(30)) } else { options }
}

/// Makes the tree that processes of these numbers work on.
pub(crate) fn prepare(dir: &Path, ids: std::ops::Range<u64>) {
    fs::create_dir_all(record(dir, 0).parent().unwrap()).unwrap();
    for id in ids {
        for sub in ["deep", "guarded", "published"] {
            fs::create_dir_all(dir.join(own(id)).join(sub)).unwrap();
        }
        for name in OWN.iter().chain(&GUARDED).chain(&PUBLISHED) {
            fs::write(dir.join(own(id)).join(name), contents(name, 0)).unwrap();
        }
    }
    fs::create_dir_all(dir.join("shared")).unwrap();
    for n in 0..SHARED {
        fs::write(dir.join(format!("shared/count{n}")), "0").unwrap();
        fs::write(dir.join(format!("shared/log{n}")), "").unwrap();
    }
}

pub(crate) struct Worker<'a> {
    pub(crate) id: u64,
    pub(crate) dir: &'a Path,
    record: File,
    /// The number of what is tried next.
    next: u64,
}

/// `with` is the number of the process, and whether its checkpoints are made beside commits.
pub(crate) fn work(dir: &Path, with: &str) {
    let (id, beside) = with.split_once(' ').unwrap();
    let mut worker = Worker::new(dir, id.parse().unwrap());
    let tree = options(beside == "true").open(dir).unwrap();
    assert!(!tree.recovery().found_damage() && tree.recovery().pending().count() == 0, "{}", tree.recovery());
    say("open");
    while !stop(dir).exists() {
        worker.act(&tree);
    }
}

impl<'a> Worker<'a> {
    /// Goes on where the one of this number before it was killed.
    pub(crate) fn new(dir: &'a Path, id: u64) -> Self {
        let path = record(dir, id);
        let tried = fs::read_to_string(&path).unwrap_or_default();
        let next = tried.lines().filter_map(|line| line.split(' ').next_back()?.parse().ok()).max().unwrap_or(0) + 1;
        Self { id, dir, record: File::options().create(true).append(true).open(path).unwrap(), next }
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    pub(crate) fn act(&mut self, tree: &Tree) {
        let number = self.number();
        match random() % 16 {
            0 => self.guarded(tree, number),
            1 => self.note("moved", number, |worker| worker.moves(tree)),
            2..=8 => self.note("own", number, |worker| {
                worker.transact(tree, |tx, dir| {
                    OWN.iter().try_for_each(|name| tx.write(format!("{dir}/{name}"), contents(name, number)))
                })
            }),
            _ => {
                let counter = random() % SHARED;
                let id = self.id;
                self.note(&format!("shared {counter}"), number, |worker| {
                    worker.transact(tree, |tx, _| {
                        let (count, log) = (format!("shared/count{counter}"), format!("shared/log{counter}"));
                        let counted: u64 = String::from_utf8(tx.read(&count)?).unwrap().parse().unwrap();
                        tx.write(&count, (counted + 1).to_string())?;
                        tx.append(&log, format!("{id} {number}\n"))
                    })
                });
            }
        }
    }

    /// Writes down what is tried, and how that ends.
    pub(crate) fn note(&mut self, what: &str, number: u64, body: impl FnOnce(&mut Self) -> treewal::Result<()>) {
        self.write(&format!("try {what} {number}"));
        match body(self) {
            Ok(()) => self.write(&format!("ack {what} {number}")),
            // With so many others at the same files, also the last try may be too late.
            Err(Error::Conflict { .. }) => self.write(&format!("not {what} {number}")),
            Err(error) => panic!("{what} {number}: {error:?}"),
        }
    }

    pub(crate) fn write(&mut self, line: &str) {
        self.record.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    pub(crate) fn transact(
        &self,
        tree: &Tree,
        body: impl Fn(&mut Transaction, &str) -> treewal::Result<()>,
    ) -> treewal::Result<()> {
        let dir = own(self.id);
        let policy = RetryPolicy::new().tries_max(30).pause_min(Duration::from_micros(200));
        tree.transaction_with(policy, |tx| body(tx, &dir))
    }

    /// A barrier: a directory is moved away, and another comes to stand in its place.
    fn moves(&self, tree: &Tree) -> treewal::Result<()> {
        self.transact(tree, |tx, dir| {
            let (here, there) = (format!("{dir}/here"), format!("{dir}/there"));
            if tx.exists(&there)? {
                tx.remove_dir_all(&there)?;
            }
            if tx.exists(&here)? {
                tx.rename(&here, &there)?;
            }
            tx.create_dir(&here)?;
            tx.write(format!("{here}/file"), "moved about")
        })
    }

    /// Changes in place, kept or undone.
    fn guarded(&mut self, tree: &Tree, number: u64) {
        let paths = GUARDED.map(|name| format!("{}/{name}", own(self.id)));
        let keep = random() % 2 == 0;
        self.write(&format!("{} guarded {number}", if keep { "try" } else { "undo" }));
        let guard = tree.guard(&paths).unwrap();
        for (path, name) in paths.iter().zip(GUARDED) {
            fs::write(self.dir.join(path), contents(name, number)).unwrap();
        }
        if keep {
            guard.commit().unwrap();
            self.write(&format!("ack guarded {number}"));
        } else {
            guard.rollback().unwrap();
        }
    }
}
