//! What a merge leaves: a directory that stays and gets what another has.

use std::io::ErrorKind;

use treewal_vfs::{Kind, RelPath};

use crate::call::is_as_it_began;
use crate::memory::{Memory, No};
use crate::seen::Entry;

impl Memory {
    /// Merges a path into another, in a transaction that began on `start`. Gives what was found to be the same already;
    /// `None` where the model does not know what comes of it.
    pub(crate) fn merge(
        &mut self,
        start: &Self,
        from: &RelPath,
        to: &RelPath,
        keep: bool,
    ) -> Option<Result<Vec<RelPath>, No>> {
        if from == to {
            return Some(Ok(Vec::new()));
        }
        if from.starts_with(to) || to.starts_with(from) {
            return Some(Err(ErrorKind::InvalidInput.into()));
        }
        let is_link = |path: &RelPath| self.is(path, Kind::Symlink);
        let above = |path: &RelPath| std::iter::successors(path.parent(), RelPath::parent).any(|dir| is_link(&dir));
        if above(from) || above(to) {
            return Some(Err(No::Refused));
        }
        let source = self.clone();
        self.merge_of((start, start.next), (&source, from), to, keep)
    }

    /// The same of another tree. What has a number beyond `last` was made in this transaction.
    pub(crate) fn merge_of(
        &mut self,
        (start, last): (&Self, u64),
        (source, from): (&Self, &RelPath),
        to: &RelPath,
        keep: bool,
    ) -> Option<Result<Vec<RelPath>, No>> {
        let top = match source.there(from) {
            Ok(found) => found.clone(),
            Err(no) => return Some(Err(no)),
        };
        let there = match self.look(to) {
            Ok(found) => found.cloned(),
            Err(no) => return Some(Err(no)),
        };
        match there.map(|there| there.kind) {
            Some(Kind::Dir) if top.kind != Kind::Dir => return Some(Err(ErrorKind::IsADirectory.into())),
            Some(kind) if top.kind == Kind::Dir && kind != Kind::Dir => {
                return Some(Err(ErrorKind::NotADirectory.into()));
            }
            // By itself it keeps its attributes.
            Some(Kind::File) if top.kind == Kind::File => {
                if self.at(to).is_some_and(|there| there.contents == top.contents) {
                    let same = is_as_it_began(start, self, to).then(|| to.clone());
                    return Some(Ok(same.into_iter().collect()));
                }
                return Some(self.write(to, top.contents).map(|()| Vec::new()));
            }
            _ => {}
        }
        let mut same = Vec::new();
        for path in source.beneath(from) {
            let at = to.join_path(&path.strip_prefix(from).unwrap());
            let fresh = source.names[&path] > last;
            match self.merge_one(&source.nodes[&source.names[&path]], &at, fresh)? {
                Err(no) => return Some(Err(no)),
                Ok(Merged::Same) if is_as_it_began(start, self, &at) => same.push(at),
                Ok(Merged::New) if source.unset.contains(&source.names[&path]) => {
                    self.unset.insert(self.next);
                }
                Ok(_) => {}
            }
        }
        if top.kind == Kind::Dir && !keep {
            let is_managed = |path: &RelPath| source.at(&from.join_path(&path.strip_prefix(to).unwrap())).is_some();
            for path in self.beneath(to) {
                if !is_managed(&path) {
                    self.cut(&path);
                }
            }
        }
        Some(Ok(same))
    }

    fn merge_one(&mut self, entry: &Entry, at: &RelPath, fresh: bool) -> Option<Result<Merged, No>> {
        let there = self.at(at).filter(|there| there.kind == entry.kind);
        let stays = there.filter(|there| match entry.kind {
            Kind::File => there.contents == entry.contents,
            Kind::Symlink => there.target == entry.target,
            _ => true,
        });
        let Some(there) = stays else {
            if !matches!(entry.kind, Kind::File | Kind::Symlink | Kind::Dir) {
                return Some(Err(ErrorKind::Unsupported.into()));
            }
            self.cut(at);
            self.put(at, entry.clone());
            return Some(Ok(Merged::New));
        };
        let looks = |entry: &Entry| (entry.mode, entry.owner, entry.xattrs.clone());
        if looks(there) != looks(entry) {
            // What was made in this transaction has no attributes yet; those of a file are those of all its names.
            if fresh || self.links(at) > 1 {
                return None;
            }
            let (mode, owner, xattrs) = looks(entry);
            let stays = self.nodes.get_mut(&self.names[at]).unwrap();
            (stays.mode, stays.owner, stays.xattrs) = (mode, owner, xattrs);
            self.unset.remove(&self.names[at]);
        }
        // A directory is compared by what is in it.
        Some(Ok(if matches!(entry.kind, Kind::File | Kind::Symlink) { Merged::Same } else { Merged::Stays }))
    }
}

/// What became of one entry.
enum Merged {
    New,
    Same,
    Stays,
}
