//! What goes to quarantine is nowhere missing: at whatever call of the opening that takes it there the power goes, it stands
//! somewhere.

use std::sync::Arc;

use treewal::{RecoveryReport, Resolution, Retry, Transaction};
use treewal_vfs::Disk;
use treewal_vfs::sim::{Profile, SimDisk};

use crate::world::*;

/// The contents that no file has.
fn missing<'t>(disk: &SimDisk, kept: &[&'t str]) -> Vec<&'t str> {
    let seen = disk.dump();
    let is_missing = |text: &&&str| !seen.values().any(|node| node.contents == text.as_bytes());
    kept.iter().filter(is_missing).map(|text| &text[..8]).collect()
}

/// What stands in a case and no report there tells of.
fn untold(disk: &SimDisk) -> Vec<String> {
    let kept = below(disk, ".treewal/quarantine");
    let is_told = |path: &str| {
        let (case, name) = path.split_once('/')?;
        let said = |report: &str| Some(kept.get(&format!("{case}/{report}"))?.contains(name));
        Some(name.starts_with("report.") || said("report.json")? || said("report.txt")?)
    };
    let top = kept.keys().filter(|path| path.split('/').count() == 2);
    top.filter(|path| is_told(path) != Some(true)).cloned().collect()
}

/// Cuts the power before each call of `opening`, and at its end. Gives the number of states.
fn stands_somewhere(base: &SimDisk, at: &str, kept: &[&str], opening: &dyn Fn(&SimDisk)) -> u64 {
    let mut states = 0;
    for cut in 1.. {
        let disk = base.remount();
        disk.cut_at(Some(cut));
        opening(&disk);
        for profile in [Profile::Strict, Profile::Ordered, Profile::Grouped] {
            let all = disk.outcomes(profile);
            let single = if profile == Profile::Strict { all.single() } else { Vec::new() };
            for outcome in all.named().into_iter().chain(single) {
                states += 1;
                let left = disk.after(&outcome);
                let lost = missing(&left, kept);
                assert!(lost.is_empty(), "{at}, {profile:?}, {lost:?}: {}", disk.describe(&outcome));
                let untold = if at == "rescued" { Vec::new() } else { untold(&left) };
                assert!(untold.is_empty(), "{at}, {profile:?}, {untold:?}: {}", disk.describe(&outcome));
            }
        }
        // Who comes next, finds it as well.
        let next = disk.after(&disk.outcomes(Profile::Strict).everything());
        opening(&next);
        let lost = missing(&next, kept);
        assert!(lost.is_empty(), "{at}, cut before call {cut}, after the next opening: {lost:?}");
        if !disk.is_off() {
            assert!(cut > 10, "{at}: {cut} calls are too few to be true");
            break;
        }
    }
    states
}

/// Who took a directory to publish it was killed, and the directory is in the stage of nobody.
#[test]
fn what_was_to_be_published_stands_somewhere() {
    let base = SimDisk::new();
    for path in ["tree/here", "outside/new/large"] {
        put(&base, path, &"published".repeat(LARGE / 8));
    }
    let open = |disk: &SimDisk| options().open_on(Arc::new(disk.clone()), "/tree");
    let tree = open(&base).unwrap();
    base.sync_all(&root(&base)).unwrap();
    let mut tx = tree.begin();
    tx.publish("/outside/new", "new").unwrap();
    std::mem::forget((tx, tree));
    let killed = base.kill();
    remove(&killed, "tree/here");
    assert!(holds(&killed, "outside/new/large").is_none());
    let kept = "published".repeat(LARGE / 8);
    let states = stands_somewhere(&killed, "rescued", &[&kept], &|disk| drop(open(disk)));
    assert!(states > 100, "{states}");
}

const OLD: [&str; 3] = ["old text of a", "old text of b", "old text of c"];
const NEW: [&str; 2] = ["new text of a", "new text of d"];

fn large(text: &str) -> String {
    text.repeat(LARGE / text.len() + 1)
}

type Body = fn(&mut Transaction) -> treewal::Result<()>;

/// A commit that is killed at each of its calls, where that leaves something that is owed.
fn owed(body: Body) -> Vec<(SimDisk, u64)> {
    let mut found = Vec::new();
    for cut in 1.. {
        let base = SimDisk::new();
        for (path, text) in ["a", "b", "dir/c"].into_iter().zip(OLD) {
            put(&base, path, &large(text));
        }
        let tree = open(&base);
        base.sync_all(&root(&base)).unwrap();
        base.cut_at(Some(cut));
        drop(tree.transaction(body));
        if !base.is_off() {
            break;
        }
        drop(tree);
        let disk = base.after(&base.outcomes(Profile::Ordered).everything());
        found.extend(fails(&disk).map(|txn| (disk, txn)));
    }
    assert!(found.len() > 1, "{} cuts left something to do", found.len());
    found
}

