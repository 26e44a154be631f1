//! SQLite: for scale. One connection for all threads: with one each, they sleep in its busy handler.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use crate::Result;
use crate::contestant::Log;

pub(crate) struct Sqlite(Mutex<Connection>);

impl Sqlite {
    pub(crate) fn new(dir: &Path) -> Result<Self> {
        let connection = Connection::open(dir.join("db"))?;
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0))?;
        if mode != "wal" {
            return Err(format!("SQLite keeps its journal as {mode:?}").into());
        }
        connection
            .execute_batch("PRAGMA synchronous = FULL; CREATE TABLE log (id INTEGER PRIMARY KEY, record BLOB)")?;
        Ok(Self(Mutex::new(connection)))
    }
}

impl Log for Sqlite {
    fn commit(&self, _thread: usize, record: &[u8]) -> Result {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connection.prepare_cached("INSERT INTO log (record) VALUES (?1)")?.execute((record,))?;
        Ok(())
    }
}
