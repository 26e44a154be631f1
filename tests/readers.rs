//! P7: a path that is there before and after a transaction is there for every reader at every moment between, and what
//! is read is one of its versions, whole; also when the writer is killed in the middle, and before anybody recovers.
//!
//! Readers open and read in a tight loop while a writer commits: small and large files that are replaced, two that are
//! exchanged, a log that is rotated, a name that is removed and made anew, a directory that is replaced by another, a file
//! that changes its mode, a directory that is published from outside of the tree and one that is merged. Where the file
//! system cannot exchange two names, that holds for files alone. `TREEWAL_READS` asks for a number of reads instead of a few seconds.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, counts out loud, and looks at the tree from outside"
)]

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use treewal::{Options, Publish, Tree};
use treewal_vfs::{Fault, FaultDisk, RealDisk};

const WRITER: &str = "TREEWAL_READERS_WRITER";
const READERS: usize = 2;
const TIME: Duration = Duration::from_secs(4);

/// What is read: a path, and the subjects that its contents may be about.
const PATHS: [(&str, &[&str]); 20] = [
    ("small", &["small"]),
    ("dir/small", &["dir/small"]),
    ("dir/deep/small", &["dir/deep/small"]),
    ("large", &["large"]),
    ("left", &["left", "right"]),
    ("right", &["left", "right"]),
    ("log", &["log"]),
    ("log.1", &["log"]),
    ("log.2", &["log"]),
    ("again", &["again"]),
    ("mode", &["mode"]),
    ("merged/index", &["index"]),
    ("merged/assets/style", &["style"]),
    ("merged/mine", &["mine"]),
    // From here on: in directories that are replaced.
    ("site/index", &["index"]),
    ("site/assets/style", &["style"]),
    ("public/index", &["index"]),
    ("public/mine", &["mine"]),
    ("published/index", &["published"]),
    ("published/deep/page", &["page"]),
];

/// How many of them are in no directory that is replaced.
const FIXED: usize = 14;

/// Directories that are looked at: things in them are replaced, or, behind [`FIXED_DIRS`], they are.
const DIRS: [&str; 9] =
    ["dir", "dir/deep", "merged", "merged/assets", "site", "site/assets", "public", "published", "published/deep"];
const FIXED_DIRS: usize = 4;

/// All files and all directories.
const ALL: (usize, usize) = (PATHS.len(), DIRS.len());

/// Contents of a generation: whoever sees a part of one, or parts of two, can tell.
fn contents(about: &str, generation: u64) -> Vec<u8> {
    let line = format!("generation {generation} of {about}\n");
    let lines = if about == "large" { 4_000 } else { 30 };
    line.repeat(lines).into_bytes()
}

/// Whether the bytes are one whole generation of one of the subjects.
fn is_whole(bytes: &[u8], about: &[&str]) -> bool {
    let line = String::from_utf8_lossy(bytes.split(|byte| *byte == b'\n').next().unwrap_or_default());
    let words: Vec<&str> = line.split(' ').collect();
    let ["generation", generation, "of", subject] = words.as_slice() else { return false };
    let Ok(generation) = generation.parse() else { return false };
    about.contains(subject) && contents(subject, generation) == bytes
}

#[test]
fn a_part_of_a_generation_is_not_whole() {
    let (one, two) = (contents("small", 1), contents("small", 2));
    assert!(is_whole(&one, &["x", "small"]) && !is_whole(&one, &["x"]));
    assert!(!is_whole(&one[..one.len() - 1], &["small"]) && !is_whole(&[], &["small"]));
    let mixed = [&one[..one.len() / 2], &two[two.len() / 2..]].concat();
    assert!(!is_whole(&mixed, &["small"]) && !is_whole(&[one, two].concat(), &["small"]));
}

// --- the writer ---------------------------------------------------------------------------------------------------------

fn prepare(dir: &Path) {
    for sub in DIRS {
        fs::create_dir_all(dir.join(sub)).unwrap();
    }
    for (path, about) in PATHS {
        fs::write(dir.join(path), contents(about[0], 0)).unwrap();
    }
}

