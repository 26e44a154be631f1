//! wal-db: one file that grows; threads share syncs.

use std::path::{Path, PathBuf};

use wal_db::Wal;

use crate::Result;
use crate::contestant::Log;
use crate::scans::Seen;

pub(crate) struct WalDb(Wal);

impl WalDb {
    pub(crate) fn new(dir: &Path) -> Result<Self> {
        Ok(Self(Wal::open(file(dir))?))
    }
}

fn file(dir: &Path) -> PathBuf {
    dir.join("log")
}

impl Log for WalDb {
    fn commit(&self, _thread: usize, record: &[u8]) -> Result {
        Ok(self.0.append_and_sync(record).map(drop)?)
    }

    fn append(&self, record: &[u8]) -> Result {
        Ok(self.0.append(record).map(drop)?)
    }

    fn sync(&self) -> Result {
        Ok(self.0.sync()?)
    }
}

/// Opens the log in `dir`, which reads all of it, and reads every record.
pub(crate) fn scan(dir: &Path) -> Result<Seen> {
    let mut seen = Seen::default();
    for record in Wal::open(file(dir))?.iter()? {
        seen.visit(record?.data());
    }
    Ok(seen)
}
