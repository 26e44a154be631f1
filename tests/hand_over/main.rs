//! Several handles on one tree, as several processes would have them: each gets its turn, a turn costs what the others have
//! appended, and what one leaves behind is known to the next.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a test looks at the tree as any program does")]

mod failing;
#[path = "../shared/hooked.rs"]
mod hooked;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hooked::Hooked;
use treewal::{Checkpoints, Error, Options, Outcome, Publish, Transaction, Tree};
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Disk, RealDisk, RecordingDisk, RelPath, Verb};

/// Stops the other handle also where the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_handle_that_never_pauses_passes_nobody_over() {
    const TURNS: usize = 8;
    let dir = tempfile::tempdir().unwrap();
    let (busy, other) = (Tree::open(dir.path()).unwrap(), Tree::open(dir.path()).unwrap());
    let (stop, commits) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut waits = Vec::new();
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (busy, stop, commits) = (&busy, &stop, &commits);
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    busy.transaction(|tx| tx.write(format!("busy{thread}"), "x")).unwrap();
                    commits.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let _stop = Stop(&stop);
        for turn in 0..TURNS {
            let before = commits.load(Ordering::SeqCst);
            // Not before it is busy again.
            while commits.load(Ordering::SeqCst) < before + 20 {
                std::thread::yield_now();
            }
            let before = commits.load(Ordering::SeqCst);
            other.transaction(|tx| tx.write("other", turn.to_string())).unwrap();
            waits.push(commits.load(Ordering::SeqCst) - before);
        }
    });
    // The batch at hand takes in no more than 128, and one more may begin before the other stands in the queue.
    assert!(waits.iter().all(|passed| *passed <= 300), "commits that passed it by: {waits:?}");
    assert_eq!(fs::read_to_string(dir.path().join("other")).unwrap(), (TURNS - 1).to_string());
}

/// A tree with handles on it, whose calls are written down.
struct World {
    dir: tempfile::TempDir,
    disk: Arc<RecordingDisk>,
    options: Options,
}

impl World {
    fn new(options: Options) -> Self {
        let disk = Arc::new(RecordingDisk::new(Arc::new(RealDisk)));
        Self { dir: tempfile::tempdir().unwrap(), disk, options }
    }

    fn open(&self) -> Tree {
        self.options.open_on(self.disk.clone(), self.dir.path()).unwrap()
    }

    /// Two handles that have seen each other.
    fn two(&self) -> [Tree; 2] {
        let trees = [self.open(), self.open()];
        for turn in 0..4 {
            write(&trees[turn % 2], "met", 10);
        }
        self.disk.take();
        trees
    }

    fn names(&self, sub: &str) -> Vec<String> {
        names(&self.dir.path().join(".treewal").join(sub))
    }

    /// How many displaced versions wait in the stages.
    fn displaced(&self) -> usize {
        let stage = self.dir.path().join(".treewal/stage");
        names(&stage).iter().filter(|name| !name.ends_with(".lock")).map(|name| names(&stage.join(name)).len()).sum()
    }
}

