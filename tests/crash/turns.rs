//! Several processes that take turns on one tree, each of which goes on behind the others: the power is cut at every call.
//! What any of them acknowledged is there, whoever has settled it, and whoever was killed since.

use std::sync::Arc;

use treewal::{Durability, Tree};
use treewal_vfs::sim::{SimDisk, seed_random};
use treewal_vfs::{Disk, Open, write_all};

use crate::count::say_total;
use crate::judge::{Dump, Expected, Lasting, dump};
use crate::rig::{Case, Count, Plan, prepare};
use crate::workloads::{Body, tree_of_files};

/// What one of the processes does in its turn.
#[derive(Clone, Copy)]
enum Act {
    Commit(Body),
    /// So many files of 4000 bytes: fifteen fill a segment.
    Fill(usize),
    Checkpoint,
    Beside,
    GuardCommitted,
    GuardUndone,
    Close,
    /// At rest, between two turns.
    Killed,
}

use Act::{Beside, Checkpoint, Close, Commit, Fill, GuardCommitted, GuardUndone, Killed};

type Script = &'static [(usize, Act)];

const LARGE: Act = Commit(|tx| tx.write("large", vec![b'N'; 9001]));
const LARGER: Act = Commit(|tx| {
    tx.write("large", vec![b'M'; 12_000])?;
    tx.write("d/large", vec![b'm'; 5000])
});
const SMALL: Act = Commit(|tx| {
    tx.write("a", "new a")?;
    tx.write("d/new", "new")?;
    tx.remove_file("b")
});
const SMALLER: Act = Commit(|tx| {
    tx.write("a", "newer a")?;
    tx.write("b", "new b")
});
const MOVES: Act = Commit(|tx| {
    tx.rename("d", "moved")?;
    tx.write("moved/x", "new x")
});
const BENEATH: Act = Commit(|tx| tx.write("moved/x", "newer x"));

const SCRIPTS: [(&str, Script); 11] = [
    ("small files in turn", &[(0, SMALL), (1, SMALLER), (0, SMALL)]),
    ("large files in turn", &[(0, LARGE), (1, LARGER), (0, LARGE), (1, SMALL)]),
    ("a large file of one that goes on", &[(0, LARGE), (1, SMALL), (0, SMALLER), (1, SMALL)]),
    ("one settles what the other has displaced", &[(0, LARGE), (1, LARGER), (1, Checkpoint), (0, LARGE), (1, SMALL)]),
    ("one moves what the other has changed", &[(0, SMALL), (1, MOVES), (0, BENEATH)]),
    ("one guards what the other has changed", &[(0, SMALL), (1, GuardCommitted), (0, LARGE), (1, GuardUndone)]),
    ("a checkpoint beside, of what the other has committed", &[(0, LARGE), (1, SMALL), (0, Beside), (1, LARGER)]),
    ("segments come and go", &[(0, Fill(16)), (1, LARGE), (1, Checkpoint), (0, SMALL), (0, Fill(16)), (1, SMALLER)]),
    ("one closes", &[(0, LARGE), (1, LARGER), (0, Close), (1, SMALL), (1, Close)]),
    ("one is killed, and the other settles", &[(0, LARGE), (0, Killed), (1, SMALL), (1, Checkpoint), (1, LARGE)]),
    ("one is killed, and the other closes", &[(0, LARGE), (0, Killed), (1, Close)]),
];

/// The processes, one handle each, that have seen each other.
struct World {
    disk: SimDisk,
    handles: [Option<(SimDisk, Tree)>; 2],
}

impl World {
    fn new(disk: SimDisk, plan: Plan) -> Self {
        let open = || {
            let process = disk.another_process();
            let tree = plan.open(&process).unwrap();
            Some((process, tree))
        };
        let world = Self { handles: [open(), open()], disk };
        for turn in 0..4 {
            let (_, tree) = world.handles[turn % 2].as_ref().unwrap();
            tree.transaction(|tx| tx.write("log", turn.to_string())).unwrap();
        }
        world
    }

    /// Acts up to the first that fails; gives how many succeeded.
    fn act(&mut self, script: Script, after_each: &mut dyn FnMut(&SimDisk)) -> usize {
        for (done, (who, act)) in script.iter().enumerate() {
            if !self.take(*who, *act) {
                return done;
            }
            after_each(&self.disk);
        }
        script.len()
    }

