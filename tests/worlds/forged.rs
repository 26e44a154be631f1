//! Journals that somebody forged, with checksums that hold: every path, stage, snapshot and slot in them may be anything. Nothing
//! outside of the tree is ever touched, nothing of treewal's own is, and what stood in the journal in good faith is finished.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::sync::Arc;

use treewal::{Options, Tree};
use treewal_journal::record::{Begin, Body, Change, Goal, Guard, Intent, LookChange, New, PathBytes, Record};
use treewal_journal::{Log, LogOptions, Reader};
use treewal_recovery::append;
use treewal_recovery::home::Home;
use treewal_vfs::sim::{Node, SimDisk};
use treewal_vfs::{Dir, Disk, Identity, Kind, Open, RelPath, Time, write_all};

const TREE: &str = "/tree";

fn open(disk: &SimDisk) -> treewal::Result<Tree> {
    Options::new().segment_bytes(64 << 10).open_on(Arc::new(disk.clone()), TREE)
}

fn dir(disk: &SimDisk, path: &str) -> Dir {
    disk.open_dir(&disk.open_root("/".as_ref()).unwrap(), &RelPath::new(path).unwrap()).unwrap()
}

fn put(disk: &SimDisk, at: &str, name: &str, contents: &str) -> Identity {
    let at = dir(disk, at);
    let file = disk.open(&at, OsStr::new(name), Open::Create { mode: 0o644 }).unwrap();
    write_all(disk, &file, contents.as_bytes(), 0).unwrap();
    disk.stat_file(&file).unwrap().identity()
}

/// A tree with a commit that is to be redone, and beside it what is none of its business: a file, and a directory to which a
/// link in the tree leads.
fn world() -> (SimDisk, Identity) {
    let disk = SimDisk::new();
    let root = disk.open_root("/".as_ref()).unwrap();
    for name in ["tree", "outside"] {
        disk.create_dir(&root, OsStr::new(name), 0o755).unwrap();
    }
    let victim = put(&disk, "outside", "victim", "precious");
    put(&disk, "", "victim", "precious");
    for (name, target) in [("link", "/outside"), ("near", "../outside")] {
        disk.symlink(OsStr::new(target), &dir(&disk, "tree"), OsStr::new(name)).unwrap();
    }
    let tree = open(&disk).unwrap();
    tree.snapshot("kept").unwrap();
    tree.transaction(|tx| tx.write("innocent", "redone")).unwrap();
    disk.remove_file(&dir(&disk, "tree"), OsStr::new("innocent")).unwrap();
    std::mem::forget(tree);
    (disk.kill(), victim)
}

/// Appends to the journal of a tree that nobody has open.
fn forge(disk: &SimDisk, records: impl Fn(u64) -> Vec<Record>) -> u64 {
    let shared = Arc::new(disk.clone());
    let home = Home::open(shared.clone(), dir(disk, "tree")).unwrap().unwrap();
    let scan = Reader::scan(disk, &home.journal, None, &mut |_| ControlFlow::Continue(())).unwrap();
    let log = Log::resume(shared, home.journal, LogOptions::new(scan.tree.unwrap()), &scan).unwrap();
    let txn = log.last().0 + 1;
    append(&log, &records(txn)).unwrap();
    log.sync().unwrap();
    txn
}

/// What is no business of the tree's, and what is treewal's own and must not be written over by a record.
fn untouchable(disk: &SimDisk) -> BTreeMap<RelPath, Node> {
    let own = ["tree/.treewal/tree", "tree/.treewal/.gitignore", "tree/.treewal/snapshots"];
    let is_own = |path: &RelPath| own.iter().any(|own| path.starts_with(&RelPath::new(own).unwrap()));
    let tree = RelPath::new("tree").unwrap();
    disk.dump().into_iter().filter(|(path, _)| is_own(path) || (!path.starts_with(&tree) && !path.is_root())).collect()
}

fn bytes(path: &str) -> PathBytes {
    PathBytes(path.as_bytes().to_vec())
}

