//! The contestants, by the names that the tables give them.

use std::path::Path;

use treewal::{Durability, Options};

use crate::Result;
use crate::limit::{Limit, Part};
use crate::ours::Ours;
use crate::peers::{FsTransaction, Fstx, PerFile};
use crate::sqlite::Sqlite;
use crate::tree::Tree;
use crate::work::Write;

/// Something that commits change sets to a tree of its own.
pub(crate) trait Contestant {
    /// What may be done before the clock runs.
    fn ready(&mut self, _set: &[Write]) -> Result {
        Ok(())
    }

    /// The commit. Everything in it is timed.
    fn commit(&mut self, set: &[Write]) -> Result;

    /// What was put off by the commits since the last call: afterwards the tree is durable without a log beside it.
    fn settle(&mut self) -> Result {
        Ok(())
    }

    fn tree(&self) -> &Tree;

    /// Whether it holds what was committed.
    fn check(&self, set: &[Write]) -> Result {
        self.tree().check(set)
    }

    /// Gives the tree back, so that it can be removed.
    fn end(self: Box<Self>) -> Tree;
}

/// All of them; the first is what the others are measured against.
pub(crate) const NAMES: [&str; 11] = [
    LIMIT,
    "limit, identities logged",
    "limit, old files kept",
    "limit, renames alone",
    JOURNAL,
    TREE,
    DEFERRED,
    "fstx 0.1.1",
    "fs-transaction 0.4.2",
    "atomic-write-file 0.3.1, each file by itself",
    "SQLite, N blobs in one transaction, WAL, synchronous=FULL",
];

pub(crate) const LIMIT: &str = "limit";
pub(crate) const JOURNAL: &str = "treewal, Durability::Journal";
pub(crate) const TREE: &str = "treewal, Durability::Tree";
/// Durable with the checkpoint only: shown for what a sync costs, and no rival of the others.
pub(crate) const DEFERRED: &str = "treewal, Durability::Deferred";

/// Makes the contestant `name` and its tree, in the directory `at`.
pub(crate) fn make(name: &str, at: &Path) -> Result<Box<dyn Contestant>> {
    let number = NAMES.iter().position(|known| *known == name).ok_or_else(|| format!("no contestant {name:?}"))?;
    let tree = Tree::make(at, &format!("tree-{number}"))?;
    let ours = |level| Options::new().durability(level);
    Ok(match number {
        0 => Box::new(Limit::new(tree, Part::StageRenameRemove)?),
        1 => Box::new(Limit::new(tree, Part::LookRenameRemove)?),
        2 => Box::new(Limit::new(tree, Part::StageRename)?),
        3 => Box::new(Limit::new(tree, Part::Rename)?),
        4 => Box::new(Ours::new(tree, &ours(Durability::Journal))?),
        5 => Box::new(Ours::new(tree, &ours(Durability::Tree))?),
        6 => Box::new(Ours::new(tree, &ours(Durability::Deferred))?),
        7 => Box::new(Fstx(tree)),
        8 => Box::new(FsTransaction(tree)),
        9 => Box::new(PerFile(tree)),
        _ => Box::new(Sqlite::new(tree)?),
    })
}

/// Those that take part: all, or the limits and those whose names begin with one of `only`, whatever the case.
pub(crate) fn selected<'a>(names: &[&'a str], only: &[&str]) -> Result<Vec<&'a str>> {
    let begins = |name: &str, with: &str| name.to_lowercase().starts_with(&with.to_lowercase());
    if let Some(stray) = only.iter().find(|with| !names.iter().any(|name| begins(name, with))) {
        return Err(format!("no contestant begins with {stray:?}").into());
    }
    let takes_part = |name: &str| only.is_empty() || begins(name, LIMIT) || only.iter().any(|with| begins(name, with));
    Ok(names.iter().copied().filter(|name| takes_part(name)).collect())
}
