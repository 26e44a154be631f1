//! Every call of a commit fails once: what the error says of the tree must be true, now and after the next opening.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and counts out loud")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use treewal::{Durability, Error, Options, Outcome, Transaction, Tree};
use treewal_vfs::sim::{Outcomes, Profile, SimDisk};
use treewal_vfs::{Disk, Fault, FaultDisk, Open, RelPath, errno, write_all};

type Dump = BTreeMap<RelPath, (u32, Vec<u8>)>;
type Body = fn(&mut Transaction) -> treewal::Result<()>;

fn options(durability: Durability) -> Options {
    Options::new().durability(durability).segment_bytes(64 << 10).inline_max(4 << 10).lock_wait(Duration::ZERO)
}

fn dump(disk: &SimDisk) -> Dump {
    let own = RelPath::new(".treewal").unwrap();
    let nodes = disk.dump().into_iter().filter(|(path, _)| !path.starts_with(&own) && !path.is_root());
    nodes.map(|(path, node)| (path, (node.mode, node.contents))).collect()
}

fn base() -> SimDisk {
    let disk = SimDisk::new();
    let root = disk.open_root("/".as_ref()).unwrap();
    disk.create_dir(&root, OsStr::new("d"), 0o755).unwrap();
    let dir = disk.open_dir(&root, &RelPath::new("d").unwrap()).unwrap();
    for (at, name) in [(&root, "a"), (&root, "b"), (&dir, "x"), (&dir, "y")] {
        let file = disk.open(at, OsStr::new(name), Open::CreateNew { mode: 0o644 }).unwrap();
        write_all(&disk, &file, b"old", 0).unwrap();
    }
    drop(options(Durability::Journal).open_on(Arc::new(disk.clone()), "/").unwrap());
    disk.remount()
}

/// Each with the number of steps that it takes after the promise: a single failure of any of them must be put back.
fn workloads() -> Vec<(&'static str, u64, Body)> {
    vec![
        ("replace, create, remove", 3, |tx| {
            tx.write("a", "new")?;
            tx.write("d/n", "new")?;
            tx.remove_file("b")
        }),
        ("a new directory, a large file, a mode", 3, |tx| {
            use std::os::unix::fs::PermissionsExt;
            tx.create_dir_all("n/m")?;
            tx.write("n/m/large", vec![b'L'; 9000])?;
            tx.write("a", vec![b'L'; 5000])?;
            tx.set_permissions("b", std::fs::Permissions::from_mode(0o600))
        }),
        // Such a batch is written while it is appended.
        ("more than a segment holds", 20, |tx| (0..20).try_for_each(|n| tx.write(format!("n{n}"), vec![b'n'; 4000]))),
        ("moves", 4, |tx| {
            tx.rename("d/x", "z")?;
            tx.exchange("a", "b")?;
            tx.rename("d", "e")?;
            tx.write("e/y", "new")
        }),
    ]
}

struct Tried {
    committed: u64,
    unchanged: u64,
    rolled_back: u64,
    undecided: u64,
}

/// Fails call `at` of the commit of `body` on a fresh tree; `false` where the commit makes fewer calls.
fn fail_at(base: &SimDisk, how: How, body: Body, fault: Fault, after: &Dump, tried: &mut Tried) -> bool {
    let before = dump(base);
    let disk = base.remount();
    let How { durability, less } = how;
    let faulty = Arc::new(less(FaultDisk::new(Arc::new(disk.clone()), Fault::None)));
    let tree: Tree = options(durability).open_on(faulty.clone(), "/").unwrap();
    let mut tx = tree.begin();
    body(&mut tx).unwrap();
    faulty.arm(fault);
    let counted = faulty.mutations();
    let result = tx.commit();
    let calls = faulty.mutations() - counted;
    let now = dump(&disk);
    let outcome = result.as_ref().map_err(|error| error.outcome());
    if let (Err(Outcome::Undecided), Fault::Error { .. }) = (outcome, fault) {
        // Who does not know what is on the disk does nothing more with it.
        let more = tree.transaction(|tx| tx.write("more", "more"));
        assert!(matches!(more, Err(Error::Poisoned)), "{fault:?}: {more:?}");
    }
    match outcome {
        Ok(_) => tried.committed += 1,
        Err(Outcome::Unchanged) => tried.unchanged += 1,
        Err(Outcome::RolledBack) => tried.rolled_back += 1,
        Err(_) => tried.undecided += 1,
    }
    match outcome {
        Ok(_) => assert_eq!(&now, after, "{fault:?}"),
        Err(Outcome::Unchanged | Outcome::RolledBack) => {
            assert_eq!(now, before, "{fault:?}: {:?}", result.as_ref().err());
        }
        Err(_) => {}
    }
    // Whatever the process thought: the next opening must agree with it, and so must one after a power loss, be it at this
    // moment or once the handle is closed, which may make durable what the commit had left.
    let losses = || [Profile::Strict, Profile::Ordered, Profile::Grouped].map(|profile| disk.outcomes(profile));
    let lost = |all: &Outcomes| [all.nothing(), all.names_without_contents()].map(|outcome| disk.after(&outcome));
    let mut disks: Vec<SimDisk> = losses().iter().flat_map(lost).collect();
    drop(tree);
    disks.extend(losses().iter().flat_map(lost));
    disks.push(disk.kill());
    let mut judged = BTreeSet::new();
    for disk in disks.into_iter().filter(|disk| judged.insert(disk.digest())) {
        let same = less(FaultDisk::new(Arc::new(disk.clone()), Fault::None));
        let tree = options(durability).open_on(Arc::new(same), "/").unwrap();
        assert_eq!(tree.recovery().pending().count(), 0, "{fault:?}: {}", tree.recovery());
        let found = dump(&disk);
        match outcome {
            Ok(_) => assert_eq!(&found, after, "{fault:?}: acknowledged and lost"),
            Err(Outcome::Unchanged | Outcome::RolledBack) => assert_eq!(found, before, "{fault:?}: denied and done"),
            Err(_) => assert!(found == before || &found == after, "{fault:?}: neither before nor after"),
        }
        tree.transaction(|tx| tx.write("later", "works")).unwrap();
    }
    let (Fault::Error { at, .. } | Fault::ErrorFrom { at, .. } | Fault::ShortWrite { at }) = fault else {
        return false;
    };
    at <= calls
}

