//! What the reader says of a journal, in the words of the decoder.

use std::ops::ControlFlow;
use std::path::Path;

use serde_json::{Value, json};
use treewal_journal::record::{Body, Change, Goal, Intent, LookChange, New, Owner, Record, Times};
use treewal_journal::{Error, Reader, Scan, Tail};
use treewal_vfs::{Disk, Identity, Kind, RealDisk, Time};

/// What the reader says of the journal in a directory.
pub(crate) fn told(dir: &Path) -> Value {
    let disk = RealDisk;
    let root = disk.open_root(dir).unwrap();
    let mut records = Vec::new();
    let scan = Reader::scan(&disk, &root, None, &mut |frame| {
        records.push(json!({
            "lsn": frame.lsn.0, "kind": frame.kind, "segment": frame.segment, "offset": frame.offset,
            "durable": frame.durable.0, "payload": hex(frame.payload),
            "record": Record::decode(frame.kind, frame.payload).ok().map(|told| record(&told)),
        }));
        ControlFlow::Continue(())
    });
    match scan {
        Err(Error::Version { version, .. }) => json!({ "newer": version }),
        Err(error) => panic!("{dir:?}: {error}"),
        Ok(scan) => json!({
            "tree": scan.tree.map(|tree| hex(&tree.0)), "tail": tail(&scan), "durable": scan.durable.0,
            "records": records,
        }),
    }
}

/// Where the damage is said to be in a later segment, the reader names that one, and the decoder the one that it
/// should continue.
fn tail(scan: &Scan) -> Value {
    let last = scan.segments.last();
    let told = |state: &str, segment: u64, offset: u64, lsn: u64| json!({ "state": state, "segment": segment, "offset": offset, "lsn": lsn });
    match scan.tail {
        Tail::Clean => {
            let next = last.map_or(1, |last| last.header.first.0.max(last.last.0 + 1));
            told("clean", last.map_or(0, |last| last.header.seq), scan.next_offset(), next)
        }
        Tail::Torn { segment, offset, expected } => told("torn", segment, offset, expected.0),
        Tail::Corrupt { segment, offset: 0, expected, .. } => match last {
            Some(last) => told("damaged there", last.header.seq, 0, expected.0),
            // Where the oldest segment has no header, its number says what its first record was, if it is the first.
            None => told("damaged here", segment, 0, 0),
        },
        Tail::Corrupt { segment, offset, expected, .. } => told("damaged here", segment, offset, expected.0),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn record(record: &Record) -> Value {
    match record {
        Record::Begin(begin) => {
            json!({ "is": "begin", "transaction": begin.txn, "stage": begin.stage, "barrier": begin.barrier })
        }
        Record::Intent(intent) => self::intent(intent),
        Record::Commit { txn, intents, at } => {
            json!({ "is": "commit", "transaction": txn, "intents": intents, "at": time(*at) })
        }
        Record::Rollback { txn } => json!({ "is": "rollback", "transaction": txn }),
        Record::Attempt { txn, number, reason } => {
            json!({ "is": "attempt", "transaction": txn, "number": number, "reason": reason })
        }
        Record::Checkpoint { upto } => json!({ "is": "checkpoint", "upto": upto }),
        Record::Quarantine { txn, name, reason } => {
            json!({ "is": "quarantine", "transaction": txn, "name": name, "reason": reason })
        }
        Record::Guard(guard) => {
            let paths: Vec<String> = guard.paths.iter().map(|path| hex(&path.0)).collect();
            json!({ "is": "guard", "transaction": guard.txn, "snapshot": guard.snapshot, "paths": paths })
        }
    }
}

fn intent(intent: &Intent) -> Value {
    let goal = match &intent.goal {
        Goal::Absent => json!({ "is": "absent" }),
        Goal::Emptied => json!({ "is": "emptied" }),
        Goal::New(new) => self::new(new),
        Goal::Moved { from, identity } => {
            json!({ "is": "moved", "from": hex(&from.0), "identity": self::identity(identity) })
        }
        Goal::Kept => json!({ "is": "kept" }),
        Goal::Rewritten { new, image } => {
            let mut new = self::new(new);
            new.as_object_mut().unwrap().remove("is");
            json!({ "is": "rewritten", "new": new, "image": image })
        }
    };
    json!({
        "is": "intent", "path": hex(&intent.path.0), "base": intent.base.as_ref().map(|base| hex(&base.0)),
        "prior": intent.prior.as_ref().map(identity), "goal": goal,
        "look": intent.look.as_ref().map(look),
    })
}

fn new(new: &New) -> Value {
    let xattrs: Vec<Value> =
        new.xattrs.iter().map(|(name, value)| json!({ "name": hex(name), "value": hex(value) })).collect();
    let body = match &new.body {
        Body::Dir => json!({ "is": "directory" }),
        Body::Inline(bytes) => json!({ "is": "inline", "bytes": hex(bytes) }),
        Body::Staged => json!({ "is": "staged" }),
        Body::Symlink(target) => json!({ "is": "symlink", "target": hex(target) }),
        Body::Link { from } => json!({ "is": "link", "from": hex(&from.0) }),
    };
    json!({
        "is": "new", "slot": new.slot, "inner": hex(&new.inner.0), "identity": identity(&new.identity), "mode": new.mode,
        "owner": new.uid, "group": new.gid, "xattrs": xattrs, "times": new.times.as_ref().map(times), "body": body,
    })
}

fn look(look: &LookChange) -> Value {
    let owner = |owner: &Owner| json!({ "user": owner.uid, "group": owner.gid });
    let xattrs = look.xattrs.iter().map(|xattr| {
        let value = |value: &Option<Vec<u8>>| value.as_ref().map(|value| hex(value));
        json!({ "name": hex(&xattr.name), "new": value(&xattr.to), "old": value(&xattr.prior) })
    });
    json!({
        "mode": look.mode.map(|mode| json!({ "new": mode.to, "old": mode.prior })),
        "owner": look.owner.map(|change| json!({ "new": owner(&change.to), "old": owner(&change.prior) })),
        "times": look.times.as_ref().map(times),
        "xattrs": xattrs.collect::<Vec<_>>(),
    })
}

fn times(change: &Change<Times>) -> Value {
    let times = |times: &Times| json!({ "accessed": time(times.accessed), "modified": time(times.modified) });
    json!({ "new": times(&change.to), "old": times(&change.prior) })
}

fn identity(identity: &Identity) -> Value {
    let kind = match identity.kind {
        Kind::File => "file",
        Kind::Dir => "directory",
        Kind::Symlink => "symlink",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
        Kind::CharDevice => "character device",
        Kind::BlockDevice => "block device",
    };
    json!({
        "kind": { "is": kind }, "inode": identity.ino, "born": time(identity.born), "size": identity.size,
        "modified": time(identity.modified),
    })
}

fn time(time: Time) -> Value {
    json!({ "seconds": time.secs, "nanoseconds": time.nanos })
}