    fn take(&mut self, who: usize, act: Act) -> bool {
        let Some((process, tree)) = &self.handles[who] else { panic!("{who} is gone") };
        match act {
            Commit(body) => tree.transaction(body).is_ok(),
            Fill(files) => {
                tree.transaction(|tx| (0..files).try_for_each(|n| tx.write(format!("e/{n}"), vec![b'f'; 4000]))).is_ok()
            }
            Checkpoint => tree.checkpoint().is_ok(),
            Beside => tree.checkpoint_beside().is_ok(),
            GuardCommitted => in_place(&self.disk, tree, true),
            GuardUndone => in_place(&self.disk, tree, false),
            Close | Killed => {
                if let Killed = act {
                    drop(process.kill());
                }
                self.handles[who] = None;
                true
            }
        }
    }
}

/// Changes a file in place, under a guard.
fn in_place(disk: &SimDisk, tree: &Tree, keep: bool) -> bool {
    let Ok(guard) = tree.guard(["a", "large"]) else { return false };
    let root = disk.open_root("/".as_ref());
    let file = root.and_then(|root| disk.open(&root, "a".as_ref(), Open::ReadWrite));
    if file.and_then(|file| write_all(disk, &file, b"in place", 0)).is_err() {
        return false;
    }
    if keep { guard.commit().is_ok() } else { guard.rollback().is_ok() }
}

fn explore(name: &str, script: Script, plan: Plan) -> Count {
    // The other turns have written in it.
    let plan = plan.with_a_young_root();
    let base = prepare(tree_of_files, plan);
    seed_random(Some(1));
    let mut world = World::new(base.remount(), plan);
    let mut states: Vec<Dump> = vec![dump(&world.disk)];
    assert_eq!(world.act(script, &mut |disk| states.push(dump(disk))), script.len(), "{name}");
    let is_guarded = script.iter().any(|(_, act)| matches!(act, GuardCommitted | GuardUndone));
    let lasting = if is_guarded { Lasting::Guarded } else { Lasting::All };
    let run = |disk: &SimDisk, cut: u64| {
        let mut world = World::new(disk.clone(), plan);
        disk.cut_at(Some(cut));
        world.act(script, &mut |_| {})
    };
    let expected = |acknowledged| Expected::after(&states, acknowledged);
    let all = script.len();
    Case { name, plan, base: &base, run: &run, all, expected: &expected, lasting, also: None }.explore()
}

#[test]
fn whoever_goes_on_behind_another_keeps_what_that_one_promised() {
    for (name, script) in SCRIPTS {
        let count = explore(name, script, Plan::new(Durability::Journal).shallow().without_crashes_inside());
        println!("{name}: {count}");
        say_total();
        assert!(count.states > 100, "{name}: exploring next to nothing proves nothing");
    }
}

/// Handles of processes that tell what the others have done by times and numbers that are the same.
#[test]
fn where_clock_and_inodes_are_coarse_it_does_so_too() {
    for (name, script) in SCRIPTS {
        let plan = Plan::new(Durability::Journal).shallow().coarse().without_crashes_inside();
        let count = explore(name, script, plan);
        println!("{}, {name}: {count}", plan.said());
        say_total();
        assert!(count.states > 100, "{name}: exploring next to nothing proves nothing");
    }
}

#[test]
fn under_durability_tree_it_does_so_too() {
    for (name, script) in [SCRIPTS[1], SCRIPTS[3]] {
        let count = explore(name, script, Plan::new(Durability::Tree).shallow().without_crashes_inside());
        assert!(count.states > 100, "{name}");
    }
}

/// And so does whoever recovers, and is cut at that.
#[test]
fn what_they_leave_is_recovered_whenever_the_power_goes() {
    for (name, script) in [SCRIPTS[3], SCRIPTS[5], SCRIPTS[9]] {
        let count = explore(name, script, Plan::new(Durability::Journal).shallow());
        println!("with crashes inside recovery, {name}: {count}");
        say_total();
        assert!(count.nested_distinct > 100, "{name}: next to nothing inside recovery");
    }
}

/// What the other tests rest on: between two turns nothing is recovered.
#[test]
fn the_processes_do_go_on_behind_each_other() {
    use treewal_vfs::{RecordingDisk, Verb};
    let plan = Plan::new(Durability::Journal);
    let base = prepare(tree_of_files, plan);
    let world = World::new(base.remount(), plan);
    let recording = Arc::new(RecordingDisk::new(Arc::new(world.disk.another_process())));
    let third = treewal::Options::new().segment_bytes(64 << 10).open_on(recording.clone(), "/").unwrap();
    for turn in 0..3 {
        world.handles[turn % 2].as_ref().unwrap().1.transaction(|tx| tx.write("log", "again")).unwrap();
        recording.take();
        third.transaction(|tx| tx.write("log", turn.to_string())).unwrap();
        assert_eq!((recording.count(Verb::SyncAll), recording.syncs()), (0, 1), "turn {turn}");
    }
}
