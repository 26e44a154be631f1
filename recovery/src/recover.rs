//! Recovery as a whole: read the journal, decide about every unfinished transaction, finish or undo it, and only then
//! let the journal forget.
//!
//! The order, and what a crash leaves at each point:
//!
//! 1. *read*: nothing is written. Damage to acknowledged records is moved aside, into quarantine, by a pass of its own.
//! 2. *stabilise*: the log is synced before anything is done on its word, since what was read may be in memory only.
//! 3. *attempt*: a record of the try is made durable, so that a transaction that kills its recovery is counted.
//! 4. *redo, undo*: each may be cut short anywhere and run again; the journal still says all of it.
//! 5. *sync*: the whole file system, before
//! 6. *checkpoint*: the record after which recovery has nothing to do. A crash before it repeats 3 to 5.
//! 7. *sweep*: what nobody refers to any more is removed. A crash leaves the rest to the next sweep.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use treewal_journal::record::{Guard, Record};
use treewal_journal::{Log, LogOptions, Lsn, Reader, Scan, ScanOptions, Source, Tail, TreeId, repair};
use treewal_vfs::{RelPath, remove_tree};

use crate::batch::append;
use crate::decide::{Verdict, decide};
use crate::fresh::fresh_log;
use crate::history::{History, Told, Work};
use crate::home::{Home, is_copied, sweep, sweep_snapshots, write_identity};
use crate::plan::{Area, Place};
use crate::quarantine::{Case, SNAPSHOT, given_up, sweep_purged, take_stage};
use crate::redo::{Part, Superseded, redo};
use crate::report::{RecoveryReport, TransactionReport};
use crate::sound::{is_one_name, is_sound, part};
use crate::undo::{is_permanent, undo};
use crate::{Error, Result};

/// The longest that a commit waits for others to share its sync with: where there were others just now, and for half of what
/// a sync takes at most. It bounds that on a disk that has come to a halt.
const GROUP_WAIT_MAX: Duration = Duration::from_millis(20);

/// How recovery goes about it.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Which tree this is.
    pub tree: TreeId,
    /// Size of the segments that the journal gets from now on, in bytes; without one, that of its newest segment, or 8 MiB
    /// in a journal that has none.
    pub segment_bytes: Option<u64>,
    /// How many tries a transaction gets before it is given up.
    pub attempts_max: u32,
}

/// A recovered tree.
#[derive(Debug)]
pub struct Recovered {
    /// The journal, ready to be written to.
    pub log: Log,
    /// What was found and done.
    pub report: RecoveryReport,
}

/// Recovers a tree. Call it under the tree's lock.
///
/// # Errors
/// Any error that keeps the journal from being read or written. That a transaction cannot be finished or undone is none:
/// it is in the report, its material stays, and the next recovery tries again.
pub fn recover(home: &Home, config: &Config) -> Result<Recovered> {
    let mut report = RecoveryReport::default();
    let (log, history) = open_log(home, config, &mut report)?;
    let copied = is_copied(home)?;
    let mut recovery = Recovery {
        home,
        config,
        log,
        report,
        settled: Vec::new(),
        garbage: Vec::new(),
        pending: BTreeSet::new(),
        copied,
        stages: Vec::new(),
    };
    recovery.run(&history)?;
    if copied && recovery.pending.is_empty() {
        // From here on it is a tree of its own.
        write_identity(home, config.tree)?;
    }
    Ok(Recovered { log: recovery.log, report: recovery.report })
}

