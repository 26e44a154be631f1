//! The intent records of treewal: what a transaction is about to do, and what became of it.
//!
//! This is the upper of the crate's two layers. The raw log below carries bytes and a kind and has no idea of any of
//! this; here a record becomes bytes through the one codec of the workspace and back. Paths are bytes relative to the
//! tree, times are [`Time`], nothing is recursive.

use bincode::{Decode, Encode};
use treewal_vfs::codec::{self, CodecError};
use treewal_vfs::{Identity, RelPath, Time};

use crate::Lsn;

/// A path relative to the tree, as its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Encode, Decode)]
pub struct PathBytes(pub Vec<u8>);

impl From<&RelPath> for PathBytes {
    fn from(path: &RelPath) -> Self {
        Self(path.to_bytes())
    }
}

impl PathBytes {
    /// The path, checked as any path from outside: a journal is untrusted input.
    ///
    /// # Errors
    /// [`BadPath`](treewal_vfs::BadPath) where it would leave the tree.
    pub fn to_path(&self) -> Result<RelPath, treewal_vfs::BadPath> {
        RelPath::from_bytes(&self.0)
    }
}

/// The number of a transaction: the LSN of its first record, so it is unique for the life of a tree.
pub type TxnNumber = u64;

// The numbers in the comments are the format: the order of variants may never change, new ones go to the end.
/// One record. A staged transaction is `Begin`, its `Intent`s and `Commit` in one batch; a guarded one `Guard`, and
/// later `Commit` or `Rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[expect(clippy::large_enum_variant, reason = "nearly all records are intents, and none lives long")]
pub enum Record {
    /// 0: a staged transaction starts; its intents follow.
    Begin(Begin),
    /// 1: one path that the transaction changes, with what was there and what shall be.
    Intent(Intent),
    /// 2: the commit point. A staged transaction counts its intents, so that a missing one is noticed.
    Commit {
        /// Number of the transaction.
        txn: TxnNumber,
        /// How many intents belong to it; 0 for a guarded transaction.
        intents: u32,
        /// The wall clock when the commit began to look at the tree: what changed before it, by more than a tick of the coarser
        /// clock that the times of entries come from, is no newer work.
        at: Time,
    },
    /// 3: the transaction was undone, and the undoing is durable.
    Rollback {
        /// Number of the transaction.
        txn: TxnNumber,
    },
    /// 4: recovery is about to try to finish or undo the transaction; written durably before each try.
    Attempt {
        /// Number of the transaction.
        txn: TxnNumber,
        /// Which try this is, from 1.
        number: u32,
        /// Empty where the try begins; then the same again with why it failed.
        reason: String,
    },
    /// 5: everything up to `upto` is durable in the tree itself and needs no recovery.
    Checkpoint {
        /// Last LSN that is covered.
        upto: u64,
    },
    /// 6: recovery gave the transaction up; its material is in `quarantine/<name>`.
    Quarantine {
        /// Number of the transaction.
        txn: TxnNumber,
        /// Directory below `quarantine`.
        name: String,
        /// Why.
        reason: String,
    },
    /// 7: a guarded transaction is active: from here on its paths may be mutated in place by anybody, and a crash
    /// restores them from the snapshot.
    Guard(Guard),
}

/// The start of a staged transaction.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Begin {
    /// Number of the transaction.
    pub txn: TxnNumber,
    /// Name of the directory below `stage` that holds its slots.
    pub stage: String,
    /// Whether it moves things whose contents no record holds, and so stands alone between two checkpoints.
    pub barrier: bool,
}

/// What a guarded transaction protects.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Guard {
    /// Number of the transaction.
    pub txn: TxnNumber,
    /// Directory below `guards` that holds the snapshot.
    pub snapshot: String,
    /// The guarded paths, for people: the snapshot's manifest is what counts.
    pub paths: Vec<PathBytes>,
}

/// One path that a staged transaction changes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Intent {
    /// Where, in the tree as the transaction leaves it.
    pub path: PathBytes,
    /// Where this path lies in the tree as the transaction finds it: another one than `path` beneath a directory that
    /// the transaction moves, and none beneath one that it makes.
    pub base: Option<PathBytes>,
    /// What stood at `base`.
    pub prior: Option<Identity>,
    /// What shall stand at `path`.
    pub goal: Goal,
    /// Attributes that an entry of the tree gets; a new entry carries its own.
    pub look: Option<LookChange>,
}

