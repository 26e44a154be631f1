//! What is told with one sync that fails: every kind of call that makes something durable.

use std::sync::Arc;

use treewal::{CheckpointSync, Durability, Outcome};
use treewal_vfs::Disk;
use treewal_vfs::sim::{Lose, Profile, SimDisk};

use crate::guards::{died_after_the_promise, vandalise};
use crate::seen::look;
use crate::trap::{Act, Count, Story, every_sync_of, is_all};
use crate::world::{BODIES, Body, ROOT, after, assert_reopens, options, prepared, untouched};

const LEVELS: [Durability; 3] = [Durability::Journal, Durability::Tree, Durability::Deferred];
const SYNCS: [CheckpointSync; 2] = [CheckpointSync::Entries, CheckpointSync::FileSystem];

fn story(name: &str, durability: Durability, sync: CheckpointSync, acts: Vec<Act>) -> Story {
    let base = prepared();
    Story {
        name: format!("{name}, {durability:?}, {sync:?}"),
        opened: look(&base, ROOT),
        base,
        options: options(durability).checkpoint_sync(sync),
        acts,
        deferred: durability == Durability::Deferred,
    }
}

/// Each level with each way to sync a tree; without `TREEWAL_TRAP=all` one of them, by turns.
fn ways(turn: usize) -> impl Iterator<Item = (Durability, CheckpointSync)> {
    let all = LEVELS.into_iter().flat_map(|durability| SYNCS.map(|sync| (durability, sync)));
    all.enumerate().filter(move |(n, _)| is_all() || *n == turn % 6).map(|(_, way)| way)
}

fn tell(stories: impl IntoIterator<Item = Story>) -> Count {
    let mut count = Count::default();
    for story in stories {
        let of_this = every_sync_of(&story);
        println!("{}: {of_this:?}", story.name);
        count.add(of_this);
    }
    println!("all: {count:?}");
    count
}

#[test]
fn commits_and_checkpoints() {
    let mut stories = Vec::new();
    for (turn, (name, body)) in BODIES.into_iter().enumerate() {
        for (durability, sync) in ways(turn) {
            stories.push(story(name, durability, sync, vec![Act::Commit(body), Act::Checkpoint]));
        }
    }
    let count = tell(stories);
    assert!(count.syncs > 60 && count.refused > 50 && count.lost > 300, "{count:?}");
}

/// One commit over another, with a sync, a checkpoint or nothing between.
#[test]
fn one_after_the_other() {
    let small: Body = |tx| tx.write("a", "newer");
    let mut stories = Vec::new();
    for (turn, between) in [None, Some(Act::Sync), Some(Act::Checkpoint)].into_iter().enumerate() {
        for (durability, sync) in ways(2 * turn + 1) {
            let mut acts = vec![Act::Commit(BODIES[0].1)];
            acts.extend(between);
            acts.extend([Act::Commit(BODIES[2].1), Act::Commit(small), Act::Sync]);
            stories.push(story("one after the other", durability, sync, acts));
        }
    }
    let count = tell(stories);
    assert!(count.syncs > 20 && count.refused > 20 && count.lost > 100, "{count:?}");
}

#[test]
fn guards_committed_and_rolled_back() {
    const SOME: &[&str] = &["a", "b", "d", "large", "none"];
    let small: Body = |tx| tx.write("e/z", "beside");
    let mut stories = Vec::new();
    for commit in [true, false] {
        for paths in [SOME, &["."]].into_iter().take(if is_all() { 2 } else { 1 }) {
            let name = format!("a guard of {paths:?}, committed {commit}");
            let alone = vec![Act::Guard(paths, commit)];
            let among = vec![Act::Commit(small), Act::Guard(paths, commit), Act::Commit(small), Act::Checkpoint];
            for acts in [alone, among] {
                stories.push(story(&name, Durability::Journal, CheckpointSync::Entries, acts));
            }
        }
    }
    let count = tell(stories);
    assert!(count.syncs > 40 && count.refused > 30 && count.lost > 200, "{count:?}");
}

