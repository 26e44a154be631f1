//! The recovery state machine of treewal, and the parts that commit and recovery share.
//!
//! A transaction is *active* until its commit record is durable, or its undoing is. After a crash, recovery takes every
//! transaction that the journal tells of to *committed* or *rolled back*: a staged one whose commit record is there is
//! redone, a guarded one without it is undone, and one that cannot be, after a bounded number of tries, goes to
//! quarantine with all its material.
//!
//! * [`home`] is the directory that treewal keeps in a tree: what lies where, the lock, the stage directories.
//! * [`plan`] works out the renames that turn one state into another, and takes them: for a commit as for a redo.
//! * [`make`] makes new entries in a stage, and [`look`] sets attributes; [`rewrite`] changes a file in place.
//! * [`quarantine`] keeps what could not be placed, with its reports.
//! * [`history`] reads the journal as a history, [`mod@decide`] is the table that says what is to be done, [`mod@redo`] and
//!   [`mod@undo`] do it, and [`mod@recover`] is all of that in order.
//! * [`Owed`] is what recovery could not do yet, [`reach`] what of the tree that touches, [`mod@tries`] how often it is tried,
//!   and [`mod@resolve`] what a person may decide about it.

mod batch;
pub mod decide;
mod error;
mod forget;
mod fresh;
mod give_up;
pub mod history;
pub mod home;
mod kept_first;
pub mod look;
pub mod make;
mod owed;
pub mod patterns;
pub mod plan;
pub mod quarantine;
pub mod reach;
pub mod recover;
pub mod redo;
mod report;
pub mod resolve;
pub mod rewrite;
mod since;
mod sound;
pub mod survey;
mod sweep;
pub mod tries;
pub mod undo;

pub use batch::{Batch, append};
pub use error::{Error, Result, journal_kind, snapshot_kind};
pub use forget::forget;
pub use owed::Owed;
pub use recover::{Config, Recovered, Retry, recover};
pub use report::{LAST_RECOVERY_FILES, LastRecovery, RecoveryReport, TransactionReport, read_last};
pub use since::{Since, Standing};
pub use sweep::sweep_leftovers;
