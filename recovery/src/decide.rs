//! The decision: a pure table from what the journal says of a transaction to what has to be done about it.
//!
//! | label | kind | what the journal says | what is done |
//! |---|---|---|---|
//! | `settled` | any | undone, or given up | nothing; a snapshot that was restored is dropped |
//! | `unpromised` | staged | no commit record | nothing: the tree was never touched |
//! | `redo` | staged | committed | bring the tree to what it says |
//! | `incomplete` | staged | committed, but intents are missing | give up: a part of a transaction is never applied |
//! | `redo-exhausted` | staged | committed, too many tries failed | give up |
//! | `kept` | guarded | committed | drop the snapshot |
//! | `undo` | guarded | neither committed nor undone | restore the snapshot |
//! | `undo-exhausted` | guarded | the same, too many tries failed | give up |

/// What the journal says of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a row of facts, each of them independent of the others")]
pub struct Facts {
    /// Staged, or else guarded.
    pub staged: bool,
    /// Its commit record is there.
    pub committed: bool,
    /// All the intents that its commit record counts are there.
    pub complete: bool,
    /// Its rollback record is there.
    pub rolled_back: bool,
    /// It was given up before.
    pub quarantined: bool,
    /// As many tries as are allowed have begun.
    pub exhausted: bool,
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
    /// Drop the snapshot: the work is done.
    Discard,
    /// Keep all material in quarantine, and let the tree work on.
    GiveUp,
}

/// The row of the table that the facts select: its label, and what is done.
#[must_use]
pub fn decide(facts: Facts) -> (&'static str, Verdict) {
    match facts {
        Facts { quarantined: true, .. } => ("settled", Verdict::Forget),
        Facts { rolled_back: true, staged: false, .. } => ("settled", Verdict::Discard),
        Facts { rolled_back: true, .. } => ("settled", Verdict::Forget),
        Facts { staged: true, committed: false, .. } => ("unpromised", Verdict::Forget),
        Facts { staged: true, complete: false, .. } => ("incomplete", Verdict::GiveUp),
        Facts { staged: true, exhausted: true, .. } => ("redo-exhausted", Verdict::GiveUp),
        Facts { staged: true, .. } => ("redo", Verdict::Redo),
        Facts { committed: true, .. } => ("kept", Verdict::Discard),
        Facts { exhausted: true, .. } => ("undo-exhausted", Verdict::GiveUp),
        Facts { .. } => ("undo", Verdict::Undo),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every combination of facts, against the rules said in other words.
    #[test]
    fn every_combination_is_decided_as_the_table_says() {
        for bits in 0..64u32 {
            let bit = |n: u32| bits & (1 << n) != 0;
            let facts = Facts {
                staged: bit(0),
                committed: bit(1),
                complete: bit(2),
                rolled_back: bit(3),
                quarantined: bit(4),
                exhausted: bit(5),
            };
            let (label, verdict) = decide(facts);
            let over = facts.rolled_back || facts.quarantined;
            assert_eq!(label == "settled", over, "{facts:?}");
            // A redo needs a whole promise; an undo that there was none.
            assert_eq!(
                verdict == Verdict::Redo,
                facts.staged && facts.committed && facts.complete && !facts.exhausted && !over
            );
            assert_eq!(verdict == Verdict::Undo, !facts.staged && !facts.committed && !facts.exhausted && !over);
            // A snapshot is dropped only when the work is settled one way or the other, and never given up on then.
            let done = (facts.rolled_back || facts.committed) && !facts.quarantined;
            assert_eq!(verdict == Verdict::Discard, !facts.staged && done);
            // Nothing promised is ever forgotten.
            if verdict == Verdict::Forget {
                assert!(over || (facts.staged && !facts.committed), "{facts:?}");
            }
        }
    }
}
