//! Backups that were made while a guard was alive, and are put over a newer tree: the guard is undone, and nothing of what stood
//! there is lost.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use treewal::Options;
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Disk, Fault, FaultDisk, Open, RealDisk, RelPath, errno, read_all, write_all};

use crate::copies::{copy, held, text};

fn options() -> Options {
    Options::new().segment_bytes(64 << 10).lock_wait(Duration::ZERO)
}

/// A tree that is copied while a guard is alive, half way through its work.
fn at_work(home: &Path) -> (PathBuf, PathBuf) {
    let dir = home.join("tree");
    fs::create_dir_all(dir.join("guarded/deep")).unwrap();
    for name in ["kept", "written", "replaced", "closed", "deep/file", "gone"] {
        fs::write(dir.join("guarded").join(name), format!("{name} before")).unwrap();
    }
    fs::write(dir.join("other"), "other").unwrap();
    let tree = options().open(&dir).unwrap();
    let guard = tree.guard(["guarded", "absent"]).unwrap();
    fs::write(dir.join("guarded/written"), "written half way").unwrap();
    let backup = home.join("backup");
    copy(&dir, &backup);
    guard.commit().unwrap();
    drop(tree);
    (dir, backup)
}

/// Years of work after the guard.
fn work_on(dir: &Path) {
    let at = |name: &str| dir.join(name);
    fs::write(at("guarded/written"), "written later").unwrap();
    fs::remove_file(at("guarded/replaced")).unwrap();
    fs::create_dir(at("guarded/replaced")).unwrap();
    fs::write(at("guarded/replaced/inside"), "inside later").unwrap();
    fs::remove_file(at("guarded/gone")).unwrap();
    fs::remove_dir_all(at("guarded/deep")).unwrap();
    fs::write(at("guarded/deep"), "a file now").unwrap();
    fs::create_dir_all(at("absent/new")).unwrap();
    fs::write(at("absent/new/file"), "new file").unwrap();
    fs::set_permissions(at("absent/new/file"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("somewhere", at("guarded/link")).unwrap();
    fs::set_permissions(at("guarded/closed"), fs::Permissions::from_mode(0o600)).unwrap();
}

/// The newer contents, by path.
const LATER: [(&str, &str); 4] = [
    ("guarded/written", "written later"),
    ("guarded/replaced/inside", "inside later"),
    ("guarded/deep", "a file now"),
    ("absent/new/file", "new file"),
];

fn report(dir: &Path, case: &str) -> BTreeMap<String, serde_json::Value> {
    let text = fs::read(dir.join(".treewal/quarantine").join(case).join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!((&report["kind"], &report["label"]), (&"guarded".into(), &"undo".into()));
    let items = report["items"].as_array().unwrap();
    items.iter().map(|item| (item["path"].as_str().unwrap().to_owned(), item.clone())).collect()
}

/// Opens a tree whose guard is undone over newer work, and looks whether both are there.
fn nothing_is_lost(dir: &Path) {
    let tree = options().open(dir).unwrap();
    let line = &tree.recovery().transactions[0];
    assert_eq!((line.label, line.error.as_ref()), ("undo", None), "{}", tree.recovery());
    for name in ["kept", "written", "replaced", "closed", "deep/file", "gone"] {
        assert_eq!(text(&dir.join("guarded"), name), format!("{name} before"));
    }
    assert!(!dir.join("absent").exists() && fs::symlink_metadata(dir.join("guarded/link")).is_err());
    let case = line.quarantine.clone().unwrap_or_else(|| panic!("nothing was kept: {}", tree.recovery()));
    let items = report(dir, &case);
    for (path, contents) in LATER {
        let file = items[path]["file"].as_str().unwrap();
        assert_eq!(text(&dir.join(".treewal/quarantine").join(&case), file), contents, "{path}");
    }
    // What is as the snapshot has it costs nothing, and what has other attributes alone is said.
    assert!(!items.contains_key("guarded/kept") && !items.contains_key("guarded/gone"), "{items:#?}");
    assert_eq!(items["guarded/closed"]["goal"], "attributes");
    assert_eq!(items["guarded/closed"]["attributes"]["mode"], 0o600);
    assert!(items["guarded/closed"]["file"].is_null());

    let out = dir.with_extension("exported");
    let exported = tree.export_quarantine(&case, &out).unwrap();
    assert_eq!(exported.left, Vec::<String>::new());
    for (path, contents) in LATER {
        assert_eq!(text(&out, path), contents, "{path}");
    }
    assert_eq!(fs::read_link(out.join("guarded/link")).unwrap(), Path::new("somewhere"));
    assert_eq!(fs::metadata(out.join("absent/new/file")).unwrap().permissions().mode() & 0o7777, 0o640);
    drop(tree);
    assert!(options().open(dir).unwrap().recovery().is_clean());
}

#[test]
fn a_treewal_of_the_time_of_a_guard_over_a_newer_tree() {
    let home = tempfile::tempdir().unwrap();
    let (dir, backup) = at_work(home.path());
    work_on(&dir);
    fs::remove_dir_all(dir.join(".treewal")).unwrap();
    copy(&backup.join(".treewal"), &dir.join(".treewal"));
    nothing_is_lost(&dir);
}

/// As `rsync` does it: the directory stays, and what is in it comes anew.
#[test]
fn what_is_in_treewal_is_restored_into_the_directory_that_was_there() {
    let home = tempfile::tempdir().unwrap();
    let (dir, backup) = at_work(home.path());
    work_on(&dir);
    let own = dir.join(".treewal");
    let identity = |own: &Path| fs::read_to_string(own.join("tree")).unwrap();
    assert_eq!(identity(&own), identity(&backup.join(".treewal")));
    for entry in fs::read_dir(&own).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    copy(&backup.join(".treewal/."), &own);
    nothing_is_lost(&dir);
}

/// The process dies, the tree is made anew from elsewhere, and the old `.treewal` is moved into it.
#[test]
fn a_treewal_that_is_moved_into_another_tree() {
    let home = tempfile::tempdir().unwrap();
    let (dir, newer) = at_work(home.path());
    fs::remove_dir_all(newer.join(".treewal")).unwrap();
    work_on(&newer);
    fs::write(dir.join("guarded/written"), "written before").unwrap();
    cut_under_guard(&dir, || {}, &["guarded", "absent"]);
    fs::rename(dir.join(".treewal"), newer.join(".treewal")).unwrap();
    nothing_is_lost(&newer);
}

#[test]
fn a_copy_of_a_tree_at_work_comes_back_whole_and_only_what_differs_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let (_, backup) = at_work(home.path());
    let tree = options().open(&backup).unwrap();
    let line = &tree.recovery().transactions[0];
    assert_eq!((line.label, line.error.as_ref()), ("undo", None), "{}", tree.recovery());
    for name in ["kept", "written", "replaced", "closed", "deep/file", "gone"] {
        assert_eq!(text(&backup.join("guarded"), name), format!("{name} before"));
    }
    let case = line.quarantine.clone().unwrap();
    let items = report(&backup, &case);
    assert_eq!(items.keys().collect::<Vec<_>>(), ["guarded/written"]);
    assert_eq!(text(&backup.join(".treewal/quarantine").join(case), "0001"), "written half way");
}

#[test]
fn a_tree_that_is_no_copy_keeps_nothing() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("tree");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("a"), "before").unwrap();
    for moves in [false, true] {
        let work = || {
            fs::write(dir.join("a.new"), "by a program").unwrap();
            fs::rename(dir.join("a.new"), dir.join("a")).unwrap();
            fs::write(dir.join("b"), "by a program").unwrap();
        };
        cut_under_guard(&dir, work, &["a", "b"]);
        let dir = if moves { home.path().join("moved") } else { dir.clone() };
        if moves {
            // As a whole, it is the same directory.
            fs::rename(home.path().join("tree"), &dir).unwrap();
        }
        let tree = options().open(&dir).unwrap();
        assert_eq!(tree.recovery().transactions[0].label, "undo", "{}", tree.recovery());
        assert!(!tree.recovery().found_damage(), "{}", tree.recovery());
        assert_eq!(text(&dir, "a"), "before");
        assert!(!dir.join("b").exists());
    }
}

