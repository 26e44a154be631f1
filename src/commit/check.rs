//! The check: what a transaction is about to replace is still what it saw.

use treewal_journal::record::Intent;
use treewal_recovery::plan::{Ground, Place};
use treewal_vfs::{Identity, RelPath};

use crate::transaction::Expectation;
use crate::{Error, Result};

/// Every entry that an intent replaces, removes or moves. Reads only, under the tree's lock.
pub(super) fn priors<'a>(ground: &mut Ground<'_>, intents: impl Iterator<Item = &'a Intent>) -> Result<()> {
    for intent in intents {
        let Some(base) = &intent.base else { continue };
        let base =
            base.to_path().map_err(|source| Error::InvalidPath { path: super::path_of(intent).to_path(), source })?;
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
