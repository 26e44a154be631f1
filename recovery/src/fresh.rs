//! A journal where there is none that can be read.

use treewal_journal::{Error as JournalError, Log, LogOptions};

use crate::Result;
use crate::home::Home;
use crate::quarantine::set_aside_all;
use crate::report::RecoveryReport;

/// Makes the first journal of a tree. Files in its place that hold no record, and that no crash leaves there, such as a segment
/// of nothing but zeros, go to quarantine: somebody has taken their contents away.
///
/// # Errors
/// Any error of the disk.
pub(crate) fn fresh_log(home: &Home, options: LogOptions, report: &mut RecoveryReport) -> Result<Log> {
    let create = || Log::create(home.disk.clone(), home.journal.clone(), options);
    match create() {
        Err(JournalError::NotEmpty(_)) => {
            report.damage.extend(set_aside_all(home, &home.journal, "journal")?);
            Ok(create()?)
        }
        log => Ok(log?),
    }
}
