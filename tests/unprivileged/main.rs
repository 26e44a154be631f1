//! As an ordinary user, with files of others in the tree: what that user may not do fails and leaves the tree as it was,
//! and what only root could keep is given up.
//!
//! Run by root, this binary starts itself once more as somebody else. Run by anybody else, it has no files of others to
//! work with, and says so.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, says what it skips, and looks at the tree from outside"
)]

mod closed;
mod opened;
mod unreadable;

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use treewal::{Error, Options, Outcome, Publish, Transaction, Tree};
use treewal_vfs::{Disk, Fault, FaultDisk, RealDisk};

const DIR: &str = "TREEWAL_UNPRIVILEGED_DIR";
const NOBODY: u32 = 65_534;

const TESTS: [&str; 15] = [
    "transactions",
    "publishing",
    "refusals",
    "guards",
    "a_store_of_another_user_is_refused",
    "closed::closed_entries",
    "closed::closed_by_others",
    "closed::committed_before_root_came",
    "closed::many_closed_directories",
    "opened::closed_and_empty",
    "opened::opened_first",
    "opened::refused_untouched",
    "unreadable::taking_names_what_cannot_be_read",
    "unreadable::a_rollback_goes_through_what_was_closed",
    "unreadable::a_restore_names_the_directory_that_it_may_not_look_into",
];

/// Makes a tree of `NOBODY` with files of root in it, and runs the tests below as `NOBODY`.
#[test]
fn all_of_it_as_another_user() {
    if std::env::var_os(DIR).is_some() {
        return;
    }
    if RealDisk.user() != 0 {
        return skipped("all_of_it_as_another_user", "only root can become somebody else");
    }
    let temporary = tempfile::tempdir().unwrap();
    fs::set_permissions(temporary.path(), Permissions::from_mode(0o755)).unwrap();
    // Where it was built, others may not be allowed to look.
    let program = temporary.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    for name in TESTS {
        let dir = temporary.path().join("tree of nobody");
        make(&dir);
        run(&program, &dir, name);
        if name == "closed::committed_before_root_came" {
            closed::as_root(&dir);
            run(&program, &dir, "closed::and_reopened_behind_root");
        }
        fs::remove_dir_all(dir).unwrap();
    }
}

/// To where nobody catches it: what is left out is told also where the test passes.
fn skipped(test: &str, why: &str) {
    std::io::stderr().write_all(format!("skipped: {test}: {why}\n").as_bytes()).unwrap();
}

/// Runs one test as `NOBODY`.
fn run(program: &Path, dir: &Path, name: &str) {
    let mut command = Command::new(program);
    command.env_clear().env(DIR, dir).env("TMPDIR", dir).args([name, "--exact", "--nocapture"]);
    // What `scripts/mutants.py` says to a process.
    command.envs(std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"MUTANT")));
    let output = command.uid(NOBODY).gid(NOBODY).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{name}: {output:?}");
}