fn rewrites(tx: &mut Transaction) -> treewal::Result<()> {
    tx.write("a", large(NEW[0]))?;
    tx.write("d", large(NEW[1]))?;
    tx.remove_file("b")?;
    tx.remove_dir_all("dir")
}

/// New files with several names, one of them in a new directory.
fn names(tx: &mut Transaction) -> treewal::Result<()> {
    tx.write("a", large(NEW[0]))?;
    tx.create_dir("made")?;
    tx.write("made/d", large(NEW[1]))?;
    tx.hard_link("a", "made/e")?;
    tx.hard_link("made/d", "d")
}

fn moves(tx: &mut Transaction) -> treewal::Result<()> {
    tx.rename("b", "dir/b")?;
    tx.rename("dir", "moved")?;
    tx.rename("a", "b")?;
    tx.write("a", large(NEW[0]))?;
    tx.write("d", large(NEW[1]))
}

#[test]
fn what_is_given_up_stands_somewhere() {
    let kept = [&OLD[..], &NEW].concat().into_iter().map(large).collect::<Vec<_>>();
    let kept: Vec<&str> = kept.iter().map(String::as_str).collect();
    let mut states = 0;
    for (name, body) in [("rewrites", rewrites as Body), ("moves", moves)] {
        for (disk, txn) in owed(body) {
            let at = format!("{name}, {txn}");
            assert_eq!(fails(&disk), Some(txn));
            states += stands_somewhere(&disk, &at, &kept, &|disk| {
                let tree = options().open_on(Arc::new(disk.clone()), "/");
                assert!(tree.is_err() || tree.unwrap().recovery().pending().count() == 0);
            });
        }
    }
    assert!(states > 1000, "{states}");
}

/// A person wants the state before it: what was promised is in quarantine then, had it come to its place or not.
#[test]
fn what_is_taken_back_stands_somewhere() {
    let kept = [&OLD[..], &NEW].concat().into_iter().map(large).collect::<Vec<_>>();
    let kept: Vec<&str> = kept.iter().map(String::as_str).collect();
    let mut states = 0;
    for body in [rewrites as Body, names] {
        for (disk, txn) in owed(body) {
            states += stands_somewhere(&disk, "taken back", &kept, &|disk| {
                let disk: Arc<dyn Disk> = Arc::new(disk.clone());
                // The second time there may be nothing left to decide.
                drop(options().resolve_on(&disk, "/", txn, Resolution::Restore));
                drop(options().open_on(disk, "/"));
            });
        }
    }
    assert!(states > 2000, "{states}");
}

/// Brings back the state before a transaction, as a person wants it.
fn take_back(disk: &SimDisk, txn: u64) -> RecoveryReport {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let report = options().resolve_on(&disk, "/", txn, Resolution::Restore).unwrap();
    assert_eq!(report.pending().count(), 0, "{report}");
    report
}

/// What is small travels in the journal, which forgets it then.
#[test]
fn what_is_small_and_was_taken_back_is_in_quarantine() {
    for (disk, txn) in owed(|tx| {
        tx.write("a", NEW[0])?;
        tx.create_dir("made")?;
        tx.write("made/d", NEW[1])
    }) {
        take_back(&disk, txn);
        assert_eq!(holds(&disk, "a").as_deref(), Some(large(OLD[0]).as_str()));
        assert!(holds(&disk, "made").is_none());
        for text in NEW {
            let copies = below(&disk, ".treewal/quarantine").values().filter(|held| *held == text).count();
            assert_eq!(copies, 1, "{text}");
        }
        let all = disk.outcomes(Profile::Strict);
        for outcome in all.named().into_iter().chain(all.single()) {
            let kept = below(&disk.after(&outcome), ".treewal/quarantine");
            for text in NEW {
                assert!(kept.values().any(|held| held == text), "{text}: {kept:?}: {}", disk.describe(&outcome));
            }
        }
    }
}

/// Names of one new file are one inode: it is kept, wherever each of them had come.
#[test]
fn a_new_file_with_two_names_is_taken_back() {
    for (disk, txn) in owed(names) {
        take_back(&disk, txn);
        assert_eq!(holds(&disk, "a").as_deref(), Some(large(OLD[0]).as_str()));
        assert!(holds(&disk, "d").is_none() && holds(&disk, "made").is_none());
        assert!(missing(&disk, &NEW.map(large).each_ref().map(String::as_str)).is_empty());
        assert_eq!(untold(&disk), [""; 0]);
    }
}

