//! Recovery as a whole: read the journal, decide about each unfinished transaction, end it; then the journal may forget.
//!
//! The order, and what a crash leaves at each point:
//!
//! 1. *survey*: nothing is written. Damage to acknowledged records is moved aside, into quarantine, by a pass of its own.
//! 2. *stabilise*: the log is synced before anything is done on its word, since what was read may be in memory only.
//! 3. *decide*: a pure table.
//! 4. *attempt*: a record of the try is made durable, so that a transaction that kills its recovery is counted.
//! 5. *redo, undo*: each may be cut short anywhere and run again; the journal still says all of it.
//! 6. *sync*: the whole file system, before
//! 7. *checkpoint*: the record after which recovery has nothing to do, with what is owed told again behind what it
//!    covers. A crash before it repeats 4 to 6.
//! 8. *sweep*: what nobody refers to any more is removed. A crash leaves the rest to the next sweep.

use std::collections::{BTreeMap, BTreeSet};

use treewal_journal::record::Record;
use treewal_journal::{Log, Lsn, TreeId};

use crate::batch::append;
use crate::decide::{Facts, Resolution, Tried, Verdict, decide};
use crate::forget::forget;
use crate::history::{History, Told, Work};
use crate::home::{Home, is_copied, write_identity};
use crate::owed::Owed;
use crate::plan::Place;
use crate::quarantine::take_stage;
use crate::reach::Reach;
use crate::redo::{Part, Superseded, TakenBack, redo_apart, take_back};
use crate::report::{RecoveryReport, TransactionReport, keep_last};
use crate::resolve::together_with;
use crate::sound::part;
use crate::survey::{is_sound, open_log};
use crate::sweep::{remove_garbage, sweep_leftovers};
use crate::tries::reason;
use crate::undo::{Guarded, is_permanent, undo};
use crate::{Error, Result};

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
    /// Which of those that failed before are tried.
    pub retry: Retry,
    /// What a person wants to become of one, and of those that touch its paths.
    pub resolve: Option<(u64, Resolution)>,
}

/// Which transactions are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// All: at an opening.
    All,
    /// Those whose last try is not known to have failed: where a handle takes over from another. Else two that take turns
    /// would use all tries up in a moment.
    Unfailed,
}

/// A recovered tree.
#[derive(Debug)]
pub struct Recovered {
    /// The journal, ready to be written to.
    pub log: Log,
    /// What was found and done.
    pub report: RecoveryReport,
    /// What could neither be finished nor undone yet, and is told again with each checkpoint.
    pub owed: Vec<Owed>,
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
        owed: Vec::new(),
        needed: BTreeSet::new(),
        taken: None,
        copied,
        stages: Vec::new(),
    };
    recovery.run(&history)?;
    if copied && recovery.owed.is_empty() {
        // From here on it is a tree of its own.
        write_identity(home, config.tree)?;
    }
    let Recovery { log, report, owed, .. } = recovery;
    home.end_doubt(!owed.is_empty());
    keep_last(home, &report);
    Ok(Recovered { log, report, owed })
}

pub(crate) struct Recovery<'a> {
    pub(crate) home: &'a Home,
    config: &'a Config,
    log: Log,
    report: RecoveryReport,
    /// Records that say how transactions ended, written with the checkpoint.
    pub(crate) settled: Vec<Record>,
    garbage: Vec<Place>,
    /// Transactions that are still owed something.
    owed: Vec<Owed>,
    /// Stages of transactions that go on.
    pub(crate) needed: BTreeSet<String>,
    /// What was taken out of the tree by hand, and of which transaction: it was promised once, and may be the only copy. A
    /// redo may need it until it is durable that there will be none.
    taken: Option<(TakenBack, u64)>,
    /// The tree was copied: nothing in it has the inode that the journal knows it by.
    copied: bool,
    /// Stages of transactions that were given up, and the cases that they go to.
    pub(crate) stages: Vec<(String, String)>,
}

/// A transaction on its way.
pub(crate) struct Item<'h> {
    pub(crate) txn: u64,
    pub(crate) told: &'h Told,
    pub(crate) facts: Facts,
    /// The tries, that of now among them.
    pub(crate) tries: Vec<String>,
}