fn names(dir: &Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn write(tree: &Tree, path: &str, bytes: usize) {
    tree.transaction(|tx| tx.write(path, vec![b'x'; bytes])).unwrap();
}

#[test]
fn a_turn_costs_what_the_other_has_appended_and_no_sync_of_its_own() {
    const TURNS: usize = 100;
    let world = World::new(Options::new());
    // A long journal, which nobody is to read again.
    let trees = world.two();
    for n in 0..100 {
        write(&trees[0], &format!("before{n}"), 20_000);
    }
    write(&trees[1], "met", 10);
    world.disk.take();
    let (mut read, mut calls) = (Vec::new(), 0);
    for turn in 0..TURNS {
        write(&trees[turn % 2], &format!("turn{turn}"), 1_000);
        let taken = world.disk.take();
        let count = |verb: Verb| taken.iter().filter(|call| call.verb == verb).count();
        let syncs = taken.iter().filter(|call| call.verb.is_sync()).count();
        assert_eq!((count(Verb::SyncAll), count(Verb::SyncData), syncs), (0, 1, 1), "turn {turn}: the commit's own");
        assert_eq!(count(Verb::Map), 0, "turn {turn}");
        read.push(taken.iter().filter(|call| call.verb == Verb::ReadAt).map(|call| call.bytes).sum::<u64>());
        calls += taken.len();
    }
    println!(
        "{TURNS} turns: {} bytes asked for in a turn at most, {} calls each",
        read.iter().max().unwrap(),
        calls / TURNS
    );
    // What the lock file says, a block of the segment, and a first part behind what is known.
    assert!(read.iter().all(|bytes| *bytes <= 13 << 10), "{read:?}");
    for (n, tree) in trees.into_iter().enumerate() {
        drop(tree);
        assert_eq!(world.names("stage").len(), 2 - 2 * n);
    }
    assert!(world.open().recovery().is_clean());
    assert_eq!(names(world.dir.path()).len(), 100 + TURNS + 2);
}

#[test]
fn what_several_leave_unsettled_is_bounded_as_if_one_had_done_it() {
    let segment = 256 << 10;
    for checkpoints in [Checkpoints::Inline, Checkpoints::Beside] {
        let world =
            World::new(Options::new().segment_bytes(segment).checkpoint_bytes(segment).checkpoints(checkpoints));
        let trees = world.two();
        let (mut bytes, mut displaced, mut settled) = (0, 0, 0);
        for turn in 0..600usize {
            // None of them writes as much as makes a checkpoint due before the others have settled it.
            write(&trees[turn % 2], &format!("f{}", turn % 10), 10_000);
            settled += world.disk.take().iter().filter(|call| call.verb == Verb::SyncAll).count();
            let journal = world.dir.path().join(".treewal/journal");
            bytes = bytes
                .max(names(&journal).iter().map(|name| fs::metadata(journal.join(name)).map_or(0, |m| m.len())).sum());
            displaced = displaced.max(world.displaced());
        }
        println!("{checkpoints:?}: {bytes} bytes of journal, {displaced} displaced versions, {settled} checkpoints");
        // 6 MB in all. Where the helper does not keep up, four times as much as makes one due waits.
        assert!((10..120).contains(&settled), "{checkpoints:?}: {settled} checkpoints");
        assert!(bytes <= 7 * segment, "{checkpoints:?}: {bytes} bytes");
        assert!(displaced <= 200, "{checkpoints:?}: {displaced} displaced versions");
        drop(trees);
        assert_eq!((world.names("stage").len(), world.displaced()), (0, 0));
    }
}

#[test]
fn age_counts_across_handles() {
    let world = World::new(Options::new().checkpoint_age(Duration::from_millis(300)));
    let trees = world.two();
    trees[0].checkpoint().unwrap();
    world.disk.take();
    write(&trees[0], "a", 10);
    std::thread::sleep(Duration::from_millis(200));
    write(&trees[1], "b", 10);
    assert_eq!(world.disk.take().iter().filter(|call| call.verb == Verb::SyncAll).count(), 0);
    std::thread::sleep(Duration::from_millis(150));
    // Its own commit is not as old as that.
    write(&trees[1], "c", 10);
    assert_eq!(world.disk.take().iter().filter(|call| call.verb == Verb::SyncAll).count(), 1);
    // And what is settled is not old any more, for nobody.
    write(&trees[0], "d", 10);
    assert_eq!(world.disk.take().iter().filter(|call| call.verb == Verb::SyncAll).count(), 0);
}

#[test]
fn a_thread_of_the_handle_settles_what_it_took_over() {
    let age = Duration::from_millis(50);
    let world = World::new(Options::new().checkpoint_age(age).checkpoints(Checkpoints::Beside));
    let (inline, beside) = (Options::new().open_on(world.disk.clone(), world.dir.path()).unwrap(), world.open());
    for tree in [&inline, &beside, &inline, &beside] {
        write(tree, "met", 10);
    }
    let wait_for_one = || {
        let begun = Instant::now();
        while world.disk.count(Verb::SyncAll) == 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "nobody settled it");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    wait_for_one();
    std::thread::sleep(4 * age);
    world.disk.take();
    // It is not the first to leave something unsettled, and has to look at the clock all the same.
    write(&inline, "a", 10);
    write(&beside, "b", 10);
    wait_for_one();
}

#[test]
fn what_a_panic_leaves_is_not_taken_for_a_tree_in_order() {
    let world = World::new(Options::new());
    let other = world.open();
    let armed = Arc::new(AtomicBool::new(false));
    let after = {
        let armed = Arc::clone(&armed);
        move |verb| assert!(verb != Verb::Rename || !armed.load(Ordering::SeqCst), "a fault of the program")
    };
    let disk = Arc::new(Hooked { inner: RealDisk, after });
    let broken = world.options.open_on(disk, world.dir.path()).unwrap();
    for tree in [&broken, &other, &broken, &other] {
        tree.transaction(|tx| tx.write("a", "old").and_then(|()| tx.write("b", "old"))).unwrap();
    }
    armed.store(true, Ordering::SeqCst);
    let commit = || broken.transaction(|tx| tx.write("a", "new").and_then(|()| tx.write("b", "new")));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(commit)).unwrap_err();
    armed.store(false, Ordering::SeqCst);
    write(&other, "c", 10);
    for path in ["a", "b"] {
        assert_eq!(fs::read_to_string(world.dir.path().join(path)).unwrap(), "new", "it was promised");
    }
    assert!(matches!(commit().unwrap_err(), Error::Poisoned));
}

