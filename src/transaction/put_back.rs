//! Bringing entries back as a snapshot has them: contents from outside of the tree, and attributes to the last.

use treewal_journal::Lsn;
use treewal_snapshot::Entry;
use treewal_vfs::{Disk, File, Kind, RelPath};

use super::Transaction;
use super::adopt::Adopted;
use super::overlay::Origin;
use crate::{Error, Result};

/// Small contents stay in memory until the commit; beyond so many bytes of them, in all, the rest goes to the stage.
const MEMORY_BYTES_MAX: u64 = 16 << 20;

impl Transaction {
    /// A new file at a free path, with the contents of `source`, whose extents it shares where the file system can.
    pub(crate) fn put_back(&mut self, path: &RelPath, disk: &dyn Disk, source: &File) -> Result<()> {
        let size = disk.stat_file(source).map_err(Error::io("look at the backup of", path))?.size;
        self.put_back_bytes += size;
        let is_much = self.put_back_bytes > MEMORY_BYTES_MAX;
        self.fill("restore", path, |tx, node| {
            if is_much {
                tx.spill(node)?;
            }
            tx.fill_from_file(node, source, path).map(drop)
        })
    }

    /// A fifo, a socket or a device at a free path. No record says how to make one, so it stands complete in the stage and
    /// moves in, like what is published.
    pub(crate) fn put_back_node(&mut self, entry: &Entry) -> Result<()> {
        let verb = "restore";
        let (dir, name) = self.parent(verb, &entry.path)?;
        let adopted = Adopted::make(self.stage()?, entry)?;
        let node = self.overlay.add(Origin::Disk { base: adopted.path(), meta: *adopted.meta() });
        let placed = self.overlay.put(&self.base, verb, (dir, &name), Some(node));
        match placed {
            Ok(()) => self.adopted.push(adopted),
            Err(_) => adopted.give_back(&self.engine),
        }
        placed
    }

    /// Sets every attribute that differs: owner, mode, extended attributes, and the time of modification where `times` says
    /// so: that of a directory comes after what is in it.
    pub(crate) fn look_like(&mut self, entry: &Entry, times: bool) -> Result<()> {
        let (path, then) = (entry.path.to_path(), &entry.meta);
        let live = self.metadata(&path)?;
        if !entry.is_dir() {
            let (node, _, _) = self.existing("look at", &entry.path)?;
            if self.overlay.is_set_by_another_name(node) {
                // Names of one file have one look: that name has given it.
                return Ok(());
            }
        }
        if (live.uid(), live.gid()) != (Some(then.uid), Some(then.gid)) {
            self.lchown(&path, Some(then.uid), Some(then.gid))?;
        }
        if then.kind != Kind::Symlink {
            let current = self.xattrs(&path)?;
            for (name, _) in current.iter().filter(|(name, _)| !entry.xattrs.iter().any(|(other, _)| other == name)) {
                self.remove_xattr(&path, name)?;
            }
            for (name, value) in entry.xattrs.iter().filter(|wanted| !current.contains(wanted)) {
                self.set_xattr(&path, name, value)?;
            }
            if self.metadata(&path)?.mode() != Some(then.mode) {
                self.set_mode(&entry.path, then.mode)?;
            }
        }
        if times {
            let (node, _, _) = self.existing("set times of", &entry.path)?;
            // What a directory would get by itself: the time of the commit, where a name in it changes.
            let moves = self.overlay.is_touched(node);
            let node = self.overlay.node_mut(node);
            match &mut node.origin {
                Origin::New(new) => new.attributes.modified = Some(then.modified),
                Origin::Disk { meta, .. } if meta.modified == then.modified && !moves => {}
                Origin::Disk { .. } => node.touched.modified = Some(then.modified),
            }
        }
        Ok(())
    }

    /// The commit is a conflict where anything was committed after `since`; it relies on these paths.
    pub(crate) fn expect_since(&mut self, since: Lsn, paths: impl Iterator<Item = RelPath>) {
        self.since = Some((since, paths.collect()));
    }
}

/// What a transaction relies on as a whole: that nothing was committed since.
#[derive(Debug, Default)]
pub(crate) struct Since {
    pub(crate) lsn: Option<Lsn>,
    pub(crate) paths: Vec<RelPath>,
}

impl Since {
    pub(super) fn of(told: Option<(Lsn, Vec<RelPath>)>) -> Self {
        told.map(|(lsn, paths)| Self { lsn: Some(lsn), paths }).unwrap_or_default()
    }
}
