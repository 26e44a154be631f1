//! Threads of one handle: who goes on together, who waits, and what nobody may lose.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "a test looks at the tree as any program does")]

#[path = "shared/hooked.rs"]
mod hooked;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;

use hooked::Hooked;
use treewal::{Checkpoints, Durability, Error, Options, Tree, interleave};
use treewal_vfs::{RealDisk, RecordingDisk, Verb};

/// Long enough that whoever is not kept from going on has gone on.
const A_WHILE: Duration = Duration::from_millis(100);

fn write(tree: &Tree, path: &str, contents: &str) -> treewal::Result<()> {
    tree.transaction(|tx| tx.write(path, contents))
}

fn text(dir: &Path, path: &str) -> String {
    fs::read_to_string(dir.join(path)).unwrap()
}

#[test]
fn commits_that_do_not_meet_share_one_sync_and_one_lock() {
    const COMMITS: usize = 8;
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(RecordingDisk::new(Arc::new(RealDisk)));
    let tree = Options::new().open_on(disk.clone(), dir.path()).unwrap();
    write(&tree, "warm", "up").unwrap();
    let transactions = (0..COMMITS).map(|n| {
        let mut tx = tree.begin();
        tx.write(format!("f{n}"), "new").unwrap();
        tx
    });
    let transactions = transactions.collect();
    // All have appended before the first syncs.
    let schedule: Vec<usize> = (0..COMMITS).flat_map(|n| [n, n]).collect();
    disk.take();
    let results = interleave(transactions, &schedule, &mut |_| {});
    assert!(results.iter().all(Result::is_ok));
    assert_eq!((disk.count(Verb::SyncData), disk.syncs()), (1, 1));
    assert_eq!((disk.count(Verb::TryLock), disk.count(Verb::Unlock)), (2, 2), "the lock and its queue");
    assert_eq!(text(dir.path(), "f7"), "new");
}

/// A tree on a disk that stops the first thread which has called a verb, until it is let go.
struct Stopped {
    dir: tempfile::TempDir,
    tree: Tree,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    armed: AtomicBool,
    reached: Mutex<bool>,
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        if self.armed.swap(false, Ordering::SeqCst) {
            *self.reached.lock().unwrap() = true;
            self.changed.notify_all();
            drop(self.changed.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap());
        }
    }

    fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    fn wait_for_somebody(&self) {
        while !*self.reached.lock().unwrap() {
            std::thread::yield_now();
        }
    }

    fn let_go(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

/// Lets the thread at the gate go when it is dropped, also by a test that fails.
struct LetGo<'a>(&'a Gate);

impl Drop for LetGo<'_> {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

fn stopped() -> Stopped {
    stopped_after(Verb::Rename)
}

fn stopped_after(stopping: Verb) -> Stopped {
    stopped_with(&Options::new(), stopping)
}

fn stopped_with(options: &Options, stopping: Verb) -> Stopped {
    let dir = tempfile::tempdir().unwrap();
    for sub in ["d", "e"] {
        fs::create_dir(dir.path().join(sub)).unwrap();
    }
    for path in ["a", "b", "d/x", "d/y", "e/z"] {
        fs::write(dir.path().join(path), "old").unwrap();
    }
    let gate = Arc::new(Gate::default());
    let after = {
        let gate = Arc::clone(&gate);
        move |verb| {
            if verb == stopping {
                gate.pass();
            }
        }
    };
    let disk = Arc::new(Hooked { inner: RealDisk, after });
    let tree = options.open_on(disk, dir.path()).unwrap();
    Stopped { dir, tree, gate }
}

/// What moves entries, gives them other names, takes them in from elsewhere or sets attributes that several names have.
#[test]
fn what_no_record_holds_stands_alone_among_commits() {
    type Barrier = fn(&mut treewal::Transaction, &Path) -> treewal::Result<()>;
    let barriers: [Barrier; 4] = [
        |tx, _| tx.rename("b", "c"),
        |tx, _| tx.hard_link("b", "c"),
        |tx, outside| tx.publish(outside, "c"),
        |tx, _| tx.set_xattr("e/one", "user.x", "value"),
    ];
    for (n, barrier) in barriers.into_iter().enumerate() {
        let Stopped { dir, tree, gate } = stopped();
        fs::write(dir.path().join("e/one"), "two names").unwrap();
        fs::hard_link(dir.path().join("e/one"), dir.path().join("e/two")).unwrap();
        let outside = tempfile::tempdir_in(dir.path().parent().unwrap()).unwrap();
        let prepared = outside.path().join("prepared");
        fs::write(&prepared, "prepared").unwrap();
        let mut alone = tree.begin();
        barrier(&mut alone, &prepared).unwrap();
        std::thread::scope(|scope| {
            let stopped = LetGo(&gate);
            gate.arm();
            let first = scope.spawn(|| write(&tree, "a", "first"));
            gate.wait_for_somebody();
            let (tell, told) = mpsc::channel();
            scope.spawn(move || tell.send(alone.commit()).unwrap());
            assert!(told.recv_timeout(A_WHILE).is_err(), "barrier {n} went on beside another commit");
            drop(stopped);
            first.join().unwrap().unwrap();
            told.recv().unwrap().unwrap();
        });
    }
}

