//! `log`: the journal, one record a line.

use std::io::{self, Write};

use serde::Serialize;
use treewal::LogEntry;

use super::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{DIM, Report};

#[derive(Debug, Serialize)]
struct Log {
    records: Vec<LogEntry>,
}

impl Report for Log {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        for LogEntry { lsn, kind, says, .. } in &self.records {
            writeln!(out, "{DIM}{lsn:>6}{DIM:#}  {kind:<10}  {says}")?;
        }
        Ok(())
    }
}

pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    let records = treewal::log(&context.dir)?;
    if records.is_empty() {
        context.output.talk("the journal is empty");
    }
    context.show(Exit::DONE, "unchanged", &Log { records })
}
