//! Commits of one handle that are under way at the same time: their stages alternate as a schedule says, and the power is
//! cut at every call. Whatever subset was acknowledged is there; each of the others is there wholly or not at all.

use treewal::{Durability, Outcome, interleave};
use treewal_vfs::sim::{Profile, SimDisk, seed_random};

use crate::count::{is_mine, say_total};
use crate::entries::long_gone;
use crate::judge::{Dump, Expected, Lasting, dump};
use crate::rig::{Case, Count, Plan, prepare};
use crate::workloads::{Body, tree_of_files};

/// Four stages each: check, append, sync, apply.
const SCHEDULES: [(&str, &[usize]); 5] = [
    ("stage by stage", &[0, 1, 0, 1, 0, 1, 0, 1]),
    ("the second overtakes the first after its append", &[0, 0, 1, 1, 1, 1, 0, 0]),
    ("the second overtakes the first after its check", &[0, 1, 1, 1, 0, 1, 0, 0]),
    ("the first is durable and applied last", &[0, 0, 0, 1, 1, 1, 1, 0]),
    ("one sync for both, applied in the other order", &[0, 0, 1, 1, 0, 1, 1, 0]),
];

/// Transactions that do not meet.
const PAIRS: [(&str, [Body; 2]); 5] = [
    ("replace beside replace", [|tx| tx.write("a", "new a"), |tx| tx.write("b", "new b")]),
    (
        "in one directory",
        [
            |tx| {
                tx.write("d/x", "new x")?;
                tx.write("d/new", "new")
            },
            |tx| {
                tx.remove_file("d/y")?;
                tx.write("e/z", "new z")
            },
        ],
    ),
    (
        "a new directory beside a large file",
        [
            |tx| {
                tx.create_dir_all("n/m")?;
                tx.write("n/m/1", "one")
            },
            |tx| {
                tx.write("large", vec![b'N'; 9001])?;
                tx.write("log", "tomorrow")
            },
        ],
    ),
    (
        "attributes beside attributes",
        [
            |tx| {
                tx.set_times("a", long_gone(1))?;
                tx.set_xattr("d/x", "user.x", "value")?;
                tx.create_dir("n")?;
                tx.write("n/1", "one")?;
                tx.set_times("n", long_gone(2))
            },
            |tx| {
                tx.chown("b", Some(7), Some(8))?;
                tx.set_times("d/y", long_gone(3))?;
                tx.set_times("e", long_gone(4))
            },
        ],
    ),
    (
        "two names of a new file beside a directory that is taken apart",
        [
            |tx| {
                tx.write("n", "new")?;
                tx.hard_link("n", "e/n")
            },
            |tx| {
                tx.remove_file("d/x")?;
                tx.remove_file("d/y")?;
                tx.remove_dir("d")
            },
        ],
    ),
];

#[test]
fn commits_at_the_same_time_are_atomic_and_durable_each_for_itself() {
    for (pair, bodies) in &PAIRS {
        for (schedule, order) in SCHEDULES {
            let plan = Plan::new(Durability::Journal);
            // Recovery finds the same records in each schedule, and most left to do in this one.
            let is_cut = order == SCHEDULES[3].1;
            let plan = if is_cut { plan } else { plan.without_crashes_inside_a_short_run() };
            let count = explore(&format!("{pair}, {schedule}"), plan, bodies, order);
            println!("{pair}, {schedule}: {count}");
            say_total();
            assert!(count.states > 100, "{pair}, {schedule}: exploring next to nothing proves nothing");
        }
    }
}

#[test]
fn under_durability_tree_too() {
    let (pair, bodies) = &PAIRS[1];
    let (schedule, order) = SCHEDULES[0];
    let count = explore(
        &format!("{pair}, {schedule}"),
        Plan::new(Durability::Tree).crashed_inside_at_one_level(),
        bodies,
        order,
    );
    assert!(count.states > 100);
}

/// A checkpoint beside commits, at every moment of theirs: it covers what is applied, and nothing else.
#[test]
fn a_checkpoint_beside_commits_forgets_nothing_of_them() {
    let (pair, bodies) = &PAIRS[1];
    for (schedule, order) in [SCHEDULES[1], SCHEDULES[3]] {
        for at in 0..order.len() {
            let plan = Plan::new(Durability::Journal).shallow().without_crashes_inside_a_short_run();
            let count = explore_with(&format!("{pair}, {schedule}, checkpoint {at}"), plan, bodies, order, Some(at));
            assert!(count.states > 100);
        }
    }
}

fn explore(name: &str, plan: Plan, bodies: &[Body; 2], order: &[usize]) -> Count {
    explore_with(name, plan, bodies, order, None)
}

