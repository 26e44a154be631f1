//! Deciding by hand about a transaction that is owed; see `docs/recovery.md`.

use std::path::Path;
use std::sync::Arc;

use treewal_journal::Tail;
use treewal_recovery::RecoveryReport;
use treewal_recovery::decide::Resolution;
use treewal_recovery::home::Home;
use treewal_recovery::resolve::{Outlook, outlook};
use treewal_recovery::survey::read_history;
use treewal_vfs::{Disk, RealDisk};

use crate::engine::resolve_held;
use crate::{Error, Options, Result};

const ALL: [Resolution; 3] = [Resolution::Keep, Resolution::Restore, Resolution::Abandon];

/// What each decision about a transaction of the tree at `path` would do. Reads only: takes no lock, and makes nothing.
///
/// # Errors
/// [`Error::Input`] where nothing is owed to the transaction; any error of the disk.
pub fn outlooks(path: impl AsRef<Path>, txn: u64) -> Result<Vec<Outlook>> {
    outlooks_on(Arc::new(RealDisk), path.as_ref(), txn)
}

fn outlooks_on(disk: Arc<dyn Disk>, path: &Path, txn: u64) -> Result<Vec<Outlook>> {
    let home = home(disk, path)?;
    let (scan, history) = read_history(&home, None).map_err(Error::from_recovery)?;
    if let Tail::Corrupt { .. } = scan.tail {
        let reason = format!("it is {}; open the tree first, which sets the damaged part aside", scan.tail);
        return Err(Error::Store { path: ".treewal/journal".into(), reason });
    }
    let outlook = |how| outlook(&home, &history, txn, how).map_err(Error::from_recovery)?.ok_or_else(|| not_owed(txn));
    ALL.into_iter().map(outlook).collect()
}

fn home(disk: Arc<dyn Disk>, path: &Path) -> Result<Home> {
    let root = disk.open_root(path).map_err(|source| Error::from_os("open", path.to_owned(), source))?;
    let home = Home::open(disk, root).map_err(Error::from_recovery)?;
    home.ok_or_else(|| Error::Input("treewal was never used on this tree".to_owned()))
}

fn not_owed(txn: u64) -> Error {
    Error::Input(format!("nothing is owed to transaction {txn}"))
}

impl Options {
    /// Decides by hand about a transaction that recovery could neither finish nor undo, and about those that are owed as
    /// well and touch its paths. Makes no other try at them, which to open the tree would.
    ///
    /// The report says of each what became of it; a restore that fails leaves it owed, with the reason.
    ///
    /// # Errors
    /// [`Error::Input`] where nothing is owed to the transaction; [`Error::Store`] where the state before it cannot be
    /// restored, path by path, and nothing is touched; as [`Options::open`].
    pub fn resolve(&self, path: impl AsRef<Path>, txn: u64, how: Resolution) -> Result<RecoveryReport> {
        self.resolve_on(&(Arc::new(RealDisk) as Arc<dyn Disk>), path, txn, how)
    }

    /// As [`resolve`](Self::resolve), on a disk of one's own.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn resolve_on(
        &self,
        disk: &Arc<dyn Disk>,
        path: impl AsRef<Path>,
        txn: u64,
        how: Resolution,
    ) -> Result<RecoveryReport> {
        let path = path.as_ref();
        // Nothing is made in a tree that treewal was never used on.
        drop(home(Arc::clone(disk), path)?);
        resolve_held(self, Arc::clone(disk), path, (txn, how), &|| {
            let hindrances = outlooks_on(Arc::clone(disk), path, txn)?
                .into_iter()
                .filter(|outlook| outlook.resolution == how)
                .flat_map(|outlook| outlook.hindrances)
                .collect::<Vec<_>>();
            if hindrances.is_empty() {
                return Ok(());
            }
            Err(Error::Store { path: ".treewal/journal".into(), reason: hindrances.join("; ") })
        })
    }
}