/// Of two transactions, the first has come to its place, and what the second has for the same path has not.
#[test]
fn what_is_small_and_waits_behind_another_transaction_is_in_quarantine() {
    let mut waited = 0;
    for cut in 1.. {
        let disk = SimDisk::new();
        put(&disk, "a", OLD[0]);
        let tree = open(&disk);
        disk.sync_all(&root(&disk)).unwrap();
        let mut tx = tree.begin();
        tx.write("a", "text of the first").unwrap();
        tx.create_dir("made").unwrap();
        let first = tx.commit().unwrap().id;
        disk.cut_at(Some(cut));
        drop(tree.transaction(|tx| {
            tx.write("a", NEW[0])?;
            tx.write("made/d", NEW[1])
        }));
        if !disk.is_off() {
            break;
        }
        drop(tree);
        let disk = disk.after(&disk.outcomes(Profile::Ordered).everything());
        let was = tree_of(&disk);
        let on: Arc<dyn Disk> = Arc::new(disk.clone());
        let report = options().resolve_on(&on, "/", first, Resolution::Restore).unwrap();
        assert_eq!(report.pending().count(), 0, "{report}");
        assert_eq!(holds(&disk, "a").as_deref(), Some(OLD[0]), "{report}");
        if report.transactions.len() < 2 {
            continue;
        }
        waited += u32::from(was["a"] == "text of the first");
        let kept = below(&disk, ".treewal/quarantine");
        for text in NEW {
            assert!(kept.values().any(|held| held == text), "cut {cut}, {text}: {kept:#?}");
        }
    }
    assert!(waited > 0);
}

/// A directory that comes back takes what was beneath it out of the stage.
#[test]
fn what_was_removed_with_all_that_is_in_it_is_taken_back() {
    for (disk, txn) in owed(rewrites) {
        take_back(&disk, txn);
        let found = ["a", "b", "dir/c"].map(|path| holds(&disk, path).unwrap());
        assert_eq!(found, OLD.map(large));
        assert!(missing(&disk, &NEW.map(large).each_ref().map(String::as_str)).is_empty());
    }
}

/// The power has torn it where it stands: what is kept is what was promised.
#[test]
fn what_is_small_and_torn_is_in_quarantine_as_a_whole() {
    let base = SimDisk::new();
    put(&base, "a", OLD[0]);
    let tree = open(&base);
    base.sync_all(&root(&base)).unwrap();
    let mut tx = tree.begin();
    tx.write("a", NEW[0]).unwrap();
    tx.create_dir("made").unwrap();
    tx.write("made/d", NEW[1]).unwrap();
    let txn = tx.commit().unwrap().id;
    let disk = base.after(&base.outcomes(Profile::Strict).names_without_contents());
    assert_ne!(holds(&disk, "a").as_deref(), Some(NEW[0]));
    take_back(&disk, txn);
    let kept = below(&disk, ".treewal/quarantine");
    for text in NEW {
        assert!(kept.values().any(|held| held == text), "{text}: {kept:#?}");
    }
}

#[test]
fn a_new_directory_in_which_a_later_transaction_has_replaced_a_file_is_taken_back() {
    let base = SimDisk::new();
    put(&base, "b", OLD[0]);
    let tree = open(&base);
    base.sync_all(&root(&base)).unwrap();
    let mut tx = tree.begin();
    tx.create_dir("made").unwrap();
    tx.write("made/c", large(OLD[1])).unwrap();
    let txn = tx.commit().unwrap().id;
    tree.transaction(|tx| tx.write("made/c", large(NEW[0]))).unwrap();
    let disk = base.kill();
    take_back(&disk, txn);
    assert_eq!(tree_of(&disk).into_keys().collect::<Vec<_>>(), ["b"]);
    // What it had replaced is gone, as it would be had nobody taken it back.
    assert!(missing(&disk, &[&large(NEW[0])]).is_empty());
}

/// The report of it names, for each path, what was promised last.
#[test]
fn what_was_taken_back_is_brought_in_as_it_was_at_last() {
    for texts in [[OLD[0].to_owned(), NEW[0].to_owned()], [large(OLD[0]), large(NEW[0])]] {
        let base = SimDisk::new();
        let tree = open(&base);
        let mut tx = tree.begin();
        tx.write("a", &texts[0]).unwrap();
        let txn = tx.commit().unwrap().id;
        tree.transaction(|tx| tx.write("a", &texts[1])).unwrap();
        let disk = base.kill();
        let report = take_back(&disk, txn);
        assert!(holds(&disk, "a").is_none(), "{report}");
        let id = report.transactions[0].quarantine.clone().unwrap();
        let done = open(&disk).retry_quarantine(&id, Retry::new()).unwrap();
        assert!(done.purged, "{done:?}");
        assert_eq!(holds(&disk, "a").as_ref(), Some(&texts[1]));
    }
}