/// The commits of one generation, one of each kind.
fn write_generation(tree: &Tree, dir: &Path, generation: u64) -> treewal::Result<()> {
    let new = |about| contents(about, generation);
    // Beside the tree, on its file system.
    let next = tempfile::tempdir_in(dir.parent().unwrap()).unwrap();
    let next = next.path().join("next");
    fs::create_dir_all(next.join("assets")).unwrap();
    fs::write(next.join("index"), new("index")).unwrap();
    fs::write(next.join("assets/style"), new("style")).unwrap();
    tree.transaction(|tx| tx.publish_with(Publish::merge().keep_unmanaged(true), &next, "merged"))?;
    tree.transaction(|tx| tx.publish_with(Publish::new().keep_unmanaged(true), &next, "public"))?;
    tree.transaction(|tx| {
        tx.write("small", new("small"))?;
        tx.write("dir/small", new("dir/small"))?;
        tx.write("dir/deep/small", new("dir/deep/small"))?;
        tx.write("large", new("large"))
    })?;
    tree.transaction(|tx| {
        tx.remove_file("again")?;
        tx.write("again", new("again"))?;
        tx.set_permissions("mode", fs::Permissions::from_mode(if generation % 2 == 0 { 0o644 } else { 0o600 }))
    })?;
    tree.transaction(|tx| {
        tx.write("left", new("left"))?;
        tx.exchange("left", "right")
    })?;
    tree.transaction(|tx| {
        tx.rename("log.1", "log.2")?;
        tx.rename("log", "log.1")?;
        tx.write("log", new("log"))
    })?;
    tree.transaction(|tx| {
        tx.create_dir_all("site.next/assets")?;
        tx.write("site.next/index", new("index"))?;
        tx.write("site.next/assets/style", new("style"))?;
        tx.remove_dir_all("site")?;
        tx.rename("site.next", "site")
    })?;
    // Prepared by another program, in the tree.
    let prepared = dir.join("prepared");
    drop(fs::remove_dir_all(&prepared));
    fs::create_dir_all(prepared.join("deep")).unwrap();
    fs::write(prepared.join("index"), new("published")).unwrap();
    fs::write(prepared.join("deep/page"), new("page")).unwrap();
    tree.transaction(|tx| tx.publish("prepared", "published"))
}

fn options() -> Options {
    // Of the journal's half a megabyte, some generations are enough to make a checkpoint due.
    Options::new().segment_bytes(512 << 10).inline_max(32 << 10)
}

/// No test unless the environment names a tree: then this is the writer that is killed.
#[test]
fn writer() {
    use std::io::Write;
    let Ok(dir) = std::env::var(WRITER) else { return };
    let mut out = std::io::stdout();
    let dir = Path::new(&dir);
    let tree = options().open(dir).unwrap();
    let redone = tree.recovery().transactions.iter().filter(|transaction| transaction.changed > 0).count();
    out.write_all(format!("redone {redone}\n").as_bytes()).unwrap();
    assert!(!tree.recovery().found_damage(), "{}", tree.recovery());
    for generation in 1.. {
        write_generation(&tree, dir, generation).unwrap();
    }
}

// --- the readers --------------------------------------------------------------------------------------------------------

#[derive(Default)]
struct Reads {
    stop: AtomicBool,
    made: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

impl Reads {
    /// Reads every path in turn until it is told to stop.
    fn read_on(&self, dir: &Path, (files, dirs): (usize, usize), first: usize) {
        let files = PATHS[..files].iter().map(|(path, about)| (dir.join(path), *about));
        let dirs = DIRS[..dirs].iter().map(|path| (dir.join(path), [].as_slice()));
        let paths: Vec<(PathBuf, &[&str])> = files.chain(dirs).collect();
        for (path, about) in paths.iter().cycle().skip(first) {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            self.made.fetch_add(1, Ordering::Relaxed);
            if about.is_empty() {
                // A directory: it is there, it can be entered, and it is one.
                match fs::metadata(path).and_then(|meta| fs::read_dir(path).map(|_| meta.is_dir())) {
                    Ok(true) => continue,
                    other => self.note(format!("{path:?} is missing, as a directory: {other:?}, missing")),
                }
                continue;
            }
            let wrong = match fs::read(path) {
                Ok(bytes) if is_whole(&bytes, about) => continue,
                Ok(bytes) => format!("{path:?} is torn: {} bytes", bytes.len()),
                Err(error) if error.kind() == ErrorKind::NotFound => format!("{path:?} is missing"),
                Err(error) => format!("{path:?}: {error}"),
            };
            self.note(wrong);
        }
    }

    fn note(&self, wrong: String) {
        let mut all = self.wrong.lock().unwrap();
        if all.len() < 1_000 {
            all.push(wrong);
        }
    }

