//! The decision: a pure table from what is known of a transaction to what has to be done about it. It is asked before a
//! try, and again with what became of the try; nothing about the fate of a transaction is decided anywhere else.
//!
//! The rows are looked through from the top. *Owed* something is who comes past the first three.
//!
//! | label | kind | what is known | what is done |
//! |---|---|---|---|
//! | `settled` | any | undone, or given up | nothing; a snapshot that was restored is dropped |
//! | `unpromised` | staged | no commit record | nothing: the tree was never touched |
//! | `kept` | guarded | committed | drop the snapshot |
//! | `abandoned` | any | owed, and a person wants it given up | give up |
//! | `kept-by-hand` | any | owed, and a person wants the tree as it is | settle it; what a staged one holds goes to quarantine |
//! | `incomplete` | staged | committed, but intents are missing | give up: a part of a transaction is never applied |
//! | `redo-impossible` | staged | a record names something outside the tree, or the try says that no other can help | give up |
//! | `restored-by-hand` | any | owed, and a person wants the state before it | bring that back; where it fails, it is owed as before |
//! | `redo-owed` | staged | the last try failed, and this is no opening | wait; its paths are refused to others |
//! | `redo-exhausted` | staged | too many tries failed | give up |
//! | `redo-starved` | staged | far more tries failed, all for reasons that may pass | give up |
//! | `redo` | staged | committed | bring the tree to what it says |
//! | `undo-covered` | guarded | a guard around it was undone | nothing: that brought back all of it |
//! | `undo-impossible` | guarded | the snapshot is gone or damaged | give up |
//! | `undo-owed` | guarded | the last try failed, and this is no opening | wait; its paths are refused to others |
//! | `undo-exhausted` | guarded | too many tries failed | give up |
//! | `undo-starved` | guarded | far more tries failed, all for reasons that may pass | give up |
//! | `undo` | guarded | neither committed nor undone | restore the snapshot |

use serde::Serialize;

/// What is known of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a row of facts, each of them independent of the others")]
pub struct Facts {
    /// Staged, or else guarded.
    pub staged: bool,
    /// Its commit record is there.
    pub committed: bool,
    /// All the intents that its commit record counts are there.
    pub complete: bool,
    /// Its records name nothing but paths of the tree, and a stage.
    pub sound: bool,
    /// Its rollback record is there.
    pub rolled_back: bool,
    /// It was given up before.
    pub quarantined: bool,
    /// A guard around it has been undone since.
    pub covered: bool,
    /// The last try failed, and no other is to be made for now.
    pub waits: bool,
    /// How many tries are left.
    pub tries: Tries,
    /// What became of the try that was just made.
    pub tried: Tried,
    /// What a person wants to become of it.
    pub wanted: Option<Resolution>,
}

/// How many tries are left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tries {
    /// At least one.
    Left,
    /// As many as are allowed have failed for good, or were cut short.
    Spent,
    /// Not so, but far more have failed for reasons that may pass, such as a full disk.
    Starved,
}

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// None was made yet.
    Not,
    /// It succeeded.
    Done,
    /// It failed; another one may succeed.
    Failed,
    /// It failed, and so will every other one.
    Impossible,
}

/// What a person may want to become of a transaction that is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resolution {
    /// The tree stays as it is.
    Keep,
    /// The state before the transaction comes back.
    Restore,
    /// It is given up now.
    Abandon,
}

/// What has to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Forget,
    /// Bring the tree to what the transaction says.
    Redo,
    /// Restore the snapshot.
    Undo,
    /// Bring back what a staged transaction has displaced.
    TakeBack,
    /// Drop the snapshot: the work is done.
    Discard,
    /// Record how it ended: the tree is as it should be.
    Settle,
    /// Keep all material in quarantine, and let the tree work on.
    GiveUp,
    /// Leave it as it is: it stays owed.
    Wait,
}

/// All labels, for who reads one back.
pub const LABELS: [&str; 18] = [
    "settled",
    "unpromised",
    "kept",
    "abandoned",
    "kept-by-hand",
    "incomplete",
    "redo-impossible",
    "undo-impossible",
    "restored-by-hand",
    "redo-owed",
    "redo-exhausted",
    "redo-starved",
    "redo",
    "undo-covered",
    "undo-owed",
    "undo-exhausted",
    "undo-starved",
    "undo",
];

/// The row of the table that the facts select: its label, and what is done.
#[must_use]
pub fn decide(facts: Facts) -> (&'static str, Verdict) {
    use Resolution::{Abandon, Keep, Restore};
    use Tried::{Done, Failed, Impossible, Not};
    match facts {
        Facts { quarantined: true, .. } => ("settled", Verdict::Forget),
        Facts { rolled_back: true, staged: false, .. } => ("settled", Verdict::Discard),
        Facts { rolled_back: true, .. } => ("settled", Verdict::Forget),
        Facts { staged: true, committed: false, .. } => ("unpromised", Verdict::Forget),
        Facts { staged: false, committed: true, .. } => ("kept", Verdict::Discard),
        Facts { wanted: Some(Abandon), .. } => ("abandoned", Verdict::GiveUp),
        Facts { wanted: Some(Keep), staged: true, .. } => ("kept-by-hand", Verdict::GiveUp),
        Facts { wanted: Some(Keep), .. } => ("kept-by-hand", Verdict::Settle),
        Facts { staged: true, complete: false, .. } => ("incomplete", Verdict::GiveUp),
        Facts { staged: true, sound: false, .. } => ("redo-impossible", Verdict::GiveUp),
        Facts { wanted: Some(Restore), tried: Done, .. } => ("restored-by-hand", Verdict::Settle),
        Facts { wanted: Some(Restore), tried: Failed | Impossible, .. } => ("restored-by-hand", Verdict::Wait),
        Facts { wanted: Some(Restore), staged: true, .. } => ("restored-by-hand", Verdict::TakeBack),
        Facts { wanted: Some(Restore), .. } => ("restored-by-hand", Verdict::Undo),
        Facts { staged: true, tried: Impossible, .. } => ("redo-impossible", Verdict::GiveUp),
        Facts { staged: true, tried: Done, .. } => ("redo", Verdict::Settle),
        Facts { staged: true, tried: Failed, .. } => ("redo-owed", Verdict::Wait),
        Facts { staged: true, waits: true, .. } => ("redo-owed", Verdict::Wait),
        Facts { staged: true, tries: Tries::Spent, .. } => ("redo-exhausted", Verdict::GiveUp),
        Facts { staged: true, tries: Tries::Starved, .. } => ("redo-starved", Verdict::GiveUp),
        Facts { staged: true, tried: Not, .. } => ("redo", Verdict::Redo),
        Facts { tried: Done, .. } => ("undo", Verdict::Settle),
        Facts { covered: true, .. } => ("undo-covered", Verdict::Settle),
        Facts { sound: false, .. } => ("undo-impossible", Verdict::GiveUp),
        Facts { tried: Impossible, .. } => ("undo-impossible", Verdict::GiveUp),
        Facts { tried: Failed, .. } => ("undo-owed", Verdict::Wait),
        Facts { waits: true, .. } => ("undo-owed", Verdict::Wait),
        Facts { tries: Tries::Spent, .. } => ("undo-exhausted", Verdict::GiveUp),
        Facts { tries: Tries::Starved, .. } => ("undo-starved", Verdict::GiveUp),
        Facts { tried: Not, .. } => ("undo", Verdict::Undo),
    }
}

#[cfg(test)]
mod tests;
