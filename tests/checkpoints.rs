//! Checkpoints: when they come, who makes them, what they cost, and that journal and stage stay bounded.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a test looks at the tree as any program does")]

#[path = "shared/hooked.rs"]
mod shared;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use shared::Hooked;
use treewal::{CheckpointSync, Checkpoints, Durability, Error, Options, Tree};
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Fault, FaultDisk, RealDisk, RelPath, Verb, errno};

/// Who synced the file system, in order.
#[derive(Clone, Default)]
struct Syncs(Arc<Mutex<Vec<ThreadId>>>);

impl Syncs {
    /// Opens a tree whose checkpoints sync the file system.
    fn open(&self, options: &Options, dir: &Path) -> Tree {
        let syncs = self.clone();
        let options = options.clone().checkpoint_sync(CheckpointSync::FileSystem);
        hooked(&options, dir, move |verb| {
            if verb == Verb::SyncAll {
                syncs.0.lock().unwrap().push(std::thread::current().id());
            }
        })
    }

    fn take(&self) -> Vec<ThreadId> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn wait_for_one(&self) {
        let begun = Instant::now();
        while self.0.lock().unwrap().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(30), "no checkpoint came");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn hooked(options: &Options, dir: &Path, after: impl Fn(Verb) + Send + Sync + 'static) -> Tree {
    options.open_on(Arc::new(Hooked { inner: RealDisk, after }), dir).unwrap()
}

/// Commits of ten files each over a hundred files, and what `.treewal` took at most meanwhile, in bytes and in entries of
/// the stage.
fn sustained(tree: &Tree, dir: &Path, commits: usize) -> (u64, usize) {
    let (mut bytes_most, mut entries_most) = (0, 0);
    for n in 0..commits {
        let contents = vec![u8::try_from(n % 251).unwrap(); 4096];
        tree.transaction(|tx| (0..10).try_for_each(|k| tx.write(format!("f{}", (10 * n + k) % 100), &contents)))
            .unwrap();
        if n % 20 == 0 {
            let journal = fs::read_dir(dir.join(".treewal/journal")).unwrap();
            bytes_most =
                bytes_most.max(journal.map(|entry| entry.unwrap().metadata().map_or(0, |meta| meta.len())).sum());
            let stages = fs::read_dir(dir.join(".treewal/stage")).unwrap();
            let entries =
                stages.filter_map(|stage| fs::read_dir(stage.unwrap().path()).ok()).map(Iterator::count).sum();
            entries_most = entries_most.max(entries);
        }
    }
    (bytes_most, entries_most)
}

#[test]
fn under_a_writer_that_never_pauses_journal_and_stage_stay_bounded_and_checkpoints_rare() {
    const COMMITS: usize = 600;
    for checkpoints in [Checkpoints::Inline, Checkpoints::Beside] {
        let dir = tempfile::tempdir().unwrap();
        let (syncs, segment) = (Syncs::default(), 1 << 20);
        let options = Options::new().segment_bytes(segment).checkpoint_bytes(segment).checkpoints(checkpoints);
        let tree = syncs.open(&options, dir.path());
        syncs.take();
        let (bytes, entries) = sustained(&tree, dir.path(), COMMITS);
        let made = syncs.take().len();
        assert!(made > 0, "{checkpoints:?}");
        assert!(made * 16 <= COMMITS, "{checkpoints:?}: {made} checkpoints");
        // What makes a checkpoint overdue, what is written while it is made, the segment at hand and a spare.
        assert!(bytes <= 12 * segment, "{checkpoints:?}: the journal took {bytes} bytes");
        // A commit of ten files takes 42 KB.
        assert!(entries <= 12 * 25 * 10, "{checkpoints:?}: the stage held {entries} entries");
        drop(tree);
        assert!(Tree::open(dir.path()).unwrap().recovery().is_clean());
    }
}

/// With the options that everybody has.
#[test]
fn a_writer_that_never_pauses_syncs_the_tree_once_in_many_commits() {
    const COMMITS: usize = 240;
    for checkpoints in [Checkpoints::Inline, Checkpoints::Beside] {
        for sync in [CheckpointSync::Auto, CheckpointSync::Entries] {
            let dir = tempfile::tempdir().unwrap();
            let (whole, entries) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let counted = (Arc::clone(&whole), Arc::clone(&entries));
            let options = Options::new().checkpoints(checkpoints).checkpoint_sync(sync);
            let tree = hooked(&options, dir.path(), move |verb| match verb {
                Verb::SyncAll => drop(counted.0.fetch_add(1, Ordering::Relaxed)),
                Verb::SyncFile | Verb::SyncDir => drop(counted.1.fetch_add(1, Ordering::Relaxed)),
                _ => {}
            });
            let (bytes, slots) = sustained(&tree, dir.path(), COMMITS);
            // Beside commits, one that is due may still be on its way.
            let made = || (whole.load(Ordering::Relaxed), entries.load(Ordering::Relaxed));
            let is_made = |(whole, entries)| entries > 100 || sync == CheckpointSync::Auto && whole > 0;
            let patience = Instant::now() + Duration::from_secs(20);
            while !is_made(made()) && Instant::now() < patience {
                std::thread::sleep(Duration::from_millis(5));
            }
            let (whole, entries) = made();
            let at = format!("{checkpoints:?}, {sync:?}: {whole} times everything, {entries} entries");
            assert!(whole * 16 <= COMMITS, "{at}");
            // A hundred files and the root, once in sixteen commits; and what new segments of the journal take.
            assert!(entries <= COMMITS / 16 * 101 + 40, "{at}");
            assert!(is_made((whole, entries)), "{at}");
            assert!(whole == 0 || sync == CheckpointSync::Auto, "{at}");
            // Four times the 8 MiB that make a checkpoint due, and the segments at hand.
            assert!(bytes <= 56 << 20 && slots <= 12 * 2000, "{at}: {bytes} bytes of journal, {slots} slots");
            drop(tree);
            assert!(Tree::open(dir.path()).unwrap().recovery().is_clean());
        }
    }
}

#[test]
fn beside_commits_no_commit_makes_a_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let syncs = Syncs::default();
    let options = Options::new().checkpoint_bytes(64 << 10).checkpoints(Checkpoints::Beside);
    let tree = syncs.open(&options, dir.path());
    syncs.take();
    sustained(&tree, dir.path(), 4);
    syncs.wait_for_one();
    assert!(!syncs.take().contains(&std::thread::current().id()));
}

