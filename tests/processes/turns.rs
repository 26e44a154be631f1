//! A process that is killed at every call, between the turns of handles that live on.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use treewal::{Checkpoints, Options, Tree};
use treewal_vfs::{Fault, FaultDisk, RealDisk, Verb};

use crate::child::{say, start, told};
use crate::contents::contents;
use crate::judge::at_rest;
use crate::{depth, work_dir};

fn options() -> Options {
    Options::new().segment_bytes(64 << 10).inline_max(16 << 10)
}

type Step = fn(&Tree, &Path);

/// What the process does in its turns, all of it in a directory of its own.
const STEPS: [Step; 7] = [small, large, moves, guard_committed, filling, guard_undone, filling];

fn small(tree: &Tree, _: &Path) {
    tree.transaction(|tx| {
        tx.write("own/a", contents("a", 1))?;
        tx.write("own/dir/new", contents("new", 1))?;
        tx.remove_file("own/gone")
    })
    .unwrap();
}

fn large(tree: &Tree, _: &Path) {
    tree.transaction(|tx| {
        tx.write("own/large", contents("large", 2))?;
        tx.write("own/a", contents("a", 2))
    })
    .unwrap();
}

fn moves(tree: &Tree, _: &Path) {
    tree.transaction(|tx| {
        tx.rename("own/dir", "own/moved")?;
        tx.write("own/a", contents("a", 3))
    })
    .unwrap();
}

fn guard_committed(tree: &Tree, dir: &Path) {
    let guard = tree.guard(["own/a", "own/fresh"]).unwrap();
    fs::write(dir.join("own/a"), contents("a", 4)).unwrap();
    fs::write(dir.join("own/fresh"), contents("fresh", 4)).unwrap();
    guard.commit().unwrap();
}

fn guard_undone(tree: &Tree, dir: &Path) {
    let guard = tree.guard(["own"]).unwrap();
    fs::write(dir.join("own/a"), "anything").unwrap();
    fs::remove_file(dir.join("own/fresh")).unwrap();
    guard.rollback().unwrap();
}

/// More than a segment, so that a checkpoint is due.
fn filling(tree: &Tree, _: &Path) {
    tree.transaction(|tx| (0..7).try_for_each(|n| tx.write(format!("own/fill{n}"), vec![b'f'; 10_000]))).unwrap();
}

fn prepare(dir: &Path) {
    fs::create_dir_all(dir.join("own/dir")).unwrap();
    for name in ["a", "gone", "large"] {
        fs::write(dir.join("own").join(name), contents(name, 0)).unwrap();
    }
    fs::write(dir.join("own/dir/old"), contents("old", 0)).unwrap();
    fs::write(dir.join("turn"), "").unwrap();
}

