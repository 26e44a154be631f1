//! The power goes at every changing call of a life of a log, and again while it is taken up, and leaves anything that a
//! disk may leave. Acknowledged records are always there, in order and without a gap, and nothing else ever appears.

use std::sync::Arc;

use treewal_journal::{Error, Log, Lsn, Reader, Tail};
use treewal_vfs::sim::{Outcome, Outcomes, Profile, SimDisk};
use treewal_vfs::{Disk, Fault, FaultDisk, Verb};

use crate::common::*;

/// What a log must be able to account for.
#[derive(Debug, Clone, Default)]
struct Model {
    /// Every record that was ever handed to `append`, by number.
    appended: Vec<Vec<u8>>,
    /// Records that were acknowledged as durable.
    acked: u64,
    /// Records that may be gone.
    truncated: u64,
    /// Makes every payload another one.
    made: u32,
}

impl Model {
    fn append(&mut self, log: &Log, lengths: &[usize]) -> Result<Lsn, Error> {
        let payloads = lengths.iter().map(|len| {
            self.made += 1;
            let mut payload = self.made.to_le_bytes().to_vec();
            payload.resize((*len).max(4), self.made.to_le_bytes()[0]);
            payload
        });
        let batch: Vec<(u8, Vec<u8>)> = payloads.map(|payload| (1, payload)).collect();
        self.appended.truncate(usize::try_from(log.last().0).unwrap());
        self.appended.extend(batch.iter().map(|(_, payload)| payload.clone()));
        log.append(&batch)
    }

    fn commit(&mut self, log: &Log, lengths: &[usize]) -> Result<(), Error> {
        let last = self.append(log, lengths)?;
        log.sync_to(last)?;
        self.acked = last.0;
        Ok(())
    }

    fn truncate(&mut self, log: &Log, upto: u64) -> Result<(), Error> {
        self.truncated = upto;
        log.truncate(Lsn(upto))
    }

    /// Takes the log up again in the same boot.
    fn reopen(&mut self, disk: &Arc<dyn Disk>) -> Result<Log, Error> {
        let dir = try_root(&**disk)?;
        let scan = Reader::scan(&**disk, &dir, Some(TREE), &mut |_| std::ops::ControlFlow::Continue(()))?;
        let log = Log::resume(Arc::clone(disk), dir, options(), &scan)?;
        self.acked = log.last().0;
        Ok(log)
    }

    /// What must hold of a log whose power went.
    fn check(&self, disk: &dyn Disk, what: &str) -> Vec<Seen> {
        let (scan, seen) = scan(disk);
        assert!(!matches!(scan.tail, Tail::Corrupt { .. }), "{what}: {}", scan.tail);
        let first = seen.first().map_or(scan.last.0 + 1, |record| record.0);
        assert!(first <= self.truncated + 1, "{what}: records from {first} on, truncated up to {}", self.truncated);
        assert!(scan.last.0 >= self.acked, "{what}: {} of {} acknowledged records", scan.last, self.acked);
        for (lsn, record) in (first..).zip(&seen) {
            assert_eq!(record.0, lsn, "{what}: a gap");
            let appended = &self.appended[usize::try_from(lsn - 1).unwrap()];
            assert!(record.2 == *appended, "{what}: record {lsn} was never appended so");
        }
        seen
    }
}

/// The directory of the log, where the power may be off.
fn try_root(disk: &dyn Disk) -> Result<treewal_vfs::Dir, Error> {
    let open = || {
        let root = disk.open_root("/".as_ref())?;
        disk.open_dir(&root, &treewal_vfs::RelPath::new("journal").unwrap())
    };
    open().map_err(|source| Error::Io { verb: "open", name: "journal".to_owned(), source })
}

/// A life of a log: begun, filled over several segments, truncated, taken up again, cut short in between.
fn life(disk: &Arc<dyn Disk>, model: &mut Model) -> Result<(), Error> {
    let log = Log::create(Arc::clone(disk), try_root(&**disk)?, options())?;
    model.commit(&log, &[10, 700])?;
    model.append(&log, &[300])?;
    model.commit(&log, &[300])?;
    model.append(&log, &[20_000, 20_000])?;
    model.commit(&log, &[25_000, 3])?;
    model.append(&log, &[40_000])?;
    model.append(&log, &[40_000, 30_000, 0])?;
    drop(log);
    let log = model.reopen(disk)?;
    model.append(&log, &[500, 600])?;
    model.commit(&log, &[8])?;
    model.truncate(&log, 6)?;
    model.append(&log, &[50_000])?;
    model.commit(&log, &[9])?;
    model.truncate(&log, log.durable().0)?;
    log.prepare()?;
    model.commit(&log, &[60_000])?;
    model.commit(&log, &[1, 2, 3])?;
    model.truncate(&log, log.durable().0)?;
    Ok(())
}

