//! The journal: records in order, up to somewhere durable. As records of the real journal they go through the real reading of
//! history.

use treewal_journal::Lsn;
use treewal_journal::record::{Begin, Body, Goal, Intent, New, PathBytes, Record};
use treewal_recovery::history::History;
use treewal_vfs::{Identity, Kind, RelPath, Time};

use crate::disk::{Ent, Version};
use crate::script::{Op, Script};

/// A record. Transactions are named by their place in the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Rec {
    Begin {
        txn: u8,
    },
    /// The operation of this number, and what stood at its path.
    Intent {
        txn: u8,
        op: u8,
        prior: Option<Ent>,
    },
    Commit {
        txn: u8,
    },
    Rollback {
        txn: u8,
    },
    Attempt {
        txn: u8,
        number: u8,
    },
    /// Covers so many records before it, and itself.
    Checkpoint,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Journal {
    pub(crate) records: Vec<Rec>,
    /// So many of them are durable.
    pub(crate) durable: usize,
}

impl Journal {
    pub(crate) fn append(&mut self, records: &[Rec]) {
        self.records.extend(records);
    }

    pub(crate) fn sync(&mut self) {
        self.durable = self.records.len();
    }

    /// Forgets what the last checkpoint covers, and the checkpoint.
    pub(crate) fn truncate(&mut self) {
        let Some(at) = self.records.iter().rposition(|record| *record == Rec::Checkpoint) else { return };
        self.records.drain(..=at);
        self.durable = self.durable.saturating_sub(at + 1);
    }

    /// What a loss of power may leave: a torn tail is cut, since a frame counts only behind its predecessor.
    pub(crate) fn losses(&self) -> impl Iterator<Item = Self> + '_ {
        (self.durable..=self.records.len()).map(|len| Self { records: self.records[..len].to_vec(), durable: len })
    }

    /// Which transaction of the script has the number that the log gave it: that of its first record.
    pub(crate) fn txn(&self, number: u64) -> u8 {
        let at = usize::try_from(number - 1).unwrap();
        match self.records[at] {
            Rec::Begin { txn } => txn,
            other => panic!("{other:?} begins no transaction"),
        }
    }

    fn number(&self, txn: u8) -> u64 {
        let at = self.records.iter().position(|record| *record == Rec::Begin { txn }).unwrap();
        at as u64 + 1
    }

    /// The records, read by the real reader of history.
    pub(crate) fn history(&self, script: &Script) -> History {
        let mut history = History::default();
        for (at, record) in self.records.iter().enumerate() {
            history.tell(Lsn(at as u64 + 1), self.record(script, *record, at as u64 + 1));
        }
        history
    }

    fn record(&self, script: &Script, record: Rec, lsn: u64) -> Record {
        match record {
            Rec::Begin { txn } => Record::Begin(Begin { txn: lsn, stage: stage(script.owner(txn)), barrier: false }),
            Rec::Intent { txn, op, prior } => Record::Intent(intent(script.ops(txn)[usize::from(op)], prior)),
            Rec::Commit { txn } => {
                let intents = u32::try_from(script.ops(txn).len()).unwrap();
                Record::Commit { txn: self.number(txn), intents, at: Time { secs: 100, nanos: 0 } }
            }
            Rec::Rollback { txn } => Record::Rollback { txn: self.number(txn) },
            Rec::Attempt { txn, number } => {
                Record::Attempt { txn: self.number(txn), number: number.into(), reason: String::new() }
            }
            Rec::Checkpoint => Record::Checkpoint { upto: lsn },
        }
    }
}

pub(crate) fn stage(owner: u8) -> String {
    format!("s{owner}")
}

pub(crate) fn path(number: u8) -> RelPath {
    RelPath::new(format!("p{number}")).unwrap()
}

pub(crate) fn identity(ent: Ent) -> Identity {
    let Ent { version, copy } = ent;
    let ino = u64::from(version) * 16 + u64::from(copy) + 1;
    let born = Time { secs: i64::try_from(ino).unwrap(), nanos: 0 };
    Identity { kind: Kind::File, ino, born, size: 4, modified: Time { secs: version.into(), nanos: 0 } }
}

/// What a version holds.
pub(crate) fn bytes(version: Version) -> Vec<u8> {
    vec![version + 1; 4]
}

fn intent((at, op): (u8, Op), prior: Option<Ent>) -> Intent {
    let new = |version: Version, body: Body| {
        Goal::New(New {
            slot: version.into(),
            inner: PathBytes(Vec::new()),
            identity: identity(Ent::of(version)),
            mode: 0o644,
            uid: 0,
            gid: 0,
            xattrs: Vec::new(),
            times: None,
            body,
        })
    };
    let goal = match op {
        Op::Small(version) => new(version, Body::Inline(bytes(version))),
        Op::Large(version) => new(version, Body::Staged),
        Op::Remove => Goal::Absent,
    };
    let at = path(at);
    Intent {
        path: PathBytes::from(&at),
        base: Some(PathBytes::from(&at)),
        prior: prior.map(identity),
        goal,
        look: None,
    }
}
