//! A tree that was copied while its journal owed something: other inodes, and perhaps other times. Nothing in it is what the
//! journal knows by inode, so what stands where something earlier stood would pass for somebody else's work.
//!
//! There, and only there, what has kind and size of an earlier state is taken for it. That is a guess: so what would be
//! displaced goes to quarantine first, where a report names it, and only then ours takes its place. Should somebody have changed
//! the copy since it was made, to the same length, their bytes are there.
//!
//! | found, where it is neither what is wanted nor known by its inode | taken for |
//! |---|---|
//! | a file or symlink of the size of an earlier state | that one; kept in quarantine first |
//! | a directory whose attributes were to be set, or that was to go as an empty one | that one; it goes only if it holds nothing but what goes |
//! | the file whose attributes were to be set, of the size of that one | that one |
//! | a large file of the size that was wanted, where nothing else can be it | what was wanted |
//! | any other directory, and what moves | somebody else's: left, and reported |

use std::collections::BTreeMap;

use treewal_journal::record::{Body, Goal, New};
use treewal_vfs::{Kind, Meta};

use super::{Contents, Redo, Seen, Superseded, Wish};
use crate::Result;
use crate::home::Home;
use crate::plan::{Area, Place};
use crate::quarantine::Case;

const GUESSED: &str = "the tree was copied, and this was taken for what stood here before the transaction";

impl Redo<'_> {
    /// What something that looks like somebody else's is, in a tree that was copied.
    pub(super) fn guess(&mut self, wish: &Wish, spot: &Place, meta: Meta) -> Result<Seen> {
        let foreign = Seen::Foreign(meta);
        if !self.copied || spot.area != Area::Tree {
            return Ok(foreign);
        }
        let is_prior = wish
            .known
            .iter()
            .any(|known| known.kind == meta.kind && (meta.kind == Kind::Dir || known.size == meta.size));
        Ok(match (&wish.goal, meta.kind) {
            (Goal::Kept, _) if is_prior => Seen::Wanted(meta),
            (Goal::Emptied, Kind::Dir) if is_prior => Seen::Known(meta),
            (Goal::New(new), Kind::File) if self.is_large_copy(new, wish, &meta)? => Seen::Wanted(meta),
            (Goal::New(_) | Goal::Absent, Kind::File | Kind::Symlink) if is_prior => {
                self.guesses.push((wish.txn, wish.path.clone(), Contents::Copied(spot.clone()), GUESSED));
                Seen::Known(meta)
            }
            _ => foreign,
        })
    }

    /// Whether a file in the tree is the large one that was staged, by its size: no earlier state has that, and what stands in
    /// the slot neither.
    fn is_large_copy(&mut self, new: &New, wish: &Wish, meta: &Meta) -> Result<bool> {
        let size = new.identity.size;
        let is_large = matches!(new.body, Body::Staged) && meta.size == size;
        Ok(is_large && wish.known.iter().all(|known| known.size != size) && self.in_slot(new, wish)?.is_none())
    }

    /// Keeps what ours is about to take the place of and cannot be proved to be ours, durably, before the first step.
    pub(super) fn keep_guesses(&mut self, home: &Home, kept_first: &mut BTreeMap<u64, String>) -> Result<()> {
        let mut guesses = std::mem::take(&mut self.guesses);
        guesses.sort_by_key(|(txn, ..)| *txn);
        for all in guesses.chunk_by(|one, other| one.0 == other.0) {
            let Some((txn, ..)) = all.first() else { continue };
            let mut case = Case::open(home, *txn, None)?;
            case.because("redo", "what is not its own and stood where its work belongs was kept first");
            case.say(&format!(
                "transaction {txn} was committed; of these paths, something that is not its own is kept:"
            ));
            for (txn, path, contents, why) in all {
                let contents = Some(contents.clone());
                case.keep(&Superseded { contents, ..Superseded::of(*txn, path.clone(), why) })?;
            }
            kept_first.insert(*txn, case.close()?);
            // Before the first step.
            self.made_again = true;
        }
        Ok(())
    }
}