fn named(outcomes: &Outcomes) -> Vec<Outcome> {
    vec![
        outcomes.nothing(),
        outcomes.everything(),
        outcomes.names_without_contents(),
        outcomes.names_and_lengths(),
        outcomes.contents_without_names(),
    ]
}

/// All outcomes of a small crash, some of a large one.
fn choose(outcomes: &Outcomes, seed: u64, all_max: usize, some: usize) -> Vec<Outcome> {
    match outcomes.exhaustive(all_max) {
        Some(all) => all.collect(),
        None => named(outcomes).into_iter().chain(outcomes.sample(seed, some)).collect(),
    }
}

/// Takes the log up, appends, and loses the power again: what was there and what was added is still there.
fn go_on(disk: &SimDisk, mut model: Model, what: &str) {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let log = model.reopen(&shared).unwrap_or_else(|error| panic!("{what}: {error}"));
    model.appended.truncate(usize::try_from(log.last().0).unwrap());
    let after = disk.after(&disk.outcomes(Profile::Strict).nothing());
    model.check(&after, &format!("{what}, taken up"));
    model.commit(&log, &[700, 5]).unwrap();
    let after = disk.after(&disk.outcomes(Profile::Strict).nothing());
    let seen = model.check(&after, &format!("{what}, gone on"));
    assert_eq!(seen.last().map(|record| &record.2), model.appended.last());
}

fn crash_everywhere(profile: Profile) {
    let mut cuts = 0;
    let mut looked_at = 0;
    for cut in 1.. {
        let (disk, shared) = sim();
        let mut model = Model::default();
        disk.cut_at(Some(cut));
        let end = life(&shared, &mut model);
        assert_eq!(end.is_err(), disk.is_off(), "{:?}", end.err());
        if !disk.is_off() {
            break;
        }
        cuts += 1;
        for (n, outcome) in choose(&disk.outcomes(profile), cut, 40, 12).iter().enumerate() {
            let what = format!("{profile:?}, cut at {cut}, outcome {n}");
            let left = disk.after(outcome);
            model.check(&left, &what);
            go_on(&left, model.clone(), &what);
            looked_at += 1;
        }
    }
    assert!(cuts > 80 && looked_at > 1000, "{cuts} cuts, {looked_at} outcomes");
}

#[test]
fn the_power_goes_at_every_call() {
    crash_everywhere(Profile::Strict);
}

#[test]
fn the_power_goes_at_every_call_of_a_journalled_file_system() {
    crash_everywhere(Profile::Ordered);
}

#[test]
fn the_power_goes_again_while_the_log_is_taken_up() {
    let mut looked_at = 0;
    for cut in (1..).step_by(3) {
        let (disk, shared) = sim();
        let mut model = Model::default();
        disk.cut_at(Some(cut));
        life(&shared, &mut model).err();
        if !disk.is_off() {
            break;
        }
        for outcome in choose(&disk.outcomes(Profile::Strict), cut, 6, 4) {
            for second in 1.. {
                let left = disk.after(&outcome);
                let shared: Arc<dyn Disk> = Arc::new(left.clone());
                left.cut_at(Some(second));
                let taken_up = model.clone().reopen(&shared);
                assert_eq!(taken_up.is_err(), left.is_off());
                if !left.is_off() {
                    break;
                }
                for (n, outcome) in choose(&left.outcomes(Profile::Strict), second, 8, 4).iter().enumerate() {
                    let what = format!("cut at {cut}, again at {second}, outcome {n}");
                    let left = left.after(outcome);
                    model.check(&left, &what);
                    go_on(&left, model.clone(), &what);
                    looked_at += 1;
                }
            }
        }
    }
    assert!(looked_at > 1000, "{looked_at} outcomes");
}

/// A process that dies while the kernel lives on: the next one finds all that was written, and makes it durable before
/// anybody may act on it.
#[test]
fn a_kill_at_every_call_loses_nothing_that_was_written() {
    for cut in 1.. {
        let (disk, _) = sim();
        let fault = Arc::new(FaultDisk::new(Arc::new(disk.clone()), Fault::Off { at: cut }));
        let mut model = Model::default();
        let shared: Arc<dyn Disk> = fault.clone();
        life(&shared, &mut model).err();
        if !fault.is_off() {
            break;
        }
        let next = disk.kill();
        model.check(&next, &format!("killed at {cut}"));
        go_on(&next, model, &format!("killed at {cut}"));
    }
}

/// A process that dies within a write, and the kernel soon after: what the next one read before the tear is durable
/// by the time it goes on behind it.
#[test]
fn a_kill_within_a_write_and_then_the_power() {
    for write in 1.. {
        let (disk, _) = sim();
        let half = FaultDisk::new(Arc::new(disk.clone()), Fault::ShortWrite { at: write }).only(Verb::WriteAt);
        let dying = Arc::new(FaultDisk::new(Arc::new(half), Fault::Off { at: write + 1 }).only(Verb::WriteAt));
        let mut model = Model::default();
        let shared: Arc<dyn Disk> = dying.clone();
        life(&shared, &mut model).err();
        if !dying.is_off() {
            break;
        }
        let next = disk.kill();
        let what = format!("killed within write {write}");
        let handed_out = model.check(&next, &what);
        let shared: Arc<dyn Disk> = Arc::new(next.clone());
        model.reopen(&shared).unwrap();
        for outcome in choose(&next.outcomes(Profile::Strict), write, 40, 10) {
            let left = next.after(&outcome);
            assert_eq!(model.check(&left, &what), handed_out, "{what}");
            go_on(&left, model.clone(), &what);
        }
    }
}

