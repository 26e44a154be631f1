//! Removing a document: its directory, its row and a line in the log, or nothing.

use std::fs;

use super::base::{Base, Result};

impl Base {
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        let place = self.place(name)?;
        self.change(name, |index| {
            if !index.delete(name)? {
                return Err(format!("there is no document {name:?}").into());
            }
            fs::remove_dir_all(&place)?;
            self.note(&format!("removed {name}"))
        })
    }
}
