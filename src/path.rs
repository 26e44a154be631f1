//! Paths as callers give them.

use std::path::Path;

use treewal_recovery::home;
use treewal_vfs::RelPath;

use crate::{Error, Result};

/// Checks a path: relative, beneath the tree, and not treewal's own.
pub(crate) fn parse(path: &Path) -> Result<RelPath> {
    let parsed = RelPath::new(path).map_err(|source| Error::InvalidPath { path: path.to_owned(), source })?;
    if parsed.components().next().is_some_and(home::is_own_name) {
        return Err(Error::Reserved { path: path.to_owned() });
    }
    Ok(parsed)
}