fn make(dir: &Path) {
    for sub in ["", "own", "roots", "site", "next/sub", "beside"] {
        fs::create_dir_all(dir.join(sub)).unwrap();
    }
    for (path, contents) in [
        ("own/a", "a"),
        ("own/b", "b"),
        ("roots/x", "x"),
        ("mixed", "of root"),
        ("site/same", "same"),
        ("site/index", "old"),
        ("next/same", "same"),
        ("next/index", "new"),
        ("next/sub/page", "page"),
        ("private", "secret"),
    ] {
        fs::write(dir.join(path), contents).unwrap();
    }
    symlink("own/a", dir.join("link")).unwrap();
    fs::set_permissions(dir.join("mixed"), Permissions::from_mode(0o664)).unwrap();
    fs::set_permissions(dir.join("private"), Permissions::from_mode(0o600)).unwrap();
    for path in ["", "own", "own/a", "own/b", "site", "site/index", "next", "next/index", "beside"] {
        chown(dir.join(path), Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

/// The tree, where this process is the one that works in it.
fn tree() -> Option<PathBuf> {
    std::env::var_os(DIR).map(PathBuf::from)
}

fn read(path: PathBuf) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn transactions() {
    let Some(dir) = tree() else { return };
    let at = |path: &str| dir.join(path);
    let tree = Tree::open(&dir).unwrap();
    tree.transaction(|tx| {
        tx.write("own/a", "new a")?;
        // A file of root in a directory of ours: replaced by one of ours, as by any program. It keeps its bits.
        tx.write("mixed", "of nobody")?;
        tx.append("own/b", " and more")?;
        tx.create_dir_all("own/deep/er")?;
        tx.write("own/deep/er/large", vec![b'l'; 200_000])?;
        tx.rename("link", "own/link")?;
        tx.hard_link("own/b", "own/b too")?;
        tx.set_permissions("own/deep", Permissions::from_mode(0o750))?;
        tx.chown("own/a", Some(NOBODY), Some(NOBODY))?;
        tx.set_permissions(".", Permissions::from_mode(0o750))
    })
    .unwrap();
    let mixed = fs::metadata(at("mixed")).unwrap();
    assert_eq!((mixed.uid(), mixed.mode() & 0o777, read(at("mixed"))), (NOBODY, 0o664, "of nobody".into()));
    assert_eq!((read(at("own/b too")), read(at("own/a"))), ("b and more".into(), "new a".into()));
    assert_eq!(fs::read_link(at("own/link")).unwrap(), Path::new("own/a"));
    assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o750);
    tree.transaction(|tx| tx.write("own/a", "unsettled")).unwrap();
    // As after a kill: nothing is settled.
    std::mem::forget(tree);
    assert_eq!(Tree::open(&dir).unwrap().begin().read_to_string("own/a").unwrap(), "unsettled");
    assert_eq!(fs::metadata(at(".treewal")).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn publishing() {
    let Some(dir) = tree() else { return };
    let at = |path: &str| dir.join(path);
    // The same where the file system cannot exchange names, and a file of another user cannot get a second one.
    let plain = FaultDisk::new(Arc::new(RealDisk), Fault::None).without_exchange();
    for (n, disk) in [Arc::new(RealDisk) as Arc<dyn Disk>, Arc::new(plain)].into_iter().enumerate() {
        let tree = Options::new().open_on(disk, &dir).unwrap();
        let inode = |path: &str| fs::metadata(at(path)).unwrap().ino();
        let before = (inode("site"), inode("site/same"));
        tree.transaction(|tx| tx.publish_with(Publish::merge(), at("next"), "site")).unwrap();
        assert_eq!((inode("site"), inode("site/same")), before, "what is the same stays, whoever owns it");
        assert_eq!((read(at("site/index")), read(at("site/sub/page"))), ("new".into(), "page".into()));
        let made = fs::metadata(at("site/sub/page")).unwrap();
        assert_eq!((made.uid(), made.mode() & 0o777), (NOBODY, 0o644), "the owner of root's source cannot be given");
        // Bits of a file of root that stays cannot be set: then nothing is.
        fs::set_permissions(at("next/index"), Permissions::from_mode(0o600)).unwrap();
        tree.transaction(|tx| tx.publish_with(Publish::merge(), at("next"), "site")).unwrap();
        assert_eq!(fs::metadata(at("site/index")).unwrap().mode() & 0o777, 0o600);
        // A whole directory, with what root has in it, in exchange for another; and a file over one of root.
        let from = at(&format!("prepared{n}"));
        fs::create_dir(&from).unwrap();
        fs::write(from.join("index"), "whole").unwrap();
        tree.transaction(|tx| {
            tx.publish(&from, "beside")?;
            tx.copy("own/a", "own/copy")?;
            tx.publish("own/copy", "mixed")
        })
        .unwrap();
        assert_eq!((read(at("beside/index")), read(at("mixed"))), ("whole".into(), "a".into()));
    }
    assert!(Tree::open(&dir).unwrap().recovery().is_clean());
}

#[test]
fn refusals() {
    let Some(dir) = tree() else { return };
    let tree = Tree::open(&dir).unwrap();
    type Body = fn(&mut Transaction) -> treewal::Result<()>;
    let refused: [(&str, Body); 8] = [
        ("write into a directory of root", |tx| tx.write("roots/new", "x")),
        ("write over a file in a directory of root", |tx| tx.write("roots/x", "x")),
        ("remove from a directory of root", |tx| tx.remove_file("roots/x")),
        ("move into a directory of root", |tx| tx.rename("own/b", "roots/b")),
        ("bits of a file of root", |tx| tx.set_permissions("mixed", Permissions::from_mode(0o600))),
        ("give a file away", |tx| tx.chown("own/a", Some(0), None)),
        ("give a file to a group of others", |tx| tx.chown("own/a", None, Some(0))),
        ("read a file of root", |tx| tx.append("private", "x")),
    ];
    for (what, body) in refused {
        let error = tree
            .transaction(|tx| {
                tx.write("own/a", "never")?;
                body(tx)
            })
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{what}: {error:?}");
        assert!(matches!(error.outcome(), Outcome::Unchanged | Outcome::RolledBack), "{what}: {error:?}");
        assert_eq!((read(dir.join("own/a")), read(dir.join("roots/x"))), ("a".into(), "x".into()), "{what}");
    }
    // The handle goes on.
    tree.transaction(|tx| tx.write("own/a", "at last")).unwrap();
    drop(tree);
    assert!(Tree::open(&dir).unwrap().recovery().is_clean());
    assert_eq!(read(dir.join("own/a")), "at last");
}

#[test]
fn guards() {
    let Some(dir) = tree() else { return };
    let at = |path: &str| dir.join(path);
    let tree = Tree::open(&dir).unwrap();
    let guard = tree.guard(["own", "site", "mixed"]).unwrap();
    fs::write(at("own/a"), "in place").unwrap();
    fs::remove_file(at("site/same")).unwrap();
    fs::set_permissions(at("own"), Permissions::from_mode(0o700)).unwrap();
    guard.rollback().unwrap();
    assert_eq!((read(at("own/a")), read(at("mixed"))), ("a".into(), "of root".into()));
    assert_eq!(fs::metadata(at("own")).unwrap().mode() & 0o777, 0o755);
    // What root owned cannot come back as root's. It comes back as ours.
    let same = fs::metadata(at("site/same")).unwrap();
    assert_eq!((read(at("site/same")), same.uid(), same.mode() & 0o777), ("same".into(), NOBODY, 0o644));
    drop(tree);
    // The same after a crash.
    let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::None));
    let tree = Options::new().open_on(Arc::clone(&disk) as _, &dir).unwrap();
    let guard = tree.guard(["site"]).unwrap();
    fs::remove_dir_all(at("site")).unwrap();
    disk.arm(Fault::Off { at: 1 });
    drop((guard, tree));
    let tree = Tree::open(&dir).unwrap();
    assert_eq!(tree.recovery().pending().count(), 0, "{}", tree.recovery());
    assert_eq!((read(at("site/same")), read(at("site/index"))), ("same".into(), "old".into()));
}

#[test]
fn a_store_of_another_user_is_refused() {
    let Some(dir) = tree() else { return };
    // Made by root: this process cannot, so it takes the directory of root for it.
    fs::rename(dir.join("roots"), dir.join(".treewal")).unwrap();
    let error = Tree::open(&dir).unwrap_err();
    assert!(matches!(&error, Error::Store { path, .. } if path.ends_with(".treewal")), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(treewal::status(&dir).is_err());
    assert_eq!(fs::read_dir(dir.join(".treewal")).unwrap().count(), 1, "nothing was made in it");
}

/// Root is another user, too, and might otherwise be led to do somebody's bidding.
#[test]
fn root_does_not_open_a_store_of_somebody_else() {
    if RealDisk.user() != 0 {
        return skipped("root_does_not_open_a_store_of_somebody_else", "only root can be root");
    }
    let dir = tempfile::tempdir().unwrap();
    drop(Tree::open(dir.path()).unwrap());
    chown(dir.path().join(".treewal"), Some(NOBODY), None).unwrap();
    assert!(matches!(Tree::open(dir.path()), Err(Error::Store { .. })));
}
