//! Materializing: new entries stand complete in the stage before anything is promised, so that a full disk is met here.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;

use treewal_journal::record::{Body, Change, Goal, Intent, New, PathBytes, Record, Times};
use treewal_recovery::make::{Asked, Filling, Look, ask, finish, make, open_bits};
use treewal_vfs::{BadPath, Dir, Meta, RelPath, Rename};

use crate::engine::{Stage, slot_name};
use crate::transaction::{Attributes, Base, Content, Difference, Fresh, NewBody, NewNode, Staged, Wanted, is_own};
use crate::{Durability, Error, MountedFiles, Result};

/// Up to this many large files are synced one by one; beyond it, one sync of the file system is cheaper.
pub(crate) const SYNCS_MAX: usize = 4;

/// Up to this many changes, new files get their time of modification from us. That costs a call for each, and saves one
/// write of an inode for the commit: the journal's own where that is all, and on a loop device that of the image, which
/// must then be written with each sync; see [`Disk::stamp`](treewal_vfs::Disk::stamp).
const STAMPS_MAX: usize = 16;

/// The intents of a transaction, their new entries standing in the stage.
pub(super) struct Material {
    /// The records of the intents, as they go to the journal; parents before what is in them.
    pub(super) intents: Vec<Record>,
    /// The path of each intent.
    pub(super) paths: Vec<RelPath>,
    /// The slots of the stage that it takes.
    pub(super) slots: Vec<u64>,
    /// Whether no record holds all that the transaction changes: entries of the tree move, get other names, get attributes
    /// that more names than one have, or are rewritten in place.
    pub(super) is_barrier: bool,
}

/// Where a new directory is being built: its slot, and its path in it.
pub(super) struct Site {
    slot: u64,
    inner: RelPath,
}

/// How many of the new directories are kept open while others are built.
const OPEN_DIRS_MAX: usize = 64;

pub(super) struct Builder<'a> {
    pub(super) stage: &'a Stage,
    pub(super) sites: HashMap<RelPath, Site>,
    dirs: HashMap<RelPath, Dir>,
    /// The records of new entries that have several names, by the first of them.
    pub(super) twins: HashMap<RelPath, usize>,
    pub(super) material: Material,
    /// The first large files, their number, and whether one of them stands inside a new directory.
    large: Vec<Staged>,
    large_count: usize,
    pub(super) nested: bool,
    /// Whether files at whose path something is mounted are rewritten in place, and whether there was one.
    pub(super) rewrites: bool,
    pub(super) imaged: bool,
    /// Whether small files get their time of modification from us; see [`STAMPS_MAX`].
    stamps: bool,
}

impl Material {
    /// Makes everything that is new. On an error, what was made is removed again.
    pub(super) fn make(
        stage: &Stage,
        base: &Base,
        difference: Vec<Difference>,
        (durability, mounted): (Durability, MountedFiles),
    ) -> Result<Self> {
        let count = difference.len();
        let (intents, paths) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let material = Self { intents, paths, slots: Vec::new(), is_barrier: false };
        let mut builder = Builder {
            stage,
            sites: HashMap::new(),
            dirs: HashMap::new(),
            twins: HashMap::new(),
            material,
            large: Vec::new(),
            large_count: 0,
            nested: false,
            rewrites: mounted == MountedFiles::RewriteInPlace,
            imaged: false,
            stamps: count <= STAMPS_MAX && stage.keeps_times(),
        };
        let made = builder.build(base, difference).and_then(|()| builder.sync(durability));
        match made {
            Ok(()) => Ok(builder.material),
            Err(error) => {
                builder.material.discard(stage);
                Err(error)
            }
        }
    }

    /// Removes what stands in the stage.
    fn discard(&self, stage: &Stage) {
        for slot in &self.slots {
            stage.discard(*slot);
        }
    }
}