    /// Whether as much was read as was asked for.
    fn is_enough(&self, begun: Instant) -> bool {
        match std::env::var("TREEWAL_READS") {
            Ok(reads) => self.made.load(Ordering::Relaxed) >= reads.parse().unwrap(),
            Err(_) => begun.elapsed() >= TIME,
        }
    }

    /// Prints the sum, and fails where a single read was not as promised.
    fn judge(&self, what: &str) {
        let made = self.made.load(Ordering::Relaxed);
        let wrong = self.wrong.lock().unwrap();
        let missing = wrong.iter().filter(|line| line.ends_with("missing")).count();
        println!("{what}; reads {made}, missing {missing}, torn or failed {}", wrong.len() - missing);
        assert!(made > 1_000, "{made} reads prove nothing");
        assert!(wrong.is_empty(), "{} of {made} reads are wrong, among them {:?}", wrong.len(), wrong.first());
    }
}

/// Runs `body` while readers read, and stops them however it ends.
fn while_reading<T>(dir: &Path, count: (usize, usize), reads: &Reads, body: impl FnOnce() -> T) -> T {
    struct Stop<'a>(&'a Reads);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.stop.store(true, Ordering::Relaxed);
        }
    }
    std::thread::scope(|scope| {
        for reader in 0..READERS {
            scope.spawn(move || reads.read_on(dir, count, reader * (count.0 + count.1) / READERS));
        }
        let _stop = Stop(reads);
        body()
    })
}

#[test]
fn no_path_is_ever_missing_while_commits_run() {
    let (_temporary, dir) = a_tree();
    let tree = options().open(&dir).unwrap();
    commit_while_reading(&dir, &tree, ALL, "");
}

#[test]
fn no_file_is_ever_missing_where_names_cannot_be_exchanged() {
    let (_temporary, dir) = a_tree();
    let disk = FaultDisk::new(Arc::new(RealDisk), Fault::None).without_exchange();
    let tree = options().open_on(Arc::new(disk), &dir).unwrap();
    commit_while_reading(&dir, &tree, (FIXED, FIXED_DIRS), " without exchange");
}

/// A tree with room beside it.
fn a_tree() -> (tempfile::TempDir, PathBuf) {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("tree");
    prepare(&dir);
    (temporary, dir)
}

fn commit_while_reading(dir: &Path, tree: &Tree, count: (usize, usize), how: &str) {
    let reads = Reads::default();
    let begun = Instant::now();
    let generations = while_reading(dir, count, &reads, || {
        let mut generation = 0;
        while !reads.is_enough(begun) {
            generation += 1;
            write_generation(tree, dir, generation).unwrap();
        }
        generation
    });
    assert!(generations > 3, "{generations} generations are no race");
    reads.judge(&format!("{} commits{how}", 8 * generations));
}

#[test]
fn no_path_is_ever_missing_when_writers_are_killed_and_others_recover() {
    let (_temporary, dir) = a_tree();
    drop(options().open(&dir).unwrap());
    let reads = Reads::default();
    let begun = Instant::now();
    let (mut kills, mut redone) = (0, 0);
    while_reading(&dir, ALL, &reads, || {
        while !reads.is_enough(begun) {
            let mut writer = Writer::start(&dir);
            redone += writer.redone();
            std::thread::sleep(Duration::from_micros(treewal_vfs::random() % 60_000));
            writer.kill();
            kills += 1;
            // The tree as the kill left it: nobody has opened it yet.
            std::thread::sleep(Duration::from_micros(treewal_vfs::random() % 5_000));
        }
    });
    assert!(kills > 3, "{kills} kills are no test");
    reads.judge(&format!("{kills} writers killed, {redone} transactions finished by the next"));
    let tree = options().open(&dir).unwrap();
    assert!(!tree.recovery().found_damage(), "{}", tree.recovery());
}

struct Writer {
    process: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Writer {
    fn start(tree: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["writer", "--exact", "--nocapture", "--test-threads=1"]).env(WRITER, tree);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// Waits until the tree is recovered; gives how many transactions were finished.
    fn redone(&mut self) -> u64 {
        for line in &mut self.lines {
            if let Some((_, redone)) = line.unwrap().split_once("redone ") {
                return redone.parse().unwrap();
            }
        }
        panic!("the writer could not open the tree: {:?}", self.process.wait());
    }

    fn kill(mut self) {
        use std::os::unix::process::ExitStatusExt;
        self.process.kill().unwrap();
        let status = self.process.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "the writer ended before it was killed: {status}");
    }
}
