//! Random transactions, cut at random moments by a kill or a loss of power, recovered, cut again inside recovery: the
//! tree must be as after the transactions that were acknowledged, or with one more.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use treewal::{Durability, Error, Tree};
use treewal_vfs::sim::{Outcome, Profile, SimDisk};
use treewal_vfs::{Disk, Fault, FaultDisk, errno};

use crate::ops::{Op, transactions};
use crate::random::{begin, cases, check, options};
use crate::seen::{Seen, differences, leftovers, look};

/// How the process ends.
#[derive(Debug, Clone)]
struct Cut {
    /// At which of the changing calls, in thousandths of all of them.
    at: u64,
    /// What is left of what was not synced; `None` for a kill, which leaves all of it.
    power: Option<(Profile, u64)>,
}

fn cut() -> impl Strategy<Value = Cut> {
    let profile = prop::sample::select(vec![Profile::Strict, Profile::Ordered]);
    (0..1000u64, prop::option::weighted(0.8, (profile, any::<u64>()))).prop_map(|(at, power)| Cut { at, power })
}

fn tree(disk: Arc<dyn Disk>, durability: Durability) -> treewal::Result<Tree> {
    options().durability(durability).open_on(disk, "/")
}

/// A prepared disk, all of it durable.
fn prepared(coarse: bool) -> SimDisk {
    let disk = SimDisk::new();
    if coarse {
        disk.set_tick_us(4000);
    }
    begin(&disk, Path::new("/"), coarse);
    drop(tree(Arc::new(disk.clone()), Durability::Journal).unwrap());
    disk.sync_all(&disk.open_root("/".as_ref()).unwrap()).unwrap();
    disk
}

/// Commits the transactions, up to the first that is not; gives the number of those that were.
fn work(tree: &Tree, transactions: &[Vec<Op>], mut after_each: impl FnMut()) -> usize {
    for (done, ops) in transactions.iter().enumerate() {
        let mut tx = tree.begin();
        // What fails is as good as not asked for, unless the disk fails; that answers are right is for another test.
        let off = ops.iter().any(|op| matches!(op.stage(&mut tx), Err(error) if is_off(&error)));
        if off || tx.commit().is_err() {
            return done;
        }
        after_each();
    }
    transactions.len()
}

fn is_off(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.raw_os_error() == Some(errno::EIO))
}

/// The disk after the cut, and what was done before it.
fn cut_short<T>(disk: &SimDisk, cut: &Cut, calls: u64, work: impl FnOnce(Arc<dyn Disk>) -> T) -> (SimDisk, T) {
    let at = 1 + cut.at * calls / 1000;
    match cut.power {
        None => {
            let faulty = Arc::new(FaultDisk::new(Arc::new(disk.clone()), Fault::Off { at }));
            let done = work(faulty);
            (disk.kill(), done)
        }
        Some((profile, seed)) => {
            disk.cut_at(Some(at));
            let done = work(Arc::new(disk.clone()));
            (disk.after(&outcome(disk, profile, seed)), done)
        }
    }
}

fn outcome(disk: &SimDisk, profile: Profile, seed: u64) -> Outcome {
    let all = disk.outcomes(profile);
    match seed % 6 {
        0 => all.nothing(),
        1 => all.names_without_contents(),
        2 => all.contents_without_names(),
        _ => all.sample(seed, 1).next().unwrap_or_else(|| all.everything()),
    }
}

fn recovered(disk: &SimDisk, allowed: &[Seen]) -> Result<(), TestCaseError> {
    let opened = tree(Arc::new(disk.clone()), Durability::Journal);
    prop_assert!(opened.is_ok(), "cannot open: {:?}", opened);
    let opened = opened.unwrap();
    let report = opened.recovery().clone();
    let found = look(disk, "/");
    prop_assert!(
        allowed.contains(&found),
        "neither before:\n{}\nnor after:\n{}\n{}",
        differences(&found, &allowed[0]),
        differences(&found, &allowed[allowed.len() - 1]),
        report
    );
    prop_assert!(!report.found_damage() && report.pending().count() == 0, "{}", report);
    let superseded = report.transactions.iter().any(|transaction| !transaction.superseded.is_empty());
    prop_assert!(!superseded, "nobody else was there: {}", report);
    drop(opened);
    prop_assert_eq!(leftovers(disk, "/"), Vec::<String>::new());
    let lost = disk.after(&disk.outcomes(Profile::Strict).nothing());
    prop_assert_eq!(look(&lost, "/"), found, "what was recovered was not durable");
    let again = tree(Arc::new(lost.clone()), Durability::Journal).unwrap();
    prop_assert!(again.recovery().transactions.is_empty(), "{}", again.recovery());
    Ok(())
}

