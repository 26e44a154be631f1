//! Transactions of random operations on a disk in memory that fails, or loses its power, or drops what a failed sync should have
//! covered, or whose process dies, again inside recovery: the tree is as a model says after those that were acknowledged, or
//! after one more.
#![no_main]

use std::path::PathBuf;
use std::sync::Arc;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use treewal::{Durability, Outcome};
use treewal_fuzz::tree::{Model, Op, leftovers, open, options, prepared};
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Disk, Fault, FaultDisk, errno};

/// How a run ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Well,
    /// The power goes before a call; what survives is drawn.
    Power(u64, Survives),
    /// The process dies before a call.
    Kill(u64),
    /// A call fails, or all from it on; then the process dies, or the power goes.
    Fails(u64, i32, bool, Option<Survives>),
    /// A sync fails, what it should have covered is dropped, and syncs succeed from there on; then the power goes.
    SyncFails(u64, Survives),
}

/// What a loss of power leaves.
#[derive(Debug, Clone, Copy)]
struct Survives {
    profile: Profile,
    seed: u64,
}

impl End {
    fn disturbs(self) -> bool {
        !matches!(self, Self::Well)
    }
}

fuzz_target!(|data: &[u8]| {
    let mut u = Unstructured::new(data);
    if let Ok((transactions, end, inside, durability)) = draw(&mut u) {
        run(&transactions, end, inside, durability);
    }
});

type Drawn = (Vec<Vec<Op>>, End, Option<End>, Durability);

fn draw(u: &mut Unstructured<'_>) -> Result<Drawn> {
    let end = end(u)?;
    let inside = if u.ratio(1, 3)? { Some(self::end(u)?) } else { None };
    let durability = if u.ratio(1, 4)? { Durability::Tree } else { Durability::Journal };
    let mut transactions = Vec::new();
    for _ in 0..u.int_in_range(1..=4)? {
        let mut ops = Vec::new();
        for _ in 0..u.int_in_range(1..=6)? {
            ops.push(op(u)?);
        }
        transactions.push(ops);
    }
    Ok((transactions, end, inside, durability))
}

fn end(u: &mut Unstructured<'_>) -> Result<End> {
    let byte = u.arbitrary::<u8>()?;
    let at = u64::from(byte % 96) + 1;
    // The bytes that name a call for the third time.
    let then_power = byte >= 192;
    let errnos = [errno::EIO, errno::ENOSPC, errno::EDQUOT, errno::EROFS];
    Ok(match u.int_in_range(0..=5)? {
        0 => End::Well,
        1 if then_power => End::SyncFails(at % 24 + 1, survives(u)?),
        1 => End::Kill(at),
        2 => {
            let (errno, lasts) = (*u.choose(&errnos)?, u.arbitrary()?);
            End::Fails(at, errno, lasts, if then_power { Some(survives(u)?) } else { None })
        }
        _ => End::Power(at, survives(u)?),
    })
}

fn survives(u: &mut Unstructured<'_>) -> Result<Survives> {
    let profile = *u.choose(&[Profile::Strict, Profile::Ordered, Profile::Grouped])?;
    Ok(Survives { profile, seed: u.arbitrary()? })
}

fn op(u: &mut Unstructured<'_>) -> Result<Op> {
    let path = |u: &mut Unstructured<'_>| -> Result<PathBuf> {
        let names = ["a", "b", "c"];
        let mut path = PathBuf::from(*u.choose(&names)?);
        for _ in 0..u.int_in_range(0..=2)? {
            path.push(*u.choose(&names)?);
        }
        Ok(path)
    };
    let bytes = |u: &mut Unstructured<'_>| -> Result<Vec<u8>> {
        let len = *u.choose(&[0, 1, 5, 63, 64, 65, 600, 5000])?;
        Ok(vec![u.arbitrary::<u8>()?; len])
    };
    Ok(match u.int_in_range(0..=7)? {
        0 => Op::Write(path(u)?, bytes(u)?),
        1 => Op::Append(path(u)?, bytes(u)?),
        2 => Op::CreateDir(path(u)?),
        3 => Op::Rename(path(u)?, path(u)?),
        4 => Op::Exchange(path(u)?, path(u)?),
        5 => Op::RemoveFile(path(u)?),
        6 => Op::RemoveDir(path(u)?),
        _ => Op::RemoveDirAll(path(u)?),
    })
}

