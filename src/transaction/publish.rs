//! Publishing: something prepared takes the place of what is there, in one exchange, or is merged into it.

use std::io;
use std::path::Path;

use treewal_recovery::home::DIR_NAME;
use treewal_vfs::{Kind, RelPath};

use super::adopt::Adopted;
use super::merge::Merge;
use super::overlay::{NodeId, Origin};
use super::source::Source;
use super::{Expectation, Transaction};
use crate::{Error, Result};

/// How [`Transaction::publish_with`] publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Publish {
    merge: bool,
    keep_unmanaged: bool,
}

impl Publish {
    /// What is published replaces all that is there, in one exchange. As [`exchange`](Self::exchange).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is published takes the place of what is there, in one exchange whatever the number of files. A directory is
    /// another one afterwards: who works in the old one, or watches it, stays there.
    #[must_use]
    pub fn exchange() -> Self {
        Self::default()
    }

    /// The directory that is there stays, and gets what the published one has: shells in it and watches on it go on.
    ///
    /// * A file with the same bytes, and a symlink with the same target, stay as they are, with inode and times.
    /// * What differs comes new, with the source's time of modification. What the source does not have goes, or stays with
    ///   [`keep_unmanaged`](Self::keep_unmanaged).
    /// * Directories that both have are merged alike, and stay the same ones. Where one has a directory and the other
    ///   something else, it is replaced.
    /// * All that stays gets the source's mode and extended attributes, and its owner where this process is root. A
    ///   directory in which a name changes gets the source's time of modification.
    /// * The source is only read, and stays where it is. Names of one file in it become files of their own; fifos, sockets
    ///   and device nodes cannot be made, so that a source with one that is not there yet is refused (`Unsupported`).
    ///
    /// All of it is one transaction: small files travel in the journal, large ones are copied into the stage, by sharing
    /// extents where the file system can. Both directories are read in full. Entries change one after another, and what was
    /// compared must still be the same at the commit, or that is a conflict; what others add to the directory meanwhile
    /// stays. A file by itself keeps its attributes, as with [`exchange`](Self::exchange). `dest` may be the tree itself.
    #[must_use]
    pub fn merge() -> Self {
        Self { merge: true, ..Self::default() }
    }

    /// Whether what the prepared directory does not have stays: each entry of the old directory whose name is free in the
    /// new one comes along, and so in the directories that both have.
    ///
    /// Kept files come into the prepared directory as hard links, before it takes its place, so they are never missing;
    /// kept directories are made anew there. Where the prepared directory stands in the tree itself, or the transaction has
    /// changed the old one, they move instead, right after the exchange. One from outside of the tree is made durable in its new place
    /// before that, by a sync of the file system.
    #[must_use]
    pub fn keep_unmanaged(mut self, keep: bool) -> Self {
        self.keep_unmanaged = keep;
        self
    }
}

impl Transaction {
    /// Puts something prepared, a file or a directory with all that is in it, in the place of what stands at `dest`, or
    /// where nothing does. Readers find the old or the new, whole, and never nothing: it is one exchange, whatever the
    /// number of files.
    ///
    /// A relative `source` is a path of the tree, an absolute one can be anywhere; it is gone from there once the
    /// transaction is committed. From the same file system it is moved: at once into the stage, where the transaction can
    /// work on it, and back where the transaction is rolled back. (A process that is killed before its commit leaves it in
    /// `.treewal/quarantine`.) From another file system it is copied, and the original stays.
    ///
    /// What the old directory holds at the time of the commit goes, also what others have put there since. A program that makes
    /// the new one from the old one says so: [`expect`](Self::expect) each file that it reads to be unchanged, before it
    /// reads it.
    ///
    /// The commit makes the contents durable, which takes long only as far as nobody has synced them before. A file takes
    /// mode, owner and extended attributes of the file it replaces; everything else keeps its own. (A file that this
    /// transaction made and gave no mode has none to hand on.)
    ///
    /// ```no_run
    /// # fn main() -> treewal::Result<()> {
    /// # let tree = treewal::Tree::open("site")?;
    /// tree.transaction(|tx| {
    ///     tx.publish("/srv/build/site", "public")?;
    ///     tx.write("public/version", "17")
    /// })?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As `std::fs::rename`, but that a directory need not be empty to be replaced. [`Error::ThroughSymlink`] where an
    /// absolute `source` leads into the tree by way of a link from elsewhere: name it by its path in the tree.
    pub fn publish(&mut self, source: impl AsRef<Path>, dest: impl AsRef<Path>) -> Result<()> {
        self.publish_with(Publish::new(), source, dest)
    }