/// The disk goes off while a guard is alive and its program has done its work.
fn cut_under_guard(dir: &Path, work: impl Fn(), paths: &[&str]) {
    let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None));
    let tree = options().open_on(disk.clone(), dir).unwrap();
    let guard = tree.guard(paths.iter().copied()).unwrap();
    work();
    disk.arm(Fault::Off { at: 1 });
    drop(guard);
    drop(tree);
}

fn at<'p>(disk: &SimDisk, path: &'p str) -> (treewal_vfs::Dir, &'p std::ffi::OsStr) {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    (
        disk.open_dir(&disk.open_root("/".as_ref()).unwrap(), &RelPath::new(parent).unwrap_or_default()).unwrap(),
        name.as_ref(),
    )
}

fn put(disk: &SimDisk, path: &str, contents: &[u8]) {
    let (dir, name) = at(disk, path);
    let file = disk.open(&dir, name, Open::Create { mode: 0o644 }).unwrap();
    disk.set_len(&file, 0).unwrap();
    write_all(disk, &file, contents, 0).unwrap();
}

/// Newer work under a `.treewal` that says it was written into another directory. What is newer was not synced by anybody.
fn copied() -> SimDisk {
    let disk = SimDisk::new();
    let root = disk.open_root("/".as_ref()).unwrap();
    disk.create_dir(&root, "d".as_ref(), 0o755).unwrap();
    for name in ["d/a", "d/b", "d/same"] {
        put(&disk, name, format!("{name} before").as_bytes());
    }
    let tree = options().open_on(Arc::new(disk.clone()), "/").unwrap();
    std::mem::forget(tree.guard(["d", "absent"]).unwrap());
    std::mem::forget(tree);
    let (dir, name) = at(&disk, ".treewal/tree");
    let bytes = read_all(&disk, &disk.open(&dir, name, Open::Read).unwrap(), 4096).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let here = text.lines().nth(2).unwrap();
    put(&disk, ".treewal/tree", text.replace(here, "in 1 born 1.000000001").as_bytes());
    for (path, contents) in NEWER {
        put(&disk, path, contents);
    }
    disk.sync_all(&root).unwrap();
    disk.remount()
}