fn run(transactions: &[Vec<Op>], end: End, inside: Option<End>, durability: Durability) {
    let base = prepared();
    let disk = base.remount();
    let mut states = vec![Model::of(&disk)];
    // The states that it may end in: those from the last that was acknowledged on.
    let mut first = 0;
    let armed = arm(&disk, end);
    let tree = options().durability(durability).open_on(armed, "/");
    if let Ok(tree) = &tree {
        for ops in transactions {
            let mut model = states[states.len() - 1].clone();
            let mut tx = tree.begin();
            let answered = ops.iter().all(|op| answer(op, &mut tx, &mut model, end));
            if !answered {
                break;
            }
            match tx.commit() {
                Ok(_) => {
                    states.push(model);
                    first = states.len() - 1;
                }
                Err(error) if matches!(error.outcome(), Outcome::Unchanged | Outcome::RolledBack) => {
                    // It never happened; what comes next may.
                    assert!(end.disturbs(), "{error:?}");
                }
                Err(_) => {
                    states.push(model);
                    break;
                }
            }
        }
    }
    // While the handle is open: what it does at closing makes no promise good.
    let mut disk = left(&disk, end);
    drop(tree);
    if let Some(inside) = inside {
        let tree = open(arm(&disk, inside));
        disk = left(&disk, inside);
        drop(tree);
    }
    judge(&disk, &states[first..], &format!("{transactions:?}, {end:?}, inside {inside:?}, {durability:?}"));
}

/// Stages an operation, on the model too; `false` where the disk failed and nothing can be said of the rest.
fn answer(op: &Op, tx: &mut treewal::Transaction, model: &mut Model, end: End) -> bool {
    let before = model.clone();
    let may = model.take_op(op);
    match op.stage(tx) {
        Ok(()) => {
            assert!(may, "{op:?} should be refused: {before:?}");
            true
        }
        Err(error) => {
            assert!(!may || end.disturbs(), "{op:?}: {error:?}: {before:?}");
            !may
        }
    }
}

fn arm(disk: &SimDisk, end: End) -> Arc<dyn Disk> {
    let fault = match end {
        End::Well => Fault::None,
        End::Power(at, ..) => {
            disk.cut_at(Some(at));
            Fault::None
        }
        End::SyncFails(n, _) => {
            disk.fail_sync_at(Some(n));
            Fault::None
        }
        End::Kill(at) => Fault::Off { at },
        End::Fails(at, errno, false, _) => Fault::Error { at, errno },
        End::Fails(at, errno, true, _) => Fault::ErrorFrom { at, errno },
    };
    Arc::new(FaultDisk::new(Arc::new(disk.clone()), fault))
}

fn left(disk: &SimDisk, end: End) -> SimDisk {
    match end {
        End::Power(_, survives) | End::SyncFails(_, survives) | End::Fails(.., Some(survives)) => {
            let Survives { profile, seed } = survives;
            let all = disk.outcomes(profile);
            let outcome = match seed % 5 {
                0 => all.nothing(),
                1 => all.everything(),
                2 => all.names_without_contents(),
                _ => all.sample(seed, 1).next().unwrap(),
            };
            disk.after(&outcome)
        }
        End::Well | End::Kill(_) | End::Fails(.., None) => disk.kill(),
    }
}

fn judge(disk: &SimDisk, allowed: &[Model], at: &str) {
    let tree = open(Arc::new(disk.clone())).unwrap();
    let report = tree.recovery().clone();
    let found = Model::of(disk);
    assert!(allowed.contains(&found), "{at}\n{found:?}\nis none of {allowed:?}\n{report}");
    assert!(!report.found_damage() && report.pending().count() == 0, "{at}\n{report}");
    drop(tree);
    assert_eq!(leftovers(disk), Vec::<String>::new(), "{at}\n{report}");
    let lost = disk.after(&disk.outcomes(Profile::Strict).nothing());
    assert_eq!(Model::of(&lost), found, "{at}\nwhat was recovered was not durable");
    let again = open(Arc::new(lost)).unwrap();
    // That a stage was swept need not be durable; that nothing is owed must be.
    assert!(again.recovery().transactions.is_empty(), "{at}\n{}", again.recovery());
}
