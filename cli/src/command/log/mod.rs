//! `log`: the journal, one record a line.

mod follow;
mod lines;

use std::io::{self, Write};

use serde::Serialize;

use super::Context;
use crate::args;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Report;

#[derive(Debug, Serialize)]
struct Log(treewal::Log);

impl Report for Log {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        let log = &self.0;
        if log.segments.is_empty() && log.tail.state == "clean" {
            return Ok(());
        }
        lines::head(out)?;
        let mut records = log.records.iter().peekable();
        for segment in &log.segments {
            lines::segment(out, segment)?;
            while let Some(record) = records.next_if(|record| record.segment == segment.number) {
                lines::record(out, record)?;
            }
        }
        for transaction in &log.transactions {
            lines::transaction(out, transaction)?;
        }
        for finding in &log.findings {
            lines::finding(out, finding)?;
        }
        lines::tail(out, &log.tail)?;
        lines::durable(out, log)
    }
}

pub(super) fn run(args: &args::Log, context: &Context) -> Result<Exit, Failure> {
    if args.follow {
        return follow::run(args, context);
    }
    let log = match &args.journal {
        Some(journal) => treewal::log_of(journal)?,
        None => treewal::log(&context.dir)?,
    };
    if log.records.is_empty() {
        context.output.talk("the journal is empty");
    }
    let exit = exit(log.tail.state);
    context.show(exit, "unchanged", &Log(log))
}

/// A torn tail is no damage: nobody was promised anything of what is missing.
fn exit(tail: &str) -> Exit {
    if tail == "corrupt" { Exit::DAMAGE } else { Exit::DONE }
}