fn goals(path: &str, victim: Identity) -> Vec<(&'static str, Goal, Option<LookChange>)> {
    let new = |body: Body, inner: &str| {
        let identity = Identity { ino: 1 << 40, size: 3, ..victim };
        Goal::New(New {
            slot: 1,
            inner: bytes(inner),
            identity: if matches!(body, Body::Dir) {
                Identity { kind: Kind::Dir, size: 0, ..identity }
            } else {
                identity
            },
            mode: 0o6777,
            uid: 0,
            gid: 0,
            times: None,
            xattrs: Vec::new(),
            body,
        })
    };
    let opened = LookChange { mode: Some(Change { to: 0o777, prior: 0o644 }), ..LookChange::default() };
    vec![
        ("a file", new(Body::Inline(b"bad".to_vec()), ""), None),
        ("a staged file", new(Body::Staged, ""), None),
        ("what lies deeper in a slot", new(Body::Inline(b"bad".to_vec()), path), None),
        ("a directory", new(Body::Dir, ""), None),
        ("a symlink", new(Body::Symlink(b"/outside".to_vec()), ""), None),
        ("another name", new(Body::Link { from: bytes(path) }, ""), None),
        ("an entry from elsewhere", Goal::Moved { from: bytes(path), identity: victim }, None),
        ("nothing", Goal::Absent, None),
        ("nothing, where it is empty", Goal::Emptied, None),
        ("the same with other bits", Goal::Kept, Some(opened)),
    ]
}

const PATHS: [&str; 22] = [
    "/outside/victim",
    "../outside/victim",
    "../victim",
    "..",
    ".",
    "",
    "/",
    "./x",
    "x//y",
    "a/../../outside/victim",
    "link",
    "link/victim",
    "link/new",
    "near/victim",
    "innocent/../../outside/victim",
    ".treewal",
    ".treewal/tree",
    ".treewal/snapshots/kept",
    ".treewal/../../outside/victim",
    "x\0y",
    "x/.treewal/../../../outside/victim",
    "outside/victim",
];

/// Recovers, twice, and judges.
fn judged(disk: &SimDisk, before: &BTreeMap<RelPath, Node>, told: &str) -> Tree {
    let tree = open(disk).unwrap_or_else(|error| panic!("{told}: {error:?}"));
    let report = tree.recovery().to_string();
    let after = untouchable(disk);
    let differ: Vec<&RelPath> =
        before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path)).collect();
    assert!(differ.is_empty(), "{told}: {differ:?} changed\n{report}");
    assert_eq!(tree.recovery().pending().count(), 0, "{told}: {report}");
    let innocent = disk.dump().remove(&RelPath::new("tree/innocent").unwrap()).map(|node| node.contents);
    assert_eq!(innocent.as_deref(), Some(&b"redone"[..]), "{told}: {report}");
    tree.transaction(|tx| tx.write("next", "n")).unwrap_or_else(|error| panic!("{told}: {error:?}"));
    tree
}

#[test]
fn ro25_no_path_of_a_forged_record_leads_out_of_the_tree() {
    let mut tried = 0;
    let (_, victim) = world();
    for path in PATHS {
        for (what, ..) in goals(path, victim) {
            for (as_base, stage) in [(false, "0123"), (true, "0123"), (false, "gone")] {
                let (disk, victim) = world();
                if stage != "gone" {
                    // A stage that stands there, with a slot for the taking.
                    disk.create_dir(&dir(&disk, "tree/.treewal/stage"), OsStr::new(stage), 0o700).unwrap();
                    put(&disk, "tree/.treewal/stage/0123", "1", "bad");
                }
                let before = untouchable(&disk);
                forge(&disk, |txn| {
                    let (_, goal, look) = goals(path, victim).into_iter().find(|(name, ..)| *name == what).unwrap();
                    // In the place of the path, or of where it is said to have stood.
                    let place = if as_base { "fresh" } else { path };
                    let intent =
                        Intent { path: bytes(place), base: Some(bytes(path)), prior: Some(victim), goal, look };
                    vec![
                        Record::Begin(Begin { txn, stage: stage.into(), barrier: true }),
                        Record::Intent(intent),
                        Record::Commit { txn, intents: 1, at: Time::default() },
                    ]
                });
                drop(judged(&disk, &before, &format!("{what} at {path:?}, as base {as_base}, stage {stage}")));
                tried += 1;
            }
        }
    }
    println!("{tried} forged records");
}

