//! Renaming, archiving and the trash: a conversation is a directory, so it moves as a whole, with the user's files in it.

use std::path::{Path, PathBuf};

use treewal::Transaction;

use super::conversation::Invalid;
use super::store::{ARCHIVE, Result, Store, TRASH, dirs, find, find_to_change, read};

/// Says why a directory is in the trash.
pub(crate) const REASON: &str = "TRASHED.md";

impl Store {
    pub(crate) fn rename(&self, number: &str, title: &str) -> Result<()> {
        self.change(|tx| {
            let (_, mut conversation) = find_to_change(tx, number)?;
            title.clone_into(&mut conversation.metadata.title);
            self.persist(tx, &conversation)
        })
    }

    pub(crate) fn archive(&self, number: &str) -> Result<()> {
        self.change(|tx| {
            let (dir, conversation) = find(tx, number)?;
            let place = Path::new(ARCHIVE).join(conversation.dir_name());
            if dir != place {
                tx.rename(dir, place)?;
            }
            Ok(())
        })
    }

    /// Moves what is no conversation to the trash; says what went where.
    pub(crate) fn trash_invalid(&self) -> Result<Vec<(PathBuf, PathBuf)>> {
        self.change(|tx| {
            let mut moved = Vec::new();
            for dir in dirs(tx)? {
                match read(tx, &dir) {
                    Ok(_) => {}
                    Err(Invalid::Unreadable(error)) => return Err(error.into()),
                    Err(reason) => {
                        let place = trash(tx, &dir, &reason.to_string())?;
                        moved.push((dir, place));
                    }
                }
            }
            Ok(moved)
        })
    }
}

/// Moves a directory to the trash, under a name that is free there, with the reason beside it.
pub(crate) fn trash(tx: &mut Transaction, dir: &Path, reason: &str) -> Result<PathBuf> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = name.trim_start_matches('.');
    let mut place = Path::new(TRASH).join(name);
    let mut copies = 0;
    while tx.exists(&place)? {
        copies += 1;
        place.set_file_name(format!("{name}-{copies}"));
    }
    tx.rename(dir, &place)?;
    tx.write(place.join(REASON), format!("# In the trash\n\nIt was {:?}: {reason}\n", dir.display().to_string()))?;
    Ok(place)
}
