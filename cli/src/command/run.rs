//! `run`: a command under a guard.
//!
//! | what happens | what becomes of the guarded paths |
//! |---|---|
//! | the command ends with 0 | committed |
//! | the same, with `--dry-run` | restored |
//! | it ends otherwise, or cannot be run | restored, and its status is ours |
//! | SIGINT, SIGTERM, SIGHUP | the command gets it too; once it has ended: restored |
//! | a second one; SIGKILL; a power loss | restored by the next opening |

use std::io::{self, Write};

use serde::Serialize;
use treewal::{Guard, GuardOptions, Progress, Tree};

use super::Context;
use crate::args::Run;
use crate::changes::{Line, summary};
use crate::child::{Signals, start, wait};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::keeping::Cost;
use crate::output::Report;

#[derive(Debug, Serialize)]
struct Ran {
    transaction: u64,
    /// The command's own, 128 + n where a signal killed it.
    status: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    interrupted_by: Option<i32>,
    /// What the snapshot took.
    snapshot: Cost,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Vec<Line>>,
}

impl Report for Ran {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        self.changes.iter().flatten().try_for_each(|line| line.human(out))
    }
}

pub(super) fn run(args: &Run, context: &Context) -> Result<Exit, Failure> {
    let tree = context.open()?;
    context.output.talk("taking a snapshot of the guarded paths");
    let progress = Progress::new();
    let guard = context.output.watched(&progress, || guarded(&tree, args, &progress))?;
    let cost = Cost::from(guard.snapshot());
    context.output.talk(&format!("guarded {cost}"));
    let (status, signals) = match ended(args, context) {
        Ok(ended) => ended,
        Err(error) => {
            guard.rollback()?;
            return Err(Failure::new(Exit::RUN_FAILED, "cannot start a process, or wait for it").because(&error));
        }
    };
    let shows = args.diff || args.dry_run;
    let changes = (shows || context.output.talks()).then(|| changed(&guard, context)).flatten();
    if let Some(changes) = &changes {
        context.output.talk(&summary(changes));
    }
    let transaction = guard.id();
    let interrupted_by = signals.first();
    let keeps = status == Exit::DONE && interrupted_by.is_none() && !args.dry_run;
    let outcome = settle(guard, keeps)?;
    let exit = interrupted_by.map_or(status, Exit::of_signal);
    context.output.talk(&format!("{outcome}: the command ended with status {}", status.code()));
    let status = status.code();
    let report = Ran { transaction, status, interrupted_by, snapshot: cost, changes: changes.filter(|_| shows) };
    Ok(context.told(exit, outcome, &report))
}

/// All of the tree, unless the arguments say what.
fn guarded(tree: &Tree, args: &Run, progress: &Progress) -> Result<Guard, Failure> {
    let options = args.keeping.guard(progress).exchange(args.exchange);
    let options = args.matching.iter().fold(options, GuardOptions::matching);
    let options = args.exclude.iter().fold(options, GuardOptions::exclude);
    if args.guard.is_empty() && args.matching.is_empty() {
        return Ok(tree.guard_with(options, ["."])?);
    }
    Ok(tree.guard_with(options, &args.guard)?)
}

/// Runs the command to its end.
fn ended(args: &Run, context: &Context) -> io::Result<(Exit, Signals)> {
    let signals = Signals::catch()?;
    let mut child = start(&args.command, &context.dir, context.output.json)?;
    match wait(&mut child, &signals) {
        Ok(status) => Ok((status, signals)),
        Err(error) => {
            // Nobody may write into a tree that is about to be restored.
            child.kill().and_then(|()| child.wait())?;
            Err(error)
        }
    }
}

/// What the command changed; `None` where that cannot be told, which must not keep it from being kept or undone.
fn changed(guard: &Guard, context: &Context) -> Option<Vec<Line>> {
    match guard.changes() {
        // The directory that is the tree belongs to the caller: a guard does not restore it, and that its time of change
        // is another says nothing.
        Ok(changes) => Some(changes.into_iter().filter(|change| !change.path.is_root()).map(Line::from).collect()),
        Err(error) => {
            let causes = Failure::from(error).causes.join(": ");
            context.output.note(&format!("cannot tell what the command changed: {causes}"));
            None
        }
    }
}

fn settle(guard: Guard, keeps: bool) -> Result<&'static str, Failure> {
    if keeps {
        guard.commit()?;
        return Ok("committed");
    }
    guard.rollback()?;
    Ok("restored")
}
