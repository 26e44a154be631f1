//! One commit for a trace.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;

use treewal_vfs::{Dir, Disk, RealDisk};

use crate::Result;
use crate::contestant::make;
use crate::work::change_set;

/// Makes one commit of `files` files between two looks at names that do not exist, `trace-begins` and `trace-ends`.
///
/// One of the same size goes before it, and what that put off is settled: a handle makes some things at its first commit
/// and never again, and what is traced shall find the journal as a commit finds it that is one of many.
pub(crate) fn once(at: &Path, name: &str, files: usize) -> Result {
    let mut contestant = make(name, at)?;
    let first = change_set(files, 0);
    contestant.ready(&first)?;
    contestant.commit(&first)?;
    contestant.settle()?;
    contestant.tree().flush()?;

    let root = contestant.tree().root.clone();
    let set = change_set(files, 1);
    contestant.ready(&set)?;
    mark(&root, "trace-begins")?;
    contestant.commit(&set)?;
    mark(&root, "trace-ends")?;
    contestant.check(&set)?;
    contestant.end().remove()
}

/// One system call that names `name`.
pub(crate) fn mark(root: &Dir, name: &str) -> Result {
    match RealDisk.stat(root, OsStr::new(name)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Err(format!("{name:?} is there, and must not be").into()),
    }
}
