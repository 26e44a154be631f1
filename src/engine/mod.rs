//! The engine behind the handles of one open tree: its lock, its journal, its stage, and what it has yet to settle.

mod checkpoint;
mod claim;
mod forked;
mod guards;
mod hand_over;
mod helper;
mod hold;
#[cfg(test)]
mod hold_tests;
mod mine;
mod pending;
mod scope;
mod share;
mod stage;
mod sync;
mod touched;

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use treewal_journal::{Log, Lsn, TreeId};
use treewal_recovery::decide::Resolution;
use treewal_recovery::home::{DIR_NAME, Holder, Home, TreeLock, mend, read_identity, write_identity, wrong_parts};
use treewal_recovery::{Batch, Config, Owed, Recovered, RecoveryReport, Retry, recover};
use treewal_vfs::{Dir, Disk, Meta, PowerLoss, RelPath, Time, random};

pub(crate) use claim::Claim;
pub use guards::Others;
pub(crate) use guards::{About, Held, record as guard_record};
use helper::Helper;
pub(crate) use hold::{Changed, Hold};
pub(crate) use mine::{Mine, Own};
pub(crate) use pending::resolve_held;
pub(crate) use scope::Scope;
pub(crate) use stage::{Stage, slot_name};
use touched::Touched;

use crate::{Checkpoints, Error, OnDamage, Options, Result};

/// One open tree. All its handles share it; the last of them settles what is left.
pub(crate) struct Engine {
    core: Arc<Core>,
    /// Makes checkpoints beside the commits, where the options say so.
    helper: Option<Helper>,
}

/// What handles and helper share.
pub(crate) struct Core {
    home: Home,
    options: Options,
    tree: TreeId,
    /// The process that did; see [`Core::is_forked`].
    opened_by: AtomicU32,
    lock: TreeLock,
    /// Taken for moments, but by a checkpoint, and while the tree's lock is waited for.
    state: Mutex<State>,
    /// Something that a hold may wait for has changed.
    changed: Condvar,
    /// There may be something to do for the helper.
    wanted: Condvar,
    /// Held while records are appended; taken before `state` where both are, and never the other way round.
    appending: Mutex<()>,
    /// A buffer for records, to be used again.
    batch: Mutex<Batch>,
    stage: Mutex<Option<Arc<Stage>>>,
    recovery: RecoveryReport,
}

/// What this handle knows of the tree, and who of its users is at work.
pub(crate) struct State {
    /// The journal; `None` once an error has made it untrustworthy.
    log: Option<Arc<Log>>,
    /// The last commit that no checkpoint covers.
    unsettled: Option<Lsn>,
    /// What the commits that no checkpoint covers have changed.
    touched: Touched,
    /// Up to where the last checkpoint covers it.
    settled: Lsn,
    /// Bytes of the journal right after the last checkpoint.
    settled_bytes: u64,
    /// Slots that hold displaced versions, to be removed after the next checkpoint.
    garbage: Vec<u64>,
    /// Whether somebody else may have been at work since this handle last read the journal.
    in_doubt: bool,
    /// Whether another handle was seen at work since this one was opened.
    shared: bool,
    /// Transactions that recovery could neither finish nor undo yet: who meets one of them is refused.
    owed: Vec<Owed>,
    /// The guards that hold the tree, in the order in which they began: one that is inside another comes after it.
    guards: Vec<Arc<Held>>,
    /// A hold is alone at work.
    alone: bool,
    /// How many wait to be.
    waiting_alone: u32,
    /// The holds of the batch that is under way, with what they claim.
    seats: Vec<(u64, Arc<Claim>)>,
    /// How many seats there have been: the number of the next one.
    seats_taken: u64,
    /// How many commits the batch has taken in.
    batch_commits: u32,
    /// All up to here was applied when the batch began.
    batch_floor: Lsn,
    /// The helper is at a checkpoint, and keeps the tree's lock for it.
    beside: bool,
    /// The last handle goes: the helper shall end.
    closing: bool,
    /// When the oldest commit that no checkpoint covers was noted.
    unsettled_since: Option<Instant>,
}

impl State {
    /// What is known right after a recovery.
    fn new(log: Log, owed: Vec<Owed>) -> Self {
        Self {
            unsettled: None,
            touched: Touched::default(),
            settled: Lsn::ZERO,
            settled_bytes: log.bytes(),
            garbage: Vec::new(),
            in_doubt: false,
            shared: true,
            owed,
            guards: Vec::new(),
            alone: false,
            waiting_alone: 0,
            seats: Vec::new(),
            seats_taken: 0,
            batch_commits: 0,
            batch_floor: Lsn::ZERO,
            beside: false,
            closing: false,
            unsettled_since: None,
            log: Some(Arc::new(log)),
        }
    }
}

