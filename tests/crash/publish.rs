//! Publishing from outside of the tree: the prepared directory is in the tree or not, and never nowhere.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use treewal::{Options, Publish, Tree};
use treewal_vfs::sim::{Outcome, Profile, SimDisk};
use treewal_vfs::{Disk, Fault, FaultDisk, Kind, Open, RelPath, Verb, errno, write_all};

type Files = BTreeMap<RelPath, Vec<u8>>;

fn open(disk: &SimDisk) -> treewal::Result<Tree> {
    let options = Options::new().segment_bytes(64 << 10).inline_max(4 << 10).lock_wait(Duration::ZERO);
    options.open_on(Arc::new(disk.clone()), "/t")
}

fn prepared() -> SimDisk {
    let disk = SimDisk::new();
    let root = disk.open_root("/".as_ref()).unwrap();
    for dir in ["t", "t/site", "t/site/sub", "next", "next/sub"] {
        let path = RelPath::new(dir).unwrap();
        let (parent, name) = path.split().unwrap();
        disk.create_dir(&disk.open_dir(&root, &parent).unwrap(), name, 0o755).unwrap();
    }
    let files = [("t/site/index", "old"), ("t/site/mine", "mine"), ("t/site/sub/kept", "kept"), ("next/index", "new")];
    for (file, contents) in files.into_iter().chain([("next/sub/page", "page")]) {
        let path = RelPath::new(file).unwrap();
        let (parent, name) = path.split().unwrap();
        let dir = disk.open_dir(&root, &parent).unwrap();
        let file = disk.open(&dir, name, Open::CreateNew { mode: 0o644 }).unwrap();
        write_all(&disk, &file, contents.as_bytes(), 0).unwrap();
    }
    drop(open(&disk).unwrap());
    disk.sync_all(&root).unwrap();
    disk.remount()
}

/// All files beneath a path, but for treewal's own.
fn files(disk: &SimDisk, beneath: &str) -> Files {
    let (beneath, own) = (RelPath::new(beneath).unwrap(), RelPath::new("t/.treewal").unwrap());
    let found = disk.dump().into_iter().filter(|(path, node)| path.starts_with(&beneath) && node.kind == Kind::File);
    let found = found.filter(|(path, _)| beneath.starts_with(&own) || !path.starts_with(&own));
    found.map(|(path, node)| (path.strip_prefix(&beneath).unwrap(), node.contents)).collect()
}

/// How the prepared directory comes into the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Exchange,
    /// As if from another file system: the rename that takes it into the stage is refused.
    Across,
    Merge,
}

impl How {
    /// Whether what was prepared is only read.
    fn leaves_it(self) -> bool {
        self != Self::Exchange
    }
}

/// Opens and publishes; says whether that was acknowledged.
fn publish(disk: &SimDisk, how: How, keep: bool) -> bool {
    let outer = Arc::new(FaultDisk::new(Arc::new(disk.clone()), Fault::None).only(Verb::Rename));
    let options = Options::new().segment_bytes(64 << 10).inline_max(4 << 10).lock_wait(Duration::ZERO);
    let Ok(tree) = options.open_on(Arc::clone(&outer) as _, "/t") else { return false };
    if how == How::Across {
        outer.arm(Fault::Error { at: 1, errno: errno::EXDEV });
    }
    let publish = if how == How::Merge { Publish::merge() } else { Publish::exchange() };
    let published = tree.transaction(|tx| {
        tx.publish_with(publish.keep_unmanaged(keep), "/next", "site")?;
        tx.write("site/version", "2")
    });
    published.is_ok()
}

/// Where what was prepared stands if it is not in the tree.
fn kept_aside(disk: &SimDisk) -> Vec<Files> {
    let root = disk.open_root("/".as_ref()).unwrap();
    let quarantine = disk.open_dir(&root, &RelPath::new("t/.treewal/quarantine").unwrap()).unwrap();
    let cases = disk.list(&quarantine).unwrap().into_iter().map(|entry| entry.name.into_string().unwrap());
    let entries = cases.map(|case| files(disk, &format!("t/.treewal/quarantine/{case}/entry")));
    entries.chain([files(disk, "next")]).filter(|files| !files.is_empty()).collect()
}

fn outcomes(disk: &SimDisk, seed: u64) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for profile in [Profile::Strict, Profile::Ordered] {
        let all = disk.outcomes(profile);
        outcomes.extend([all.nothing(), all.everything(), all.names_without_contents(), all.contents_without_names()]);
        outcomes.extend(all.sample(seed, 8));
    }
    outcomes
}