    /// As [`publish`](Self::publish), with options.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_with(&mut self, how: Publish, source: impl AsRef<Path>, dest: impl AsRef<Path>) -> Result<()> {
        let dest = Self::path(dest)?;
        let source = source.as_ref();
        let inside = if source.is_absolute() { self.path_in_tree(source)? } else { Some(Self::path(source)?) };
        match inside {
            inside if how.merge => self.publish_merged(how, (source, inside), &dest),
            Some(source) => self.publish_inside(how, &source, &dest),
            None => self.publish_outside(how, source, &dest),
        }
    }

    fn publish_inside(&mut self, how: Publish, source: &RelPath, dest: &RelPath) -> Result<()> {
        let verb = "publish";
        let (node, from_dir, from_name) = self.existing(verb, source)?;
        let (to_dir, to_name) = self.parent(verb, dest)?;
        if source == dest {
            return Ok(());
        }
        if dest.starts_with(source) {
            return Err(Error::kinded(verb, dest, io::ErrorKind::InvalidInput));
        }
        let target = self.overlay.slot(&self.base, verb, to_dir, &to_name)?;
        self.may_replace(dest, self.overlay.kind(node), target)?;
        let modified = *self.overlay.modified_mut(from_dir);
        self.overlay.put(&self.base, verb, (from_dir, &from_name), None)?;
        if let Some(Err(error)) = target.map(|old| self.carry_over(how, old, node, dest)) {
            // It stays where it is: a caller who goes on after the error must not commit its removal.
            self.overlay.put(&self.base, verb, (from_dir, &from_name), Some(node))?;
            *self.overlay.modified_mut(from_dir) = modified;
            return Err(error);
        }
        self.overlay.put(&self.base, verb, (to_dir, &to_name), Some(node))
    }

    fn publish_merged(
        &mut self,
        how: Publish,
        (source, inside): (&Path, Option<RelPath>),
        dest: &RelPath,
    ) -> Result<()> {
        let verb = "publish";
        let invalid = || Error::from_os(verb, source.to_owned(), io::ErrorKind::InvalidInput.into());
        let (from, name) = match inside {
            Some(inside) => {
                if inside == *dest {
                    return Ok(());
                }
                if dest.starts_with(&inside) || inside.starts_with(dest) {
                    return Err(invalid());
                }
                let (parent, name) = inside.split().ok_or_else(invalid)?;
                (Source::Inside(parent), name.to_os_string())
            }
            None => {
                let (parent, name) = source.parent().zip(source.file_name()).ok_or_else(invalid)?;
                let top = self.base.disk().open_root(parent);
                let top = top.map_err(|error| Error::from_os(verb, source.to_owned(), error))?;
                let outside = Source::Outside { top, shown: parent.to_owned(), path: RelPath::root() };
                (outside, name.to_os_string())
            }
        };
        self.merge(Merge::new(how.keep_unmanaged), (&from, &name), dest)
    }

    fn publish_outside(&mut self, how: Publish, source: &Path, dest: &RelPath) -> Result<()> {
        let verb = "publish";
        let (to_dir, to_name) = self.parent(verb, dest)?;
        let target = self.overlay.slot(&self.base, verb, to_dir, &to_name)?;
        let stage = self.stage()?;
        let mut adopted = Adopted::find(stage, source)?;
        self.may_replace(dest, adopted.kind(), target)?;
        adopted.take(self.engine.root_meta())?;
        let placed = self.place(how, &mut adopted, target, dest);
        let placed = placed.and_then(|node| self.overlay.put(&self.base, verb, (to_dir, &to_name), Some(node)));
        if placed.is_err() {
            adopted.give_back(&self.engine);
        } else {
            self.adopted.push(adopted);
        }
        placed
    }

    /// The node of what was taken into the stage: an entry that is there, if not where anybody sees it.
    fn place(&mut self, how: Publish, adopted: &mut Adopted, target: Option<NodeId>, dest: &RelPath) -> Result<NodeId> {
        let base = adopted.path();
        let meta = self.base.stat("publish", &base)?;
        let meta = meta.ok_or_else(|| Error::kinded("publish", dest, io::ErrorKind::NotFound))?;
        let node = self.overlay.add(Origin::Disk { base, meta });
        let Some(old) = target else { return Ok(node) };
        match self.overlay.base(old).cloned() {
            Some(stands) if how.keep_unmanaged && meta.kind == Kind::Dir && !self.overlay.is_touched(old) => {
                let seen = adopted.keep_unmanaged(&self.base, &stands)?;
                // What is linked to here is compared at the commit like what is replaced.
                let seen = seen.into_iter().map(|(path, identity)| Expectation { path, identity: Some(identity) });
                self.expectations.extend(seen);
            }
            _ => self.carry_over(how, old, node, dest)?,
        }
        Ok(node)
    }

    /// As for a rename, but that a directory may be full.
    pub(super) fn may_replace(&self, dest: &RelPath, kind: Kind, target: Option<NodeId>) -> Result<()> {
        match (kind, target.map(|target| self.overlay.kind(target))) {
            (Kind::Dir, None | Some(Kind::Dir)) => Ok(()),
            (Kind::Dir, Some(_)) => Err(Error::kinded("publish", dest, io::ErrorKind::NotADirectory)),
            (_, Some(Kind::Dir)) => Err(Error::kinded("publish", dest, io::ErrorKind::IsADirectory)),
            _ => Ok(()),
        }
    }

    /// What the old entry leaves to the new one: a file its attributes, a directory what is not managed.
    fn carry_over(&mut self, how: Publish, old: NodeId, new: NodeId, dest: &RelPath) -> Result<()> {
        match (self.overlay.kind(old), self.overlay.kind(new)) {
            (Kind::Dir, Kind::Dir) if how.keep_unmanaged => self.move_unmanaged(old, new),
            (Kind::File, Kind::File) => self.inherit(old, new, dest),
            _ => Ok(()),
        }
    }

    /// Moves what only the old directory has into the new one.
    fn move_unmanaged(&mut self, old: NodeId, new: NodeId) -> Result<()> {
        let verb = "publish";
        let mut dirs = vec![(old, new)];
        let mut moving = Vec::new();
        while let Some((old, new)) = dirs.pop() {
            for name in self.overlay.names(&self.base, verb, old)? {
                let Some(kept) = self.overlay.slot(&self.base, verb, old, &name)? else { continue };
                let there = self.overlay.slot(&self.base, verb, new, &name)?;
                match there {
                    None => moving.push((old, new, name, kept)),
                    Some(managed)
                        if self.overlay.kind(kept) == Kind::Dir && self.overlay.kind(managed) == Kind::Dir =>
                    {
                        dirs.push((kept, managed));
                    }
                    Some(_) => {}
                }
            }
        }
        // Once all has been looked at: what fails half way must leave every entry where it was.
        for (old, new, name, kept) in moving {
            self.overlay.put(&self.base, verb, (old, &name), None)?;
            self.overlay.put(&self.base, verb, (new, &name), Some(kept))?;
        }
        Ok(())
    }

    /// Where an absolute path lies in the tree; `None` where it lies outside of it.
    fn path_in_tree(&self, source: &Path) -> Result<Option<RelPath>> {
        let root = self.engine.root_meta();
        for above in source.ancestors() {
            let Ok(dir) = self.base.disk().open_root(above) else { continue };
            let meta = self.base.disk().stat_dir(&dir);
            let meta = meta.map_err(|error| Error::from_os("publish", above.to_owned(), error))?;
            if (meta.dev, meta.ino) == (root.dev, root.ino) {
                return Self::path(source.strip_prefix(above).unwrap_or(source)).map(Some);
            }
        }
        if self.leads_into_tree(source)? {
            // Moved at once, as what stands outside is, it would be gone from the tree before the commit.
            return Err(Error::ThroughSymlink { path: source.to_owned() });
        }
        Ok(None)
    }

    /// Whether a path from elsewhere ends in the tree, by way of a link: whether the tree lies above what it leads to.
    fn leads_into_tree(&self, source: &Path) -> Result<bool> {
        let (root, disk) = (self.engine.root_meta(), self.base.disk());
        let Some(mut at) = source.parent().map(Path::to_owned) else { return Ok(false) };
        let mut beneath = None;
        while let Ok(dir) = disk.open_root(&at) {
            let meta = disk.stat_dir(&dir).map_err(|error| Error::from_os("publish", at.clone(), error))?;
            let here = Some((meta.dev, meta.ino));
            if here == Some((root.dev, root.ino)) {
                return Ok(true);
            }
            // Nothing is above the top.
            if here == beneath {
                break;
            }
            beneath = here;
            at.push("..");
        }
        Ok(false)
    }
}

/// Whether a path of the disk is one of treewal's own.
pub(crate) fn is_own(path: &RelPath) -> bool {
    path.components().next().is_some_and(|first| first == DIR_NAME)
}