#[test]
fn a_checkpoint_of_one_lets_the_other_drop_what_it_displaced_and_never_before() {
    let world = World::new(Options::new());
    let trees = world.two();
    for n in 0..10 {
        write(&trees[0], &format!("f{n}"), 10);
        write(&trees[0], &format!("f{n}"), 20);
    }
    let before = world.displaced();
    assert!(before >= 10);
    write(&trees[1], "g", 10);
    assert_eq!(world.displaced(), before, "no checkpoint covers them yet");
    trees[1].checkpoint().unwrap();
    // They are the first handle's to remove, and it has not looked.
    assert!(world.displaced() >= 10);
    world.disk.take();
    write(&trees[0], "h", 10);
    assert_eq!(world.disk.count(Verb::SyncAll), 0);
    assert_eq!(world.displaced(), 0);
}

#[test]
fn a_checkpoint_beside_a_guard_leaves_its_snapshot_alone() {
    let world = World::new(Options::new());
    let [tree, _other] = world.two();
    let guard = tree.guard(["met"]).unwrap();
    fs::write(world.dir.path().join("met"), "in place").unwrap();
    write(&tree, "beside", 10);
    tree.checkpoint().unwrap();
    assert_eq!(world.names("guards").len(), 1);
    guard.rollback().unwrap();
    assert_eq!(fs::read_to_string(world.dir.path().join("met")).unwrap(), "xxxxxxxxxx");
    assert_eq!(world.names("guards").len(), 0);
}

#[test]
fn segments_are_given_back_by_whoever_settles_and_missed_by_nobody() {
    let world = World::new(Options::new().segment_bytes(64 << 10));
    let trees = world.two();
    for round in 0..5 {
        // The other one has the first segment open, and many have come and gone.
        for n in 0..40 {
            write(&trees[round % 2], &format!("f{n}"), 10_000);
        }
        trees[round % 2].checkpoint().unwrap();
        world.disk.take();
        write(&trees[(round + 1) % 2], "other", 10);
        assert_eq!(world.disk.count(Verb::SyncAll), 0, "round {round}: no recovery");
        assert!(world.names("journal").len() <= 4, "{:?}", world.names("journal"));
    }
}

