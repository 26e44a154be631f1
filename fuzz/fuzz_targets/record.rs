//! One record: what decodes, encodes to what decodes the same; what is encoded, decodes.
#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use treewal_journal::record::{
    Begin, Body, Change, Goal, Guard, Intent, LookChange, New, Owner, PathBytes, Record, Times, XattrChange,
};
use treewal_vfs::{Identity, Kind, Time};

fuzz_target!(|data: &[u8]| {
    let Some((&kind, payload)) = data.split_first() else { return };
    if let Ok(record) = Record::decode(kind, payload) {
        assert_eq!(record.kind(), kind);
        let shortest = record.encode().unwrap();
        assert!(shortest.len() <= payload.len(), "the writer uses the shortest form");
        assert_eq!(Record::decode(kind, &shortest), Ok(record));
        let mut longer = payload.to_vec();
        longer.push(0);
        assert!(Record::decode(kind, &longer).is_err() && Record::decode(kind.wrapping_add(1), payload).is_err());
    }
    let mut u = Unstructured::new(data);
    if let Ok(record) = record(&mut u) {
        let bytes = record.encode().unwrap();
        let kind = record.kind();
        assert_eq!(Record::decode(kind, &bytes), Ok(record));
        assert!(Record::decode(kind, &bytes[..bytes.len() - 1]).is_err());
    }
});

fn bytes(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let len = usize::from(u.arbitrary::<u16>()? % 300);
    Ok(u.bytes(len.min(u.len()))?.to_vec())
}

fn path(u: &mut Unstructured<'_>) -> Result<PathBytes> {
    bytes(u).map(PathBytes)
}

fn text(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(String::from_utf8_lossy(&bytes(u)?).into_owned())
}

fn time(u: &mut Unstructured<'_>) -> Result<Time> {
    Ok(Time { secs: u.arbitrary()?, nanos: u.arbitrary()? })
}

fn identity(u: &mut Unstructured<'_>) -> Result<Identity> {
    use Kind::{BlockDevice, CharDevice, Dir, Fifo, File, Socket, Symlink};
    let kind = *u.choose(&[File, Dir, Symlink, Fifo, Socket, CharDevice, BlockDevice])?;
    Ok(Identity { kind, ino: u.arbitrary()?, born: time(u)?, size: u.arbitrary()?, modified: time(u)? })
}

fn times(u: &mut Unstructured<'_>) -> Result<Change<Times>> {
    let mut times = || Ok(Times { accessed: time(u)?, modified: time(u)? });
    Ok(Change { to: times()?, prior: times()? })
}

fn look(u: &mut Unstructured<'_>) -> Result<LookChange> {
    let mode = if u.arbitrary()? { Some(Change { to: u.arbitrary()?, prior: u.arbitrary()? }) } else { None };
    let mut owner = || Ok(Owner { uid: u.arbitrary()?, gid: u.arbitrary()? });
    let owner = Some(Change { to: owner()?, prior: owner()? });
    let times = if u.arbitrary()? { Some(times(u)?) } else { None };
    let mut xattrs = Vec::new();
    for _ in 0..u.int_in_range(0..=4)? {
        let to = if u.arbitrary()? { Some(bytes(u)?) } else { None };
        let prior = if u.arbitrary()? { Some(bytes(u)?) } else { None };
        xattrs.push(XattrChange { name: bytes(u)?, to, prior });
    }
    Ok(LookChange { mode, owner, times, xattrs })
}

fn new(u: &mut Unstructured<'_>) -> Result<New> {
    let mut xattrs = Vec::new();
    for _ in 0..u.int_in_range(0..=4)? {
        xattrs.push((bytes(u)?, bytes(u)?));
    }
    let body = match u.int_in_range(0..=4)? {
        0 => Body::Dir,
        1 => Body::Inline(bytes(u)?),
        2 => Body::Staged,
        3 => Body::Symlink(bytes(u)?),
        _ => Body::Link { from: path(u)? },
    };
    let (slot, inner, identity) = (u.arbitrary()?, path(u)?, identity(u)?);
    let times = if u.arbitrary()? { Some(times(u)?) } else { None };
    let (mode, uid, gid) = (u.arbitrary()?, u.arbitrary()?, u.arbitrary()?);
    Ok(New { slot, inner, identity, mode, uid, gid, xattrs, times, body })
}

fn intent(u: &mut Unstructured<'_>) -> Result<Intent> {
    let goal = match u.int_in_range(0..=5)? {
        0 => Goal::Absent,
        1 => Goal::New(new(u)?),
        2 => Goal::Moved { from: path(u)?, identity: identity(u)? },
        3 => Goal::Emptied,
        4 => Goal::Rewritten { new: new(u)?, image: u.arbitrary()? },
        _ => Goal::Kept,
    };
    let base = if u.arbitrary()? { Some(path(u)?) } else { None };
    let prior = if u.arbitrary()? { Some(identity(u)?) } else { None };
    let look = if u.arbitrary()? { Some(look(u)?) } else { None };
    Ok(Intent { path: path(u)?, base, prior, goal, look })
}

fn record(u: &mut Unstructured<'_>) -> Result<Record> {
    Ok(match u.int_in_range(0..=7)? {
        0 => Record::Begin(Begin { txn: u.arbitrary()?, stage: text(u)?, barrier: u.arbitrary()? }),
        1 => Record::Intent(intent(u)?),
        2 => Record::Commit { txn: u.arbitrary()?, intents: u.arbitrary()?, at: time(u)? },
        3 => Record::Rollback { txn: u.arbitrary()? },
        4 => Record::Attempt { txn: u.arbitrary()?, number: u.arbitrary()?, reason: text(u)? },
        5 => Record::Checkpoint { upto: u.arbitrary()? },
        6 => Record::Quarantine { txn: u.arbitrary()?, name: text(u)?, reason: text(u)? },
        _ => {
            let mut paths = Vec::new();
            for _ in 0..u.int_in_range(0..=20)? {
                paths.push(path(u)?);
            }
            Record::Guard(Guard { txn: u.arbitrary()?, snapshot: text(u)?, paths })
        }
    })
}
