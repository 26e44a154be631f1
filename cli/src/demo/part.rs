//! The process that does the work, and is killed at it. It kills itself, by SIGKILL, just before a disk call that was
//! chosen for it: nothing is flushed, dropped or tidied.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use treewal::Options;
use treewal_vfs::{Disk, Fault, FaultDisk, Open, RealDisk, write_all};

use super::story::{FILES, Work};
use crate::exit::Exit;
use crate::failure::Failure;

/// The first argument of the program that plays this part; the work, the tree and the number of the call follow.
pub(crate) const PART: &str = "__demo";

/// What the process says once its work was acknowledged.
pub(super) const ACKNOWLEDGED: &str = "committed\n";

/// Plays the part.
pub(crate) fn play(args: &[OsString]) -> Result<(), Failure> {
    let bad = || Failure::new(Exit::BAD_INPUT, "this is for treewal's own use");
    let [work, dir, at] = args else { return Err(bad()) };
    let at = at.to_str().and_then(|at| at.parse().ok()).ok_or_else(bad)?;
    let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None));
    let tree = options().open_on(disk.clone(), Path::new(dir))?;
    disk.arm(Fault::Kill { at });
    if work == Work::Commit.name() {
        tree.transaction(|tx| {
            for (name, before, after) in FILES {
                match (before, after) {
                    (_, Some(text)) => tx.write(name, text)?,
                    (_, None) => tx.remove_file(name)?,
                }
            }
            Ok(())
        })?;
    } else {
        let guard = tree.guard(["."])?;
        let failed = |error: io::Error| Failure::new(Exit::IO, "cannot change a file").because(&error);
        meddle(&*disk, Path::new(dir)).map_err(failed)?;
        guard.commit()?;
    }
    let said = io::stdout().write_all(ACKNOWLEDGED.as_bytes()).and_then(|()| io::stdout().flush());
    said.map_err(|error| Failure::new(Exit::IO, "cannot write to standard output").because(&error))
    // Closing the tree can still be killed.
}

pub(super) fn options() -> Options {
    Options::new().segment_bytes(64 << 10)
}

/// Changes the files in place, one after the other, as code does that knows of no crash.
fn meddle(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let tree = disk.open_root(dir)?;
    for (name, before, after) in FILES {
        let name = OsStr::new(name);
        let Some(text) = after else {
            disk.remove_file(&tree, name)?;
            continue;
        };
        let how = if before.is_some() { Open::ReadWrite } else { Open::CreateNew { mode: 0o644 } };
        let file = disk.open(&tree, name, how)?;
        disk.set_len(&file, 0)?;
        write_all(disk, &file, text.as_bytes(), 0)?;
    }
    Ok(())
}