fn crash(
    transactions: &[Vec<Op>],
    cuts: &[(Cut, Option<Cut>)],
    (durability, coarse): (Durability, bool),
) -> Result<(), TestCaseError> {
    let base = prepared(coarse);
    let whole = base.remount();
    let mut states = vec![look(&whole, "/")];
    let begun = whole.mutations();
    let opened = tree(Arc::new(whole.clone()), durability).unwrap();
    work(&opened, transactions, || states.push(look(&whole, "/")));
    prop_assert_eq!(states.len(), transactions.len() + 1);
    drop(opened);
    let calls = whole.mutations() - begun;
    for (cut, inside) in cuts {
        let (mut disk, acknowledged) = cut_short(&base.remount(), cut, calls, |disk| {
            tree(disk, durability).map_or(0, |tree| work(&tree, transactions, || {}))
        });
        if let Some(inside) = inside {
            let whole = disk.remount();
            let begun = whole.mutations();
            drop(tree(Arc::new(whole.clone()), durability));
            let calls = whole.mutations() - begun;
            (disk, _) = cut_short(&disk.remount(), inside, calls, |disk| drop(tree(disk, durability)));
        }
        let last = states.len().min(acknowledged + 2);
        recovered(&disk, &states[acknowledged..last])
            .map_err(|error| TestCaseError::fail(format!("{cut:?}, inside {inside:?}: {error}")))?;
    }
    Ok(())
}

#[test]
fn whatever_ends_a_random_run_recovery_ends_before_or_after() {
    let cuts = prop::collection::vec((cut(), prop::option::of(cut())), 1..12);
    let durability = prop::sample::select(vec![Durability::Journal, Durability::Journal, Durability::Tree]);
    check(cases(150), (transactions(), cuts, durability, any::<bool>()), |(transactions, cuts, durability, coarse)| {
        crash(&transactions, &cuts, (durability, coarse))
    });
}

/// States that a random run met, and a recovery once took for something else.
#[test]
fn what_was_met_before_is_met_again() {
    let at = |path: &str| PathBuf::from(path);
    let (write, chmod) = (|path| Op::Write(at(path), Vec::new()), |path, mode| Op::Chmod(at(path), mode));
    let (rename, exchange) = (|a, b| Op::Rename(at(a), at(b)), |a, b| Op::Exchange(at(a), at(b)));
    let runs: Vec<(bool, Vec<Vec<Op>>)> = vec![
        // Bits that were set twice: a power loss takes both changes, not only the last.
        (false, vec![vec![chmod("a", 0o700), write("a/a")], vec![chmod("a", 0o701)]]),
        // What stands beneath the old directory says nothing of what goes into the new one.
        (false, vec![vec![Op::RemoveDirAll(at("a")), Op::CreateDir(at("a"))], vec![Op::CreateDirAll(at("a/a"))]]),
        // A directory whose mode did not survive, while its name in the stage did.
        (false, vec![vec![Op::RemoveDirAll(at("b"))], vec![Op::CreateDir(at("b")), chmod("b", 0o700)]]),
        // What moves out of a directory may still be in it, and the directory in the stage.
        (false, vec![vec![rename("a/a", "b/a"), Op::RemoveDirAll(at("a"))]]),
        (false, vec![vec![exchange("c", "a"), exchange("a", "b/a"), Op::RemoveDirAll(at("b"))]]),
        (false, vec![vec![exchange("b/c", "a"), exchange("b", "a/a"), write("a/c")]]),
        (true, vec![vec![rename("b/a", "a/c"), exchange("b", "a")]]),
        // Two names of one file change places: they are two entries, though nothing tells them apart.
        (true, vec![vec![exchange("c", "a"), exchange("c/c", "a")]]),
        // The same bytes in a file with another name are not yet what was written: the other name keeps its bits.
        (true, vec![vec![chmod("c", 0o700), Op::Append(at("c"), Vec::new())]]),
        // What is set through a second name of a file is refused, or nobody could tell what the first had set.
        (true, vec![vec![chmod("c", 0o700), chmod("a/c", 0o701)]]),
    ];
    for (links, transactions) in runs {
        let cuts = (0..1000).step_by(9).flat_map(|at| {
            let powers = [Profile::Strict, Profile::Ordered]
                .into_iter()
                .flat_map(move |profile| (0..6).map(move |n| Some((profile, at + n))));
            powers.chain([None]).map(move |power| (Cut { at, power }, None))
        });
        let cuts: Vec<_> = cuts.collect();
        crash(&transactions, &cuts, (Durability::Journal, links))
            .unwrap_or_else(|error| panic!("{transactions:?}: {error}"));
    }
}
