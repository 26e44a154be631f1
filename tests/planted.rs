//! P6: threads exchange directories and files on the paths of commits for symlinks that lead out of the tree, in tight loops,
//! through commits, guards, failing disks and recoveries. Nothing outside is ever changed, and nothing of it ever comes in.
//!
//! Outside, the same paths exist: whoever follows a link finds what it looks for, with contents that give it away.
//! `TREEWAL_PROCESSES_DEPTH` asks for so many times as much; `TREEWAL_KILL_DIR` names a directory to work in.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and looks at the tree from outside"
)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use treewal::{Durability, Error, Options, Tree};
use treewal_vfs::{Dir, Disk, Fault, FaultDisk, Open, RealDisk, Rename, random, write_all};

/// What stands in every file outside.
const SECRET: &str = "nobody inside may ever read this";
const FILES: [&str; 4] = ["d/e/f/a", "d/e/f/b", "d/e/large", "d/top"];

/// A directory inside, with the name in it that is exchanged for the link beside it.
const TRAPS: [(&str, &str, &str); 5] = [
    ("", "d", "../outside/d"),
    ("d", "e", "ABSOLUTE/d/e"),
    ("d/e", "f", "../../../outside/d/e/f"),
    ("d/e/f", "a", "ABSOLUTE/d/e/f/a"),
    ("", "g", "ABSOLUTE/g"),
];

/// Everything about an entry that anybody could change.
type Walk = BTreeMap<PathBuf, (u64, u32, i64, i64, i64, i64, Vec<u8>)>;

fn walk(root: &Path) -> Walk {
    let mut found = Walk::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let contents = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
            let seen = (meta.ino(), meta.mode(), times.0, times.1, times.2, times.3, contents);
            if meta.is_dir() {
                dirs.push(path.clone());
            }
            found.insert(path, seen);
        }
    }
    found
}

/// The tree, what is outside, and handles of the directories in which rivals exchange names, whatever these are now.
struct World {
    home: tempfile::TempDir,
    places: Vec<(Dir, &'static str)>,
    innermost: u64,
}

impl World {
    fn new() -> Self {
        let shm = Path::new("/dev/shm");
        let named = std::env::var_os("TREEWAL_KILL_DIR").map(PathBuf::from);
        let at = named.unwrap_or_else(|| if shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() });
        let home = tempfile::tempdir_in(at).unwrap();
        for (side, contents) in [("tree", "inside"), ("outside", SECRET)] {
            for dir in ["d/e/f", "g/new"] {
                fs::create_dir_all(home.path().join(side).join(dir)).unwrap();
            }
            for file in FILES.iter().chain(&["g/file"]) {
                fs::write(home.path().join(side).join(file), contents).unwrap();
            }
        }
        fs::write(home.path().join("outside/d/e/f/only-outside"), SECRET).unwrap();
        let outside = home.path().join("outside").to_str().unwrap().to_owned();
        let mut places = Vec::new();
        for (dir, name, target) in TRAPS {
            let dir = home.path().join("tree").join(dir);
            symlink(target.replace("ABSOLUTE", &outside), dir.join(format!("trap-{name}"))).unwrap();
            places.push((RealDisk.open_root(&dir).unwrap(), name));
        }
        let innermost = fs::metadata(home.path().join("tree/d/e/f")).unwrap().ino();
        Self { home, places, innermost }
    }

    fn tree(&self) -> PathBuf {
        self.home.path().join("tree")
    }

    fn outside(&self) -> Walk {
        walk(&self.home.path().join("outside"))
    }

    /// Exchanges one of the names for its link and back, as fast as it can, now and then with a pause.
    fn rival(&self, number: usize, stop: &AtomicBool, swaps: &AtomicU64) {
        let (dir, name) = &self.places[number];
        let trap = format!("trap-{name}");
        let swap = || RealDisk.rename(dir, OsStr::new(name), dir, OsStr::new(&trap), Rename::Exchange);
        while !stop.load(Ordering::Relaxed) {
            // Where a commit has just taken the file away, there is nothing to exchange.
            if swap().is_ok() {
                swaps.fetch_add(1, Ordering::Relaxed);
                pause();
                while swap().is_err() && !stop.load(Ordering::Relaxed) {}
            }
            pause();
        }
    }
}

fn pause() {
    match random() % 4 {
        0 => {}
        1 => std::thread::yield_now(),
        _ => std::thread::sleep(Duration::from_micros(random() % 300)),
    }
}

#[derive(Debug, Default)]
struct Tally {
    commits: u64,
    guards: u64,
    refused: u64,
    recoveries: u64,
    redone: usize,
    undone: usize,
}

