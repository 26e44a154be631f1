//! The last report: kept in a file, so that whoever asks later learns what the last recovery that had anything to do found
//! and did. It is for people, and decides nothing: that it cannot be written or read is nobody's error.

use std::ffi::OsStr;
use std::io;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use treewal_vfs::{Open, Rename, Time, read_all, write_all};

use super::{RecoveryReport, TransactionReport};
use crate::home::Home;

const NAME: &str = "last-recovery.json";
const DRAFT: &str = "last-recovery.new";
/// The names in `.treewal` of the last report, and of one that was being written.
pub const LAST_RECOVERY_FILES: [&str; 2] = [NAME, DRAFT];
/// A longer file is none of ours.
const BYTES_MAX: u64 = 1 << 20;
/// Of long lists the file has only the first.
const TRANSACTIONS_MAX: usize = 200;
const PATHS_MAX: usize = 20;
const TRIES_MAX: usize = 8;
const TEXT_BYTES_MAX: usize = 1024;

/// The report of the last recovery that found anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LastRecovery {
    /// When it was, in seconds since 1970 by the clock of the machine.
    pub at: i64,
    /// How many transactions, and how many paths of one, the file leaves out because they are too many.
    pub left_out: u64,
    /// What was found and done.
    pub report: RecoveryReport,
}

/// Keeps a report, unless there is nothing to tell. A crash leaves the one before, or this one.
pub(crate) fn keep_last(home: &Home, report: &RecoveryReport) {
    if report.is_clean() {
        // One that was cut short is not left lying.
        if home.disk.stat(&home.dot, OsStr::new(DRAFT)).is_ok() {
            if let Err(error) = home.disk.remove_file(&home.dot, OsStr::new(DRAFT)) {
                tracing::debug!(%error, "a report that was cut short cannot be removed");
            }
        }
        return;
    }
    if let Err(error) = write(home, &shortened(report, Time::now().secs)) {
        tracing::debug!(%error, "the report of this recovery cannot be kept");
    }
}

fn write(home: &Home, last: &LastRecovery) -> io::Result<()> {
    let disk = &*home.disk;
    let mut bytes = serde_json::to_vec_pretty(last)?;
    bytes.push(b'\n');
    match disk.remove_file(&home.dot, OsStr::new(DRAFT)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.open(&home.dot, OsStr::new(DRAFT), Open::CreateNew { mode: 0o600 })?;
    write_all(disk, &file, &bytes, 0)?;
    disk.rename(&home.dot, OsStr::new(DRAFT), &home.dot, OsStr::new(NAME), Rename::Replace)
}

/// The report of the last recovery that found anything; `None` where there was none, or it cannot be read. Reads only.
#[must_use]
pub fn read_last(home: &Home) -> Option<LastRecovery> {
    let disk = &*home.disk;
    // What is no file could keep who opens it waiting.
    let meta = disk.stat(&home.dot, OsStr::new(NAME)).ok()?;
    if meta.kind != treewal_vfs::Kind::File || meta.size > BYTES_MAX {
        return None;
    }
    let file = disk.open(&home.dot, OsStr::new(NAME), Open::Read).ok()?;
    serde_json::from_slice(&read_all(disk, &file, BYTES_MAX).ok()?).ok()
}

fn shortened(report: &RecoveryReport, at: i64) -> LastRecovery {
    let mut report = report.clone();
    let mut left_out = 0;
    let mut cut = |left: usize| left_out += left as u64;
    // What went wrong is kept rather than what went well.
    report.transactions.sort_by_key(|line| (line.error.is_none(), line.quarantine.is_none(), line.txn));
    cut(report.transactions.len().saturating_sub(TRANSACTIONS_MAX));
    report.transactions.truncate(TRANSACTIONS_MAX);
    for line in &mut report.transactions {
        cut(line.superseded.len().saturating_sub(PATHS_MAX));
        line.superseded.truncate(PATHS_MAX);
        let early = line.failures.len().saturating_sub(TRIES_MAX);
        line.failures.drain(..early);
        line.superseded.iter_mut().chain(&mut line.failures).chain(&mut line.error).for_each(shorten);
    }
    cut(report.damage.len().saturating_sub(PATHS_MAX));
    report.damage.truncate(PATHS_MAX);
    report.damage.iter_mut().for_each(shorten);
    // Whatever is left takes no more than the file may have.
    while serde_json::to_vec_pretty(&report).is_ok_and(|bytes| bytes.len() as u64 > BYTES_MAX - 4096) {
        let half = report.transactions.len() / 2;
        left_out += (report.transactions.len() - half) as u64;
        report.transactions.truncate(half);
        if half == 0 {
            report.damage.clear();
        }
    }
    report.transactions.sort_by_key(|line| line.txn);
    LastRecovery { at, left_out, report }
}

fn shorten(text: &mut String) {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

/// What became of a transaction, as it is read back: its words are not yet known to be ours.
#[derive(Deserialize)]
struct Line {
    txn: u64,
    kind: String,
    label: String,
    attempt: u32,
    failures: Vec<String>,
    changed: u64,
    superseded: Vec<String>,
    quarantine: Option<String>,
    error: Option<String>,
}

impl<'de> Deserialize<'de> for TransactionReport {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let line = Line::deserialize(from)?;
        let known = |text: &str| {
            let known = ["staged", "guarded"].iter().chain(&crate::decide::LABELS).find(|known| **known == text);
            known.copied().ok_or_else(|| D::Error::custom("a word that treewal does not use"))
        };
        let (kind, label) = (known(&line.kind)?, known(&line.label)?);
        let Line { txn, attempt, failures, changed, superseded, quarantine, error, .. } = line;
        Ok(Self { txn, kind, label, attempt, failures, changed, superseded, quarantine, error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_bounded_and_reads_back() {
        let mut report = RecoveryReport::default();
        for txn in 0..500 {
            let mut line = TransactionReport::new(txn, "staged", "redo", &vec!["x".repeat(3000); 10]);
            line.superseded = vec!["\u{1}".repeat(2000); 25];
            line.quarantine = (txn == 499).then(|| "txn-499".to_owned());
            report.transactions.push(line);
        }
        report.damage = vec!["ö".repeat(9000); 100];
        let last = shortened(&report, 7);
        let bytes = serde_json::to_vec_pretty(&last).unwrap();
        assert!((bytes.len() as u64) < BYTES_MAX, "{}", bytes.len());
        assert_eq!(serde_json::from_slice::<LastRecovery>(&bytes).unwrap(), last);
        assert!(last.left_out > 300);
        assert!(last.report.transactions.iter().any(|line| line.txn == 499), "what went wrong is kept");
        assert!(serde_json::from_str::<LastRecovery>(r#"{"at": 1}"#).is_err());
    }

    #[test]
    fn a_word_that_is_not_ours_is_not_read() {
        let line = TransactionReport::new(1, "staged", "redo", &[]);
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(serde_json::from_str::<TransactionReport>(&text).unwrap(), line);
        assert!(serde_json::from_str::<TransactionReport>(&text.replace("redo", "rodeo")).is_err());
    }
}
