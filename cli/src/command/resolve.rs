//! `resolve`: a person decides about a transaction that recovery could neither finish nor undo.

use std::io::{self, Write};

use serde::Serialize;
use treewal::{Outlook, RecoveryReport, Resolution};

use super::Context;
use crate::args::Resolve;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{DIM, Report, one_line};

#[derive(Debug, Serialize)]
struct Shown {
    transaction: u64,
    choices: Vec<Outlook>,
}

#[derive(Debug, Serialize)]
struct Resolved {
    transaction: u64,
    resolution: Resolution,
    recovery: RecoveryReport,
}

pub(super) fn run(args: &Resolve, context: &Context) -> Result<Exit, Failure> {
    let transaction = args.id;
    let chosen = match (args.keep, args.restore, args.abandon) {
        (true, _, _) => Some(Resolution::Keep),
        (_, true, _) => Some(Resolution::Restore),
        (_, _, true) => Some(Resolution::Abandon),
        _ => None,
    };
    let Some(resolution) = chosen.filter(|_| !args.dry_run) else {
        let mut choices = treewal::outlooks(&context.dir, transaction)?;
        choices.retain(|outlook| chosen.is_none_or(|chosen| chosen == outlook.resolution));
        let cannot = chosen.is_some() && choices.iter().any(|outlook| !outlook.hindrances.is_empty());
        let exit = if cannot { Exit::REFUSED } else { Exit::DONE };
        return context.show(exit, "unchanged", &Shown { transaction, choices });
    };
    let recovery = context.options().resolve(&context.dir, transaction, resolution)?;
    let (exit, outcome) = judge(&recovery);
    Ok(context.told(exit, outcome, &Resolved { transaction, resolution, recovery }))
}

/// What was decided is done, unless the disk failed again at it. What went to quarantine was meant to.
fn judge(report: &RecoveryReport) -> (Exit, &'static str) {
    let failed = |line: &&treewal::TransactionReport| line.label == "restored-by-hand";
    if report.pending().any(|line| failed(&line)) {
        (Exit::UNDECIDED, "undecided")
    } else if report.damage.is_empty() {
        (Exit::DONE, "resolved")
    } else {
        (Exit::DAMAGE, "quarantined")
    }
}

fn word(resolution: Resolution) -> &'static str {
    match resolution {
        Resolution::Keep => "keep",
        Resolution::Restore => "restore",
        Resolution::Abandon => "abandon",
    }
}

impl Report for Shown {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        for outlook in &self.choices {
            writeln!(out, "--{}", word(outlook.resolution))?;
            let others = outlook.transactions.iter().filter(|other| **other != self.transaction);
            let others: Vec<String> = others.map(ToString::to_string).collect();
            if !others.is_empty() {
                writeln!(out, "  together with transaction {}, on the same paths", others.join(", "))?;
            }
            for why in &outlook.hindrances {
                writeln!(out, "  cannot be done: {}", one_line(why))?;
            }
            match outlook.resolution {
                Resolution::Restore if outlook.changes.is_empty() => writeln!(out, "  changes nothing in the tree")?,
                Resolution::Restore => {
                    for path in &outlook.changes {
                        writeln!(out, "  brings back {}", one_line(path))?;
                    }
                }
                Resolution::Keep | Resolution::Abandon => writeln!(out, "  leaves the tree as it is")?,
            }
            writeln!(out, "  {DIM}{}{DIM:#}", outlook.material)?;
        }
        Ok(())
    }
}

impl Report for Resolved {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.recovery)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_that_was_met_on_the_way_is_told() {
        let mut report = RecoveryReport::default();
        assert_eq!(judge(&report), (Exit::DONE, "resolved"));
        report.damage.push("a record".into());
        assert_eq!(judge(&report), (Exit::DAMAGE, "quarantined"));
    }
}
