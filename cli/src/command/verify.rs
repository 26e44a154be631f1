//! `verify`: checks everything treewal keeps in a tree, and mends nothing.

use std::io::{self, Write};

use serde::Serialize;
use treewal::Finding;

use super::Context;
use crate::args::Look;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{BAD, DIM, GOOD, OLD, Report};

#[derive(Debug, Serialize)]
struct Verified {
    findings: Vec<Finding>,
}

impl Report for Verified {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.findings.is_empty() {
            return writeln!(out, "{GOOD}ok{GOOD:#}");
        }
        for Finding { damage, code, what, advice, .. } in &self.findings {
            let (style, word) = if *damage { (BAD, "damage") } else { (OLD, "harmless") };
            writeln!(out, "{style}{word}:{style:#} {what} {DIM}({code}){DIM:#}\n  {advice}")?;
        }
        Ok(())
    }
}

pub(super) fn run(look: &Look, context: &Context) -> Result<Exit, Failure> {
    let options = context.options().quarantine_limit(look.quarantine_limit);
    let findings = treewal::verify_with(&options, &context.dir)?;
    let exit = if findings.iter().any(|finding| finding.damage) { Exit::DAMAGE } else { Exit::DONE };
    context.show(exit, "unchanged", &Verified { findings })
}
