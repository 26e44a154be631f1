//! Records that no transaction of ours can have written, with checksums that hold: they are given up with all they hold, and
//! keep nothing else from being finished.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::sync::Arc;

use treewal::{Options, Tree};
use treewal_journal::record::{Begin, Body, Goal, Intent, New, PathBytes, Record};
use treewal_journal::{Log, LogOptions, Reader};
use treewal_recovery::append;
use treewal_recovery::home::Home;
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Disk, Identity, Kind, RelPath, Time};

fn open(disk: &SimDisk) -> Tree {
    Options::new().open_on(Arc::new(disk.clone()), "/").unwrap()
}

fn intent(path: &str, contents: &str) -> Record {
    let zero = Time::default();
    let identity = Identity { kind: Kind::File, ino: 1 << 40, born: zero, size: contents.len() as u64, modified: zero };
    let body = Body::Inline(contents.as_bytes().to_vec());
    let new = New {
        slot: 1,
        inner: PathBytes(Vec::new()),
        identity,
        mode: 0o644,
        uid: 0,
        gid: 0,
        times: None,
        xattrs: Vec::new(),
        body,
    };
    Record::Intent(Intent {
        path: PathBytes(path.as_bytes().to_vec()),
        base: Some(PathBytes(path.as_bytes().to_vec())),
        prior: None,
        goal: Goal::New(new),
        look: None,
    })
}

/// Appends a committed transaction to the journal of a tree that nobody has open.
fn plant(disk: &SimDisk, stage: &str, intents: [Record; 3]) -> u64 {
    let shared = Arc::new(disk.clone());
    let home = Home::open(shared.clone(), disk.open_root("/".as_ref()).unwrap()).unwrap().unwrap();
    let scan = Reader::scan(disk, &home.journal, None, &mut |_| ControlFlow::Continue(())).unwrap();
    let log = Log::resume(shared, home.journal, LogOptions::new(scan.tree.unwrap()), &scan).unwrap();
    let txn = log.last().0 + 1;
    let mut records = vec![Record::Begin(Begin { txn, stage: stage.into(), barrier: false })];
    records.extend(intents);
    records.push(Record::Commit { txn, intents: 3, at: Time::default() });
    append(&log, &records).unwrap();
    log.sync().unwrap();
    txn
}

fn holds(disk: &SimDisk, path: &str) -> Option<String> {
    let node = disk.dump().remove(&RelPath::new(path).unwrap())?;
    Some(String::from_utf8_lossy(&node.contents).into_owned())
}

#[test]
fn what_an_unsound_transaction_holds_goes_to_quarantine_and_the_others_are_finished() {
    for (stage, path) in [("0123", "../out"), ("0123", ".treewal/tree"), ("..", "in"), ("", "in")] {
        let disk = SimDisk::new();
        let tree = open(&disk);
        tree.transaction(|tx| tx.write("innocent", "redone")).unwrap();
        std::mem::forget(tree);
        disk.remove_file(&disk.open_root("/".as_ref()).unwrap(), OsStr::new("innocent")).unwrap();
        let disk = disk.kill();
        let txn = plant(&disk, stage, [intent("first", "1"), intent(path, "22"), intent("third", "333")]);

        let tree = open(&disk);
        let report = tree.recovery();
        assert_eq!(report.pending().count(), 0, "{stage:?} {path:?}: {report}");
        let line = report.transactions.iter().find(|line| line.txn == txn).unwrap();
        assert_eq!(line.label, "redo-impossible");
        let case = format!(".treewal/quarantine/{}", line.quarantine.as_ref().unwrap());
        for (name, contents) in [("0001", "1"), ("0002", "22"), ("0003", "333")] {
            assert_eq!(
                holds(&disk, &format!("{case}/{name}")).as_deref(),
                Some(contents),
                "{stage:?} {path:?}: {name}"
            );
        }
        let said = holds(&disk, &format!("{case}/report.txt")).unwrap();
        assert!(said.contains(&format!("{path:?}: given up")), "{said}");
        // A part of a transaction is never applied, and a whole one is.
        assert_eq!((holds(&disk, "first"), holds(&disk, "innocent")), (None, Some("redone".into())));
        tree.transaction(|tx| tx.write("next", "n")).unwrap();
        drop(tree);
        assert!(open(&disk).recovery().is_clean());
    }
}