/// Reads the journal and opens it for writing, mending what is damaged.
fn open_log(home: &Home, config: &Config, report: &mut RecoveryReport) -> Result<(Log, History)> {
    let (mut scan, mut history) = read(home, Some(config.tree), Source::Mapped)?;
    let mut options = LogOptions::new(config.tree);
    options.group_wait = GROUP_WAIT_MAX;
    let newest = scan.segments.last().map(|segment| segment.header.segment_bytes);
    options.segment_bytes = config.segment_bytes.or(newest).unwrap_or(options.segment_bytes);
    if scan.segments.is_empty() && matches!(scan.tail, Tail::Clean) {
        let log = fresh_log(home, options, report)?;
        return Ok((log, history));
    }
    if let Tail::Corrupt { .. } = scan.tail {
        let mended = repair(&*home.disk, &home.journal, &options, &scan, &home.quarantine)?;
        report.damage.push(format!(
            "the journal is {}; what follows record {} is kept in .treewal/quarantine: {}",
            scan.tail,
            mended.kept,
            mended.quarantined.join(", ")
        ));
        (scan, history) = read(home, Some(config.tree), Source::Mapped)?;
    }
    report.torn_tail = matches!(scan.tail, Tail::Torn { .. });
    let log = Log::resume(home.disk.clone(), home.journal.clone(), options, &scan)?;
    Ok((log, history))
}

/// Reads the journal as history. Reads only.
///
/// # Errors
/// Any error of the disk; damage is in the scan's tail.
pub fn read_history(home: &Home, tree: Option<TreeId>) -> Result<(Scan, History)> {
    read(home, tree, Source::Buffered)
}

/// A mapping is for who holds the tree's lock alone.
fn read(home: &Home, tree: Option<TreeId>, source: Source) -> Result<(Scan, History)> {
    let mut history = History::default();
    let options = ScanOptions { source, ..ScanOptions::new(tree) };
    let scan = Reader::scan_with(&*home.disk, &home.journal, &options, &mut |frame| {
        // A frame whose checksum holds was written by us as it is; a record of a later version is not for us to judge.
        match Record::decode(frame.kind, frame.payload) {
            Ok(record) => history.tell(frame.lsn, record),
            Err(error) => tracing::error!(lsn = frame.lsn.0, %error, "a journal record cannot be decoded"),
        }
        ControlFlow::Continue(())
    })?;
    Ok((scan, history))
}

struct Recovery<'a> {
    home: &'a Home,
    config: &'a Config,
    log: Log,
    report: RecoveryReport,
    /// Records that say how transactions ended, written with the checkpoint.
    settled: Vec<Record>,
    garbage: Vec<Place>,
    /// Transactions that are still owed something.
    pending: BTreeSet<u64>,
    /// The tree was copied: nothing in it has the inode that the journal knows it by.
    copied: bool,
    /// Stages of transactions that were given up, and the cases that they go to.
    stages: Vec<(String, String)>,
}