const NEWER: [(&str, &[u8]); 4] =
    [("d/a", b"d/a later"), ("d/b", &[b'B'; 6000]), ("d/new", b"d/new later"), ("absent", b"absent later")];

fn holds(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    Some(disk.dump().remove(&RelPath::new(path).unwrap())?.contents)
}

/// Whether all newer contents are in the tree at their paths, or whole in quarantine. Where `told`, the report names which.
fn is_all_there(disk: &SimDisk, told: &str) {
    let dump = disk.dump();
    let case = RelPath::new(".treewal/quarantine").unwrap();
    for (path, contents) in NEWER {
        let in_tree = holds(disk, path).as_deref() == Some(contents);
        let kept = dump.iter().any(|(at, node)| at.starts_with(&case) && node.contents == contents);
        assert!(in_tree || kept, "{path} is nowhere: {told}");
        if !in_tree {
            let items = report_on(disk).unwrap_or_else(|| panic!("no report: {told}"));
            let file = items[path].clone();
            let kept =
                dump.iter().find(|(at, _)| at.to_string().ends_with(&format!("/{file}")) && at.starts_with(&case));
            assert_eq!(kept.map(|(_, node)| node.contents.as_slice()), Some(contents), "{path}: {told}");
        }
    }
}

fn report_on(disk: &SimDisk) -> Option<BTreeMap<String, String>> {
    let case = RelPath::new(".treewal/quarantine").unwrap();
    let (_, node) =
        disk.dump().into_iter().find(|(at, _)| at.starts_with(&case) && at.to_string().ends_with(".json"))?;
    let report: serde_json::Value = serde_json::from_slice(&node.contents).unwrap();
    let items = report["items"].as_array().unwrap().iter();
    Some(
        items.map(|item| (item["path"].as_str().unwrap().into(), item["file"].as_str().unwrap_or("").into())).collect(),
    )
}

fn is_undone(disk: &SimDisk, told: &str) {
    for name in ["d/a", "d/b", "d/same"] {
        assert_eq!(holds(disk, name).unwrap(), format!("{name} before").as_bytes(), "{told}");
    }
    assert!(holds(disk, "d/new").is_none() && holds(disk, "absent").is_none(), "{told}");
}