#[test]
fn inline_the_commit_makes_it() {
    let dir = tempfile::tempdir().unwrap();
    let syncs = Syncs::default();
    let tree = syncs.open(&Options::new().checkpoint_bytes(64 << 10), dir.path());
    syncs.take();
    sustained(&tree, dir.path(), 1);
    assert!(syncs.take().is_empty());
    sustained(&tree, dir.path(), 3);
    assert!(syncs.take().contains(&std::thread::current().id()));
}

#[test]
fn age_makes_one_due() {
    let dir = tempfile::tempdir().unwrap();
    let syncs = Syncs::default();
    let options = Options::new().checkpoint_age(Duration::from_millis(50));
    let tree = syncs.open(&options.clone().checkpoints(Checkpoints::Beside), dir.path());
    syncs.take();
    tree.transaction(|tx| tx.write("a", "1")).unwrap();
    // Nothing else happens: the thread looks at the clock.
    syncs.wait_for_one();
    drop(tree);
    let tree = syncs.open(&options, dir.path());
    syncs.take();
    tree.transaction(|tx| tx.write("a", "2")).unwrap();
    assert!(syncs.take().is_empty());
    std::thread::sleep(Duration::from_millis(60));
    tree.transaction(|tx| tx.write("a", "3")).unwrap();
    assert_eq!(syncs.take().len(), 1);
}

#[test]
fn closing_waits_for_the_thread_and_leaves_nothing() {
    for _ in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let options = Options::new().checkpoint_bytes(1).checkpoints(Checkpoints::Beside).lock_wait(Duration::ZERO);
        let tree = options.open(dir.path()).unwrap();
        for n in 0..3 {
            tree.transaction(|tx| tx.write("a", n.to_string())).unwrap();
        }
        drop(tree);
        let again = options.open(dir.path()).unwrap();
        assert!(again.recovery().is_clean());
        assert_eq!(fs::read_dir(dir.path().join(".treewal/stage")).unwrap().count(), 0);
    }
}

