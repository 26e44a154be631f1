//! Files become conversations: each in a transaction of its own, or all of them in one.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use treewal::Transaction;

use super::conversation::{Conversation, Event};
use super::store::{Error, Result, Store};

/// Imports files. What was imported before is changed where the file has changed, and untouched where it has not.
pub(crate) fn import(
    store: &Store,
    files: &[PathBuf],
    together: bool,
    mut imported: impl FnMut(&Path, &str),
) -> Result<()> {
    let import = |tx: &mut Transaction, file: &Path| {
        let conversation = conversation(file)?;
        store.persist(tx, &conversation)?;
        Ok(conversation.metadata.number)
    };
    if together {
        let numbers = store.change(|tx| files.iter().map(|file| import(tx, file)).collect::<Result<Vec<_>>>())?;
        files.iter().zip(&numbers).for_each(|(file, number)| imported(file, number));
        return Ok(());
    }
    for file in files {
        let number = store.change(|tx| import(tx, file))?;
        imported(file, &number);
    }
    Ok(())
}

/// The conversation in a file, numbered after its path.
fn conversation(file: &Path) -> Result<Conversation> {
    let bytes = std::fs::read(file).map_err(|source| Error::File { path: file.to_owned(), source })?;
    let text = String::from_utf8_lossy(&bytes);
    let number: String =
        Sha256::digest(file.as_os_str().as_encoded_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let title = text.lines().find_map(|line| line.strip_prefix("# ")).map(str::to_owned);
    let title = title.unwrap_or_else(|| file.file_name().unwrap_or_default().to_string_lossy().into_owned());
    let mut conversation = Conversation::new(number, &title);
    let paragraphs = text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty());
    conversation.events = paragraphs.map(Event::new).collect();
    Ok(conversation)
}
