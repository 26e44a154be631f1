//! Somebody who knows nothing of treewal.

use treewal_vfs::{Disk, Kind, Open, RelPath, Rename, write_all};

use crate::counts;
use crate::memory::rel;
use crate::ops::Op;
use crate::seen::Entry;
use crate::step::Deed;
use crate::world::{Checked, DRAFT, ROOT, World};

/// Contents that no transaction writes.
fn theirs(byte: u8) -> Vec<u8> {
    format!("by somebody else {byte:03}").into_bytes()
}

impl World {
    /// A change outside of any guard, made durable by who made it.
    pub(crate) fn foreign(&mut self, deed: &Deed) -> Checked {
        let (Deed::InPlace(path, _) | Deed::Replace(path, _) | Deed::Remove(path) | Deed::MakeDir(path)) = deed;
        if !self.is_free(&rel(path))? {
            return Ok(());
        }
        if matches!(deed, Deed::Remove(_)) {
            // What somebody removes before the next checkpoint may come back: see docs/guarantees.md.
            let who = self.holder().or_else(|| self.handles.iter().position(Option::is_some)).unwrap_or(0);
            if let Some(handle) = self.handle(who)? {
                handle.tree.checkpoint().map_err(|error| format!("no checkpoint: {error:?}"))?;
            }
        }
        if !self.deed(deed)? {
            return Ok(());
        }
        self.counts.add(format!("foreign {}", counts::deed(deed)));
        self.disk.sync_all(&self.disk.open_root(ROOT.as_ref()).unwrap()).unwrap();
        self.foreign = true;
        self.settled();
        self.becomes(vec![self.state.clone()])
    }

    /// Does it, on the disk and in the model; says whether there was something to do.
    pub(crate) fn deed(&mut self, deed: &Deed) -> Checked<bool> {
        let memory = &mut self.state.memory;
        let reaches = |path: &RelPath| path.parent().is_some_and(|parent| memory.is_dir(&parent));
        let (Deed::InPlace(path, _) | Deed::Replace(path, _) | Deed::Remove(path) | Deed::MakeDir(path)) = deed;
        let at = rel(path);
        if !reaches(&at) {
            return Ok(false);
        }
        let disk = &self.disk;
        let root = disk.open_root(ROOT.as_ref()).unwrap();
        let (parent, name) = at.split().unwrap();
        let dir = disk.open_dir(&root, &parent).unwrap();
        let is_file = memory.is_file(&at);
        match deed {
            Deed::InPlace(_, byte) if is_file => {
                // What quarantine has may be another name of it.
                let is_kept = !self.state.cases.is_empty() && {
                    let found = disk.stat(&dir, name).unwrap();
                    found.links > u64::try_from(memory.links(&at)).unwrap()
                };
                if self.must_replace() || is_kept {
                    return self.deed(&Deed::Replace(path.clone(), *byte));
                }
                let file = disk.open(&dir, name, Open::ReadWrite).unwrap();
                disk.set_len(&file, 0).unwrap();
                write_all(disk, &file, &theirs(*byte), 0).unwrap();
                let memory = &mut self.state.memory;
                let entry = memory.nodes.get_mut(&memory.names[&at]).unwrap();
                (entry.contents, entry.set) = (theirs(*byte), None);
            }
            Deed::InPlace(_, byte) | Deed::Replace(_, byte) => {
                if memory.at(&at).is_some_and(|found| !matches!(found.kind, Kind::File | Kind::Symlink)) {
                    return Ok(false);
                }
                // One that a loss of power has left.
                drop(disk.remove_file(&root, DRAFT.as_ref()));
                let file = disk.open(&root, DRAFT.as_ref(), Open::CreateNew { mode: 0o640 }).unwrap();
                write_all(disk, &file, &theirs(*byte), 0).unwrap();
                disk.rename(&root, DRAFT.as_ref(), &dir, name, Rename::Replace).unwrap();
                let (contents, user) = (theirs(*byte), memory.user);
                let made = Entry {
                    kind: Kind::File,
                    mode: 0o640,
                    contents,
                    target: None,
                    owner: user,
                    xattrs: Vec::new(),
                    set: None,
                };
                memory.put(&at, made);
            }
            Deed::Remove(_) if is_file => {
                disk.remove_file(&dir, name).unwrap();
                memory.take(&Op::RemoveFile(path.clone())).unwrap();
            }
            Deed::Remove(_) => {
                if memory.take(&Op::RemoveDir(path.clone())).is_err() {
                    return Ok(false);
                }
                disk.remove_dir(&dir, name).unwrap();
            }
            Deed::MakeDir(_) => {
                if memory.take(&Op::CreateDir(path.clone())).is_err() {
                    return Ok(false);
                }
                disk.create_dir(&dir, name, 0o755).unwrap();
            }
        }
        Ok(true)
    }
}