/// What shall stand at a path.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Goal {
    /// 0: nothing.
    Absent,
    /// 1: a new entry, complete in the stage when the record is written.
    New(New),
    /// 2: an entry that stood elsewhere in the tree.
    Moved {
        /// Where it stood.
        from: PathBytes,
        /// Which it is.
        identity: Identity,
    },
    /// 3: the entry that stands there already.
    Kept,
    /// 4: nothing, where a directory stood that goes because it is empty. What the transaction took out of it has intents of
    /// its own; what others put into it does not go along.
    Emptied,
    /// 5: the same file with other contents. It cannot be replaced by a rename, as something is mounted at its path, so it is
    /// rewritten in place. Always alone between two checkpoints.
    Rewritten {
        /// What it shall hold and which attributes it shall have, as a file in the stage that does not leave it.
        new: New,
        /// The slot of the undo image: what the file held when the record was written, synced.
        image: u64,
    },
}

/// New attributes for an entry of the tree. What is not named stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct LookChange {
    /// Permission bits.
    pub mode: Option<Change<u32>>,
    /// Owner and group.
    pub owner: Option<Change<Owner>>,
    /// Times of last access and last modification.
    pub times: Option<Change<Times>>,
    /// Extended attributes, ACLs among them.
    pub xattrs: Vec<XattrChange>,
}

/// A value that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Change<T> {
    /// What it shall be.
    pub to: T,
    /// What it was.
    pub prior: T,
}

/// Who owns an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// The times of an entry that can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Times {
    /// Last access.
    pub accessed: Time,
    /// Last change of the contents.
    pub modified: Time,
}

/// An extended attribute that changes; `None` where there is none of the name.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct XattrChange {
    /// Its name.
    pub name: Vec<u8>,
    /// What it shall be.
    pub to: Option<Vec<u8>>,
    /// What it was.
    pub prior: Option<Vec<u8>>,
}

/// A new entry of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct New {
    /// Where it stands in the stage: beneath the slot of this number ..
    pub slot: u64,
    /// .. at this path; empty for the slot itself.
    pub inner: PathBytes,
    /// Which inode it is.
    pub identity: Identity,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes, ACLs among them.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Times that were set, with the time of modification before that; `None` where the system's own stand.
    pub times: Option<Change<Times>>,
    /// What is in it.
    pub body: Body,
}

/// The contents of a new entry.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Body {
    /// 0: a directory; its entries have intents of their own.
    Dir,
    /// 1: a file whose bytes travel in the record: it is not synced at the commit.
    Inline(Vec<u8>),
    /// 2: a file whose bytes were synced in the stage before the record was written.
    Staged,
    /// 3: a symlink.
    Symlink(Vec<u8>),
    /// 4: another name of an entry that stood in the tree. New entries that are names of one inode say so by their
    /// identity instead, and each has all of the contents.
    Link {
        /// Where that one stood.
        from: PathBytes,
    },
}

/// The kind number that a record's frame carries in the raw log: for statistics and for readers that skip.
impl Record {
    /// The kind of an intent: nearly all records are, and who does not need them need not decode them.
    pub const INTENT: u8 = 2;

    /// Frame kind of the record, from 1: zero is never a kind.
    #[must_use]
    pub fn kind(&self) -> u8 {
        match self {
            Self::Begin(_) => 1,
            Self::Intent(_) => Self::INTENT,
            Self::Commit { .. } => 3,
            Self::Rollback { .. } => 4,
            Self::Attempt { .. } => 5,
            Self::Checkpoint { .. } => 6,
            Self::Quarantine { .. } => 7,
            Self::Guard(_) => 8,
        }
    }

    /// The record as the payload of a frame.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`].
    pub fn encode(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode(self)
    }

    /// The same, behind what `out` holds already.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`]; `out` is then as it was.
    pub fn encode_into(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        codec::encode_into(self, out)
    }

    /// The record that a frame carries.
    ///
    /// # Errors
    /// Any [`CodecError`], and `Malformed` where kind and payload do not belong together.
    pub fn decode(kind: u8, payload: &[u8]) -> Result<Self, CodecError> {
        let record: Self = codec::decode(payload)?;
        if record.kind() == kind {
            Ok(record)
        } else {
            Err(CodecError::Malformed(format!("frame of kind {kind} holds a record of kind {}", record.kind())))
        }
    }

    /// The last LSN that a checkpoint covers; `None` for every other record.
    #[must_use]
    pub fn checkpoint(&self) -> Option<Lsn> {
        match self {
            Self::Checkpoint { upto } => Some(Lsn(*upto)),
            _ => None,
        }
    }
}
