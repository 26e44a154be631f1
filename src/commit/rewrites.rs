//! Files that are rewritten in place, as something is mounted at their path: their undo images, and the rewriting.

use treewal_journal::record::{Goal, Intent, New};
use treewal_recovery::look::Attributes;
use treewal_recovery::plan::{Ground, Place};
use treewal_recovery::rewrite::{Contents, present, rewrite, wanted};
use treewal_vfs::{File, Identity, Kind, RelPath, copy_contents};

use super::materialize::Builder;
use crate::transaction::{Fresh, NewBody};
use crate::{Error, Result};

/// One file to rewrite, and how it was.
pub(super) struct Rewrite {
    path: RelPath,
    prior: Option<Identity>,
    new: New,
    /// Where the new contents stand that no record holds ..
    staged: Place,
    /// .. and where the old ones do.
    image: Place,
    /// The attributes that it had; `None` until it is touched.
    before: Option<Attributes>,
}

impl Rewrite {
    /// What an intent rewrites, with the slots that are of no use once that is done.
    pub(super) fn of(stage: &str, path: &RelPath, intent: &Intent) -> Option<(Self, [u64; 2])> {
        let Goal::Rewritten { new, image } = &intent.goal else { return None };
        let place = |slot| Place::slot(stage, slot, &RelPath::root());
        let rewrite = Self {
            path: path.clone(),
            prior: intent.prior,
            new: new.clone(),
            staged: place(new.slot),
            image: place(*image),
            before: None,
        };
        Some((rewrite, [new.slot, *image]))
    }

    /// Rewrites the file, once more after a look whether it is the one that the transaction saw.
    pub(super) fn take(&mut self, ground: &mut Ground<'_>) -> Result<()> {
        let place = Place::tree(self.path.clone());
        let io = |verb| Error::io(verb, &self.path);
        let found = ground.stat(&place).map_err(io("look at"))?.map(|meta| meta.identity());
        if found != self.prior {
            let detail = "somebody changed it before it was rewritten".to_owned();
            return Err(Error::Conflict { path: self.path.to_path(), detail });
        }
        let contents = Contents::of(ground, &self.new, &self.staged).map_err(io("rewrite"))?;
        let (dir, name) = ground.split(&place).map_err(io("rewrite"))?;
        let wanted = wanted(&self.new);
        self.before = Some(present(ground.disk(), (&dir, name), &wanted).map_err(io("look at"))?);
        rewrite(ground.disk(), (&dir, name), &contents, &wanted).map_err(io("rewrite"))
    }

    /// Rewrites it from its undo image, where it was touched.
    pub(super) fn undo(&self, ground: &mut Ground<'_>) -> Result<()> {
        let Some(before) = &self.before else { return Ok(()) };
        let place = Place::tree(self.path.clone());
        let io = |verb| Error::io(verb, &self.path);
        let contents = Contents::at(ground, &self.image).map_err(io("put back"))?;
        let (dir, name) = ground.split(&place).map_err(io("put back"))?;
        rewrite(ground.disk(), (&dir, name), &contents, before).map_err(io("put back"))
    }
}

impl Builder<'_> {
    /// Whether a new entry can take the place of what stands there without a rename: a file that of a file, under one name.
    pub(super) fn may_be_rewritten(&self, prior: Option<Identity>, fresh: &Fresh) -> bool {
        self.rewrites
            && !fresh.inside
            && !fresh.has_twins
            && matches!(fresh.node.body, NewBody::File(_))
            && prior.is_some_and(|prior| prior.kind == Kind::File)
    }

    /// Makes the undo image of a file, durable but for its name. Gives its slot.
    pub(super) fn image(&mut self, path: &RelPath, file: &File) -> Result<u64> {
        let (slot, image) = self.stage.create_file()?;
        self.material.slots.push(slot);
        self.material.is_barrier = true;
        self.imaged = true;
        let disk = self.stage.disk();
        let copied = copy_contents(disk, file, &image).and_then(|_| disk.sync_file(&image));
        copied.map(|()| slot).map_err(Error::io("keep what is in", path))
    }
}
