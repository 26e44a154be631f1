//! A conversation takes the place of its last version.
//!
//! The new version is prepared as a directory of its own, inside the transaction: it lies nowhere until the commit, so no
//! crash leaves it behind. Then it is published over the old one, either way as a whole and keeping what the user has there:
//!
//! * [`Publish::exchange`]: one exchange of two names, whatever the number of files. It is another directory afterwards.
//!   What else the user has there follows in renames of their own, and is missing for a moment.
//! * [`Publish::merge`]: the directory stays, with the shells and watchers in it; what is the same keeps its time, and no
//!   path is ever missing.

use std::path::Path;

use treewal::{Publish, Transaction};

use super::conversation::{CONFIG, Conversation, to_json};
use super::store::{LIVE, Result};

pub(crate) fn persist(tx: &mut Transaction, conversation: &Conversation, dir: &Path, how: Publish) -> Result<()> {
    let prepared = Path::new(LIVE).join(".prepared");
    tx.create_dir(&prepared)?;
    for (name, bytes) in conversation.files()? {
        tx.write(prepared.join(name), bytes)?;
    }
    // The user's from the first time on, but a part of every version: readers are never without it.
    if tx.exists(dir.join(CONFIG))? {
        tx.copy(dir.join(CONFIG), prepared.join(CONFIG))?;
    } else {
        tx.write(prepared.join(CONFIG), to_json(&serde_json::json!({ "style": "plain" }))?)?;
    }
    tx.publish_with(how.keep_unmanaged(true), &prepared, dir)?;
    // A merge only reads what it merges.
    if tx.exists(&prepared)? {
        tx.remove_dir_all(&prepared)?;
    }
    Ok(())
}