impl Recovery<'_> {
    fn run(&mut self, history: &History) -> Result<()> {
        let mut owed: Vec<(u64, &Told)> = Vec::new();
        for (number, told) in &history.transactions {
            let (label, verdict) = decide(told.facts(self.config.attempts_max));
            match verdict {
                Verdict::Forget | Verdict::Discard => {
                    self.note(*number, told, label);
                }
                Verdict::GiveUp => {
                    self.give_up(*number, told, label, "too many tries failed, or the journal lacks a part of it")?;
                }
                Verdict::Redo if part(*number, told).is_some_and(|part| !is_sound(part)) => {
                    self.give_up(*number, told, "redo-impossible", "a record names something outside the tree")?;
                }
                Verdict::Redo | Verdict::Undo => owed.push((*number, told)),
            }
        }
        if !owed.is_empty() {
            self.count_attempts(&owed)?;
            self.redo_all(&owed)?;
            for (number, told) in owed.iter().rev() {
                if let Work::Guarded(guard) = &told.work {
                    self.undo_one(*number, told, guard)?;
                }
            }
        }
        if !history.transactions.is_empty() {
            self.checkpoint()?;
        } else if let Err(error) = self.log.truncate(history.settled) {
            // Whoever made the last checkpoint may have died before it gave the segments back.
            tracing::warn!(error = &error as &dyn std::error::Error, "segments could not be given back");
        }
        // Housekeeping: what cannot be removed now is removed by a later opening, and keeps no tree shut.
        if let Err(error) = self.sweep() {
            tracing::warn!(error = &error as &dyn std::error::Error, "leftovers could not be removed");
        }
        Ok(())
    }

    fn note(&mut self, txn: u64, told: &Told, label: &'static str) -> &mut TransactionReport {
        let kind = if matches!(told.work, Work::Staged(..)) { "staged" } else { "guarded" };
        tracing::info!(txn, kind, label, "recovering");
        self.report.transactions.push(TransactionReport {
            txn,
            kind,
            label,
            attempt: 0,
            changed: 0,
            superseded: Vec::new(),
            quarantine: None,
            error: None,
        });
        let last = self.report.transactions.len() - 1;
        &mut self.report.transactions[last]
    }

    fn count_attempts(&mut self, owed: &[(u64, &Told)]) -> Result<()> {
        let attempts: Vec<Record> = owed
            .iter()
            .map(|(txn, told)| Record::Attempt { txn: *txn, number: told.attempts + 1, reason: String::new() })
            .collect();
        self.append(&attempts)
    }

    /// Redoes all staged transactions that are owed, as one.
    fn redo_all(&mut self, owed: &[(u64, &Told)]) -> Result<()> {
        let parts: Vec<Part<'_>> = owed.iter().filter_map(|(txn, told)| part(*txn, told)).collect();
        if parts.is_empty() {
            return Ok(());
        }
        match redo(self.home, &parts, self.copied) {
            Ok(redone) => {
                self.garbage = redone.garbage;
                for (txn, told) in owed.iter().filter(|(_, told)| matches!(told.work, Work::Staged(..))) {
                    let lost: Vec<&Superseded> = redone.superseded.iter().filter(|lost| lost.txn == *txn).collect();
                    let kept = self.keep_superseded(*txn, told, &lost)?.or_else(|| redone.kept_first.get(txn).cloned());
                    let line = self.note(*txn, told, "redo");
                    line.attempt = told.attempts + 1;
                    line.changed = redone.changed;
                    line.superseded = lost.iter().map(|lost| lost.path.to_string()).collect();
                    line.quarantine = kept;
                }
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "redo failed, to be tried again");
                for part in &parts {
                    self.pending.insert(part.txn);
                }
                for (txn, told) in owed.iter().filter(|(_, told)| matches!(told.work, Work::Staged(..))) {
                    let line = self.note(*txn, told, "redo");
                    line.attempt = told.attempts + 1;
                    line.error = Some(chain(&error));
                }
            }
        }
        Ok(())
    }

    fn keep_superseded(&mut self, txn: u64, told: &Told, lost: &[&Superseded]) -> Result<Option<String>> {
        if lost.iter().all(|lost| lost.contents.is_none() && !lost.is_to_tell()) {
            return Ok(None);
        }
        let mut case = Case::open(self.home, txn, Some(told))?;
        case.because("redo", "somebody else changed these paths before it was finished");
        case.say(&format!(
            "transaction {txn} was committed, but these paths were changed by somebody else before it was finished:"
        ));
        for lost in lost {
            case.keep(lost)?;
        }
        case.close().map(Some)
    }

    fn undo_one(&mut self, txn: u64, told: &Told, guard: &Guard) -> Result<()> {
        match undo(self.home, guard) {
            Ok(changed) => {
                self.settled.push(Record::Rollback { txn });
                let line = self.note(txn, told, "undo");
                line.attempt = told.attempts + 1;
                line.changed = changed;
                Ok(())
            }
            Err(error) if is_permanent(&error) => self.give_up(txn, told, "undo-impossible", &chain(&error)),
            Err(error) => {
                tracing::error!(txn, error = &error as &dyn std::error::Error, "undo failed, to be tried again");
                self.pending.insert(txn);
                let line = self.note(txn, told, "undo");
                line.attempt = told.attempts + 1;
                line.error = Some(chain(&error));
                Ok(())
            }
        }
    }

    /// Moves all that a transaction has into quarantine. The tree works on.
    fn give_up(&mut self, txn: u64, told: &Told, label: &'static str, reason: &str) -> Result<()> {
        tracing::error!(txn, label, reason, "a transaction is given up; its material is kept in quarantine");
        let mut case = Case::open(self.home, txn, Some(told))?;
        case.because(label, reason);
        case.say(&format!("transaction {txn} was given up ({label}) after {} tries: {reason}", told.attempts));
        match &told.work {
            Work::Guarded(guard) => {
                case.say("its snapshot, the state before it, is in `snapshot`; the guarded paths are:");
                for path in &guard.paths {
                    case.say(&format!("{:?}", RelPath::from_bytes(&path.0).unwrap_or_default()));
                }
                case.guarded(guard.paths.iter().map(|path| path.0.clone()));
                if is_one_name(&guard.snapshot) {
                    case.take_dir(&self.home.guards, guard.snapshot.as_ref(), SNAPSHOT);
                }
            }
            Work::Staged(begin, intents) => {
                for lost in given_up(txn, intents) {
                    case.keep(&lost)?;
                }
                // What was moved and got no further, and what was displaced, stand in the stage, which goes as a whole.
                if is_one_name(&begin.stage) {
                    case.say("what else stood in its stage is in `stage`, here or with a transaction given up before");
                    self.stages.push((begin.stage.clone(), case.name.clone()));
                }
            }
        }
        let name = case.close()?;
        self.settled.push(Record::Quarantine { txn, name: name.clone(), reason: reason.to_owned() });
        let line = self.note(txn, told, label);
        line.quarantine = Some(name);
        Ok(())
    }

    /// Makes everything durable in the tree, then lets the journal forget it.
    fn checkpoint(&mut self) -> Result<()> {
        // What is still owed may need its stage, which is also that of what was given up.
        if self.pending.is_empty() {
            self.stages.iter().try_for_each(|(stage, case)| take_stage(self.home, stage, case))?;
        }
        self.home.disk.sync_all(&self.home.root).map_err(Error::io("sync", "."))?;
        let mut records = std::mem::take(&mut self.settled);
        let upto = match self.pending.first() {
            Some(txn) => Lsn(txn.saturating_sub(1)),
            // Numbers are dense: the records that say how transactions ended are covered as well.
            None => Lsn(self.log.last().0 + records.len() as u64),
        };
        records.push(Record::Checkpoint { upto: upto.0 });
        self.append(&records)?;
        self.log.truncate(upto)?;
        Ok(())
    }

    fn append(&mut self, records: &[Record]) -> Result<()> {
        append(&self.log, records)?;
        self.log.sync()?;
        Ok(())
    }

    fn sweep(&mut self) -> Result<()> {
        let disk = &*self.home.disk;
        if !self.pending.is_empty() {
            return Ok(());
        }
        for place in &self.garbage {
            let (Area::Stage(stage), Some((_, name))) = (&place.area, place.path.split()) else { continue };
            let io = |verb| Error::io(verb, format!(".treewal/stage/{stage}"));
            let dir = disk.open_dir(&self.home.stage, &RelPath::root().join(stage)).map_err(io("open"))?;
            remove_tree(disk, &dir, name).map_err(io("clean"))?;
        }
        (self.report.stages_reclaimed, self.report.snapshots_reclaimed) = sweep_leftovers(self.home)?;
        Ok(())
    }
}

/// Removes the stages whose owners are gone, all snapshots of guards, and half-made and half-removed named ones; gives the
/// numbers of stages and of snapshots. Call it under the tree's lock, with no guard at work, and only where a checkpoint covers all that a handle that is gone may have committed:
/// until then its stage may hold what recovery needs.
///
/// # Errors
/// Any error of the disk; what is left is removed by a later sweep.
pub fn sweep_leftovers(home: &Home) -> Result<(u64, u64)> {
    let stages = sweep(home)?;
    let io = |verb| Error::io(verb, ".treewal/guards");
    let mut snapshots = 0;
    for entry in home.disk.list(&home.guards).map_err(io("list"))? {
        remove_tree(&*home.disk, &home.guards, &entry.name).map_err(io("clean"))?;
        snapshots += 1;
    }
    sweep_purged(home)?;
    Ok((stages, snapshots + sweep_snapshots(home)?))
}

/// An error with its causes, on one line.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
