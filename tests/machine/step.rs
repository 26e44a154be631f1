//! What can be done in a run.

use std::path::PathBuf;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use treewal::Durability;

use crate::call::{Call, More, call, relied};
use crate::drawn::{Drawn, drawn};
use crate::ops::{Op, op};

/// How many handles there are, each of a process of its own.
pub(crate) const HANDLES: usize = 3;
/// How many names snapshots go by.
pub(crate) const NAMES: u8 = 2;
/// The file that is mounted.
pub(crate) const MOUNTED: &str = "m";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Level {
    Journal,
    Tree,
    Deferred,
}

impl Level {
    pub(crate) fn durability(self) -> Durability {
        match self {
            Self::Journal => Durability::Journal,
            Self::Tree => Durability::Tree,
            Self::Deferred => Durability::Deferred,
        }
    }
}

/// By which way a transaction is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Way {
    Begin,
    Closure,
    Retry,
    /// As a set of changes, where it can be told as one.
    Apply,
    /// Each operation is a transaction of its own.
    Batch,
    RolledBack,
}

/// How a guard is taken.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) paths: Vec<PathBuf>,
    /// Of what stands in this directory, all; `None` without a pattern.
    pub(crate) all_in: Option<PathBuf>,
    pub(crate) digest: bool,
    pub(crate) exchange: bool,
    pub(crate) managed: bool,
    /// Whether its bytes are copied, whatever the disk could do.
    pub(crate) copy: bool,
    pub(crate) threads: bool,
    /// Whether other threads that meet it wait for its end.
    #[serde(default)]
    pub(crate) wait: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    Commit,
    RollBack,
    Drop,
}

/// What treewal is asked to do, and what can be interrupted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Act {
    Commit(Level, Way, Vec<Call>),
    /// New contents for the file that is mounted, and for another.
    Mounted(Level, Vec<u8>, PathBuf),
    Checkpoint,
    Beside,
    Sync,
    Guard(Asked),
    /// A guard inside the innermost one that is open.
    Within(PathBuf),
    /// The innermost guard ends, or the outermost.
    GuardEnd(bool, End),
    /// Another thread commits this, which meets a guard; and it ends.
    Met(Vec<Call>, End),
    /// By name; of this path alone.
    Snapshot(u8, Option<PathBuf>),
    /// By name; these paths alone.
    Restore(u8, Option<PathBuf>),
    Forget(u8),
    /// Of what lies in quarantine the n-th is brought back, copied to somewhere else, thrown away.
    Retry(u8, Manner),
    Export(u8),
    Purge(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Manner {
    Plain,
    DryRun,
    Force,
}

/// Work that comes to quarantine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Work {
    /// A commit, and at which call the process dies.
    Commit(Vec<Call>, u64),
    /// The guards that are open, or else this one; and what is done to what they are for.
    Guards(Asked, Vec<Deed>),
}

/// Why it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Loss {
    /// All tries are used up.
    Tries,
    /// A person gives it up, or has the tree as it is.
    Abandon,
    Keep,
}