#[test]
fn a_commit_between_two_renames_keeps_only_those_waiting_that_meet_it() {
    let Stopped { dir, tree, gate } = stopped();
    let begin = |path: &str| {
        let mut tx = tree.begin();
        tx.write(path, "other").unwrap();
        tx
    };
    let (apart, beside, same) = (begin("b"), begin("d/y"), begin("d/x"));
    let mut above = tree.begin();
    above.remove_dir_all("e").unwrap();
    std::thread::scope(|scope| {
        let stopped = LetGo(&gate);
        gate.arm();
        let first = scope.spawn(|| {
            tree.transaction(|tx| {
                tx.write("a", "first")?;
                tx.write("d/x", "first")?;
                tx.write("e/z", "first")
            })
        });
        gate.wait_for_somebody();
        apart.commit().unwrap();
        beside.commit().unwrap();
        let (tell, told) = mpsc::channel();
        let tell_too = tell.clone();
        scope.spawn(move || tell.send(same.commit()).unwrap());
        scope.spawn(move || tell_too.send(above.commit()).unwrap());
        assert!(told.recv_timeout(A_WHILE).is_err(), "one that meets it must wait");
        assert_eq!(text(dir.path(), "b"), "other");
        drop(stopped);
        first.join().unwrap().unwrap();
        let results = [told.recv().unwrap(), told.recv().unwrap()];
        let conflicts = results.iter().filter(|result| matches!(result, Err(Error::Conflict { .. }))).count();
        assert!(conflicts >= 1, "who looked before the first changed it is told: {results:?}");
    });
    assert_eq!((text(dir.path(), "a"), text(dir.path(), "d/x")), ("first".into(), "first".into()));
    assert_eq!((text(dir.path(), "b"), text(dir.path(), "d/y")), ("other".into(), "other".into()));
}

#[test]
fn a_checkpoint_waits_for_commits_under_way_and_others_wait_for_it() {
    let Stopped { dir, tree, gate } = stopped();
    std::thread::scope(|scope| {
        let stopped = LetGo(&gate);
        gate.arm();
        let first = scope.spawn(|| write(&tree, "a", "first"));
        gate.wait_for_somebody();
        let (tell, told) = mpsc::channel();
        let tell_too = tell.clone();
        let tree = &tree;
        scope.spawn(move || tell.send(("checkpoint", tree.checkpoint().is_ok())).unwrap());
        assert!(told.recv_timeout(A_WHILE).is_err(), "what it says of the first is not true yet");
        scope.spawn(move || tell_too.send(("commit", write(tree, "b", "second").is_ok())).unwrap());
        assert!(told.recv_timeout(A_WHILE).is_err(), "or a checkpoint may wait for ever");
        drop(stopped);
        first.join().unwrap().unwrap();
        let mut both = [told.recv().unwrap(), told.recv().unwrap()];
        both.sort_unstable();
        assert_eq!(both, [("checkpoint", true), ("commit", true)]);
    });
    assert_eq!((text(dir.path(), "a"), text(dir.path(), "b")), ("first".into(), "second".into()));
}

