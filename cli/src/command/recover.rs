//! `recover`: opens the tree, which is all that recovery needs, and tells what that did.

use std::io::{self, Write};

use serde::Serialize;
use treewal::RecoveryReport;

use super::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Report;

#[derive(Debug, Serialize)]
struct Recovered {
    recovery: RecoveryReport,
}

impl Report for Recovered {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.recovery)
    }
}

pub(super) fn run(context: &Context) -> Result<Exit, Failure> {
    let tree = context.options().open(&context.dir)?;
    let recovery = tree.recovery().clone();
    let (exit, outcome) = judge(&recovery);
    if exit == Exit::UNDECIDED {
        context.output.note("mend what keeps it from working, and run this again; after five tries it is given up");
    }
    Ok(context.told(exit, outcome, &Recovered { recovery }))
}

/// What is still open weighs more than what was damaged: the next try may settle it.
fn judge(report: &RecoveryReport) -> (Exit, &'static str) {
    if report.pending().next().is_some() {
        (Exit::UNDECIDED, "undecided")
    } else if report.found_damage() {
        (Exit::DAMAGE, "quarantined")
    } else if report.is_clean() {
        (Exit::DONE, "unchanged")
    } else {
        (Exit::DONE, "recovered")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damaged() -> RecoveryReport {
        let mut report = RecoveryReport::default();
        report.damage.push("a record".into());
        report
    }

    #[test]
    fn damage_and_order_have_their_codes() {
        let mut torn = RecoveryReport::default();
        torn.torn_tail = true;
        assert_eq!(judge(&RecoveryReport::default()), (Exit::DONE, "unchanged"));
        assert_eq!(judge(&torn), (Exit::DONE, "recovered"));
        assert_eq!(judge(&damaged()), (Exit::DAMAGE, "quarantined"));
    }
}