#[test]
fn ro25_no_stage_or_snapshot_of_a_forged_record_leads_out_of_its_place() {
    let names =
        ["..", ".", "", "/", "/outside", "../..", "../../../outside", "a/b", "../guards", "../snapshots/kept", "x\0y"];
    for name in names {
        let (disk, victim) = world();
        let before = untouchable(&disk);
        forge(&disk, |txn| {
            let (_, goal, _) = goals("fresh", victim).remove(1);
            let intent = Intent { path: bytes("fresh"), base: None, prior: None, goal, look: None };
            vec![
                Record::Begin(Begin { txn, stage: name.into(), barrier: false }),
                Record::Intent(intent),
                Record::Commit { txn, intents: 1, at: Time::default() },
            ]
        });
        drop(judged(&disk, &before, &format!("stage {name:?}")));

        for paths in [vec!["innocent"], vec!["../outside"], vec!["link/victim"], vec![".treewal"], vec![""], vec![]] {
            let (disk, _) = world();
            let before = untouchable(&disk);
            forge(&disk, |txn| {
                let paths = paths.iter().map(|path| bytes(path)).collect();
                vec![Record::Guard(Guard { txn, snapshot: name.into(), paths })]
            });
            drop(judged(&disk, &before, &format!("snapshot {name:?} of {paths:?}")));
        }
    }
}

/// A record that knows what stands where, down to the inode, takes nothing out of treewal's own directory.
#[test]
fn ro25_nothing_of_treewals_own_is_moved_into_the_tree() {
    for (own, name) in
        [(".treewal/snapshots", "kept"), (".treewal", "lock"), (".treewal", "tree"), (".treewal", "journal")]
    {
        for as_link in [false, true] {
            let (disk, _) = world();
            let identity = disk.stat(&dir(&disk, &format!("tree/{own}")), OsStr::new(name)).unwrap().identity();
            let before = untouchable(&disk);
            forge(&disk, |txn| {
                let from = bytes(&format!("{own}/{name}"));
                let goal = match goals(&format!("{own}/{name}"), identity).remove(if as_link { 5 } else { 6 }).1 {
                    Goal::New(new) => Goal::New(New { identity, ..new }),
                    other => other,
                };
                let gone = Intent {
                    path: from.clone(),
                    base: Some(from),
                    prior: Some(identity),
                    goal: Goal::Absent,
                    look: None,
                };
                let there = Intent { path: bytes("fresh"), base: None, prior: None, goal, look: None };
                let intents = if as_link { vec![there] } else { vec![there, gone] };
                let mut records = vec![Record::Begin(Begin { txn, stage: "0123".into(), barrier: true })];
                let number = u32::try_from(intents.len()).unwrap();
                records.extend(intents.into_iter().map(Record::Intent));
                records.push(Record::Commit { txn, intents: number, at: Time::default() });
                records
            });
            drop(judged(&disk, &before, &format!("{own}/{name}, as link {as_link}")));
            assert!(!disk.dump().contains_key(&RelPath::new("tree/fresh").unwrap()), "{own}/{name}");
        }
    }
}

