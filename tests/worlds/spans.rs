//! What whoever collects `tracing` spans is told of the phases of each piece of work.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::with_default;
use tracing::{Event, Metadata, Subscriber};
use treewal::{Options, Tree};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Disk, Open, write_all};

/// A span that was left: its name with those around it, and how long it took.
type Phase = (String, Duration);

#[derive(Default)]
struct Shared {
    numbers: AtomicU64,
    /// Names of spans that live.
    names: Mutex<BTreeMap<u64, &'static str>>,
    left: Mutex<Vec<Phase>>,
    /// Spans and events that were made at all.
    made: AtomicU64,
}

/// Collects spans of treewal at the level that it is asked for.
#[derive(Clone)]
struct Collector {
    shared: Arc<Shared>,
    level: tracing::Level,
}

thread_local! {
    static INSIDE: RefCell<Vec<(u64, Instant)>> = const { RefCell::new(Vec::new()) };
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("treewal") && *metadata.level() <= self.level
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.shared.made.fetch_add(1, Ordering::Relaxed);
        let number = self.shared.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        self.shared.names.lock().unwrap().insert(number, span.metadata().name());
        Id::from_u64(number)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        self.shared.made.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, span: &Id) {
        INSIDE.with_borrow_mut(|inside| inside.push((span.into_u64(), Instant::now())));
    }

    fn exit(&self, span: &Id) {
        let names = self.shared.names.lock().unwrap();
        INSIDE.with_borrow_mut(|inside| {
            let path: Vec<&str> = inside.iter().map(|(number, _)| names[number]).collect();
            let (number, begun) = inside.pop().unwrap();
            assert_eq!(number, span.into_u64(), "spans are left in the order in which they were entered");
            self.shared.left.lock().unwrap().push((path.join(">"), begun.elapsed()));
        });
    }
}

/// The phases of a piece of work, in the order in which they ended.
fn phases<T>(level: tracing::Level, work: impl FnOnce() -> T) -> (T, Vec<Phase>, u64) {
    let shared = Arc::new(Shared::default());
    let out = with_default(Collector { shared: Arc::clone(&shared), level }, work);
    let left = std::mem::take(&mut *shared.left.lock().unwrap());
    (out, left, shared.made.load(Ordering::Relaxed))
}

fn names<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    let (out, phases, _) = phases(tracing::Level::DEBUG, work);
    (out, phases.into_iter().map(|(name, _)| name).collect())
}

fn options() -> Options {
    Options::new().segment_bytes(64 << 10)
}

fn put(disk: &SimDisk, name: &str, contents: &str) {
    let root = disk.open_root("/".as_ref()).unwrap();
    let file = disk.open(&root, name.as_ref(), Open::Create { mode: 0o644 }).unwrap();
    write_all(disk, &file, contents.as_bytes(), 0).unwrap();
}

#[test]
fn ro20_each_phase_has_its_span() {
    let disk = SimDisk::new();
    put(&disk, "a", "old");
    let open = |disk: &SimDisk| options().open_on(Arc::new(disk.clone()), "/").unwrap();
    let (tree, opening): (Tree, _) = names(|| open(&disk));
    assert_eq!(opening, ["lock_wait", "recovery"]);

    let (_, commit) = names(|| tree.transaction(|tx| tx.write("a", "new")).unwrap());
    let phases = ["prepare", "turn_wait", "lock_wait", "promise", "apply"].map(|phase| format!("commit>{phase}"));
    assert_eq!(commit, phases.into_iter().chain(["commit".to_owned()]).collect::<Vec<_>>());

    let (_, checkpoint) = names(|| tree.checkpoint().unwrap());
    assert_eq!(checkpoint, ["turn_wait", "lock_wait", "checkpoint"]);

    let (guard, taken) = names(|| tree.guard(["a"]).unwrap());
    assert_eq!(taken, ["guard>lock_wait", "guard"]);
    let (_, undone) = names(|| guard.rollback().unwrap());
    assert_eq!(undone, ["guard_rollback>turn_wait", "guard_rollback>checkpoint", "guard_rollback"]);
    let guard = tree.guard(["a"]).unwrap();
    let (_, kept) = names(|| guard.commit().unwrap());
    assert_eq!(kept, ["guard_commit>turn_wait", "guard_commit"]);

    let (snapshot, taken) = names(|| tree.snapshot("s").unwrap());
    assert_eq!(taken.last().unwrap(), "snapshot");
    let (_, restored) = names(|| tree.restore(&snapshot).unwrap());
    assert_eq!(restored.last().unwrap(), "restore");
    let (reader, read) = names(|| tree.read().unwrap());
    assert!(read.iter().any(|phase| phase == "lock_wait"), "{read:?}");
    drop(reader);

    tree.transaction(|tx| tx.write("a", "to be redone")).unwrap();
    std::mem::forget(tree);
    let disk = disk.kill();
    let (_, recovered) = names(|| open(&disk));
    assert_eq!(recovered[..2], ["lock_wait", "recovery"]);
}

/// The span is as long as the wait.
#[test]
fn ro20_a_wait_for_the_lock_is_told_by_its_length() {
    let dir = tempfile::tempdir().unwrap();
    let tree = options().open(dir.path()).unwrap();
    // On a busy machine a reader may be gone before the commit comes to the lock: then the next one stays longer.
    let mut told = Vec::new();
    for held in (0..6).map(|doubled| Duration::from_millis(80 << doubled)) {
        let ready = std::sync::Barrier::new(2);
        let (_, phases, _) = std::thread::scope(|scope| {
            scope.spawn(|| {
                let reader = tree.read().unwrap();
                ready.wait();
                std::thread::sleep(held);
                drop(reader);
            });
            ready.wait();
            phases(tracing::Level::DEBUG, || tree.transaction(|tx| tx.write("a", "a")).unwrap())
        });
        let of = |name: &str| phases.iter().find(|(phase, _)| phase == name).unwrap().1;
        assert!(of("commit") >= of("commit>lock_wait"), "{phases:?}");
        if of("commit>lock_wait") >= held / 2 && of("commit>prepare") < of("commit>lock_wait") {
            return;
        }
        told.push(phases);
    }
    panic!("no wait was told by its length: {told:?}");
}

#[test]
fn ro20_spans_are_not_even_made_where_nobody_asks_for_them() {
    let disk = SimDisk::new();
    let tree = options().open_on(Arc::new(disk), "/").unwrap();
    let work = || {
        tree.transaction(|tx| tx.write("a", "new")).unwrap();
        tree.guard(["a"]).unwrap().rollback().unwrap();
        tree.checkpoint().unwrap();
        drop(tree.read().unwrap());
    };
    let (_, left, made) = phases(tracing::Level::INFO, work);
    assert_eq!((left.len(), made), (0, 0), "{left:?}");
    let (_, left, made) = phases(tracing::Level::DEBUG, work);
    assert!(left.len() > 10 && made > 10);
}
