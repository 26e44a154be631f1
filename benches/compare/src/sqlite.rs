//! SQLite, as what many a program would take instead of files: the contents of the tree as rows of a table, a change set as
//! one transaction.

use rusqlite::Connection;

use crate::Result;
use crate::contestant::Contestant;
use crate::tree::Tree;
use crate::work::{DIRS, FILES, Write, change_set};

/// The database lies in the tree, whose files nobody uses.
pub(crate) struct Sqlite {
    tree: Tree,
    connection: Connection,
}

impl Sqlite {
    /// A table of as many blobs as the tree has files, all of it in the database itself.
    pub(crate) fn new(tree: Tree) -> Result<Self> {
        let connection = Connection::open(tree.path.join("db"))?;
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0))?;
        if mode != "wal" {
            return Err(format!("SQLite keeps its journal as {mode:?}").into());
        }
        connection.execute_batch(
            "PRAGMA synchronous = FULL; CREATE TABLE files (path TEXT PRIMARY KEY, contents BLOB NOT NULL)",
        )?;
        let mut made = Self { tree, connection };
        made.commit(&change_set(DIRS * FILES, 0))?;
        made.settle()?;
        Ok(made)
    }
}

impl Contestant for Sqlite {
    fn commit(&mut self, set: &[Write]) -> Result {
        let transaction = self.connection.transaction()?;
        {
            let mut statement = transaction.prepare_cached(
                "INSERT INTO files VALUES (?1, ?2) ON CONFLICT (path) DO UPDATE SET contents = excluded.contents",
            )?;
            for write in set {
                statement.execute((write.path.to_string_lossy(), &write.contents))?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn settle(&mut self) -> Result {
        Ok(self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?)
    }

    fn tree(&self) -> &Tree {
        &self.tree
    }

    fn check(&self, set: &[Write]) -> Result {
        let mut statement = self.connection.prepare_cached("SELECT contents FROM files WHERE path = ?1")?;
        for write in set {
            let found: Vec<u8> = statement.query_row((write.path.to_string_lossy(),), |row| row.get(0))?;
            if found != write.contents {
                return Err(format!("{:?} does not hold what was committed", write.path).into());
            }
        }
        Ok(())
    }

    fn end(self: Box<Self>) -> Tree {
        self.tree
    }
}
