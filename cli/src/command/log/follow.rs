//! `log --follow`: what there is, and then what is appended.

use std::io::{self, Write};
use std::time::Duration;

use treewal::{Follow, LogEvent};

use super::super::{Context, unwritten};
use super::{exit, lines};
use crate::args;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::wait_on_reader;

const PAUSE: Duration = Duration::from_millis(200);

/// Goes on until it is interrupted, until nobody reads any more, or until damage is found, after which nothing comes.
pub(super) fn run(args: &args::Log, context: &Context) -> Result<Exit, Failure> {
    let mut follow = match &args.journal {
        Some(journal) => Follow::journal(journal),
        None => Follow::tree(&context.dir),
    };
    let mut begun = false;
    loop {
        let events = follow.look()?;
        let mut text = Vec::new();
        written(context.output.json, &events, &mut begun, &mut text).map_err(|error| unwritten(&error))?;
        if !text.is_empty() && !context.output.stream(&text).map_err(|error| unwritten(&error))? {
            return Ok(Exit::DONE);
        }
        let damage = events.iter().find_map(|event| match event {
            LogEvent::Tail(tail) if exit(tail.state) != Exit::DONE => Some(exit(tail.state)),
            _ => None,
        });
        if let Some(exit) = damage {
            return Ok(exit);
        }
        if !wait_on_reader(PAUSE) {
            return Ok(Exit::DONE);
        }
    }
}

fn written(json: bool, events: &[LogEvent], begun: &mut bool, out: &mut Vec<u8>) -> io::Result<()> {
    for event in events {
        if json {
            serde_json::to_writer(&mut *out, event)?;
            out.write_all(b"\n")?;
            continue;
        }
        if !*begun {
            lines::head(out)?;
            *begun = true;
        }
        human(out, event)?;
    }
    Ok(())
}

fn human(out: &mut dyn Write, event: &LogEvent) -> io::Result<()> {
    match event {
        LogEvent::Segment(segment) => lines::segment(out, segment),
        LogEvent::Record(record) => lines::record(out, record),
        LogEvent::Tail(tail) => lines::tail(out, tail),
        LogEvent::Missed { from, upto } => {
            let what = format!("records {from} to {upto} were written and removed between two looks");
            lines::finding(out, &what)
        }
        LogEvent::Rewound { upto } => {
            lines::finding(out, &format!("records after {upto} were not durable and are gone"))
        }
        _ => Ok(()),
    }
}