/// The process: a step for each line that it is told.
pub(crate) fn child(dir: &Path, with: &str) {
    let (at, verb) = with.split_once(' ').unwrap();
    let disk = FaultDisk::new(Arc::new(RealDisk), Fault::None);
    let disk = Arc::new(if verb == "unlock" { disk.only(Verb::Unlock) } else { disk });
    let tree = options().open_on(disk.clone(), dir).unwrap();
    let at: u64 = at.parse().unwrap();
    disk.arm(if at == 0 { Fault::None } else { Fault::Kill { at } });
    say("open");
    for (_, step) in told().zip(STEPS) {
        step(&tree, dir);
        say("done");
    }
    drop(tree);
    say(&format!("calls {}", disk.mutations()));
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn files(dir: &Path) -> Files {
    let mut found = Files::new();
    let mut dirs = vec![PathBuf::from("own")];
    while let Some(sub) = dirs.pop() {
        for entry in fs::read_dir(dir.join(&sub)).unwrap() {
            let path = sub.join(entry.unwrap().file_name());
            if dir.join(&path).is_dir() {
                dirs.push(path);
            } else {
                found.insert(path.clone(), fs::read(dir.join(path)).unwrap());
            }
        }
    }
    found
}

/// What became of one life of the process.
struct Lived {
    states: Vec<Files>,
    calls: Option<u64>,
}

/// A turn of a handle that lives on: reads what the one before wrote, and writes on.
fn turn(tree: &Tree, number: usize) {
    let found = tree
        .transaction(|tx| {
            let found = tx.read("turn")?;
            tx.write("turn", number.to_string())?;
            Ok(found)
        })
        .unwrap();
    let before = number.checked_sub(1).map(|before| before.to_string()).unwrap_or_default();
    assert_eq!(found, before.as_bytes(), "turn {number}");
}

/// Lets the process take turns with two handles, until its end or until it is killed at its call `at`; then judges.
fn live(at: u64, verb: &str, checkpoints: Checkpoints, wanted: Option<&[Files]>) -> Lived {
    let home = tempfile::tempdir_in(work_dir()).unwrap();
    let dir = home.path();
    prepare(dir);
    let living = [(); 2].map(|()| options().checkpoints(checkpoints).open(dir).unwrap());
    let mut process = start("turns", dir, &format!("{at} {verb}"));
    assert_eq!(process.hear().as_deref(), Some("open"));
    let mut states = vec![files(dir)];
    let (mut turns, mut calls) = (0, None);
    for step in 0..=STEPS.len() {
        let answer = process.ask("go");
        // Whoever comes next, and the one after that, who has seen less.
        for tree in [&living[step % 2], &living[(step + 1) % 2]] {
            turn(tree, turns);
            turns += 1;
            if let Some(wanted) = wanted.filter(|_| answer.is_none()) {
                let found = files(dir);
                let allowed = &wanted[step.min(STEPS.len())..wanted.len().min(step + 2)];
                assert!(allowed.contains(&found), "killed at {verb} {at} in step {step}: {:?}", found.keys());
            }
        }
        match answer {
            Some(said) if said == "done" => states.push(files(dir)),
            Some(said) => calls = Some(said.strip_prefix("calls ").unwrap().parse().unwrap()),
            None => break,
        }
    }
    process.wait();
    drop(living);
    at_rest(dir).unwrap_or_else(|error| panic!("killed at {verb} {at}: {error}"));
    Lived { states, calls }
}

#[test]
fn whoever_takes_the_tree_after_a_kill_finds_it_whole() {
    let begun = Instant::now();
    let mut tried = [0; 2];
    let patience = Duration::from_secs(4) * depth();
    for (kind, verb) in ["disk", "unlock"].into_iter().enumerate() {
        let Lived { states, calls } = live(0, verb, Checkpoints::Inline, None);
        assert_eq!(states.len(), STEPS.len() + 1);
        let calls = calls.unwrap();
        assert!(calls > 10, "{calls}");
        // Spread over all of them, as far as time allows; which ones come first differs from run to run.
        let stride = (1..).map(|n| calls * 5 / 8 + n).find(|n| gcd(*n, calls) == 1).unwrap();
        let first = treewal_vfs::random() % calls;
        for n in 0..calls {
            if begun.elapsed() > patience * (u32::try_from(kind).unwrap() + 1) / 2 {
                break;
            }
            let at = 1 + (first + n * stride) % calls;
            let checkpoints = if n % 3 == 2 { Checkpoints::Beside } else { Checkpoints::Inline };
            live(at, verb, checkpoints, Some(&states));
            tried[kind] += 1;
        }
        println!("killed at {} of {calls} calls ({verb})", tried[kind]);
    }
    assert!(tried[0] > 10 && tried[1] > 5, "{tried:?}");
}

#[test]
fn the_last_to_close_clears_up_after_one_that_was_killed_at_rest() {
    for takes_turns in [false, true] {
        let home = tempfile::tempdir_in(work_dir()).unwrap();
        let dir = home.path();
        prepare(dir);
        let living = options().open(dir).unwrap();
        let mut process = start("turns", dir, "0 disk");
        assert_eq!(process.hear().as_deref(), Some("open"));
        for number in 0..3 {
            assert_eq!(process.ask("go").as_deref(), Some("done"));
            if takes_turns {
                turn(&living, number);
            }
        }
        process.kill();
        drop(living);
        at_rest(dir).unwrap();
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