/// What is committed while a checkpoint beside commits syncs lies behind what it covers: the next one has it to do.
#[test]
fn what_comes_during_a_checkpoint_beside_commits_is_left_to_the_next() {
    let disk = SimDisk::new();
    let during: Arc<Mutex<Option<Arc<Tree>>>> = Arc::default();
    let after = {
        let during = Arc::clone(&during);
        move |verb| {
            let armed = matches!(verb, Verb::SyncAll | Verb::SyncFile | Verb::SyncDir);
            if let Some(tree) = armed.then(|| during.lock().unwrap().take()).flatten() {
                let commit = move || tree.transaction(|tx| tx.write("since", "since")).map(drop);
                std::thread::spawn(commit).join().unwrap().unwrap();
            }
        }
    };
    let options = Options::new().segment_bytes(64 << 10).durability(Durability::Deferred);
    let tree = Arc::new(options.open_on(Arc::new(Hooked { inner: disk.clone(), after }), "/").unwrap());
    tree.transaction(|tx| tx.write("before", "before")).unwrap();
    *during.lock().unwrap() = Some(Arc::clone(&tree));
    assert!(tree.checkpoint_beside().unwrap());
    assert!(during.lock().unwrap().is_none(), "it was committed");
    tree.checkpoint().unwrap();
    let left = disk.after(&disk.outcomes(Profile::Strict).nothing()).dump();
    for name in ["before", "since"] {
        let found = left.get(&RelPath::new(name).unwrap()).map(|node| node.contents.as_slice());
        assert_eq!(found, Some(name.as_bytes()));
    }
}

/// The journal forgets what it has settled, and a commit that is not durable may take its place in the tree: by then the record of
/// the checkpoint is on the disk, or recovery would miss what it had settled.
#[test]
fn a_checkpoint_is_on_the_disk_before_what_it_settles_is_replaced() {
    for beside in [true, false] {
        let disk = SimDisk::new();
        let open =
            |disk: &SimDisk| Options::new().segment_bytes(64 << 10).open_on(Arc::new(disk.clone()), "/").unwrap();
        let tree = open(&disk);
        tree.transaction(|tx| tx.write("a", "settled")).unwrap();
        if beside {
            assert!(tree.checkpoint_beside().unwrap());
        } else {
            tree.checkpoint().unwrap();
        }
        tree.transaction(|tx| {
            tx.set_durability(Durability::Deferred);
            tx.write("a", "since")
        })
        .unwrap();
        for profile in [Profile::Strict, Profile::Ordered, Profile::Grouped] {
            let all = disk.outcomes(profile);
            for outcome in all.named().into_iter().chain(all.single()) {
                let tree = open(&disk.after(&outcome));
                let report = tree.recovery();
                let missed: Vec<_> = report.transactions.iter().flat_map(|line| &line.superseded).collect();
                assert!(missed.is_empty(), "{beside}, {profile:?}: {report}: {}", disk.describe(&outcome));
            }
        }
    }
}

/// Whatever call of a checkpoint fails: the next commit is done, or refused for that, and never left open.
#[test]
fn a_checkpoint_that_fails_stops_the_handle_or_nothing() {
    let mut stopped = 0;
    for beside in [true, false] {
        for at in 1.. {
            let faulty = Arc::new(FaultDisk::new(Arc::new(SimDisk::new()), Fault::None));
            let tree = Options::new().segment_bytes(64 << 10).open_on(faulty.clone(), "/").unwrap();
            tree.transaction(|tx| tx.write("a", "1")).unwrap();
            faulty.arm(Fault::Error { at, errno: errno::EDQUOT });
            let made = if beside { tree.checkpoint_beside().map(drop) } else { tree.checkpoint() };
            if faulty.mutations() < at {
                made.unwrap();
                assert!(at > 4, "it failed at {at} calls");
                break;
            }
            match tree.transaction(|tx| tx.write("a", "2")) {
                Ok(()) => {}
                Err(Error::Poisoned) => stopped += 1,
                Err(other) => panic!("{beside}, call {at}, {made:?}: {other:?}"),
            }
        }
    }
    assert!(stopped > 2, "{stopped} stopped");
}