/// Nothing that is done here can make up for a file system that loses what it synced.
fn warn_of_power_loss(disk: &dyn Disk, root: &Dir, path: &Path) {
    if let Ok(PowerLoss::Loses(reason)) = disk.power_loss(root) {
        tracing::warn!(path = %path.display(), reason, "what is committed here survives a kill, but no power loss");
    }
}

/// A lock that another machine does not see keeps nobody there out: two would write at once.
pub(crate) fn refuse_network(disk: &dyn Disk, root: &Dir, path: &Path, options: &Options) -> Result<()> {
    match disk.network(root) {
        Ok(Some(name)) if !options.allow_network => {
            Err(Error::NetworkFileSystem { path: path.to_owned(), file_system: name })
        }
        Ok(Some(name)) => {
            tracing::warn!(path = %path.display(), name, "nothing is promised on a network file system");
            Ok(())
        }
        // What the system does not tell is not known, which is no error.
        Ok(None) | Err(_) => Ok(()),
    }
}

impl Core {
    /// Opens the tree at `path`: makes what treewal needs, takes the lock, recovers.
    fn open(mut options: Options, disk: Arc<dyn Disk>, path: &Path) -> Result<Self> {
        let (home, lock, mended) = take(&options, disk, path)?;
        let opened = identity(&home).and_then(|tree| Ok((tree, recovered(&home, &options, tree, How::All)?)));
        let opened = opened.map(|(tree, Recovered { log, report, owed })| (tree, State::new(log, owed), report));
        // Others may have the tree open already.
        let left = opened.as_ref().ok().and_then(|(_, state, _)| Self::left(state));
        lock.release(&home, left).map_err(Error::from_recovery)?;
        let (tree, mut state, mut report) = opened?;
        report.damage.extend(mended);
        state.shared = false;
        if let Some(log) = &state.log {
            // A record holds the path and the attributes of a file beside its contents, and must fit in a segment.
            options.inline_max = options.inline_max.min(log.record_bytes_max() as u64 / 2);
        }
        Ok(Self {
            home,
            options,
            tree,
            opened_by: AtomicU32::new(std::process::id()),
            lock,
            state: Mutex::new(state),
            changed: Condvar::new(),
            wanted: Condvar::new(),
            appending: Mutex::default(),
            batch: Mutex::default(),
            stage: Mutex::new(None),
            recovery: report,
        })
    }

    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.home.disk
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) fn root(&self) -> &Dir {
        &self.home.root
    }

    pub(crate) fn root_meta(&self) -> &Meta {
        &self.home.root_meta
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn recovery(&self) -> &RecoveryReport {
        &self.recovery
    }

    /// The stage of this handle, made on first use.
    pub(crate) fn stage(&self) -> Result<Arc<Stage>> {
        self.prove_own_process()?;
        let mut stage = self.stage.lock();
        if let Some(stage) = &*stage {
            return Ok(Arc::clone(stage));
        }
        let made = Arc::new(Stage::create(&self.home)?);
        *stage = Some(Arc::clone(&made));
        Ok(made)
    }

    /// An empty buffer for records; see [`keep_batch`](Self::keep_batch).
    pub(crate) fn batch(&self) -> Batch {
        std::mem::take(&mut *self.batch.lock())
    }

    /// Takes a buffer back, to be used again.
    pub(crate) fn keep_batch(&self, batch: Batch) {
        *self.batch.lock() = batch.emptied();
    }

    fn read_anew(&self, state: &mut State) -> Result<()> {
        state.log = None;
        let Recovered { log, owed, .. } = recovered(&self.home, &self.options, self.tree, How::Unfailed)?;
        state.settled_bytes = log.bytes();
        state.log = Some(Arc::new(log));
        state.unsettled = None;
        state.unsettled_since = None;
        // Recovery has settled all there was.
        state.touched = Touched::default();
        state.owed = owed;
        self.keep_what_is_needed(state);
        self.drop_garbage(state);
        Ok(())
    }
}

/// Moves away what stands in the place of a part of `.treewal`, where that is allowed; tells of it.
fn mended(disk: &dyn Disk, root: &Dir, on_damage: OnDamage) -> Result<Vec<String>> {
    let wrong = wrong_parts(disk, root).map_err(Error::from_recovery)?;
    if wrong.is_empty() {
        return Ok(Vec::new());
    }
    if on_damage == OnDamage::Refuse {
        let reason = "something else stands there; open it with OnDamage::Quarantine to have it moved away".to_owned();
        return Err(Error::Store { path: Path::new(DIR_NAME).join(wrong[0]), reason });
    }
    let told = mend(disk, root).map_err(Error::from_recovery)?;
    tracing::error!(?told, "parts of .treewal were no parts of it");
    Ok(told)
}