/// A handle is killed at rest, and the one that closes last has never had the tree from another: it has done nothing at all, or
/// all that it did lies before the other came. It still removes what the killed one has left.
#[test]
fn the_stage_of_a_killed_handle_goes_with_one_that_never_met_it() {
    for (commits_before, checkpoint) in [(false, false), (true, false), (true, true)] {
        let disk = SimDisk::new();
        let (lives, killed) = (disk.another_process(), disk.another_process());
        let options = Options::new().inline_max(1 << 10).segment_bytes(64 << 10).checkpoints(Checkpoints::Inline);
        let open = |process: &SimDisk| options.open_on(Arc::new(process.clone()), "/").unwrap();
        let last = open(&lives);
        if commits_before {
            write(&last, "a", 5000);
        }
        let other = open(&killed);
        write(&other, "a", 6000);
        write(&other, "a", 7000);
        if checkpoint {
            other.checkpoint().unwrap();
        }
        drop(killed.kill());
        drop(other);
        let stages = || {
            let root = disk.open_root("/".as_ref()).unwrap();
            disk.list(&disk.open_dir(&root, &RelPath::new(".treewal/stage").unwrap()).unwrap()).unwrap().len()
        };
        assert!(stages() > 0);
        drop(last);
        assert_eq!(stages(), 0, "commits before {commits_before}, checkpoint {checkpoint}");
        assert_eq!(disk.dump()[&RelPath::new("a").unwrap()].contents.len(), 7000);
    }
}

/// A tree with a directory and a file in it, and outside of it a directory to be published in the place of that one, as the
/// first of two handles has begun to. Both were there before, so that neither begins with a recovery, which would settle all.
fn published() -> (SimDisk, [Tree; 2], Transaction) {
    let disk = SimDisk::new();
    let root = disk.open_root("/".as_ref()).unwrap();
    for dir in ["tree", "outside"] {
        disk.create_dir(&root, dir.as_ref(), 0o755).unwrap();
    }
    let outside = disk.open_dir(&root, &RelPath::new("outside").unwrap()).unwrap();
    disk.create_dir(&outside, "made".as_ref(), 0o755).unwrap();
    let (tree, other) = (in_tree(&disk), in_tree(&disk.another_process()));
    tree.transaction(|tx| tx.create_dir("d").and_then(|()| tx.write("d/kept", "kept"))).unwrap();
    tree.checkpoint().unwrap();
    disk.sync_all(&root).unwrap();
    let mut tx = tree.begin();
    tx.publish_with(Publish::new().keep_unmanaged(true), "/outside/made", "d").unwrap();
    (disk, [tree, other], tx)
}

fn in_tree(disk: &SimDisk) -> Tree {
    Options::new().segment_bytes(64 << 10).open_on(Arc::new(disk.clone()), "/tree").unwrap()
}

fn stands(disk: &SimDisk, path: &str) -> bool {
    disk.dump().contains_key(&RelPath::new(path).unwrap())
}

/// Whatever the power takes, nobody is said to have worked in the directory, and it stays removed.
fn stays_removed(disk: &SimDisk) {
    for profile in [Profile::Strict, Profile::Ordered, Profile::Grouped] {
        let all = disk.outcomes(profile);
        for outcome in all.named().into_iter().chain(all.single()).chain(all.sample(1, 200)) {
            let lost = disk.after(&outcome);
            let opened = in_tree(&lost);
            assert!(!opened.recovery().found_damage(), "{profile:?}: {}", opened.recovery());
            assert!(!stands(&lost, "tree/d"), "{profile:?}: {}", disk.describe(&outcome));
        }
    }
}

/// To give back a directory takes away the names that it was given of files to keep, and that moves their time of change. In a
/// directory that another handle has removed meanwhile, a recovery would take that for somebody's work.
#[test]
fn before_a_directory_is_given_back_what_others_have_committed_is_settled() {
    let (disk, [tree, other], tx) = published();
    other.transaction(|tx| tx.remove_dir_all("d")).unwrap();
    assert_eq!(tx.commit().unwrap_err().outcome(), Outcome::Unchanged);
    assert!(stands(&disk, "outside/made") && !stands(&disk, "outside/made/kept") && !stands(&disk, "tree/d"));
    stays_removed(&disk);
    drop((tree, other));
}

/// The same where its process was killed, and what it took is thrown away.
#[test]
fn before_quarantine_is_purged_what_was_committed_is_settled() {
    let (disk, trees, tx) = published();
    std::mem::forget((trees, tx));
    let disk = disk.kill();
    let tree = in_tree(&disk);
    let kept = tree.quarantine().unwrap();
    assert_eq!(kept.len(), 1, "{kept:?}");
    tree.transaction(|tx| tx.remove_dir_all("d")).unwrap();
    tree.purge_quarantine(&kept[0].id).unwrap();
    stays_removed(&disk);
}
