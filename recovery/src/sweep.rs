//! The sweep: what nobody refers to any more is removed. What is owed still refers to its stage, or to its snapshot.

use std::collections::BTreeSet;

use treewal_vfs::{RelPath, remove_tree};

use crate::home::{Home, sweep, sweep_snapshots};
use crate::owed::Owed;
use crate::plan::{Area, Place};
use crate::quarantine::sweep_purged;
use crate::{Error, Result};

/// Removes the stages whose owners are gone, all snapshots of guards, and half-made and half-removed named ones, but for
/// what is owed; gives the numbers of stages and of snapshots. Call it under the tree's lock, with no guard at work, and
/// only where a checkpoint covers all that a handle that is gone may have committed: until then its stage may hold what
/// recovery needs.
///
/// # Errors
/// Any error of the disk; what is left is removed by a later sweep.
pub fn sweep_leftovers(home: &Home, owed: &[Owed]) -> Result<(u64, u64)> {
    let needed: BTreeSet<&str> = owed.iter().filter_map(Owed::stage).collect();
    let stages = sweep(home, &|stage| needed.contains(stage))?;
    let needed: BTreeSet<&str> = owed.iter().filter_map(Owed::snapshot).collect();
    let io = |verb| Error::io(verb, ".treewal/guards");
    let mut snapshots = 0;
    for entry in home.disk.list(&home.guards).map_err(io("list"))? {
        if entry.name.to_str().is_some_and(|name| needed.contains(name)) {
            continue;
        }
        remove_tree(&*home.disk, &home.guards, &entry.name).map_err(io("clean"))?;
        snapshots += 1;
    }
    sweep_purged(home)?;
    Ok((stages, snapshots + sweep_snapshots(home)?))
}

/// Removes what redone transactions left in stages.
pub(crate) fn remove_garbage(home: &Home, garbage: &[Place]) -> Result<()> {
    let disk = &*home.disk;
    for place in garbage {
        let (Area::Stage(stage), Some((_, name))) = (&place.area, place.path.split()) else { continue };
        let io = |verb| Error::io(verb, format!(".treewal/stage/{stage}"));
        let dir = disk.open_dir(&home.stage, &RelPath::root().join(stage)).map_err(io("open"))?;
        remove_tree(disk, &dir, name).map_err(io("clean"))?;
    }
    Ok(())
}
