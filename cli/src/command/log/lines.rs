//! The lines of `log` for people.

use std::io::{self, Write};

use treewal::{Log, LogEntry, LogSegment, LogTail, LogTransaction};

use crate::output::{BAD, DIM, GOOD, HEAD, OLD};

/// Over the columns of [`record`].
pub(super) fn head(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{HEAD}   lsn  durable    bytes  kind        what it says{HEAD:#}")
}

pub(super) fn segment(out: &mut dyn Write, segment: &LogSegment) -> io::Result<()> {
    let LogSegment { number, state, first_lsn, last_lsn, bytes, used, durable, .. } = segment;
    let records =
        if last_lsn < first_lsn { "no record".to_owned() } else { format!("records {first_lsn} to {last_lsn}") };
    writeln!(
        out,
        "{DIM}segment {number:016x}: {state}, {records}, {used} of {bytes} bytes used, \
         durable up to {durable} when begun{DIM:#}"
    )
}

pub(super) fn record(out: &mut dyn Write, record: &LogEntry) -> io::Result<()> {
    let LogEntry { lsn, durable, bytes, kind, says, .. } = record;
    writeln!(out, "{lsn:>6}  {DIM}{durable:>7}  {bytes:>7}{DIM:#}  {kind:<10}  {says}")
}

pub(super) fn transaction(out: &mut dyn Write, transaction: &LogTransaction) -> io::Result<()> {
    let LogTransaction { number, kind, state, settled, first_lsn, last_lsn, records, bytes, .. } = transaction;
    let settled = if *settled { ", settled" } else { "" };
    writeln!(
        out,
        "transaction {number}: {kind}, {state}{settled}, {records} records from {first_lsn} to {last_lsn}, {bytes} bytes"
    )
}

pub(super) fn finding(out: &mut dyn Write, finding: &str) -> io::Result<()> {
    writeln!(out, "{OLD}finding:{OLD:#} {finding}")
}

/// How the journal ends.
pub(super) fn tail(out: &mut dyn Write, tail: &LogTail) -> io::Result<()> {
    let LogTail { state, says, .. } = tail;
    match *state {
        "clean" => writeln!(out, "end: {GOOD}{says}{GOOD:#}"),
        "torn" => writeln!(out, "end: {OLD}{says}{OLD:#}; nothing acknowledged is missing"),
        _ => writeln!(out, "end: {BAD}{says}{BAD:#}"),
    }
}

pub(super) fn durable(out: &mut dyn Write, log: &Log) -> io::Result<()> {
    let Log { first_lsn, last_lsn, durable_lsn, .. } = log;
    if *last_lsn == 0 {
        return writeln!(out, "no record, durable up to {durable_lsn}");
    }
    writeln!(out, "records {first_lsn} to {last_lsn}, known to be durable up to {durable_lsn}")
}