/// What recovery keeps is whole on the disk before the first change in the tree, wherever the power goes.
#[test]
fn the_power_goes_at_every_call_of_an_undo_in_a_copy() {
    let base = copied();
    let (mut states, mut undoing) = (0, 0);
    for cut in 1.. {
        let disk = base.remount();
        disk.cut_at(Some(cut));
        let opened = options().open_on(Arc::new(disk.clone()), "/");
        let off = disk.is_off();
        for profile in [Profile::Strict, Profile::Ordered] {
            let all = disk.outcomes(profile);
            let some = [all.nothing(), all.everything(), all.names_without_contents(), all.contents_without_names()];
            for outcome in some.into_iter().chain([all.names_and_lengths()]).chain(all.sample(cut, 6)) {
                let told = format!("cut before call {cut}, {profile:?}: {}", disk.describe(&outcome));
                let crashed = disk.after(&outcome).remount();
                is_all_there(&crashed, &told);
                undoing += u32::from(NEWER.iter().any(|(path, now)| holds(&crashed, path).as_deref() != Some(*now)));
                let tree = options().open_on(Arc::new(crashed.clone()), "/").unwrap();
                assert_eq!(tree.recovery().pending().count(), 0, "{told}: {}", tree.recovery());
                drop(tree);
                is_undone(&crashed, &told);
                is_all_there(&crashed, &told);
                states += 1;
            }
        }
        drop(opened);
        if !off {
            break;
        }
    }
    println!("{states} states, {undoing} of them with the undo begun");
    assert!(states > 300 && undoing > 50, "{states}, {undoing}");
}

/// A disk that is full, or fails once: the newer contents are never in the tree's place only, and nothing piles up.
#[test]
fn an_error_at_every_call_of_an_undo_in_a_copy() {
    let base = copied();
    let mut failed = 0;
    for n in 1.. {
        let disk = base.remount();
        let faulty = Arc::new(FaultDisk::new(Arc::new(disk.clone()), Fault::ErrorFrom { at: n, errno: errno::ENOSPC }));
        let told = format!("no room from call {n} on");
        let opened = options().open_on(faulty.clone(), "/");
        let is_whole = opened.as_ref().is_ok_and(|tree| tree.recovery().pending().count() == 0);
        drop(opened);
        is_all_there(&disk, &told);
        failed += u32::from(!is_whole);
        drop(options().open_on(Arc::new(disk.clone()), "/").unwrap());
        is_undone(&disk, &told);
        is_all_there(&disk, &told);
        let case = RelPath::new(".treewal/quarantine").unwrap();
        let kept: Vec<RelPath> =
            disk.dump().into_keys().filter(|at| at.starts_with(&case) && at.depth() == 4).collect();
        // The reports and the copies, and those of a try whose removal failed as well.
        assert!(kept.len() <= 2 + 2 * NEWER.len(), "{kept:?}: {told}");
        if is_whole {
            break;
        }
    }
    println!("{failed} errors");
    assert!(failed > 20, "{failed}");
}

/// Both guards were alive: each keeps what its own undo takes, the inner one first.
#[test]
fn a_guard_in_a_guard() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("tree");
    fs::create_dir_all(dir.join("d/e")).unwrap();
    fs::write(dir.join("d/a"), "a 1").unwrap();
    fs::write(dir.join("d/e/b"), "b 1").unwrap();
    fs::hard_link(dir.join("d/a"), dir.join("d/e/also")).unwrap();
    let backup = home.path().join("backup");
    let tree = options().open(&dir).unwrap();
    let outer = tree.guard(["d"]).unwrap();
    fs::write(dir.join("d/e/b"), "b 2").unwrap();
    let inner = outer.guard(["d/e"]).unwrap();
    fs::write(dir.join("d/e/b"), "b 3").unwrap();
    copy(&dir, &backup);
    inner.commit().unwrap();
    outer.commit().unwrap();
    drop(tree);
    for name in ["d/a", "d/e/b"] {
        fs::write(backup.join(name), format!("{name} later")).unwrap();
    }
    let tree = options().open(&backup).unwrap();
    let told = tree.recovery().to_string();
    assert_eq!(tree.recovery().pending().count(), 0, "{told}");
    assert_eq!(["d/a", "d/e/also", "d/e/b"].map(|name| text(&backup, name)), ["a 1", "a 1", "b 1"], "{told}");
    assert_eq!(tree.recovery().transactions.iter().filter(|line| line.quarantine.is_some()).count(), 2, "{told}");
    let held = held(&backup);
    for contents in ["d/a later", "d/e/b later", "b 2"] {
        assert!(held.contains(contents.as_bytes()), "{contents} is nowhere: {told}");
    }
}