impl Recovery<'_> {
    fn run(&mut self, history: &History) -> Result<()> {
        let mut items = self.items(history);
        self.decide_by_hand(&mut items)?;
        let goes_on = |item: &&Item<'_>| !matches!(decide(item.facts).1, Verdict::GiveUp | Verdict::Forget);
        let stages = items.iter().filter(goes_on).filter_map(|item| Some(part(item.txn, item.told)?.stage.to_owned()));
        self.needed = stages.collect();
        let is_over = items.iter().all(|item| decide(item.facts).1 == Verdict::Wait);
        let (mut tried, mut waiting) = (Vec::new(), Vec::new());
        for item in items {
            match decide(item.facts).1 {
                Verdict::Redo | Verdict::Undo | Verdict::TakeBack => tried.push(item),
                Verdict::Wait => waiting.push(item),
                Verdict::Forget | Verdict::Discard | Verdict::Settle | Verdict::GiveUp => self.end(&item, None)?,
            }
        }
        self.count(&mut tried)?;
        let done = self.act(&mut tried, waiting).and_then(|()| {
            if !is_over {
                return self.checkpoint();
            }
            // Whoever made the last checkpoint may have died before it gave the segments back.
            forget(&self.log, history.settled)
        });
        if let Err(error) = done {
            self.excuse(&tried, &error);
            return Err(error);
        }
        // Housekeeping: what cannot be removed now is removed by a later opening, and keeps no tree shut.
        if let Err(error) = self.sweep() {
            tracing::warn!(error = &error as &dyn std::error::Error, "leftovers could not be removed");
        }
        Ok(())
    }

    /// The transactions with all the facts that are known before a try.
    fn items<'h>(&self, history: &'h History) -> Vec<Item<'h>> {
        let chosen = self.config.resolve.map(|(txn, how)| (together_with(self.home, history, txn), how));
        let item = |(txn, told): (&u64, &'h Told)| {
            let wanted = chosen.as_ref().filter(|(txns, _)| txns.contains(txn)).map(|(_, how)| *how);
            let waits = self.config.retry == Retry::Unfailed && told.has_failed();
            let sound = is_sound(*txn, told);
            let facts = Facts { sound, waits, wanted, ..told.facts(self.config.attempts_max) };
            Item { txn: *txn, told, facts, tries: told.tries.clone() }
        };
        history.transactions.iter().map(item).collect()
    }

    /// Counts a try of each, durably, before any is made.
    fn count(&mut self, items: &mut [Item<'_>]) -> Result<()> {
        let mut attempts = Vec::new();
        for item in &mut *items {
            item.tries.push(String::new());
            let number = u32::try_from(item.tries.len()).unwrap_or(u32::MAX);
            attempts.push(Record::Attempt { txn: item.txn, number, reason: String::new() });
        }
        if attempts.is_empty() { Ok(()) } else { self.append(&attempts) }
    }

    /// Says of tries that came to no end why they did not: they would count as ones that killed their process.
    fn excuse(&mut self, items: &[Item<'_>], error: &Error) {
        let why = reason(error);
        let attempt = |item: &Item<'_>| {
            let number = u32::try_from(item.tries.len()).unwrap_or(u32::MAX);
            let known = item.tries.last().filter(|known| !known.is_empty()).cloned();
            Record::Attempt { txn: item.txn, number, reason: known.unwrap_or_else(|| why.clone()) }
        };
        let attempts: Vec<Record> = items.iter().map(attempt).collect();
        if !attempts.is_empty() {
            if let Err(error) = self.append(&attempts) {
                tracing::debug!(%error, "why the tries failed cannot be kept");
            }
        }
    }

    /// Makes the tries, and ends each transaction as the table says.
    fn act<'h>(&mut self, tried: &mut [Item<'h>], mut waiting: Vec<Item<'h>>) -> Result<()> {
        self.redo_all(tried)?;
        self.take_back_all(tried)?;
        let mut undone: Vec<(u64, Reach)> = Vec::new();
        let mut failed: Vec<(&mut Item<'h>, Option<Error>)> = waiting.iter_mut().map(|item| (item, None)).collect();
        let mut kept = BTreeMap::new();
        for item in tried.iter_mut().rev() {
            let (Work::Guarded(guard), Verdict::Undo) = (&item.told.work, decide(item.facts).1) else { continue };
            let guarded = Guarded { txn: item.txn, told: item.told, guard, copied: self.copied, kept: &mut kept };
            match undo(self.home, guarded) {
                Ok(changed) => {
                    undone.push((item.txn, Reach::of(self.home, item.told)));
                    item.facts.tried = Tried::Done;
                    self.end(item, None)?;
                    self.last().changed = changed;
                }
                Err(error) => {
                    item.facts.tried = if is_permanent(&error) { Tried::Impossible } else { Tried::Failed };
                    failed.push((item, Some(error)));
                }
            }
        }
        for (item, error) in failed {
            if !item.facts.staged {
                let reach = Reach::of(self.home, item.told);
                // What an outer guard brought back is older than what the inner one would.
                item.facts.covered = undone.iter().any(|(outer, theirs)| *outer < item.txn && theirs.meets(&reach));
            }
            self.end(item, error.as_ref())?;
        }
        for line in &mut self.report.transactions {
            line.quarantine = line.quarantine.take().or_else(|| kept.remove(&line.txn));
        }
        Ok(())
    }

    /// Redoes all staged transactions that are to be, as one if that can be.
    fn redo_all(&mut self, items: &mut [Item<'_>]) -> Result<()> {
        let of = |item: &Item<'_>| decide(item.facts).1 == Verdict::Redo;
        let (home, mut groups) = (self.home, Vec::new());
        let parts: Vec<Part<'_>> =
            items.iter().filter(|item| of(item)).filter_map(|item| part(item.txn, item.told)).collect();
        if !parts.is_empty() {
            groups = redo_apart(home, &parts, self.copied);
        }
        for (parts, redone) in groups {
            let txns: BTreeSet<u64> = parts.iter().map(|part| part.txn).collect();
            for item in items.iter_mut().filter(|item| txns.contains(&item.txn)) {
                match &redone {
                    Ok(redone) => {
                        item.facts.tried = Tried::Done;
                        let lost: Vec<&Superseded> =
                            redone.superseded.iter().filter(|lost| lost.txn == item.txn).collect();
                        let first = || redone.kept_first.get(&item.txn).cloned();
                        let kept = self.keep_superseded((item.txn, item.told), &lost)?.or_else(first);
                        self.end(item, None)?;
                        let line = self.last();
                        line.changed = redone.changed;
                        line.superseded = lost.iter().map(|lost| lost.path.to_string()).collect();
                        line.quarantine = kept;
                    }
                    Err(error) => {
                        item.facts.tried =
                            if matches!(error, Error::Store { .. }) { Tried::Impossible } else { Tried::Failed };
                        self.end(item, Some(error))?;
                    }
                }
            }
            self.garbage.extend(redone.into_iter().flat_map(|redone| redone.garbage));
        }
        Ok(())
    }

    /// Brings back what staged transactions have displaced, where a person wants that: all of them together.
    fn take_back_all(&mut self, items: &mut [Item<'_>]) -> Result<()> {
        let of = |item: &&mut Item<'_>| decide(item.facts).1 == Verdict::TakeBack;
        let mut items: Vec<&mut Item<'_>> = items.iter_mut().filter(of).collect();
        let parts: Vec<Part<'_>> = items.iter().filter_map(|item| part(item.txn, item.told)).collect();
        if parts.is_empty() {
            return Ok(());
        }
        let taken = take_back(self.home, &parts);
        for item in &mut items {
            match &taken {
                Ok(taken) => {
                    item.facts.tried = Tried::Done;
                    self.end(item, None)?;
                    self.last().changed = taken.changed;
                }
                Err(error) => {
                    item.facts.tried = Tried::Failed;
                    self.end(item, Some(error))?;
                }
            }
        }
        self.taken = taken.ok().zip(items.first().map(|item| item.txn));
        Ok(())
    }

    /// Does what the table says of a transaction that needs no try, or had one.
    fn end(&mut self, item: &Item<'_>, error: Option<&Error>) -> Result<()> {
        let mut tries = item.tries.clone();
        if let (Some(error), Some(last)) = (error, tries.last_mut()) {
            *last = reason(error);
        }
        let (label, verdict) = decide(item.facts);
        let Item { txn, told, .. } = item;
        match verdict {
            Verdict::Forget | Verdict::Discard => self.note(*txn, told, label, &tries),
            Verdict::GiveUp => {
                let name = self.give_up(item, label, &tries)?;
                self.note(*txn, told, label, &tries);
                self.last().quarantine = Some(name);
            }
            Verdict::Settle => {
                self.settled.extend(self.ending(item));
                self.note(*txn, told, label, &tries);
            }
            Verdict::Wait | Verdict::Redo | Verdict::Undo | Verdict::TakeBack => {
                self.owed.push(Owed::new(self.home, *txn, told, &tries));
                self.note(*txn, told, label, &tries);
                let why = tries.last().filter(|why| !why.is_empty());
                self.last().error = Some(why.cloned().unwrap_or_else(|| "the last try was cut short".to_owned()));
            }
        }
        Ok(())
    }

    /// What the journal is to say of a transaction whose paths are as they should be.
    fn ending(&self, item: &Item<'_>) -> Option<Record> {
        let txn = item.txn;
        match (item.facts.staged, item.facts.wanted) {
            (false, Some(Resolution::Keep)) => Some(Record::Commit { txn, intents: 0, at: self.home.disk.now() }),
            (false, _) | (true, Some(Resolution::Restore)) => Some(Record::Rollback { txn }),
            (true, _) => None,
        }
    }

    fn note(&mut self, txn: u64, told: &Told, label: &'static str, tries: &[String]) {
        let (kind, attempt) = (told.kind(), u32::try_from(tries.len()).unwrap_or(u32::MAX));
        tracing::info!(txn, kind, label, attempt, why = tries.last().map_or("", String::as_str), "recovering");
        self.report.transactions.push(TransactionReport::new(txn, kind, label, tries));
    }

    /// The line of the report that was noted last.
    fn last(&mut self) -> &mut TransactionReport {
        if self.report.transactions.is_empty() {
            self.report.transactions.push(TransactionReport::new(0, "staged", "settled", &[]));
        }
        let last = self.report.transactions.len() - 1;
        &mut self.report.transactions[last]
    }

    /// Makes everything durable in the tree, then lets the journal forget it. What is owed is told again.
    fn checkpoint(&mut self) -> Result<()> {
        self.stages.iter().try_for_each(|(stage, case)| take_stage(self.home, stage, case))?;
        self.home.disk.sync_all(&self.home.root).map_err(Error::io("sync", "."))?;
        let mut records = std::mem::take(&mut self.settled);
        self.home.prove_synced()?;
        // Numbers are dense: the records that say how transactions ended are covered as well.
        let upto = Lsn(self.log.last().0 + records.len() as u64);
        records.extend(self.owed.iter().flat_map(Owed::records).cloned());
        records.push(Record::Checkpoint { upto: upto.0 });
        self.append(&records)?;
        forget(&self.log, upto)
    }

    pub(crate) fn append(&mut self, records: &[Record]) -> Result<()> {
        append(&self.log, records)?;
        self.log.sync()?;
        Ok(())
    }

    fn sweep(&mut self) -> Result<()> {
        if let Some((taken, txn)) = self.taken.take() {
            let kept = self.keep_taken(txn, &taken)?;
            self.home.disk.sync_all(&self.home.root).map_err(Error::io("sync", "."))?;
            let line = self.report.transactions.iter_mut().find(|line| line.txn == txn);
            line.into_iter().for_each(|line| line.quarantine.clone_from(&kept));
        }
        remove_garbage(self.home, &self.garbage)?;
        (self.report.stages_reclaimed, self.report.snapshots_reclaimed) = sweep_leftovers(self.home, &self.owed)?;
        Ok(())
    }
}
