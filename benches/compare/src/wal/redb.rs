//! redb: for scale. One durable write transaction for each record; writers wait for one another.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::{Database, TableDefinition};

use crate::Result;
use crate::contestant::Log;

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");

pub(crate) struct Redb {
    database: Database,
    next: AtomicU64,
}

impl Redb {
    pub(crate) fn new(dir: &Path) -> Result<Self> {
        Ok(Self { database: Database::create(dir.join("db"))?, next: AtomicU64::new(0) })
    }
}

impl Log for Redb {
    fn commit(&self, _thread: usize, record: &[u8]) -> Result {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let transaction = self.database.begin_write()?;
        transaction.open_table(TABLE)?.insert(number, record)?;
        transaction.commit()?;
        Ok(())
    }
}
