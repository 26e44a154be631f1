//! Files that are rewritten in place, as something is mounted at their path.
//!
//! | what stands at the path | what is done |
//! |---|---|
//! | the file, holding a mixture of old bytes, new bytes and zeros | it is rewritten; nothing is lost by that |
//! | the file, holding anything else | somebody wrote to it: it stays, and both versions go to quarantine |
//! | another file with the new contents | nothing |
//! | another file with all of the old contents | it is rewritten: the tree was copied |
//! | anything else, such as what lies beneath the mount where nobody has mounted it yet | as for the second |

use treewal_journal::record::New;
use treewal_vfs::{Kind, Open, RelPath};

use super::scene::where_now;
use super::{Contents, Redo, Superseded, Wish};
use crate::look::legible;
use crate::plan::{Place, shown};
use crate::rewrite::{self, Form, form};
use crate::{Error, Result};

const OTHER: &str = "somebody wrote to the file that was to be rewritten in place";
const NOT_MOUNTED: &str = "the file that was to be rewritten in place does not stand here: it may not be mounted";
const IMAGE: &str = "what the file that was to be rewritten in place held before";

impl Redo<'_> {
    pub(super) fn consider_rewritten(&mut self, wish: &Wish, (new, image): (&New, u64)) -> Result<()> {
        let spot = wish.base.as_ref().map(|base| where_now(&self.located, base));
        let spot = spot.unwrap_or_else(|| Place::tree(wish.path.clone()));
        let found = self.ground.stat(&spot).map_err(Error::io("look at", shown(&spot)))?;
        let Some(meta) = found.filter(|meta| meta.kind == Kind::File) else {
            return self.supersede_rewritten(wish, image, NOT_MOUNTED);
        };
        let is_it = wish.known.iter().any(|known| known.same_inode(&meta.identity()));
        match (is_it, self.form_of(&spot, new, (&wish.stage, image))?) {
            (true, Some(Form::Old | Form::New | Form::Torn)) | (false, Some(Form::Old)) => {
                self.rewrites.push((wish.path.clone(), wish.stage.clone(), new.clone()));
                Ok(())
            }
            (false, Some(Form::New)) => Ok(()),
            (true, _) => self.supersede_rewritten(wish, image, OTHER),
            (false, _) => self.supersede_rewritten(wish, image, NOT_MOUNTED),
        }
    }

    /// How the file stands; `None` where its undo image or its new contents are gone.
    fn form_of(&mut self, spot: &Place, new: &New, (stage, image): (&str, u64)) -> Result<Option<Form>> {
        let slot = |slot| Place::slot(stage, slot, &RelPath::root());
        let (image, staged) = (slot(image), slot(new.slot));
        let (old, new) = match (
            rewrite::Contents::at(&mut self.ground, &image),
            rewrite::Contents::of(&mut self.ground, new, &staged),
        ) {
            (Err(error), _) | (_, Err(error)) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            (old, new) => {
                (old.map_err(Error::io("open", shown(&image)))?, new.map_err(Error::io("open", shown(&staged)))?)
            }
        };
        let (dir, name) = self.ground.split(spot).map_err(Error::io("open the directory of", shown(spot)))?;
        let disk = self.ground.disk();
        let file = legible(disk, &dir, name, None, || disk.open(&dir, name, Open::Read));
        let form = file.and_then(|file| form(disk, &file, &old, &new));
        form.map(Some).map_err(Error::io("read", shown(spot)))
    }

    fn supersede_rewritten(&mut self, wish: &Wish, image: u64, reason: &'static str) -> Result<()> {
        self.supersede(wish, reason)?;
        let place = Place::slot(&wish.stage, image, &RelPath::root());
        if self.ground.stat(&place).map_err(Error::io("look at", shown(&place)))?.is_some() {
            let contents = Some(Contents::Staged(place));
            let path = wish.path.clone();
            self.done.superseded.push(Superseded { contents, ..Superseded::of(wish.txn, path, IMAGE) });
        }
        Ok(())
    }

    /// Rewrites the files, once all renames are done.
    pub(super) fn rewrite_all(&mut self) -> Result<u64> {
        let rewrites = std::mem::take(&mut self.rewrites);
        for (path, stage, new) in &rewrites {
            let place = Place::tree(path.clone());
            let staged = Place::slot(stage, new.slot, &RelPath::root());
            let contents = rewrite::Contents::of(&mut self.ground, new, &staged);
            let contents = contents.map_err(Error::io("open", shown(&staged)))?;
            let (dir, name) = self.ground.split(&place).map_err(Error::io("open the directory of", shown(&place)))?;
            let done = rewrite::rewrite(self.ground.disk(), (&dir, name), &contents, &rewrite::wanted(new));
            done.map_err(Error::io("rewrite", shown(&place)))?;
        }
        Ok(rewrites.len() as u64)
    }
}
