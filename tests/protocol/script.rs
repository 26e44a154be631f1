//! What the processes are to do, and how much may go wrong meanwhile.

use crate::disk::{Ent, Spot, Version};

/// One operation of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    /// A file whose contents travel in the journal.
    Small(Version),
    /// One whose contents stand in the stage, synced.
    Large(Version),
    Remove,
}

pub(crate) type Ops = &'static [(u8, Op)];

/// The version of somebody who knows nothing of treewal.
pub(crate) const FOREIGN: Version = 15;

/// The world to explore.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script {
    pub(crate) name: &'static str,
    /// So many paths hold a version at first: path n the version n.
    pub(crate) there: u8,
    pub(crate) paths: u8,
    /// The transactions of each process. Their versions are all different, and none is below `paths`.
    pub(crate) processes: &'static [&'static [Ops]],
    pub(crate) kills: u8,
    pub(crate) losses: u8,
    /// The path that somebody else replaces, once.
    pub(crate) foreign: Option<(u8, When)>,
    pub(crate) broken: Broken,
}

/// When somebody else writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Anytime,
    /// While nobody holds the lock: before a commit and after it, before a recovery and after it; and they sync the name.
    Unlocked,
    /// The same, and they do not.
    Unsynced,
}

/// What is left out of the protocol: a control, which the exploration must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Broken {
    Nothing,
    /// The records are not synced before the renames.
    PromiseUnsynced,
    /// The renames come before the records.
    ApplyFirst,
    /// The tree is not synced before the checkpoint.
    CheckpointUnsynced,
    /// Large contents are not synced before the record that names them.
    LargeUnsynced,
    /// Their names in the stage are not.
    StageUnsynced,
    /// Who takes the lock of one that was killed goes on without a recovery.
    NoRecovery,
    /// Recovery does not sync the tree before its checkpoint.
    RecoveryUnsynced,
    /// What recovery makes again is placed before it is synced.
    MadeUnsynced,
    /// Recovery sweeps the stage before it looks.
    SweepFirst,
    /// What a rename displaced is not looked at.
    NoProof,
    /// Recovery takes everything for its own.
    ForeignIsKnown,
    /// Recovery does not ask what a killed commit has displaced.
    Unseen,
    /// Recovery does not ask when what it finds was last changed.
    Ageless,
}

impl Script {
    pub(crate) fn start(&self) -> Vec<(Spot, Ent)> {
        (0..self.there).map(|path| (Spot::Tree(path), Ent::of(path))).collect()
    }

    /// The transactions by number: all of the first process, then all of the second.
    pub(crate) fn first(&self, process: usize) -> u8 {
        self.processes[..process].iter().map(|all| u8::try_from(all.len()).unwrap()).sum()
    }

    pub(crate) fn owner(&self, txn: u8) -> u8 {
        let of = |process: &usize| self.first(*process) <= txn;
        u8::try_from((0..self.processes.len()).rev().find(of).unwrap()).unwrap()
    }

    pub(crate) fn ops(&self, txn: u8) -> Ops {
        let owner = usize::from(self.owner(txn));
        self.processes[owner][usize::from(txn - self.first(owner))]
    }

    /// Whether a path is there before, after and between all transactions: then it must be there always.
    pub(crate) fn lasts(&self, path: u8) -> bool {
        let all = self.processes.iter().flat_map(|process| process.iter().flat_map(|ops| ops.iter()));
        path < self.there && !all.copied().any(|op| op == (path, Op::Remove))
    }
}