/// What is tried: how durable, and on a disk that can do how much.
#[derive(Clone, Copy)]
struct How {
    durability: Durability,
    less: fn(FaultDisk) -> FaultDisk,
}

fn sweep(durability: Durability, fault: impl Fn(u64) -> Fault) {
    sweep_on(How { durability, less: |disk| disk }, true, fault);
}

/// `puts_back`: a step is one call, and one that fails is put back.
fn sweep_on(how: How, puts_back: bool, fault: impl Fn(u64) -> Fault) {
    let How { durability, .. } = how;
    let base = base();
    for (name, steps, body) in workloads() {
        let whole = base.remount();
        let tree = options(durability).open_on(Arc::new(whole.clone()), "/").unwrap();
        tree.transaction(body).unwrap();
        drop(tree);
        let after = dump(&whole);
        let mut tried = Tried { committed: 0, unchanged: 0, rolled_back: 0, undecided: 0 };
        let mut at = 1;
        while fail_at(&base, how, body, fault(at), &after, &mut tried) {
            at += 1;
        }
        let Tried { committed, unchanged, rolled_back, undecided } = tried;
        println!(
            "{name}, {durability:?}, {:?}: {committed} committed, {unchanged} unchanged, {rolled_back} rolled back, {undecided} undecided",
            fault(1)
        );
        if matches!(fault(1), Fault::Error { .. }) && puts_back {
            assert_eq!(rolled_back, steps, "{name}: a step that fails once is put back");
        }
        assert!(at > 8, "{name}: failed at {at} calls only");
    }
}

#[test]
fn one_call_fails_with_eio_and_the_outcome_is_told_truly() {
    for durability in [Durability::Journal, Durability::Tree] {
        sweep(durability, |at| Fault::Error { at, errno: errno::EIO });
    }
}

#[test]
fn the_disk_is_full_for_one_call_and_the_outcome_is_told_truly() {
    sweep(Durability::Journal, |at| Fault::Error { at, errno: errno::ENOSPC });
}

#[test]
fn the_quota_is_exceeded_for_one_call_and_the_outcome_is_told_truly() {
    sweep(Durability::Journal, |at| Fault::Error { at, errno: errno::EDQUOT });
}

/// The kernel may write a part of what it is asked to, and say so: who goes on with the rest has lost nothing.
#[test]
fn a_write_is_short_and_the_outcome_is_told_truly() {
    for durability in [Durability::Journal, Durability::Tree] {
        sweep(durability, |at| Fault::ShortWrite { at });
    }
}

/// As a file system does that has met an error: nothing can be changed any more, and not even be put back.
#[test]
fn the_disk_can_only_be_read_from_some_call_on_and_the_outcome_is_told_truly() {
    for durability in [Durability::Journal, Durability::Tree] {
        sweep(durability, |at| Fault::ErrorFrom { at, errno: errno::EROFS });
    }
}

#[test]
fn the_disk_fails_for_good_and_the_outcome_is_told_truly() {
    sweep(Durability::Journal, |at| Fault::ErrorFrom { at, errno: errno::EIO });
}

/// Where an exchange takes several calls, the last of them may leave it half done: then nobody says that it was put back.
#[test]
fn one_call_of_an_exchange_by_hand_fails_and_the_outcome_is_told_truly() {
    let durability = Durability::Journal;
    let plain: [fn(FaultDisk) -> FaultDisk; 2] =
        [FaultDisk::without_exchange, |disk| disk.without_exchange().without_links()];
    for less in plain {
        sweep_on(How { durability, less }, false, |at| Fault::Error { at, errno: errno::EIO });
        sweep_on(How { durability, less }, false, |at| Fault::ErrorFrom { at, errno: errno::EIO });
    }
}
