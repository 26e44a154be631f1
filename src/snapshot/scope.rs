//! What a snapshot is about.

use std::path::PathBuf;

use treewal_recovery::home;
use treewal_vfs::RelPath;

use crate::Result;

/// The paths, the whole tree where none is given, and what is left out: treewal's own directory in any case.
pub(super) fn paths(paths: &[PathBuf], excludes: &[PathBuf]) -> Result<(Vec<RelPath>, Vec<RelPath>)> {
    let parse = |list: &[PathBuf]| list.iter().map(|path| crate::path::parse(path)).collect::<Result<Vec<_>>>();
    let mut inside = parse(paths)?;
    if inside.is_empty() {
        inside.push(RelPath::root());
    }
    let mut outside = parse(excludes)?;
    outside.push(RelPath::root().join(home::DIR_NAME));
    Ok((inside, outside))
}
