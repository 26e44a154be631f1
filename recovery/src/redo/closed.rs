//! Paths that this process may not reach, because another user has closed a directory since the commit. What is wanted there
//! cannot be had, and must not keep other paths from what they are owed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind::PermissionDenied;
use std::path::Path;

use treewal_journal::record::Goal;
use treewal_vfs::RelPath;

use super::unseen::Records;
use super::{Part, Redo, Redone, Wish, attempt, compose};
use crate::home::{DIR_NAME, Home};
use crate::plan::{Ground, Place};
use crate::{Error, Result};

pub(super) const CLOSED: &str =
    "this process may not reach it: open its directory to this user, and put there what is kept here";

/// So many single paths are given up before a directory that refuses them is given up as a whole.
const SINGLE_MAX: usize = 16;

/// What is closed: these paths, and all beneath them.
#[derive(Debug, Default)]
pub(super) struct Closed(BTreeSet<RelPath>);

impl Closed {
    fn keeps_from(&self, wish: &Wish) -> bool {
        let from = match &wish.goal {
            Goal::Moved { from, .. } => from.to_path().ok(),
            _ => None,
        };
        let paths = [Some(&wish.path), wish.base.as_ref(), from.as_ref()];
        paths.into_iter().flatten().any(|path| self.0.iter().any(|closed| path.starts_with(closed)))
    }

    /// Learns from an error which path is closed. `false` where the error is another one, or nothing more is to be learnt
    /// from it: then the redo is owed.
    pub(super) fn learn(&mut self, error: &Error, ground: &mut Ground<'_>, wishes: &[Wish]) -> bool {
        let Some(path) = refused(error) else { return false };
        let may_look = ground.stat(&Place::tree(path.clone())).is_ok();
        let above = path.parent().unwrap_or_default();
        let closed = if may_look && self.0.len() < SINGLE_MAX { path } else { above };
        let is_new = |this: &Self, wish: &&Wish| this.keeps_from(wish) && !self.keeps_from(wish);
        let mut closer = Self(self.0.clone());
        closer.0.insert(closed.clone());
        if !wishes.iter().any(|wish| is_new(&closer, &wish)) {
            // It is in something that is to go or to be replaced.
            let around = wishes.iter().rfind(|wish| closed.starts_with(&wish.path) && !self.keeps_from(wish));
            let Some(around) = around else { return false };
            closer.0.insert(around.path.clone());
        }
        tracing::warn!(path = %closed, "recovery may not reach this path, and leaves it as it is");
        *self = closer;
        true
    }
}

/// The path of the tree that an error is about, where it says that this process may not do something there.
fn refused(error: &Error) -> Option<RelPath> {
    let Error::Io { path, source, .. } = error else { return None };
    let is_own = path.starts_with(Path::new(DIR_NAME));
    if source.kind() != PermissionDenied || is_own { None } else { RelPath::new(path).ok() }
}

/// Brings the tree to what `parts` say. Of a `copied` tree, nothing is known by its inode.
///
/// # Errors
/// Any error of the disk; running it again goes on where it stopped.
pub fn redo(home: &Home, parts: &[Part<'_>], copied: bool) -> Result<Redone> {
    let wishes = compose(parts).map_err(|bad| Error::Store {
        path: ".treewal/journal".into(),
        reason: format!("a record names a path outside the tree: {bad}"),
    })?;
    let records = Records::of(parts);
    let mut closed = Closed::default();
    // Of all tries: what one has kept, the next one does not find again.
    let mut kept_first = BTreeMap::new();
    loop {
        let mut ground = Ground::new(&*home.disk, home.root.clone()).doubting(home.is_in_doubt()?);
        ground.open_closed();
        // Each try is as good as a recovery that was cut short and came again.
        match attempt(home, ground, (&wishes, copied), (&records, &closed), &mut kept_first) {
            Err(error) => {
                let mut ground = Ground::new(&*home.disk, home.root.clone());
                ground.open_closed();
                if !closed.learn(&error, &mut ground, &wishes) {
                    return Err(error);
                }
            }
            Ok(redone) => return Ok(Redone { kept_first, ..redone }),
        }
    }
}

impl Redo<'_> {
    /// Whether a wish is out of reach; it is then left, with what it holds.
    pub(super) fn is_out_of_reach(&mut self, wish: &Wish, closed: &Closed) -> Result<bool> {
        let is_closed = closed.keeps_from(wish);
        if is_closed {
            self.supersede(wish, CLOSED)?;
        }
        Ok(is_closed)
    }
}
