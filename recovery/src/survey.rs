//! The survey: the journal read as history. Nothing is written, unless acknowledged records are damaged: then the damaged
//! files are set aside by a pass of its own, before anything is decided.

use std::ops::ControlFlow;
use std::time::Duration;

use treewal_journal::record::Record;
use treewal_journal::{Log, LogOptions, Reader, Scan, ScanOptions, Source, Tail, TreeId, repair};

use crate::Result;
use crate::fresh::fresh_log;
use crate::history::{History, Told, Work};
use crate::home::Home;
use crate::recover::Config;
use crate::report::RecoveryReport;
use crate::sound::{is_one_name, part};

/// The longest that a commit waits for others to share its sync with: where there were others just now, and for half of what
/// a sync takes at most. It bounds that on a disk that has come to a halt.
const GROUP_WAIT_MAX: Duration = Duration::from_millis(20);

/// Reads the journal and opens it for writing, mending what is damaged.
pub(crate) fn open_log(home: &Home, config: &Config, report: &mut RecoveryReport) -> Result<(Log, History)> {
    let (mut scan, mut history) = read(home, Some(config.tree), Source::Mapped)?;
    let mut options = LogOptions::new(config.tree);
    options.group_wait = GROUP_WAIT_MAX;
    let newest = scan.segments.last().map(|segment| segment.header.segment_bytes);
    options.segment_bytes = config.segment_bytes.or(newest).unwrap_or(options.segment_bytes);
    if scan.segments.is_empty() && matches!(scan.tail, Tail::Clean) {
        return Ok((fresh_log(home, options, report)?, history));
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

/// Whether the records of a transaction name paths of the tree, and a stage or a snapshot: nothing of one that does not is
/// trusted.
#[must_use]
pub fn is_sound(txn: u64, told: &Told) -> bool {
    match &told.work {
        Work::Guarded(guard) => is_one_name(&guard.snapshot),
        Work::Staged(..) => part(txn, told).is_some_and(crate::sound::is_sound),
    }
}