/// What somebody does who knows nothing of treewal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Deed {
    /// Opens, cuts and writes in place.
    InPlace(PathBuf, u8),
    /// Writes beside it and renames.
    Replace(PathBuf, u8),
    Remove(PathBuf),
    MakeDir(PathBuf),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Crash {
    /// The process of the handle is killed.
    Kill,
    /// The power goes; which of the profiles, and what is left.
    Power(u8, u64),
    /// One call fails: with `ENOSPC`, or `EIO`.
    Fault(bool),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Step {
    /// First of all: whether the disk shares extents, and gives the number of an inode away at once.
    Disk(bool, bool),
    /// From its next opening on, a handle has these options.
    Options(usize, Drawn),
    Do(usize, Act),
    /// The same, ended at the n-th call that changes something.
    Cut(usize, Act, u64, Crash),
    /// The same at rest.
    Crash(usize, Crash),
    /// Stages, and leaves the commit to an `End`.
    Begin(usize, Vec<Call>),
    End(usize),
    /// A look at all of the tree with nobody at work; by a handle, or read only.
    Read(usize, bool),
    Foreign(Deed),
    /// By somebody whom the guards are for.
    Guarded(Deed),
    Close(usize),
    /// The process dies in a commit, the disk refuses what is owed, and a person decides: keep or restore.
    Owed(usize, Vec<Call>, u64, bool),
    /// The process dies in work that the disk refuses to finish, and it goes to quarantine; the n-th call of that may be its end.
    Lost(usize, Work, Loss, Option<(u64, Crash)>),
}

pub(crate) fn path() -> impl Strategy<Value = PathBuf> {
    let name = || prop::sample::select(vec!["a", "b", "c"]);
    let two = (name(), name()).prop_map(|(a, b)| [a, b].iter().collect::<PathBuf>());
    prop_oneof![2 => name().prop_map(PathBuf::from), 3 => two].boxed()
}

pub(crate) fn ops() -> BoxedStrategy<Vec<Call>> {
    prop::collection::vec(call(), 1..5).boxed()
}

/// Such that what changes is what is named.
pub(crate) fn plain() -> BoxedStrategy<Vec<Call>> {
    let told =
        |op: &Op| matches!(op, Op::Write(..) | Op::Append(..) | Op::Copy(..) | Op::CreateDir(..) | Op::RemoveFile(..));
    let write = (path(), 1..80usize, any::<u8>()).prop_map(|(path, len, byte)| Op::Write(path, vec![byte; len]));
    let relied = prop::option::weighted(0.3, (path(), relied()).prop_map(|(path, what)| More::Expect(path, what)));
    (write, prop::collection::vec(op(), 0..8), relied)
        .prop_map(move |(write, ops, relied)| {
            let ops = [write].into_iter().chain(ops.into_iter().filter(told).take(2)).map(Call::Op);
            ops.chain(relied.map(Call::More)).collect()
        })
        .boxed()
}

pub(crate) fn level() -> BoxedStrategy<Level> {
    prop::sample::select(vec![Level::Journal, Level::Journal, Level::Tree, Level::Deferred]).boxed()
}

pub(crate) fn asked() -> BoxedStrategy<Asked> {
    let paths = prop::collection::vec(path(), 1..3);
    let more = (any::<bool>(), prop::bool::weighted(0.6));
    let flags = (any::<bool>(), prop::bool::weighted(0.3), prop::bool::weighted(0.2), any::<bool>(), more);
    let all_in = prop::option::weighted(0.2, prop::sample::select(vec![PathBuf::from("a"), "b".into()]));
    (paths, all_in, flags)
        .prop_map(|(paths, all_in, (digest, exchange, managed, copy, (threads, wait)))| Asked {
            paths,
            all_in,
            digest,
            exchange,
            managed,
            copy,
            threads,
            wait,
        })
        .boxed()
}

pub(crate) fn about_quarantine() -> BoxedStrategy<Act> {
    let manner = prop::sample::select(vec![Manner::Plain, Manner::Plain, Manner::Plain, Manner::Force, Manner::DryRun]);
    prop_oneof![
        4 => (0..4u8, manner).prop_map(|(nth, manner)| Act::Retry(nth, manner)),
        2 => (0..4u8).prop_map(Act::Export),
        2 => (0..4u8).prop_map(Act::Purge),
    ]
    .boxed()
}

pub(crate) fn act() -> BoxedStrategy<Act> {
    let way = prop::sample::select(vec![
        Way::Begin,
        Way::Begin,
        Way::Closure,
        Way::Retry,
        Way::Apply,
        Way::Batch,
        Way::RolledBack,
    ]);
    let end = prop::sample::select(vec![End::Commit, End::Commit, End::RollBack, End::Drop]);
    let contents = (prop::sample::select(vec![0, 9, 64, 65, 700]), any::<u8>()).prop_map(|(len, byte)| vec![byte; len]);
    prop_oneof![
        12 => (level(), way, ops()).prop_map(|(level, way, ops)| Act::Commit(level, way, ops)),
        1 => (level(), contents, path()).prop_map(|(level, bytes, other)| Act::Mounted(level, bytes, other)),
        2 => Just(Act::Checkpoint),
        2 => Just(Act::Beside),
        3 => Just(Act::Sync),
        3 => asked().prop_map(Act::Guard),
        2 => path().prop_map(Act::Within),
        9 => (any::<bool>(), end).prop_map(|(inner, end)| Act::GuardEnd(inner, end)),
        2 => (plain(), any::<bool>()).prop_map(|(ops, keep)| Act::Met(ops, if keep { End::Commit } else { End::RollBack })),
        3 => (0..NAMES, prop::option::of(path())).prop_map(|(name, path)| Act::Snapshot(name, path)),
        6 => (0..NAMES, prop::option::of(path())).prop_map(|(name, path)| Act::Restore(name, path)),
        1 => (0..NAMES).prop_map(Act::Forget),
        1 => about_quarantine(),
    ]
    .boxed()
}

pub(crate) fn deed() -> BoxedStrategy<Deed> {
    prop_oneof![
        3 => (path(), any::<u8>()).prop_map(|(path, byte)| Deed::InPlace(path, byte)),
        3 => (path(), any::<u8>()).prop_map(|(path, byte)| Deed::Replace(path, byte)),
        1 => path().prop_map(Deed::Remove),
        2 => path().prop_map(Deed::MakeDir),
    ]
    .boxed()
}

/// At which call; most acts make a few.
pub(crate) fn moment() -> BoxedStrategy<u64> {
    prop_oneof![2 => 1..5u64, 3 => 1..12u64, 2 => 1..30u64, 1 => 1..70u64].boxed()
}

/// What makes few calls is cut at one of them.
pub(crate) fn early(act: &Act, at: u64) -> u64 {
    if matches!(act, Act::GuardEnd(..) | Act::Sync) { 1 + at % 3 } else { at }
}

pub(crate) fn crash() -> BoxedStrategy<Crash> {
    prop_oneof![
        3 => Just(Crash::Kill),
        2 => (0..3u8, any::<u64>()).prop_map(|(profile, seed)| Crash::Power(profile, seed)),
        2 => any::<bool>().prop_map(Crash::Fault),
    ]
    .boxed()
}

pub(crate) fn step() -> BoxedStrategy<Step> {
    let who = || 0..HANDLES;
    prop_oneof![
        24 => (who(), act()).prop_map(|(who, act)| Step::Do(who, act)),
        10 => (who(), act(), moment(), crash()).prop_map(|(who, act, at, crash)| Step::Cut(who, act.clone(), early(&act, at), crash)),
        2 => (who(), crash()).prop_map(|(who, crash)| Step::Crash(who, crash)),
        3 => (who(), plain()).prop_map(|(who, ops)| Step::Begin(who, ops)),
        3 => who().prop_map(Step::End),
        2 => (who(), any::<bool>()).prop_map(|(who, only)| Step::Read(who, only)),
        3 => deed().prop_map(Step::Foreign),
        5 => deed().prop_map(Step::Guarded),
        1 => (who(), drawn()).prop_map(|(who, drawn)| Step::Options(who, drawn)),
        2 => who().prop_map(Step::Close),
        3 => (who(), plain(), 1..12u64, any::<bool>()).prop_map(|(who, ops, at, keep)| Step::Owed(who, ops, at, keep)),
    ]
    .boxed()
}