/// The numbers of a record may say anything: how many there are, which it is, how large something is.
#[test]
fn ro25_numbers_that_cannot_be_cost_no_more_than_a_refusal() {
    for (what, intents, slot, size, kept) in [
        ("more intents than there are", u32::MAX, 1, 3, 1),
        ("none", 0, 1, 3, 1),
        ("a slot beyond all", 1, u64::MAX, 3, 1),
        ("a file beyond all", 1, 1, u64::MAX, 1),
        ("the same thousand times", 1_000, 1, 3, 1_000),
    ] {
        let (disk, victim) = world();
        let before = untouchable(&disk);
        forge(&disk, |txn| {
            let identity = Identity { ino: 1 << 40, size, ..victim };
            let new = New {
                slot,
                inner: bytes(""),
                identity,
                mode: u32::MAX,
                uid: u32::MAX,
                gid: u32::MAX,
                times: None,
                xattrs: vec![(vec![0xff; 300], vec![1; 1000])],
                body: Body::Staged,
            };
            let intent = Intent { path: bytes("fresh"), base: None, prior: None, goal: Goal::New(new), look: None };
            let mut records = vec![Record::Begin(Begin { txn, stage: "0123".into(), barrier: false })];
            records.extend((0..kept).map(|_| Record::Intent(intent.clone())));
            records.push(Record::Commit { txn, intents, at: Time { secs: i64::MAX, nanos: 999_999_999 } });
            records
        });
        let begun = std::time::Instant::now();
        drop(judged(&disk, &before, what));
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{what}: {:?}", begun.elapsed());
    }
}

/// Ends of transactions that are none, checkpoints of what is yet to come: the tree opens, and is what it was.
#[test]
fn ro25_records_that_end_what_never_began() {
    let ends: [fn(u64) -> Vec<Record>; 5] = [
        |txn| vec![Record::Rollback { txn: txn + 7 }],
        |txn| vec![Record::Commit { txn: txn + 7, intents: 3, at: Time::default() }],
        |txn| {
            vec![Record::Attempt { txn: u64::MAX, number: u32::MAX, reason: "x".repeat(2_000 + usize::from(txn > 1)) }]
        },
        |_| vec![Record::Begin(Begin { txn: u64::MAX, stage: "0123".into(), barrier: true })],
        |txn| vec![Record::Commit { txn: 0, intents: 0, at: Time::default() }, Record::Rollback { txn }],
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let (disk, _) = world();
        let before = untouchable(&disk);
        forge(&disk, end);
        drop(judged(&disk, &before, &format!("end {number}")));
    }
}

/// A journal of another tree, with work that is owed there, in the place of this one's: none of it happens here.
#[test]
fn ro25_a_journal_of_another_tree_does_nothing_here() {
    for with_ours in [false, true] {
        let (disk, _) = world();
        let root = disk.open_root("/".as_ref()).unwrap();
        disk.create_dir(&root, OsStr::new("other"), 0o755).unwrap();
        put(&disk, "other", "innocent", "of the other");
        let other = Options::new().segment_bytes(64 << 10).open_on(Arc::new(disk.clone()), "/other").unwrap();
        other.transaction(|tx| tx.write("theirs", "never here")).unwrap();
        std::mem::forget(other);
        let disk = disk.kill();
        let (from, to) = (dir(&disk, "other/.treewal/journal"), dir(&disk, "tree/.treewal/journal"));
        for entry in disk.list(&to).unwrap() {
            if !with_ours {
                disk.remove_file(&to, &entry.name).unwrap();
            }
        }
        for entry in disk.list(&from).unwrap() {
            let name = if with_ours { OsStr::new("00000000000000000099.wal") } else { entry.name.as_os_str() };
            disk.rename(&from, &entry.name, &to, name, treewal_vfs::Rename::Replace).unwrap();
        }
        let tree = open(&disk).unwrap();
        assert_eq!(tree.recovery().pending().count(), 0, "{}", tree.recovery());
        assert!(disk.dump().keys().all(|path| *path != RelPath::new("tree/theirs").unwrap()), "{}", tree.recovery());
        tree.transaction(|tx| tx.write("next", "n")).unwrap();
        drop(tree);
        assert_eq!(open(&disk).unwrap().read().unwrap().read("next").unwrap(), b"n");
    }
}
