//! The check: what a transaction is about to replace is still what it saw.

use treewal_journal::record::Intent;
use treewal_recovery::plan::{Ground, Place};
use treewal_vfs::{Identity, RelPath};

use super::flight::pairs;
use crate::transaction::Expectation;
use crate::{Error, Result};

/// Every entry that an intent replaces, removes or moves. Reads only, while the paths are claimed.
///
/// Each look is owed: without it, what a foreign program did since the transaction looked would be noticed only after the
/// promise, and a crash there would leave the transaction in part.
pub(super) fn priors<'a>(
    ground: &mut Ground<'_>,
    paths: &'a [RelPath],
    intents: impl Iterator<Item = &'a Intent> + Clone,
) -> Result<()> {
    for (path, intent) in pairs(paths, intents) {
        let Some(base) = &intent.base else { continue };
        if *base == intent.path {
            same(ground, path, intent.prior)?;
            continue;
        }
        let base = base.to_path().map_err(|source| Error::InvalidPath { path: path.to_path(), source })?;
        same(ground, &base, intent.prior)?;
    }
    Ok(())
}

/// Everything the transaction was told to expect.
pub(super) fn expectations(ground: &mut Ground<'_>, expectations: &[Expectation]) -> Result<()> {
    expectations.iter().try_for_each(|expected| same(ground, &expected.path, expected.identity))
}

fn same(ground: &mut Ground<'_>, path: &RelPath, expected: Option<Identity>) -> Result<()> {
    let found = ground.stat(&Place::tree(path.clone())).map_err(Error::io("look at", path))?;
    let detail = match (expected, found.map(|meta| meta.identity())) {
        (expected, found) if expected == found => return Ok(()),
        (None, Some(_)) => "something has appeared here since the transaction looked",
        (Some(_), None) => "what stood here is gone since the transaction looked",
        _ => "what stands here has changed since the transaction looked",
    };
    Err(Error::Conflict { path: path.to_path(), detail: detail.to_owned() })
}
