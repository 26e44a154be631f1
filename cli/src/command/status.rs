//! `status`: the state of a tree, without touching it.

use std::io::{self, Write};

use serde::Serialize;
use treewal::Status;

use super::Context;
use super::snapshot::date;
use crate::args::Look;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{BAD, DIM, GOOD, OLD, Report, one_line};

#[derive(Debug, Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    status: Status,
    #[serde(skip)]
    again: &'a str,
}

pub(super) fn run(look: &Look, context: &Context) -> Result<Exit, Failure> {
    let options = context.options().quarantine_limit(look.quarantine_limit);
    let status = treewal::status_with(&options, &context.dir)?;
    let again = &context.output.again;
    context.show(Exit::DONE, "unchanged", &Shown { status, again })
}

impl Report for Shown<'_> {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        let status = &self.status;
        let (style, meaning) = match status.state {
            "unused" => (DIM, "treewal was never used on this tree"),
            "clean" => (GOOD, "nothing is unfinished"),
            "busy" => (OLD, "somebody works on it right now"),
            "unfinished" => (OLD, "a crash left work to finish or undo"),
            _ => (BAD, "acknowledged parts of the journal cannot be read"),
        };
        writeln!(out, "state       {style}{}{style:#}: {meaning}", status.state)?;
        if status.state == "unused" {
            return Ok(());
        }
        if let Some(pid) = status.holder {
            writeln!(out, "held by     process {pid}")?;
        }
        for pid in &status.readers {
            writeln!(out, "read by     process {pid}")?;
        }
        writeln!(
            out,
            "journal     ends {}, last record {}, {} bytes",
            status.tail, status.last_lsn, status.journal_bytes
        )?;
        for transaction in &status.transactions {
            let owed = match transaction.label {
                "redo" => "committed, to be finished",
                "undo" => "not committed, to be undone",
                "redo-owed" => "committed, still to be finished; its paths are refused to others",
                "undo-owed" => "not committed, still to be undone; its paths are refused to others",
                _ if transaction.owed => "to be given up",
                _ => "nothing to do",
            };
            write!(out, "transaction {} ({}, {}): {owed}", transaction.txn, transaction.kind, transaction.label)?;
            match transaction.attempts {
                0 => writeln!(out)?,
                tries => writeln!(out, ", tried {tries} times")?,
            }
            if let Some(why) = transaction.failures.iter().rfind(|why| !why.is_empty()) {
                writeln!(out, "  at last: {}", one_line(why))?;
            }
        }
        for name in &status.snapshots {
            writeln!(out, "snapshot    {name}")?;
        }
        for name in &status.quarantine {
            writeln!(out, "quarantine  .treewal/quarantine/{name}")?;
        }
        if status.quarantine_is_full {
            writeln!(
                out,
                "{OLD}quarantine{OLD:#}  takes {} bytes, more than its limit; see {} quarantine",
                status.quarantine_bytes, self.again
            )?;
        }
        if let Some(last) = &status.last_recovery {
            writeln!(out, "recovered   last at {}:", date(u64::try_from(last.at).unwrap_or_default()))?;
            for line in last.report.to_string().lines() {
                writeln!(out, "  {line}")?;
            }
            if last.left_out > 0 {
                writeln!(out, "  and {} more, which are not kept", last.left_out)?;
            }
        }
        if let Some(owed) = status.transactions.iter().find(|transaction| transaction.label.ends_with("-owed")) {
            writeln!(out, "next        {} resolve {} --dry-run", self.again, owed.txn)?;
        }
        if matches!(status.state, "unfinished" | "damaged") {
            writeln!(out, "next        {} recover", self.again)?;
        }
        Ok(())
    }
}