impl Builder<'_> {
    fn build(&mut self, base: &Base, difference: Vec<Difference>) -> Result<()> {
        // All slots that hold contents already are ours to remove from here on, whatever fails.
        for change in &difference {
            if let Wanted::New(Fresh { node: NewNode { body: NewBody::File(Content::Staged(staged)), .. }, .. }) =
                &change.goal
            {
                self.material.slots.push(staged.slot);
            }
        }
        for change in difference {
            fits(&change)?;
            self.material.is_barrier |=
                change.shared || matches!(change.goal, Wanted::Moved { .. } | Wanted::Linked { .. });
            let goal = match change.goal {
                Wanted::Absent => Goal::Absent,
                Wanted::Emptied => Goal::Emptied,
                Wanted::Kept => Goal::Kept,
                Wanted::Moved { from, identity } => {
                    // What was taken into the stage has contents that no record holds.
                    self.nested |= is_own(&from);
                    Goal::Moved { from: PathBytes::from(&from), identity }
                }
                Wanted::Linked { from, identity } => Goal::New(self.link(base, &change.path, &from, identity)?),
                Wanted::Twin { of, inside } => {
                    let made = self.twin(&change.path, &of, inside);
                    Goal::New(made.map_err(Error::io("stage", &change.path))?)
                }
                Wanted::New(fresh) => {
                    let mounted = match change.base.as_ref().filter(|_| self.may_be_rewritten(change.prior, &fresh)) {
                        Some(standing) => base.mounted("rewrite", standing)?,
                        None => None,
                    };
                    if fresh.has_twins {
                        self.twins.insert(change.path.clone(), self.material.intents.len());
                    }
                    let new = self.entry(&change.path, fresh).map_err(Error::io("stage", &change.path))?;
                    match mounted {
                        Some(file) => Goal::Rewritten { new, image: self.image(&change.path, &file)? },
                        None => Goal::New(new),
                    }
                }
            };
            self.material.intents.push(Record::Intent(Intent {
                path: PathBytes::from(&change.path),
                base: change.base.as_ref().map(PathBytes::from),
                prior: change.prior,
                goal,
                look: change.look,
            }));
            self.material.paths.push(change.path);
        }
        Ok(())
    }

    fn entry(&mut self, path: &RelPath, fresh: Fresh) -> io::Result<New> {
        let Fresh { node: NewNode { body, attributes }, inside, .. } = fresh;
        let (at, name, slot, inner) = self.site(path, inside)?;
        let Attributes { mode, owner, .. } = attributes;
        // Times that are set anyway are set, and asked for, later.
        let stamped = self.stamps && attributes.accessed.is_none() && attributes.modified.is_none();
        let look = Look { mode, owner, xattrs: &attributes.xattrs, stamped };
        let disk = self.stage.disk();
        let (meta, body) = match body {
            NewBody::Dir => {
                let look = Look { mode: look.mode.map(open_bits), ..look };
                let meta = make(disk, &at, &name, Filling::Dir, look)?;
                let dir = disk.open_dir(&at, &RelPath::root().join(&name))?;
                self.keep(path, dir);
                self.sites.insert(path.clone(), Site { slot, inner: inner.clone() });
                return self.new_dir(slot, &inner, (&at, &name), meta, &attributes);
            }
            NewBody::Symlink(target) => {
                (make(disk, &at, &name, Filling::Symlink(&target), look)?, Body::Symlink(target.as_bytes().to_vec()))
            }
            NewBody::File(Content::Memory(bytes)) => {
                (make(disk, &at, &name, Filling::File(&bytes), look)?, Body::Inline(bytes))
            }
            NewBody::File(Content::Staged(staged)) => {
                let own = staged.slot;
                let meta = self.adopt(staged, (&at, &name, inside), &attributes)?;
                // A file that stands alone keeps the slot it was written in.
                let (slot, name) = if inside { (slot, name) } else { (own, slot_name(own)) };
                let (meta, times) = ask(self.stage.disk(), &at, &name, meta, asked(&attributes))?;
                return Ok(record(slot, &inner, (&meta, times), &attributes, Body::Staged));
            }
        };
        let (meta, times) = ask(disk, &at, &name, meta, asked(&attributes))?;
        Ok(record(slot, &inner, (&meta, times), &attributes, body))
    }

    /// A new directory gets the owner it shall have now; times, and bits that keep its owner from filling it, once it stands
    /// in the tree with all that is in it.
    fn new_dir(
        &self,
        slot: u64,
        inner: &RelPath,
        (at, name): (&Dir, &OsString),
        meta: Meta,
        attributes: &Attributes,
    ) -> io::Result<New> {
        let asked = Asked { times: (None, None), mode: attributes.mode.map(open_bits), ..asked(attributes) };
        let (meta, _) = ask(self.stage.disk(), at, name, meta, asked)?;
        let prior = Times { accessed: meta.accessed, modified: meta.modified };
        let to = Times {
            accessed: attributes.accessed.unwrap_or(prior.accessed),
            modified: attributes.modified.unwrap_or(prior.modified),
        };
        let times = (attributes.accessed.is_some() || attributes.modified.is_some()).then_some(Change { to, prior });
        let meta = Meta { mode: attributes.mode.unwrap_or(meta.mode), ..meta };
        Ok(record(slot, inner, (&meta, times), attributes, Body::Dir))
    }

    /// Where the entry at `path` is to be made: inside the new directory above it, or in a slot of its own.
    pub(super) fn site(&mut self, path: &RelPath, inside: bool) -> io::Result<(Dir, OsString, u64, RelPath)> {
        let (parent, name) = path.split().ok_or(io::ErrorKind::InvalidInput)?;
        if inside {
            let dir = self.dir(&parent)?;
            let site = self.sites.get(&parent).ok_or(io::ErrorKind::NotFound)?;
            return Ok((dir, name.to_os_string(), site.slot, site.inner.join(name)));
        }
        let slot = self.stage.slot();
        self.material.slots.push(slot);
        Ok((self.stage.dir().clone(), slot_name(slot), slot, RelPath::root()))
    }

    /// A new directory; opened again where too many others were since. Level by level: a path
    /// may be as long as the system takes, and a slot's name longer than the one it stands for.
    pub(super) fn dir(&mut self, path: &RelPath) -> io::Result<Dir> {
        if let Some(dir) = self.dirs.get(path) {
            return Ok(dir.clone());
        }
        let site = self.sites.get(path).ok_or(io::ErrorKind::NotFound)?;
        let top = RelPath::root().join(slot_name(site.slot));
        let mut dir = self.stage.disk().open_dir(self.stage.dir(), &top)?;
        for name in site.inner.components() {
            dir = self.stage.disk().open_dir(&dir, &RelPath::root().join(name))?;
        }
        self.keep(path, dir.clone());
        Ok(dir)
    }

    fn keep(&mut self, path: &RelPath, dir: Dir) {
        if self.dirs.len() >= OPEN_DIRS_MAX {
            self.dirs.clear();
        }
        self.dirs.insert(path.clone(), dir);
    }

    /// A large file, written to a slot before: it gets its look, and its place inside a new directory.
    fn adopt(&mut self, mut staged: Staged, to: (&Dir, &OsString, bool), attributes: &Attributes) -> io::Result<Meta> {
        let disk = self.stage.disk();
        let Attributes { mode, owner, .. } = *attributes;
        let look = Look { mode, owner, xattrs: &attributes.xattrs, stamped: false };
        let own_name = slot_name(staged.slot);
        if self.large.len() < SYNCS_MAX {
            // Now: with the bits that it gets, this process may not be able to open it any more.
            staged.open()?;
        }
        let meta = finish(disk, self.stage.dir(), &own_name, disk.stat(self.stage.dir(), &own_name)?, look)?;
        let (at, name, inside) = to;
        if inside {
            disk.rename(self.stage.dir(), &own_name, at, name, Rename::NoReplace)?;
            self.nested = true;
        }
        self.large_count += 1;
        if self.large.len() < SYNCS_MAX {
            self.large.push(staged);
        }
        Ok(meta)
    }

    /// Makes durable what no journal record will hold: large contents, and the names they stand under. Under
    /// [`Durability::Tree`], all contents: a name in the tree must never lead to contents that are not on the disk.
    fn sync(&self, durability: Durability) -> Result<()> {
        let all = durability == Durability::Tree && !self.material.slots.is_empty();
        if self.large.is_empty() && !self.nested && !all && !self.imaged {
            return Ok(());
        }
        let disk = self.stage.disk();
        let io = |source| Error::from_os("sync", self.stage.path_of(0), source);
        if all || self.nested || self.large_count > SYNCS_MAX {
            return disk.sync_all(self.stage.dir()).map_err(io);
        }
        for staged in &self.large {
            staged.reopen().and_then(|file| disk.sync_file(&file)).map_err(io)?;
        }
        self.stage.sync_names().map_err(io)
    }
}

/// That recovery can read the paths of a change. Directories that move take what is in them further down than a path
/// reaches.
fn fits(change: &Difference) -> Result<()> {
    let from = match &change.goal {
        Wanted::Moved { from, .. } | Wanted::Linked { from, .. } => Some(from),
        _ => None,
    };
    match [Some(&change.path), change.base.as_ref(), from].into_iter().flatten().find(|path| !path.fits()) {
        Some(path) => Err(Error::InvalidPath { path: path.to_path(), source: BadPath::TooLong }),
        None => Ok(()),
    }
}

fn asked(attributes: &Attributes) -> Asked {
    let times = (attributes.accessed, attributes.modified);
    Asked { owner: attributes.given, mode: attributes.mode, times }
}

pub(super) fn record(
    slot: u64,
    inner: &RelPath,
    (meta, times): (&Meta, Option<Change<Times>>),
    attributes: &Attributes,
    body: Body,
) -> New {
    New {
        slot,
        inner: PathBytes::from(inner),
        identity: meta.identity(),
        mode: meta.mode,
        uid: meta.uid,
        gid: meta.gid,
        xattrs: attributes.xattrs.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.clone())).collect(),
        times,
        body,
    }
}
