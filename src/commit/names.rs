//! Materializing further names: of entries that stand in the tree, and of new ones.

use std::io;

use treewal_journal::record::{Body, Goal, Intent, New, PathBytes, Record};
use treewal_vfs::{Identity, RelPath};

use super::materialize::{Builder, record};
use crate::engine::slot_name;
use crate::transaction::{Attributes, Base, split};
use crate::{Error, Result};

impl Builder<'_> {
    /// Another name of an entry that stands in the tree.
    pub(super) fn link(&mut self, base: &Base, path: &RelPath, from: &RelPath, identity: Identity) -> Result<New> {
        // What takes its place stays where it is: the new name is another slot's, or inside a new directory.
        let inside = path.parent().is_some_and(|parent| self.sites.contains_key(&parent));
        let (at, name, slot, inner) = self.site(path, inside).map_err(Error::io("stage", path))?;
        let (parent, original) = split("link to", from)?;
        let dir = base.dir("link to", &parent)?;
        let disk = self.stage.disk();
        let linked = disk.hard_link(&dir, &original, &at, &name).and_then(|()| disk.stat(&at, &name));
        let meta = linked.map_err(Error::io("link to", from))?;
        if meta.identity() != identity {
            let detail = "what stands here has changed since the transaction looked".to_owned();
            return Err(Error::Conflict { path: from.to_path(), detail });
        }
        let body = Body::Link { from: PathBytes::from(from) };
        Ok(record(slot, &inner, (&meta, None), &Attributes::default(), body))
    }

    /// Another name of a new entry: its record has all that the first one has, as any of the names may be all that a later
    /// transaction leaves.
    pub(super) fn twin(&mut self, path: &RelPath, of: &RelPath, inside: bool) -> io::Result<New> {
        let first = self.twins.get(of).and_then(|index| self.material.intents.get(*index));
        let Some(Record::Intent(Intent { goal: Goal::New(first), .. })) = first else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let first = first.clone();
        let (from, from_name) = match of.split() {
            Some((parent, name)) if !first.inner.0.is_empty() => (self.dir(&parent)?, name.to_os_string()),
            _ => (self.stage.dir().clone(), slot_name(first.slot)),
        };
        let (at, name, slot, inner) = self.site(path, inside)?;
        self.stage.disk().hard_link(&from, &from_name, &at, &name)?;
        self.nested |= inside && matches!(first.body, Body::Staged);
        Ok(New { slot, inner: PathBytes::from(&inner), ..first })
    }
}