fn explore_with(name: &str, plan: Plan, bodies: &[Body; 2], order: &[usize], checkpoint: Option<usize>) -> Count {
    let plan = if checkpoint.is_some() { plan.with_a_young_root() } else { plan };
    let base = prepare(tree_of_files, plan);
    seed_random(Some(1));
    // By bits: which of the two have happened, and whether what the checkpoint covers has.
    let states: Vec<Dump> = (0..8u8)
        .map(|done| {
            let disk = base.remount();
            let tree = plan.open(&disk).unwrap();
            if checkpoint.is_some() && done & COVERED != 0 {
                tree.transaction(covered).unwrap();
            }
            for (n, body) in bodies.iter().enumerate().filter(|(n, _)| done & (1 << n) != 0) {
                tree.transaction(body).unwrap_or_else(|error| panic!("{name}, {n}: {error}"));
            }
            dump(&disk)
        })
        .collect();
    let done = run(&base.remount(), plan, bodies, order, checkpoint);
    assert_eq!(done, 3, "{name}: both must succeed on a whole disk");
    let expected = |acknowledged: usize| {
        // It comes first.
        let first = if acknowledged == 0 || checkpoint.is_none() { 0 } else { usize::from(COVERED) };
        let allowed = (first..if checkpoint.is_some() { 8 } else { 4 })
            .filter(|done| done & acknowledged == acknowledged)
            .map(|done| &states[done])
            .collect();
        Expected { states: &states, allowed, may_keep: false }
    };
    let run = |disk: &SimDisk, cut: u64| {
        disk.cut_at(Some(cut));
        usize::from(run(disk, plan, bodies, order, checkpoint))
    };
    Case { name, plan, base: &base, run: &run, all: 3, expected: &expected, lasting: Lasting::All, also: None }
        .explore()
}

/// Something that is applied before the two begin, for the checkpoint to cover.
fn covered(tx: &mut treewal::Transaction) -> treewal::Result<()> {
    tx.write("log.1", "covered")
}

/// The bit of that.
const COVERED: u8 = 4;

/// Commits both; gives which of them were acknowledged, by bits.
fn run(disk: &SimDisk, plan: Plan, bodies: &[Body; 2], order: &[usize], checkpoint: Option<usize>) -> u8 {
    let Ok(tree) = plan.open(disk) else { return 0 };
    if checkpoint.is_some() && tree.transaction(covered).is_err() {
        return 0;
    }
    let mut transactions = Vec::new();
    for body in bodies {
        let mut tx = tree.begin();
        if body(&mut tx).is_err() {
            return 0;
        }
        transactions.push(tx);
    }
    let results = interleave(transactions, order, &mut |taken| {
        if checkpoint == Some(taken) {
            // Where it fails the power is gone, and so say the commits.
            drop(tree.checkpoint_beside());
        }
    });
    results.iter().enumerate().map(|(n, result)| u8::from(result.is_ok()) << n).sum()
}

/// One is rolled back while the other lies between its commit point and its renames: what is recorded about the first
/// must not let the journal forget the second.
#[test]
fn a_rollback_forgets_nothing_of_the_others() {
    let plan = Plan::new(Durability::Journal);
    let base = prepare(tree_of_files, plan);
    // The first has checked, appended and synced; so has the second; then somebody writes where the first replaces.
    for second_applies in [false, true] {
        let disk = base.remount();
        let tree = plan.open(&disk).unwrap();
        let (mut first, mut second) = (tree.begin(), tree.begin());
        first.write("a", "first").unwrap();
        first.write("d/x", "first").unwrap();
        second.write("b", "second").unwrap();
        let mut unrecovered = None;
        let results = interleave(vec![first, second], &[0, 0, 0, 1, 1, 1, 0, 1], &mut |taken| match taken {
            6 => foreign(&disk, "d", "x", b"foreign"),
            7 if !second_applies => {
                // The power goes after the rollback, before the second is applied.
                unrecovered = Some(disk.after(&disk.outcomes(Profile::Strict).nothing()));
            }
            _ => {}
        });
        assert!(matches!(&results[0], Err(error) if error.outcome() == Outcome::RolledBack), "{:?}", results[0]);
        assert!(results[1].is_ok(), "{:?}", results[1]);
        let crashed = unrecovered.unwrap_or_else(|| disk.after(&disk.outcomes(Profile::Strict).nothing()));
        let tree = plan.open(&crashed).unwrap();
        let tx = tree.begin();
        let read = |path: &str| tx.read_to_string(path).unwrap();
        assert_eq!((read("a"), read("b"), read("d/x")), ("old a".into(), "second".into(), "foreign".into()));
        assert_eq!(tree.recovery().pending().count(), 0);
    }
}

fn foreign(disk: &SimDisk, dir: &str, name: &str, contents: &[u8]) {
    use treewal_vfs::{Disk, Open, RelPath, write_all};
    let root = disk.open_root("/".as_ref()).unwrap();
    let dir = disk.open_dir(&root, &RelPath::new(dir).unwrap()).unwrap();
    let file = disk.open(&dir, name.as_ref(), Open::ReadWrite).unwrap();
    write_all(disk, &file, contents, 0).unwrap();
}

/// All ways in which the stages of two commits may alternate.
fn schedules() -> Vec<Vec<usize>> {
    let orders = (0..256usize).filter(|bits| bits.count_ones() == 4);
    orders.map(|bits| (0..8).map(|n| (bits >> n) & 1).collect()).collect()
}

/// In the catalogue of everything: each schedule of each pair, or some of them.
#[test]
fn catalogue_of_commits_at_the_same_time() {
    let every = crate::catalogue::every();
    let plan = Plan::new(Durability::Journal).shallow().without_crashes_inside_a_short_run();
    let mut total = Count::default();
    let all = PAIRS.iter().flat_map(|pair| schedules().into_iter().map(move |order| (pair, order)));
    for (pair, order) in all.step_by(every) {
        let name = format!("{}, {order:?}", pair.0);
        if !is_mine(&name) {
            continue;
        }
        let count = explore(&name, plan, &pair.1, &order);
        assert!(count.cuts > 10, "{name}: {count}");
        total.add(&count);
    }
    println!("commits at the same time: {total}");
    say_total();
}