#[test]
fn snapshots_taken_restored_and_removed() {
    let change: Body = |tx| {
        tx.write("a", "since")?;
        tx.write("large", vec![b'S'; 9002])?;
        tx.remove_dir_all("d")
    };
    let stories = SYNCS.into_iter().take(if is_all() { 2 } else { 1 }).map(|sync| {
        let acts = vec![Act::Snapshot, Act::Commit(change), Act::Restore, Act::Forget];
        story("a snapshot", Durability::Journal, sync, acts)
    });
    let count = tell(stories);
    assert!(count.syncs > 20 && count.refused > 15 && count.lost > 100, "{count:?}");
}

/// What a process that was killed has left is all on the disk; the syncs of who comes after it fail.
#[test]
fn recoveries() {
    let small: Body = |tx| tx.write("other", "later");
    let mut stories = Vec::new();
    let mut add = |name: &str, base: SimDisk, opened| {
        stories.push(Story {
            name: name.to_owned(),
            base,
            options: options(Durability::Journal),
            opened,
            acts: vec![Act::Commit(small)],
            deferred: false,
        });
    };
    for (name, body) in BODIES {
        let base = prepared();
        let opened = after(&base, &[body]);
        add(&format!("a redo of {name}"), died_after_the_promise(&base, body), opened);
    }
    let base = prepared();
    add("an undo of a guard", died_under_a_guard(&base), look(&base, ROOT));
    let count = tell(stories);
    assert!(count.syncs > 20 && count.refused > 15 && count.lost > 100, "{count:?}");
}

/// Two handles: what the kernel gives up for one of them may be what the other has written.
#[test]
fn a_sync_of_one_handle_that_fails_takes_the_work_of_another_along() {
    let mut count = 0;
    for lose in [Lose::All, Lose::Contents] {
        for closes_first in [true, false] {
            let base = prepared();
            let sim = base.remount();
            sim.set_failed_syncs(lose);
            let open = || {
                let options = options(Durability::Journal).checkpoint_sync(CheckpointSync::FileSystem);
                options.open_on(Arc::new(sim.clone()), ROOT).unwrap()
            };
            let (one, other) = (open(), open());
            let small: Body = |tx| tx.write("a", "of one");
            one.transaction(small).unwrap();
            // The stage of a new directory is synced with everything.
            sim.fail_sync_at(Some(1));
            let refused = other.transaction(|tx| {
                tx.create_dir("n")?;
                tx.write("n/large", vec![b'N'; 9000])
            });
            assert_eq!(refused.unwrap_err().outcome(), Outcome::Unchanged);
            if closes_first {
                drop((other, one));
            } else {
                assert!(one.checkpoint().is_err());
                drop((one, other));
            }
            let wanted = after(&base, &[small]);
            let all = sim.outcomes(Profile::Strict);
            for outcome in [all.nothing(), all.names_without_contents(), all.everything()] {
                assert_reopens(&sim.after(&outcome), &[&wanted], &format!("{lose:?}, {closes_first}"));
                count += 1;
            }
            if lose == Lose::Contents {
                assert_reopens(&sim, &[&wanted], "on the same boot");
            }
        }
    }
    assert_eq!(count, 12);
}

/// A directory in which treewal has never been.
#[test]
fn the_first_opening() {
    let base = untouched();
    base.sync_all(&base.open_root(ROOT.as_ref()).unwrap()).unwrap();
    let first = Story {
        name: "the first opening".to_owned(),
        opened: look(&base, ROOT),
        base,
        options: options(Durability::Journal),
        acts: vec![Act::Commit(BODIES[0].1), Act::Checkpoint],
        deferred: false,
    };
    let count = tell([first]);
    assert!(count.syncs > 5 && count.refused > 3 && count.lost > 20, "{count:?}");
}

fn died_under_a_guard(base: &SimDisk) -> SimDisk {
    let disk = base.remount();
    let tree = options(Durability::Journal).open_on(Arc::new(disk.clone()), ROOT).unwrap();
    let guard = tree.guard(["a", "b", "d", "large", "none"]).unwrap();
    vandalise(&disk);
    let dead = disk.remount();
    drop((guard, tree));
    dead
}
