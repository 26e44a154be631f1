//! What a restore would take from the tree, told before it does: for whoever cannot be sure that the snapshot belongs to what
//! stands there.

use std::ffi::OsString;

use treewal_vfs::{Dir, Disk, Kind, Meta, RelPath};

use super::Check;
use super::backups::Backups;
use super::extract::Extract;
use super::plan::{Action, plan};
use super::survey::{Survey, survey};
use crate::judge::is_backup;
use crate::manifest::{Entry, Manifest, Mode};
use crate::walk::{open_parent, split, stat};
use crate::{Error, Result};

/// Something that a restore would overwrite or remove, and that is not as the snapshot has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Displaced {
    /// Where it stands.
    pub path: RelPath,
    /// What the disk says of it.
    pub meta: Meta,
    /// Its extended attributes.
    pub xattrs: Vec<(OsString, Vec<u8>)>,
    /// Whether only mode, owner and extended attributes would be lost: it holds the contents of then, or stays.
    pub attributes_only: bool,
}

/// Everything that [`restore`](super::restore) would overwrite or remove, a directory before what is in it. What holds the
/// contents of then is not among it, unless its mode, owner or extended attributes are others; times alone do not count.
///
/// Changes nothing, except that directories which their owner may not read are made readable. Costs what the look of a
/// restore costs, and reading both where a file of the same size would be replaced.
///
/// # Errors
/// As [`restore`](super::restore) before it changes anything.
pub fn displaced(disk: &dyn Disk, tree: &Dir, from: &Dir, manifest: &Manifest, check: Check) -> Result<Vec<Displaced>> {
    let (extract, survey) = survey(disk, tree, from, manifest, check)?;
    let plan = plan(&extract, &survey)?;
    let look = Look { disk, tree, extract: &extract, survey: &survey, backups: Backups::new(disk, from) };
    let mut found = Vec::new();
    // What lies in a directory that makes room for a file is among it, too.
    for (path, meta) in &survey.added {
        found.push(look.told(path, *meta, false)?);
    }
    for action in &plan.actions {
        found.extend(look.at(action)?);
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

/// Whether the snapshot itself was copied since it was taken: the first contents that it keeps are neither where they were
/// put nor at the path that a restore brings them to. `false` where it keeps no contents, or shares them with the file.
///
/// # Errors
/// [`Error::Damaged`] or [`Error::Incomplete`] where the manifest is; what the disk says.
pub fn is_copy(disk: &dyn Disk, tree: &Dir, from: &Dir, manifest: &Manifest) -> Result<bool> {
    let backups = Backups::new(disk, from);
    for entry in manifest.entries(disk) {
        let entry = entry?;
        let Some(backup) = entry.backup.as_ref().filter(|backup| backup.mode != Mode::HardLink) else { continue };
        // What was put back already, by renames alone, is no sign.
        let Some(own) = backups.at_home(&entry, backup)? else { continue };
        let live = match open_parent(disk, tree, &split(&entry.path).0)? {
            Some(dir) => stat(disk, &dir, &entry.path)?,
            None => None,
        };
        return Ok(!is_backup(backup, &own) && !live.is_some_and(|live| is_backup(backup, &live)));
    }
    Ok(false)
}

struct Look<'a> {
    disk: &'a dyn Disk,
    tree: &'a Dir,
    extract: &'a Extract,
    survey: &'a Survey,
    backups: Backups<'a>,
}

impl Look<'_> {
    /// What one step would take.
    fn at(&self, action: &Action) -> Result<Option<Displaced>> {
        let (place, stays) = match action {
            Action::Put { place, .. }
            | Action::Make { place, .. }
            | Action::Link { place, .. }
            | Action::MakeDir { place, .. } => (*place, false),
            Action::Attributes { place } => (*place, true),
            Action::Prune { path } => return self.pruned(path),
            // What is removed was added; what is opened is closed again.
            Action::Remove { .. } | Action::Unlock { .. } | Action::Barrier | Action::Ancestor { .. } => {
                return Ok(None);
            }
        };
        let live = self.survey.live.get(place).copied().flatten().map(|live| live.meta);
        let (Some(entry), Some(meta)) = (self.extract.entries().get(place), live) else { return Ok(None) };
        if entry.path.is_root() || (stays && meta.kind != entry.meta.kind) {
            return Ok(None);
        }
        let attributes_only = stays || self.is_same(entry, &meta)?;
        let found = self.told(&entry.path, meta, attributes_only)?;
        let then = &entry.meta;
        let alike = (meta.mode, meta.uid, meta.gid) == (then.mode, then.uid, then.gid) && found.xattrs == entry.xattrs;
        Ok(Some(found).filter(|_| !(attributes_only && alike)))
    }

    fn pruned(&self, path: &RelPath) -> Result<Option<Displaced>> {
        let Some(dir) = open_parent(self.disk, self.tree, &split(path).0)? else { return Ok(None) };
        let meta = stat(self.disk, &dir, path)?.filter(|meta| meta.kind == Kind::Dir);
        meta.map(|meta| self.told(path, meta, false)).transpose()
    }

    /// Whether what stands there, and would be replaced, holds what the entry held.
    fn is_same(&self, entry: &Entry, meta: &Meta) -> Result<bool> {
        let (parent, name) = split(&entry.path);
        if meta.kind != entry.meta.kind {
            return Ok(false);
        }
        let Some(dir) = open_parent(self.disk, self.tree, &parent)? else { return Ok(false) };
        match (meta.kind, self.extract.backup_of(entry)) {
            (Kind::File, Some(backup)) if meta.size == entry.meta.size => {
                self.backups.are_contents_of(&dir, name, entry, backup)
            }
            (Kind::Symlink, _) => {
                let target = self.disk.read_link(&dir, name).map_err(Error::io("read", &entry.path))?;
                Ok(entry.target.as_ref() == Some(&target))
            }
            _ => Ok(false),
        }
    }

    fn told(&self, path: &RelPath, meta: Meta, attributes_only: bool) -> Result<Displaced> {
        let (parent, name) = split(path);
        let dir = self.disk.open_dir(self.tree, &parent).map_err(Error::io("open the directory of", path))?;
        let xattrs = self.disk.xattrs(&dir, name).map_err(Error::io("read attributes of", path))?;
        Ok(Displaced { path: path.clone(), meta, xattrs, attributes_only })
    }
}
