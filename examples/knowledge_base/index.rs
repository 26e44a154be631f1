//! The index: an SQLite database, which writes in place and knows nothing of treewal.
//!
//! It syncs nothing by itself: the guard around it makes durable what it wrote, and restores it where that was not to be.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row};

use super::base::Result;

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) name: String,
    /// SHA-256 of the file that it was made of.
    pub(crate) hash: String,
    /// SHA-256 of its text.
    pub(crate) text: String,
    pub(crate) title: String,
    pub(crate) bytes: u64,
}

pub(crate) struct Index(Connection);

impl Index {
    pub(crate) fn make(file: &Path) -> Result<()> {
        let connection = Connection::open(file)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.execute_batch(
            "CREATE TABLE document (
                name TEXT PRIMARY KEY, hash TEXT UNIQUE NOT NULL, text TEXT NOT NULL, title TEXT NOT NULL, bytes INTEGER NOT NULL
            ) STRICT",
        )?;
        Self(connection).close()
    }

    pub(crate) fn open(file: &Path) -> Result<Self> {
        let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        Ok(Self(connection))
    }

    /// Closes the files, and says so where that fails.
    pub(crate) fn close(self) -> Result<()> {
        self.0.close().map_err(|(_, error)| error.into())
    }

    pub(crate) fn insert(&self, document: &Document) -> Result<()> {
        let _span = tracing::debug_span!("index").entered();
        let Document { name, hash, text, title, bytes } = document;
        let bytes = i64::try_from(*bytes)?;
        self.0.execute("INSERT INTO document VALUES (?, ?, ?, ?, ?)", (name, hash, text, title, bytes))?;
        Ok(())
    }

    /// Whether there was such a row.
    pub(crate) fn delete(&self, name: &str) -> Result<bool> {
        Ok(self.0.execute("DELETE FROM document WHERE name = ?", [name])? > 0)
    }

    pub(crate) fn knows(&self, hash: &str) -> Result<bool> {
        Ok(self.0.query_row("SELECT EXISTS (SELECT 1 FROM document WHERE hash = ?)", [hash], |row| row.get(0))?)
    }

    pub(crate) fn hashes(&self) -> Result<HashSet<String>> {
        let mut select = self.0.prepare("SELECT hash FROM document")?;
        let hashes = select.query_map([], |row| row.get(0))?;
        Ok(hashes.collect::<rusqlite::Result<_>>()?)
    }

    pub(crate) fn documents(&self) -> Result<Vec<Document>> {
        let mut select = self.0.prepare("SELECT name, hash, text, title, bytes FROM document ORDER BY name")?;
        let documents = select.query_map([], document)?;
        Ok(documents.collect::<rusqlite::Result<_>>()?)
    }

    /// What SQLite finds wrong with its own files: `ok`.
    pub(crate) fn integrity(&self) -> Result<String> {
        Ok(self.0.query_row("PRAGMA integrity_check", [], |row| row.get(0))?)
    }
}

fn document(row: &Row<'_>) -> rusqlite::Result<Document> {
    let bytes: i64 = row.get(4)?;
    let bytes = u64::try_from(bytes).unwrap_or_default();
    Ok(Document { name: row.get(0)?, hash: row.get(1)?, text: row.get(2)?, title: row.get(3)?, bytes })
}
