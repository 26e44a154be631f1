//! Materializing: new entries stand complete in the stage before anything is promised, so that a full disk is met here.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;

use treewal_journal::record::{Body, Goal, Intent, New, PathBytes, Record};
use treewal_recovery::make::{Filling, Look, finish, make};
use treewal_vfs::{Dir, Meta, RelPath, Rename};

use crate::engine::{Stage, slot_name};
use crate::transaction::{Attributes, Content, Difference, Fresh, NewBody, NewNode, Staged, Wanted};
use crate::{Durability, Error, Result};

/// Up to this many large files are synced one by one; beyond it, one sync of the file system is cheaper.
const SYNCS_MAX: usize = 4;

/// The intents of a transaction, their new entries standing in the stage.
pub(super) struct Material {
    /// The records of the intents, as they go to the journal; parents before what is in them.
    pub(super) intents: Vec<Record>,
    /// The path of each intent.
    pub(super) paths: Vec<RelPath>,
    /// The slots of the stage that it takes.
    pub(super) slots: Vec<u64>,
}

/// Where a new directory is being built: its slot, its path in it, and its handle.
struct Site {
    slot: u64,
    inner: RelPath,
    dir: Dir,
}

struct Builder<'a> {
    stage: &'a Stage,
    sites: HashMap<RelPath, Site>,
    material: Material,
    /// Large files, and whether one of them stands inside a new directory.
    large: Vec<treewal_vfs::File>,
    nested: bool,
}

impl Material {
    /// Makes everything that is new. On an error, what was made is removed again.
    pub(super) fn make(stage: &Stage, difference: Vec<Difference>, durability: Durability) -> Result<Self> {
        let count = difference.len();
        let material = Self { intents: Vec::with_capacity(count), paths: Vec::with_capacity(count), slots: Vec::new() };
        let mut builder = Builder { stage, sites: HashMap::new(), material, large: Vec::new(), nested: false };
        let made = builder.build(difference).and_then(|()| builder.sync(durability));
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
    fn build(&mut self, difference: Vec<Difference>) -> Result<()> {
        // All slots that hold contents already are ours to remove from here on, whatever fails.
        for change in &difference {
            if let Wanted::New(Fresh { node: NewNode { body: NewBody::File(Content::Staged(staged)), .. }, .. }) =
                &change.goal
            {
                self.material.slots.push(staged.slot);
            }
        }
        for change in difference {
            let goal = match change.goal {
                Wanted::Absent => Goal::Absent,
                Wanted::Kept => Goal::Kept,
                Wanted::Moved { from, identity } => Goal::Moved { from: PathBytes::from(&from), identity },
                Wanted::New(fresh) => {
                    let made = self.entry(&change.path, fresh);
                    Goal::New(made.map_err(Error::io("stage", &change.path))?)
                }
            };
            self.material.intents.push(Record::Intent(Intent {
                path: PathBytes::from(&change.path),
                base: change.base.as_ref().map(PathBytes::from),
                prior: change.prior,
                goal,
                mode: change.mode,
            }));
            self.material.paths.push(change.path);
        }
        Ok(())
    }

    fn entry(&mut self, path: &RelPath, fresh: Fresh) -> io::Result<New> {
        let Fresh { node: NewNode { body, attributes }, inside } = fresh;
        let (at, name, slot, inner) = self.site(path, inside)?;
        let look = Look { mode: attributes.mode, owner: attributes.owner, xattrs: &attributes.xattrs };
        let disk = self.stage.disk();
        let (meta, body) = match body {
            NewBody::Dir => {
                let meta = make(disk, &at, &name, Filling::Dir, look)?;
                let dir = disk.open_dir(&at, &RelPath::root().join(&name))?;
                self.sites.insert(path.clone(), Site { slot, inner: inner.clone(), dir });
                (meta, Body::Dir)
            }
            NewBody::Symlink(target) => {
                (make(disk, &at, &name, Filling::Symlink(&target), look)?, Body::Symlink(target.as_bytes().to_vec()))
            }
            NewBody::File(Content::Memory(bytes)) => {
                (make(disk, &at, &name, Filling::File(&bytes), look)?, Body::Inline(bytes))
            }
            NewBody::File(Content::Staged(staged)) => {
                let meta = self.adopt(staged, (&at, &name, inside), &attributes)?;
                // A file that stands alone keeps the slot it was written in.
                let slot = if inside { slot } else { meta.1 };
                return Ok(record(slot, &inner, &meta.0, &attributes, Body::Staged));
            }
        };
        Ok(record(slot, &inner, &meta, &attributes, body))
    }

    /// Where the entry at `path` is to be made: inside the new directory above it, or in a slot of its own.
    fn site(&mut self, path: &RelPath, inside: bool) -> io::Result<(Dir, OsString, u64, RelPath)> {
        let (parent, name) = path.split().ok_or(io::ErrorKind::InvalidInput)?;
        if inside {
            let site = self.sites.get(&parent).ok_or(io::ErrorKind::NotFound)?;
            return Ok((site.dir.clone(), name.to_os_string(), site.slot, site.inner.join(name)));
        }
        let slot = self.stage.slot();
        self.material.slots.push(slot);
        Ok((self.stage.dir().clone(), slot_name(slot), slot, RelPath::root()))
    }

    /// A large file, written to a slot before: it gets its look, and its place inside a new directory.
    fn adopt(
        &mut self,
        staged: Staged,
        to: (&Dir, &OsString, bool),
        attributes: &Attributes,
    ) -> io::Result<(Meta, u64)> {
        let disk = self.stage.disk();
        let look = Look { mode: attributes.mode, owner: attributes.owner, xattrs: &attributes.xattrs };
        let own_name = slot_name(staged.slot);
        let meta = finish(disk, self.stage.dir(), &own_name, disk.stat_file(&staged.file)?, look)?;
        let (at, name, inside) = to;
        if inside {
            disk.rename(self.stage.dir(), &own_name, at, name, Rename::NoReplace)?;
            self.nested = true;
        }
        self.large.push(staged.file);
        Ok((meta, staged.slot))
    }

    /// Makes durable what no journal record will hold: large contents, and the names they stand under. Under
    /// [`Durability::Tree`], all contents: a name in the tree must never lead to contents that are not on the disk.
    fn sync(&self, durability: Durability) -> Result<()> {
        let all = durability == Durability::Tree && !self.material.slots.is_empty();
        if self.large.is_empty() && !all {
            return Ok(());
        }
        let disk = self.stage.disk();
        let io = |source| Error::from_os("sync", self.stage.path_of(0), source);
        if all || self.nested || self.large.len() > SYNCS_MAX {
            return disk.sync_all(self.stage.dir()).map_err(io);
        }
        for file in &self.large {
            disk.sync_file(file).map_err(io)?;
        }
        self.stage.sync_names().map_err(io)
    }
}

fn record(slot: u64, inner: &RelPath, meta: &Meta, attributes: &Attributes, body: Body) -> New {
    New {
        slot,
        inner: PathBytes::from(inner),
        identity: meta.identity(),
        mode: meta.mode,
        uid: meta.uid,
        gid: meta.gid,
        xattrs: attributes.xattrs.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.clone())).collect(),
        body,
    }
}