/// After a failed sync the page cache shows what the disk will never hold. The next process must not trust it.
#[test]
fn a_failed_sync_is_not_trusted_by_the_next_process() {
    let mut failed = 0;
    for sync in 1.. {
        let (disk, shared) = sim();
        let mut model = Model::default();
        disk.fail_sync_at(Some(sync));
        let end = life(&shared, &mut model);
        if end.is_ok() {
            break;
        }
        failed += 1;
        let next = disk.kill();
        let what = format!("sync {sync} failed");
        model.check(&next, &what);
        let (scan_before, handed_out) = scan(&next);
        let shared: Arc<dyn Disk> = Arc::new(next.clone());
        let log = model.reopen(&shared).unwrap();
        assert_eq!(log.last(), scan_before.last);
        for (n, outcome) in choose(&next.outcomes(Profile::Strict), sync, 40, 10).iter().enumerate() {
            let left = next.after(outcome);
            let seen = model.check(&left, &format!("{what}, outcome {n}"));
            assert!(seen.ends_with(&handed_out), "{what}: acted on what a power loss took");
        }
        // Over the next segments too: nothing that was in doubt is used for them.
        for lengths in [&[1][..], &[60_000], &[50_000, 2]] {
            model.commit(&log, lengths).unwrap();
            let left = next.after(&next.outcomes(Profile::Strict).nothing());
            let seen = model.check(&left, &what);
            assert!(seen.len() > handed_out.len());
        }
    }
    assert!(failed > 20, "{failed}");
}

/// Does `step`, again where the disk refused it and nothing depends on that: then nothing was done.
fn insist<T>(log: &Log, mut step: impl FnMut(&Log) -> Result<T, Error>) -> Result<T, Error> {
    let before = log.last();
    match step(log) {
        Err(Error::Io { .. }) => {
            assert_eq!(log.last(), before, "a part was appended");
            step(log)
        }
        done => done,
    }
}

fn insistent_life(log: &Log, model: &mut Model) -> Result<(), Error> {
    for round in 0..4 {
        insist(log, |log| model.commit(log, &[20_000, 9_000]))?;
        insist(log, |log| model.append(log, &[40_000, 3]).map(drop))?;
        insist(log, Log::prepare)?;
        insist(log, |log| model.commit(log, &[10, 33_000]))?;
        insist(log, |log| model.append(log, &[30_000, 30_000, 30_000, 8]).map(drop))?;
        insist(log, Log::flush)?;
        if round % 2 == 1 {
            insist(log, |log| model.truncate(log, log.durable().0))?;
        }
    }
    insist(log, Log::sync)?;
    model.acked = log.last().0;
    Ok(())
}

/// A call that fails once: the log goes on as if nothing had been, or is closed. Either way it can be taken up, and the
/// power may go.
#[test]
fn any_call_that_fails_once_loses_nothing() {
    let verbs = [
        Verb::Open,
        Verb::Create,
        Verb::WriteAt,
        Verb::SyncData,
        Verb::SyncFile,
        Verb::Rename,
        Verb::SyncDir,
        Verb::RemoveFile,
        Verb::Stat,
    ];
    let (mut went_on, mut closed) = (0, 0);
    for verb in verbs {
        for at in 1.. {
            let (disk, shared) = sim();
            let fault = Arc::new(FaultDisk::new(shared, Fault::None).only(verb));
            let log = create(fault.clone());
            let mut model = Model::default();
            fault.arm(Fault::Error { at, errno: treewal_vfs::errno::ENOSPC });
            let end = insistent_life(&log, &mut model);
            if fault.mutations() < at {
                end.unwrap();
                break;
            }
            match end {
                Ok(()) => went_on += 1,
                Err(Error::Poisoned { .. }) => closed += 1,
                Err(error) => panic!("{verb:?} {at}: {error}"),
            }
            drop(log);
            for (n, outcome) in choose(&disk.outcomes(Profile::Strict), at, 20, 10).iter().enumerate() {
                let what = format!("{verb:?} {at}, outcome {n}");
                let left = disk.after(outcome);
                model.check(&left, &what);
                go_on(&left, model.clone(), &what);
            }
            let what = format!("{verb:?} {at}, killed");
            let next = disk.kill();
            model.check(&next, &what);
            go_on(&next, model, &what);
        }
    }
    assert!(went_on > 20 && closed > 20, "{went_on} {closed}");
}
