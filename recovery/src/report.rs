//! What opening a tree found and did.

mod last;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use last::keep_last;
pub use last::{LAST_RECOVERY_FILES, LastRecovery, read_last};

/// The report of one recovery: empty when the tree was left in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// The end of the journal was cut short by a crash. Nothing acknowledged was in it.
    pub torn_tail: bool,
    /// Damage to acknowledged parts of the journal, and what became of them.
    pub damage: Vec<String>,
    /// The transactions that were not finished.
    pub transactions: Vec<TransactionReport>,
    /// How many stage directories of dead processes were reclaimed.
    pub stages_reclaimed: u64,
    /// How many snapshots nobody needs any more were removed.
    pub snapshots_reclaimed: u64,
}

/// What became of one unfinished transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TransactionReport {
    /// Its number.
    pub txn: u64,
    /// `staged` or `guarded`.
    pub kind: &'static str,
    /// The row of the decision table.
    pub label: &'static str,
    /// How many tries were made by now, this one among them; 0 where none was needed.
    pub attempt: u32,
    /// Why each of them failed; empty for one that succeeded, or was cut short.
    pub failures: Vec<String>,
    /// Paths that had to be changed. For staged transactions that were finished together: of all of them.
    pub changed: u64,
    /// Paths where the later work of somebody else was left in place.
    pub superseded: Vec<String>,
    /// The directory below `.treewal/quarantine` that holds what could not be placed.
    pub quarantine: Option<String>,
    /// Why it is still owed: its paths are refused to others, its material is kept, and the next opening tries again.
    pub error: Option<String>,
}

impl TransactionReport {
    pub(crate) fn new(txn: u64, kind: &'static str, label: &'static str, tries: &[String]) -> Self {
        Self {
            txn,
            kind,
            label,
            attempt: u32::try_from(tries.len()).unwrap_or(u32::MAX),
            failures: tries.to_vec(),
            changed: 0,
            superseded: Vec::new(),
            quarantine: None,
            error: None,
        }
    }
}

impl RecoveryReport {
    /// Whether nothing had to be done and nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        !self.torn_tail
            && self.damage.is_empty()
            && self.transactions.is_empty()
            && self.stages_reclaimed == 0
            && self.snapshots_reclaimed == 0
    }

    /// Whether something was found that treewal could not put in its place: damage, or contents in quarantine.
    #[must_use]
    pub fn found_damage(&self) -> bool {
        !self.damage.is_empty() || self.transactions.iter().any(|transaction| transaction.quarantine.is_some())
    }

    /// The transactions that are still unfinished, because finishing or undoing them failed.
    pub fn pending(&self) -> impl Iterator<Item = &TransactionReport> {
        self.transactions.iter().filter(|transaction| transaction.error.is_some())
    }
}

impl fmt::Display for RecoveryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            return f.write_str("nothing to recover");
        }
        let mut lines = Vec::new();
        if self.torn_tail {
            lines
                .push("the journal ended in a write that a crash cut short; nothing acknowledged was in it".to_owned());
        }
        lines.extend(self.damage.iter().map(|damage| format!("damage: {damage}")));
        lines.extend(self.transactions.iter().map(ToString::to_string));
        if self.stages_reclaimed > 0 {
            lines.push(format!("reclaimed {} stage directories of dead processes", self.stages_reclaimed));
        }
        if self.snapshots_reclaimed > 0 {
            lines.push(format!("removed {} snapshots that are no longer needed", self.snapshots_reclaimed));
        }
        f.write_str(&lines.join("\n"))
    }
}

/// A path as it may be shown: whoever names a file must not be able to add lines, or to write to a terminal.
fn one_line(path: &str) -> String {
    path.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

impl fmt::Display for TransactionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { txn, kind, label, changed, .. } = self;
        write!(f, "transaction {txn} ({kind}, {label})")?;
        if let Some(error) = &self.error {
            let tries = self.attempt;
            return write!(
                f,
                ": still owed after {tries} tries, and its paths are refused to others: {}",
                one_line(error)
            );
        }
        match *label {
            "redo" if *changed == 0 => write!(f, ": committed, and all in place")?,
            "redo" => write!(f, ": committed, finished with {changed} changes")?,
            "undo" => write!(f, ": not committed, undone with {changed} changes")?,
            "undo-covered" => write!(f, ": undone with the guard around it")?,
            "kept-by-hand" => write!(f, ": settled as it is, as a person decided")?,
            "restored-by-hand" => {
                write!(f, ": the state before it is back, as a person decided, with {changed} changes")?;
            }
            "kept" => write!(f, ": committed")?,
            "unpromised" => write!(f, ": never committed, nothing to do")?,
            "settled" => write!(f, ": settled before")?,
            _ => write!(f, ": given up")?,
        }
        for (number, why) in (1..).zip(&self.failures).filter(|(_, why)| !why.is_empty()) {
            write!(f, "\n  try {number} failed: {}", one_line(why))?;
        }
        for path in &self.superseded {
            let path = one_line(path);
            write!(f, "\n  {path}: somebody else changed it since; theirs was left in place")?;
        }
        if let Some(name) = &self.quarantine {
            write!(f, "\n  kept in .treewal/quarantine/{name}")?;
        }
        Ok(())
    }
}