/// Makes what treewal needs in the tree at `path`, and takes the lock; tells what it had to move away for that.
fn take(options: &Options, disk: Arc<dyn Disk>, path: &Path) -> Result<(Home, TreeLock, Vec<String>)> {
    let root = disk.open_root(path).map_err(|source| Error::from_os("open", path.to_owned(), source))?;
    warn_of_power_loss(&*disk, &root, path);
    refuse_network(&*disk, &root, path, options)?;
    let mended = mended(&*disk, &root, options.on_damage)?;
    let home = Home::create(disk, root).map_err(Error::from_recovery)?;
    let me = Holder {
        pid: std::process::id(),
        since: u64::try_from(Time::now().secs).unwrap_or_default(),
        token: u128::from(random()) << 64 | u128::from(random()),
    };
    let lock = TreeLock::open(&home, me).map_err(Error::from_recovery)?;
    {
        let _span = tracing::debug_span!("lock_wait").entered();
        // What a thread has taken, it cannot wait for. A tree without an identity was taken by nobody.
        let known = read_identity(&home).ok().flatten();
        let own = known.map(|tree| mine::own(tree, lock.inode())).unwrap_or_default();
        let wait = if own.is_any() { Duration::ZERO } else { options.lock_wait };
        lock.take(&home, wait).map_err(|error| Error::from_lock(error, me, own))?;
    }
    Ok((home, lock, mended))
}

/// What a recovery is to try.
#[derive(Debug, Clone, Copy)]
enum How {
    /// At an opening.
    All,
    /// Where a handle takes over.
    Unfailed,
    /// The same, and this is decided by hand.
    Resolve(u64, Resolution),
}

fn recovered(home: &Home, options: &Options, tree: TreeId, how: How) -> Result<Recovered> {
    let _span = tracing::debug_span!("recovery").entered();
    if options.on_damage == OnDamage::Refuse {
        let (scan, _) = treewal_recovery::survey::read_history(home, Some(tree)).map_err(Error::from_recovery)?;
        if let treewal_journal::Tail::Corrupt { .. } = scan.tail {
            let reason = format!("{}; open it with OnDamage::Quarantine to go on without the damaged part", scan.tail);
            return Err(Error::Store { path: ".treewal/journal".into(), reason });
        }
    }
    let Options { segment_bytes, attempts_max, .. } = *options;
    let (retry, resolve) = match how {
        How::All => (Retry::All, None),
        How::Unfailed => (Retry::Unfailed, None),
        How::Resolve(txn, how) => (Retry::Unfailed, Some((txn, how))),
    };
    let config = Config { tree, segment_bytes, attempts_max, retry, resolve };
    let recovered = recover(home, &config).map_err(Error::from_recovery)?;
    if !recovered.report.is_clean() {
        tracing::warn!(report = %recovered.report, "the tree was recovered");
    }
    Ok(recovered)
}

/// The identity of the tree; made at its first opening, or taken from its journal where the file that states it is gone.
fn identity(home: &Home) -> Result<TreeId> {
    if let Some(id) = read_identity(home).map_err(Error::from_recovery)? {
        return Ok(id);
    }
    let (scan, _) = treewal_recovery::survey::read_history(home, None).map_err(Error::from_recovery)?;
    let id = scan.tree.unwrap_or_else(|| {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&random().to_le_bytes());
        bytes[8..].copy_from_slice(&random().to_le_bytes());
        TreeId(bytes)
    });
    write_identity(home, id).map_err(Error::from_recovery)?;
    Ok(id)
}

/// Where a slot of a stage lies, for people.
pub(crate) fn shown_slot(stage: &str, slot: u64) -> std::path::PathBuf {
    RelPath::root().join(treewal_recovery::home::DIR_NAME).join("stage").join(stage).join(slot.to_string()).to_path()
}

impl Engine {
    /// Opens the tree at `path`; see [`Core::open`].
    pub(crate) fn open(options: Options, disk: Arc<dyn Disk>, path: &Path) -> Result<Self> {
        let beside = options.checkpoints == Checkpoints::Beside;
        let core = Arc::new(Core::open(options, disk, path)?);
        core.warn_of_quarantine();
        let helper = if beside { Helper::start(&core) } else { None };
        Ok(Self { core, helper })
    }
}

impl Deref for Engine {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

impl Drop for Engine {
    /// The last handle settles what it can. Whatever fails is settled by the next open instead.
    fn drop(&mut self) {
        if self.core.is_forked() {
            // All that is left is the other process's, its threads among it.
            return;
        }
        if let Some(helper) = self.helper.take() {
            helper.stop(&self.core);
        }
        if let Err(error) = self.core.close() {
            tracing::warn!(error = &error as &dyn std::error::Error, "closing the tree left work to its next opening");
        }
    }
}
