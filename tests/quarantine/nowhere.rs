//! What goes to quarantine is nowhere missing: at whatever call of the opening that takes it there the power goes, it stands
//! somewhere.

use std::sync::Arc;

use treewal::{Resolution, Transaction};
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
    for (disk, txn) in owed(rewrites) {
        states += stands_somewhere(&disk, "taken back", &kept, &|disk| {
            let disk: Arc<dyn Disk> = Arc::new(disk.clone());
            // The second time there may be nothing left to decide.
            drop(options().resolve_on(&disk, "/", txn, Resolution::Restore));
            drop(options().open_on(disk, "/"));
        });
    }
    assert!(states > 1000, "{states}");
}

/// What is small travels in the journal, which forgets it then.
#[test]
fn what_is_small_and_was_taken_back_is_in_quarantine() {
    for (disk, txn) in owed(|tx| {
        tx.write("a", NEW[0])?;
        tx.create_dir("made")?;
        tx.write("made/d", NEW[1])
    }) {
        let on: Arc<dyn Disk> = Arc::new(disk.clone());
        options().resolve_on(&on, "/", txn, Resolution::Restore).unwrap();
        assert_eq!(holds(&disk, "a").as_deref(), Some(large(OLD[0]).as_str()));
        assert!(holds(&disk, "made").is_none());
        let all = disk.outcomes(Profile::Strict);
        for outcome in all.named().into_iter().chain(all.single()) {
            let kept = below(&disk.after(&outcome), ".treewal/quarantine");
            for text in NEW {
                assert!(kept.values().any(|held| held == text), "{text}: {kept:?}: {}", disk.describe(&outcome));
            }
        }
    }
}
