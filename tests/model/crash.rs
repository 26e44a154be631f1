//! Random transactions, cut at random moments by a kill or a loss of power, recovered, cut again inside recovery: the
//! tree must be as after the transactions that were acknowledged, or with one more.

use std::cell::Cell;
use std::path::Path;
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
    /// At which of the changing calls, as a part of all of them.
    at: f64,
    /// What is left of what was not synced; `None` for a kill, which leaves all of it.
    power: Option<(Profile, u64)>,
}

fn cut() -> impl Strategy<Value = Cut> {
    let profile = prop::sample::select(vec![Profile::Strict, Profile::Ordered]);
    (0.0..1.0f64, prop::option::weighted(0.8, (profile, any::<u64>()))).prop_map(|(at, power)| Cut { at, power })
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
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count is a count")]
fn cut_short<T>(disk: &SimDisk, cut: &Cut, calls: u64, work: impl FnOnce(Arc<dyn Disk>) -> T) -> (SimDisk, T) {
    let at = 1 + (cut.at * calls as f64) as u64;
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
    let run = Cell::new(0u64);
    let cuts = prop::collection::vec((cut(), prop::option::of(cut())), 1..12);
    let durability = prop::sample::select(vec![Durability::Journal, Durability::Journal, Durability::Tree]);
    check(
        cases(150),
        (transactions(), cuts, durability, any::<bool>()),
        |(mut transactions, cuts, durability, coarse)| {
            // Bits that are set through one name of a file are not followed to its other names.
            transactions.iter_mut().for_each(|ops| ops.retain(|op| !coarse || !matches!(op, Op::Chmod(..))));
            run.set(run.get() + cuts.len() as u64);
            crash(&transactions, &cuts, (durability, coarse))
        },
    );
    println!("{} crashes", run.get());
}