/// `states` are the tree before and after; only the second is allowed where the commit had returned.
fn judge(disk: &SimDisk, states: &[Files], (how, done): (How, usize), prepared: &Files, at: &str) {
    if how == How::Merge {
        // The directory stays, and what lasts in it: also before anybody recovers.
        let found = files(disk, "t/site");
        let missing = ["index", "mine"].map(|name| RelPath::new(name).unwrap());
        let missing: Vec<_> = missing
            .into_iter()
            .filter(|name| {
                states.iter().all(|state| state.contains_key(&RelPath::new("site").unwrap().join_path(name)))
            })
            .filter(|name| !found.contains_key(name))
            .collect();
        assert!(missing.is_empty(), "{at}: missing before recovery: {missing:?}");
    }
    // Where it was, it has no names of what is in the tree: nobody who works on it there works on the tree.
    let outside = files(disk, "next");
    assert!(outside.is_empty() || outside == *prepared, "{at}: {outside:?}");
    let tree = open(disk).unwrap();
    let found = files(disk, "t");
    assert!(states[done..].contains(&found), "{at}: {:?}\n{}", found.keys(), tree.recovery());
    assert_eq!(tree.recovery().pending().count(), 0, "{at}: {}", tree.recovery());
    drop(tree);
    let aside = kept_aside(disk);
    if how.leaves_it() {
        assert_eq!(
            aside.as_slice(),
            std::slice::from_ref(prepared),
            "{at}: what is only read stays, and nothing else is left"
        );
    } else if found == states[0] {
        let [aside] = aside.as_slice() else {
            let all: Vec<_> = disk.dump().into_keys().map(|path| path.to_string()).collect();
            panic!("{at}: what was prepared is at {} places: {all:#?}", aside.len())
        };
        // What was to be kept in it may have come in already: never less than it had.
        assert!(prepared.iter().all(|(path, contents)| aside.get(path) == Some(contents)), "{at}: {aside:?}");
    } else {
        assert!(aside.is_empty(), "{at}: something is left over: {aside:?}");
    }
    let root = disk.open_root("/".as_ref()).unwrap();
    let stage = disk.open_dir(&root, &RelPath::new("t/.treewal/stage").unwrap()).unwrap();
    assert_eq!(disk.list(&stage).unwrap().len(), 0, "{at}");
    assert!(open(disk).unwrap().recovery().is_clean(), "{at}");
    assert_eq!(files(disk, "t"), found, "{at}: a second opening changed something");
}

fn explore(how: How, keep: bool) -> u64 {
    let base = prepared();
    let whole = base.remount();
    let (before, ready) = (files(&whole, "t"), files(&whole, "next"));
    assert!(publish(&whole, how, keep));
    let states = [before, files(&whole, "t")];
    assert_eq!(states[1].len(), if keep { 5 } else { 3 });
    let mut count = 0;
    for cut in 1.. {
        let disk = base.remount();
        disk.cut_at(Some(cut));
        let acknowledged = usize::from(publish(&disk, how, keep));
        // Where it ends before that, the power goes once it has returned.
        let is_whole = !disk.is_off();
        assert!(!is_whole || acknowledged == 1, "published on a whole disk");
        for (n, outcome) in outcomes(&disk, cut).into_iter().enumerate() {
            let at = format!("cut before call {cut}, outcome {n}: {}", disk.describe(&outcome));
            let crashed = disk.after(&outcome);
            judge(&crashed.remount(), &states, (how, acknowledged), &ready, &at);
            count += 1;
            if n % 5 != 0 {
                continue;
            }
            for inside in 1.. {
                let disk = crashed.remount();
                disk.cut_at(Some(inside));
                drop(open(&disk));
                if !disk.is_off() {
                    break;
                }
                let all = disk.outcomes(Profile::Strict);
                for outcome in [all.nothing(), all.everything(), all.names_without_contents()] {
                    let at = format!("{at}; then before call {inside} of recovery: {}", disk.describe(&outcome));
                    judge(&disk.after(&outcome), &states, (how, acknowledged), &ready, &at);
                    count += 1;
                }
            }
        }
        if is_whole {
            break;
        }
    }
    count
}

#[test]
fn what_is_published_is_in_the_tree_or_where_it_was_or_in_quarantine() {
    for how in [How::Exchange, How::Across, How::Merge] {
        for keep in [false, true] {
            let count = explore(how, keep);
            println!("publish, {how:?}, keep_unmanaged {keep}: {count} crash states");
            assert!(count > 500, "exploring next to nothing proves nothing");
        }
    }
}

#[test]
fn what_is_given_back_is_where_it_was_without_what_it_was_to_keep_or_in_quarantine() {
    let base = prepared();
    let (before, ready) = (files(&base, "t"), files(&base, "next"));
    for cut in 1.. {
        let disk = base.remount();
        let tree = open(&disk).unwrap();
        let mut tx = tree.begin();
        tx.publish_with(Publish::new().keep_unmanaged(true), "/next", "site").unwrap();
        disk.cut_at(Some(cut));
        drop((tx, tree));
        let is_whole = !disk.is_off();
        for (n, outcome) in outcomes(&disk, cut).into_iter().enumerate() {
            let at = format!("cut before call {cut}, outcome {n}: {}", disk.describe(&outcome));
            let after = disk.after(&outcome).remount();
            judge(&after, std::slice::from_ref(&before), (How::Exchange, 0), &ready, &at);
        }
        if is_whole {
            assert!(cut > 5 && files(&disk, "next") == ready, "cut at {cut} calls");
            break;
        }
    }
}

#[test]
fn a_name_that_no_transaction_uses_is_not_an_excuse_to_remove_it() {
    // The process dies between taking it in and the commit.
    let disk = prepared();
    let tree = open(&disk).unwrap();
    let mut tx = tree.begin();
    tx.publish("/next", "site").unwrap();
    std::mem::forget((tx, tree));
    let disk = disk.kill();
    let states = [files(&disk, "t")];
    let ready = Files::from([
        (RelPath::new("index").unwrap(), b"new".to_vec()),
        (RelPath::new("sub/page").unwrap(), b"page".to_vec()),
    ]);
    judge(&disk, &states, (How::Exchange, 0), &ready, "killed");
    assert!(files(&disk, "next").is_empty() && !kept_aside(&disk).is_empty());
    assert!(disk.stat(&disk.open_root("/".as_ref()).unwrap(), OsStr::new("next")).is_err());
}
