//! What is killed under a guard, and around a named snapshot.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use treewal::{GuardOptions, Tree};

const GUARDED: [&str; 5] = ["a", "b", "d", "large", "fresh"];

pub(crate) fn guard_commit(tree: &Tree, dir: &Path) {
    let guard = tree.guard(GUARDED).unwrap();
    vandalise(dir);
    guard.commit().unwrap();
}

pub(crate) fn guard_rollback(tree: &Tree, dir: &Path) {
    let guard = tree.guard(GUARDED).unwrap();
    vandalise(dir);
    guard.rollback().unwrap();
}

pub(crate) fn guard_exchange(tree: &Tree, dir: &Path) {
    let guard = tree.guard_with(GuardOptions::new().exchange(true), GUARDED).unwrap();
    vandalise(dir);
    guard.rollback().unwrap();
}

/// A snapshot of the whole tree is restored while a guard goes on.
pub(crate) fn restored_beside(tree: &Tree, dir: &Path) {
    let guard = tree.guard(["d", "large"]).unwrap();
    tree.restore(&tree.find_snapshot("one").unwrap()).unwrap();
    fs::write(dir.join("d/x"), "in place").unwrap();
    fs::remove_file(dir.join("large")).unwrap();
    guard.rollback().unwrap();
}

/// What a restore beside a guard on other paths brings back.
pub(crate) fn elsewhere(tree: &Tree, _: &Path) {
    tree.transaction(|tx| {
        tx.write("a", "since")?;
        tx.remove_file("b")?;
        tx.create_dir("new")?;
        tx.write("new/n", vec![b'n'; 40_000])?;
        tx.rename("e/aside", "e/moved")
    })
    .unwrap();
}

pub(crate) fn snapshot_taken(tree: &Tree, _: &Path) {
    tree.snapshot("one").unwrap();
}

pub(crate) fn snapshot_restored(tree: &Tree, _: &Path) {
    tree.restore(&tree.find_snapshot("one").unwrap()).unwrap();
}

pub(crate) fn snapshot_removed(tree: &Tree, _: &Path) {
    tree.remove_snapshot("one").unwrap();
}

pub(crate) fn guard_dropped(tree: &Tree, dir: &Path) {
    let guard = tree.guard(["."]).unwrap();
    vandalise(dir);
    fs::rename(dir.join("e/aside"), dir.join("empty/moved")).unwrap();
    fs::remove_file(dir.join("link")).unwrap();
    drop(guard);
}

/// What careless code does in place: writes into files, makes, removes, links and renames things.
fn vandalise(dir: &Path) {
    let at = |path: &str| dir.join(path);
    fs::write(at("a"), "in place").unwrap();
    let mut tail = fs::File::options().append(true).open(at("large")).unwrap();
    tail.write_all(b"a tail").unwrap();
    tail.sync_data().unwrap();
    fs::File::options().write(true).open(at("d/x")).unwrap().write_all(b"the head only").unwrap();
    fs::set_permissions(at("b"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(at("d/deep"), at("d/deeper")).unwrap();
    fs::write(at("d/deeper/more"), "more").unwrap();
    fs::remove_file(at("d/deeper/z")).unwrap();
    // Also where a transaction before has removed it.
    drop(fs::remove_file(at("d/y")));
    fs::create_dir(at("d/y")).unwrap();
    fs::hard_link(at("a"), at("d/y/a too")).unwrap();
    fs::write(at("fresh"), "fresh").unwrap();
}
