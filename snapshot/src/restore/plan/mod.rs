//! From what was and what is to what is done, in an order that may stop after any step. Pure.
//!
//! The order: what is newer goes first (a full disk may be why we are here), directories come back from the top, are made
//! durable where that matters, then comes everything that stands in them, and attributes last, from the bottom, because
//! each change in a directory moves its time.

mod files;
mod order;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};

use treewal_vfs::{Kind, Meta, RelPath, Time};

use super::extract::Extract;
use super::survey::{Holds, Live, Survey};
use crate::manifest::Entry;
use crate::{Error, Result};

/// One step. Entries are named by their place in the manifest; `over` says that something stands there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::restore) enum Action {
    /// Let the owner change a directory, for as long as it takes.
    Unlock { path: RelPath, mode: u32 },
    /// Remove what is newer.
    Remove { path: RelPath, dir: bool },
    /// Remove a directory above a guarded path that is newer, unless somebody else uses it.
    Prune { path: RelPath },
    /// Make a directory.
    MakeDir { place: usize, over: Option<Kind> },
    /// Make everything so far durable.
    Barrier,
    /// Put the backup of this number into place.
    Put { place: usize, backup: u64, over: Option<Kind> },
    /// Make a symlink or a node.
    Make { place: usize, over: Option<Kind> },
    /// Make it another name of what stands at the place `of`.
    Link { place: usize, of: usize, over: Option<Kind> },
    /// Set back whatever attribute differs.
    Attributes { place: usize },
    /// Set back only what this plan itself changed on a directory that is not guarded.
    Ancestor { place: usize, times: bool, mode: Option<u32> },
}

/// What to do, and what cannot be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::restore) struct Plan {
    pub(in crate::restore) actions: Vec<Action>,
    /// Files somebody wrote to in place, so that their backups are no use; in order.
    pub(in crate::restore) in_place: Vec<RelPath>,
    /// Files whose backups are gone or damaged; in order.
    pub(in crate::restore) lost: Vec<RelPath>,
}

pub(in crate::restore) fn plan(extract: &Extract, survey: &Survey) -> Result<Plan> {
    let mut planner = Planner::start(extract, survey);
    planner.dirs()?;
    planner.files()?;
    let removals = planner.removals();
    Ok(planner.finish(removals))
}

struct Planner<'a> {
    extract: &'a Extract,
    survey: &'a Survey,
    make_dirs: Vec<Action>,
    puts: Vec<Action>,
    attributes: Vec<Action>,
    /// Directories made anew.
    made: HashSet<usize>,
    /// Directories in which a name comes or goes.
    touched: BTreeSet<RelPath>,
    /// Entries where something of another kind, or in the way, stays or goes as a whole.
    closed: HashSet<RelPath>,
    /// Inodes that may be the last to hold the bytes of a file without a backup.
    spared: HashSet<(u64, Time)>,
    in_place: BTreeSet<RelPath>,
    lost: BTreeSet<RelPath>,
}

impl<'a> Planner<'a> {
    fn start(extract: &'a Extract, survey: &'a Survey) -> Self {
        Self {
            extract,
            survey,
            make_dirs: Vec::new(),
            puts: Vec::new(),
            attributes: Vec::new(),
            made: HashSet::new(),
            touched: BTreeSet::new(),
            closed: HashSet::new(),
            spared: HashSet::new(),
            in_place: BTreeSet::new(),
            lost: BTreeSet::new(),
        }
    }

    fn live(&self, place: usize) -> Option<Live> {
        self.survey.live.get(place).copied().flatten()
    }

    /// Notes that the entry at `path` comes, goes or changes places.
    fn touch(&mut self, path: &RelPath) {
        if let Some(parent) = path.parent() {
            self.touched.insert(parent);
        }
    }

    /// What stands at `place`, which is about to make room.
    ///
    /// # Errors
    /// [`Error::Excluded`] where an excluded path would have to go with it.
    fn displace(&mut self, place: usize, entry: &Entry) -> Result<Option<Kind>> {
        self.touch(&entry.path);
        let over = self.live(place).map(|live| live.meta.kind);
        if over == Some(Kind::Dir) {
            if self.survey.excluded.iter().any(|excluded| excluded.starts_with(&entry.path)) {
                return Err(Error::Excluded { path: entry.path.clone() });
            }
            self.closed.insert(entry.path.clone());
        }
        Ok(over)
    }

    fn dirs(&mut self) -> Result<()> {
        for (place, entry) in self.extract.entries().iter().enumerate().filter(|(_, entry)| entry.is_dir()) {
            if self.live(place).is_none_or(|live| live.holds != Holds::Right) {
                let over = self.displace(place, entry)?;
                self.make_dirs.push(Action::MakeDir { place, over });
                self.made.insert(place);
            }
        }
        Ok(())
    }
}

fn inode_of(meta: &Meta) -> (u64, Time) {
    (meta.ino, meta.born)
}
