//! `apply`: a change set, all or nothing.

use std::io::{self, Write};

use serde::Serialize;
use treewal::{ChangeSet, Receipt, Transaction};

use super::Context;
use crate::args::Apply;
use crate::changes::{Line, lines, name, parse, read};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Report;
use crate::preview;

#[derive(Debug, Serialize)]
struct Applied {
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lsn: Option<u64>,
    changes: Vec<Line>,
}

impl Report for Applied {
    fn human(&self, out: &mut dyn Write) -> io::Result<()> {
        self.changes.iter().try_for_each(|line| line.human(out))
    }
}

pub(super) fn run(args: &Apply, context: &Context) -> Result<Exit, Failure> {
    let set = parse(&read(&args.file, &context.output)?)?;
    if args.dry_run { dry_run(&set, context) } else { apply(&set, context) }
}

fn apply(set: &ChangeSet, context: &Context) -> Result<Exit, Failure> {
    let tree = context.open()?;
    let (changes, tx) = staged(set, tree.begin())?;
    let Receipt { id, lsn, .. } = tx.commit()?;
    let (outcome, transaction, lsn) =
        if id == 0 { ("unchanged", None, None) } else { ("committed", Some(id), Some(lsn)) };
    context.output.talk(&match (id, changes.len()) {
        (0, _) => "nothing to change".to_owned(),
        (id, 1) => format!("applied 1 change as transaction {id}"),
        (id, number) => format!("applied {number} changes as transaction {id}"),
    });
    Ok(context.told(Exit::DONE, outcome, &Applied { dry_run: false, transaction, lsn, changes }))
}

fn dry_run(set: &ChangeSet, context: &Context) -> Result<Exit, Failure> {
    let status = treewal::status(&context.dir)?;
    if status.transactions.iter().any(|transaction| transaction.owed) {
        context.output.note(
            "the tree has unfinished work, which applying would finish or undo first; this looks at it as it stands",
        );
    }
    let tree = preview::open(&context.dir, context.options())?;
    let (changes, tx) = staged(set, tree.begin())?;
    tx.rollback();
    context.output.talk("dry run: nothing was changed");
    context.show(Exit::DONE, "unchanged", &Applied { dry_run: true, transaction: None, lsn: None, changes })
}

fn staged(set: &ChangeSet, mut tx: Transaction) -> Result<(Vec<Line>, Transaction), Failure> {
    set.stage(&mut tx).map_err(|error| {
        let mut failure = Failure::from(error);
        if let Some(change) = failure.change.and_then(|index| set.changes.get(index)) {
            failure.message.push_str(&format!(": {}", name(change)));
        }
        failure
    })?;
    Ok((lines(tx.changes()), tx))
}