#[test]
fn what_threads_add_to_one_file_is_all_there() {
    const THREADS: usize = 6;
    const EACH: usize = 25;
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    write(&tree, "sum", "0").unwrap();
    let add = |thread: usize, n: usize| {
        let mut tx = tree.begin();
        let sum: usize = tx.read_to_string("sum")?.parse().unwrap();
        tx.write("sum", (sum + 1).to_string())?;
        tx.write(format!("t{thread}-{}", n % 3), n.to_string())?;
        tx.commit()
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let add = &add;
            scope.spawn(move || {
                for n in 0..EACH {
                    loop {
                        match add(thread, n) {
                            Ok(_) => break,
                            Err(Error::Conflict { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
        }
    });
    assert_eq!(text(dir.path(), "sum"), (THREADS * EACH).to_string());
    drop(tree);
    assert!(Tree::open(dir.path()).unwrap().recovery().is_clean());
}

#[test]
fn guards_moves_and_checkpoints_among_the_commits_of_threads_lose_nothing() {
    const ROUNDS: usize = 15;
    let dir = tempfile::tempdir().unwrap();
    // Small segments, so that checkpoints are due in between.
    let tree = Options::new().segment_bytes(64 << 10).open(dir.path()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let tree = &tree;
            scope.spawn(move || {
                for n in 0..ROUNDS {
                    let contents = format!("{n} {}", "x".repeat(4000));
                    patiently(|| write(tree, &format!("t{thread}-{n}"), &contents));
                }
            });
        }
        scope.spawn(|| {
            patiently(|| tree.transaction(|tx| tx.create_dir("m0")));
            for n in 1..ROUNDS {
                patiently(|| tree.transaction(|tx| tx.rename(format!("m{}", n - 1), format!("m{n}"))));
                patiently(|| tree.guard(["g"]).and_then(treewal::Guard::commit));
                patiently(|| tree.checkpoint());
            }
        });
    });
    drop(tree);
    for thread in 0..4 {
        for n in 0..ROUNDS {
            assert!(text(dir.path(), &format!("t{thread}-{n}")).starts_with(&format!("{n} ")));
        }
    }
    assert!(dir.path().join(format!("m{}", ROUNDS - 1)).is_dir());
    assert!(Tree::open(dir.path()).unwrap().recovery().is_clean());
}

/// A guard of another thread refuses everybody for as long as it lives.
fn patiently(mut work: impl FnMut() -> treewal::Result<()>) {
    loop {
        match work() {
            Ok(()) => return,
            Err(Error::Locked { .. }) => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A sync that is under way makes a deferred commit durable, and not the one that is to replace its work.
#[test]
fn what_a_sync_under_way_makes_durable_is_replaced_only_by_what_is_durable() {
    let Stopped { dir, tree, gate } = stopped_after(Verb::SyncData);
    let deferred = |path: &'static str| {
        tree.transaction(move |tx| {
            tx.set_durability(Durability::Deferred);
            tx.write(path, "deferred")
        })
    };
    deferred("a").unwrap();
    std::thread::scope(|scope| {
        let stopped = LetGo(&gate);
        gate.arm();
        let syncing = scope.spawn(|| write(&tree, "b", "durable"));
        gate.wait_for_somebody();
        deferred("d/x").unwrap();
        let (tell, told) = mpsc::channel();
        scope.spawn(move || tell.send(deferred("a")).unwrap());
        assert!(told.recv_timeout(A_WHILE).is_err(), "it was not durable");
        drop(stopped);
        syncing.join().unwrap().unwrap();
        told.recv().unwrap().unwrap();
    });
    assert_eq!((text(dir.path(), "a"), text(dir.path(), "b")), ("deferred".to_owned(), "durable".to_owned()));
}

/// Nobody else may append to the journal meanwhile, or it would say of their work that it is in the tree.
#[test]
fn a_checkpoint_beside_commits_keeps_the_tree() {
    let options = Options::new().checkpoints(Checkpoints::Beside).checkpoint_age(Duration::ZERO);
    // Of a commit of a small file, only the thread of the handle syncs the file.
    let Stopped { dir, tree, gate } = stopped_with(&options, Verb::SyncFile);
    std::thread::scope(|scope| {
        let stopped = LetGo(&gate);
        gate.arm();
        write(&tree, "a", "first").unwrap();
        gate.wait_for_somebody();
        write(&tree, "b", "second").unwrap();
        let other = Options::new().lock_wait(Duration::ZERO).open(dir.path()).map(drop);
        assert!(matches!(other, Err(Error::Locked { .. })), "{other:?}");
        let (tell, told) = mpsc::channel();
        let tree = &tree;
        scope.spawn(move || tell.send(tree.transaction(|tx| tx.rename("d/x", "d/z"))).unwrap());
        assert!(told.recv_timeout(A_WHILE).is_err(), "what moves entries stands alone");
        drop(stopped);
        told.recv().unwrap().unwrap();
    });
    assert_eq!((text(dir.path(), "b"), text(dir.path(), "d/z")), ("second".to_owned(), "old".to_owned()));
}

/// With the checkpoint comes a sweep, which would take a snapshot that is being made for one that a killed process left.
#[test]
fn a_checkpoint_beside_commits_waits_for_who_is_alone() {
    let age = Duration::from_millis(100);
    let options = Options::new().checkpoints(Checkpoints::Beside).checkpoint_age(age);
    let Stopped { dir, tree, gate } = stopped_with(&options, Verb::SyncAll);
    // From here on it knows that others are about, and sweeps what they may have left.
    write(&tree, "b", "mine").unwrap();
    write(&Tree::open(dir.path()).unwrap(), "b", "another's").unwrap();
    std::thread::scope(|scope| {
        let stopped = LetGo(&gate);
        gate.arm();
        write(&tree, "a", "old enough soon").unwrap();
        let taking = scope.spawn(|| tree.snapshot("one").map(drop));
        gate.wait_for_somebody();
        std::thread::sleep(age + A_WHILE);
        drop(stopped);
        taking.join().unwrap().unwrap();
    });
    assert_eq!(tree.find_snapshot("one").unwrap().verify().unwrap(), Vec::<std::path::PathBuf>::new());
}