/// One piece of work; what it reads must be from inside.
///
/// `inner` is the directory `d/e`, by whatever name it goes.
fn work(tree: &Tree, inner: &Dir, tally: &mut Tally) -> treewal::Result<()> {
    let number = random();
    let inside = |bytes: &[u8]| assert!(!contains(bytes), "read from outside");
    match number % 10 {
        0..=2 => tree.transaction(|tx| FILES.iter().try_for_each(|path| tx.write(path, format!("inside {number}"))))?,
        3 => tree.transaction(|tx| tx.write("d/e/large", vec![b'l'; 40_000]))?,
        4 => tree.transaction(|tx| {
            inside(&tx.read("d/e/f/b")?);
            tx.copy("d/e/f/b", "copied")?;
            tx.append("d/top", "inside\n")?;
            tx.update("d/e/f/a", |file| std::io::Write::write_all(file, b"inside"))
        })?,
        5 => tree.transaction(|tx| {
            let seen: Vec<_> = tx.read_dir("d/e/f")?.into_iter().map(|entry| entry.file_name().to_owned()).collect();
            assert!(!seen.contains(&"only-outside".into()), "listed from outside");
            tx.rename("d/e/f/b", "d/e/moved")?;
            tx.rename("d/e/moved", "d/e/f/b")?;
            tx.set_permissions("d/e/f/b", std::os::unix::fs::PermissionsExt::from_mode(0o600))
        })?,
        6 => tree.transaction(|tx| {
            tx.remove_dir_all("g/new")?;
            tx.create_dir_all("g/new/deep")?;
            tx.write("g/new/deep/file", "inside")
        })?,
        7 => tree.transaction(|tx| {
            tx.rename("g/file", "d/e/from-g")?;
            tx.write("g/file", "inside")?;
            tx.remove_file("d/e/from-g")
        })?,
        _ => {
            // Not the names that are exchanged: a guard would put back what it found there.
            let guard = tree.guard(["d/e/large", "d/e/new", "d/top", "g/new"])?;
            // Somebody changes things in place, where they really are.
            let file = RealDisk.open(inner, OsStr::new("large"), Open::ReadWrite).unwrap();
            write_all(&RealDisk, &file, b"in place", 0).unwrap();
            RealDisk.open(inner, OsStr::new("new"), Open::Create { mode: 0o600 }).unwrap();
            let ended = if number % 3 == 0 { guard.commit() } else { guard.rollback() };
            ended?;
            tally.guards += 1;
            return Ok(());
        }
    }
    tally.commits += 1;
    Ok(())
}

/// A handle whose disk goes off in the middle of something: as if its process was killed.
fn life(dir: &Path, inner: &Dir, tally: &mut Tally) {
    let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None));
    let durability = if random() % 4 == 0 { Durability::Tree } else { Durability::Journal };
    let options = Options::new().segment_bytes(64 << 10).inline_max(16 << 10).durability(durability);
    // Where the way to the tree's own directory is open, which no rival closes, it opens.
    let tree = options.open_on(disk.clone(), dir).unwrap();
    let report = tree.recovery();
    tally.recoveries += u64::from(!report.transactions.is_empty());
    tally.redone += report.transactions.iter().filter(|found| found.label == "redo").count();
    tally.undone += report.transactions.iter().filter(|found| found.label == "undo").count();
    disk.arm(Fault::Off { at: 1 + random() % 900 });
    while !disk.is_off() {
        match work(&tree, inner, tally) {
            Ok(()) => {}
            Err(Error::Poisoned | Error::Undecided { .. } | Error::Pending { .. }) => break,
            Err(_) => tally.refused += 1,
        }
    }
}

fn contains(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes())
}

#[test]
fn nothing_outside_is_touched_or_comes_in_whatever_is_planted_on_the_way() {
    let depth: u32 = std::env::var("TREEWAL_PROCESSES_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(1);
    let world = World::new();
    let before = world.outside();
    let (stop, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut tally = Tally::default();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stop = Stop(&stop);
        for number in 0..TRAPS.len() {
            let (world, stop, swaps) = (&world, &stop, &swaps);
            scope.spawn(move || world.rival(number, stop, swaps));
        }
        while begun.elapsed() < Duration::from_secs(5) * depth {
            life(&world.tree(), &world.places[2].0, &mut tally);
            assert!(world.outside() == before, "something outside was changed");
        }
    });
    println!("{} exchanges of a name for a link; {tally:?}", swaps.load(Ordering::Relaxed));
    drop(Options::new().segment_bytes(64 << 10).open(world.tree()).unwrap());
    assert!(world.outside() == before, "something outside was changed");
    assert_eq!(
        fs::metadata(world.tree().join("d/e/f")).unwrap().ino(),
        world.innermost,
        "the rivals lost their ground"
    );
    // The tree, the journal, what lies in stages and in quarantine.
    for (path, (.., contents)) in walk(&world.tree()) {
        assert!(!contains(&contents), "{path:?} holds what stands outside");
    }
    let Tally { commits, guards, refused, recoveries, redone, undone } = tally;
    let few = swaps.load(Ordering::Relaxed) < 1_000 || commits < 300 || refused < 300 || recoveries < 10;
    assert!(!few && guards > 0 && redone > 0 && undone > 0, "no race");
}
