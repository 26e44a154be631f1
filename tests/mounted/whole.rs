//! Commits that nothing disturbs, and what is refused.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use treewal::{Error, MountedFiles, Outcome, Transaction};
use treewal_vfs::{RealDisk, Verb};

use crate::bed::{BENEATH, BOTH, Bed, NEW, OLD, change, options};
use crate::hooked::Hooked;

#[test]
fn a_mounted_file_is_rewritten_in_place_and_nothing_else_is() {
    for from in BOTH {
        let Some(mut bed) = Bed::new(from, "a_mounted_file_is_rewritten_in_place") else { return };
        fs::set_permissions(bed.bound(), Permissions::from_mode(0o640)).unwrap();
        let (was, other) = (fs::metadata(bed.source()).unwrap(), fs::metadata(bed.tree().join("a")).unwrap());
        let tree = options().open(bed.tree()).unwrap();
        tree.transaction(change).unwrap();
        let is = fs::metadata(bed.source()).unwrap();
        assert_eq!((is.ino(), is.mode(), fs::read(bed.source()).unwrap()), (was.ino(), was.mode(), NEW.into()));
        assert_ne!(fs::metadata(bed.tree().join("a")).unwrap().ino(), other.ino(), "other files are replaced as ever");
        // Contents above the inline limit, attributes, and a second time.
        let large: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
        tree.transaction(|tx| {
            tx.write("d/bound", &large)?;
            tx.set_permissions("d/bound", Permissions::from_mode(0o600))
        })
        .unwrap();
        tree.transaction(|tx| tx.append("d/bound", "tail")).unwrap();
        drop(tree);
        assert!(fs::read(bed.source()).unwrap() == [&large[..], b"tail"].concat());
        assert_eq!(fs::metadata(bed.source()).unwrap().mode() & 0o777, 0o600);
        assert!(options().open(bed.tree()).unwrap().recovery().is_clean());
        bed.unbind();
        assert_eq!(fs::read(bed.bound()).unwrap(), BENEATH.as_bytes(), "what lies beneath is untouched");
    }
}

#[test]
fn without_the_option_it_is_refused_by_name() {
    for from in BOTH {
        let Some(bed) = Bed::new(from, "without_the_option_it_is_refused_by_name") else { return };
        let before = bed.files();
        let tree = options().mounted_files(MountedFiles::Refuse).open(bed.tree()).unwrap();
        let error = tree.transaction(change).unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unchanged, "{error:?}");
        assert!(error.path().is_some_and(|path| path.ends_with("d/bound")), "{error:?}");
        assert_eq!(bed.files(), before);
    }
}

/// Only contents can be rewritten in place: the name is the mount's.
#[test]
fn its_name_cannot_be_changed_by_any_option() {
    for from in BOTH {
        let Some(bed) = Bed::new(from, "its_name_cannot_be_changed_by_any_option") else { return };
        let before = bed.files();
        let tree = options().open(bed.tree()).unwrap();
        type Operation = fn(&mut Transaction) -> treewal::Result<()>;
        let operations: [Operation; 5] = [
            |tx| tx.remove_file("d/bound"),
            |tx| tx.rename("d/bound", "elsewhere"),
            |tx| tx.exchange("a", "d/bound"),
            |tx| tx.rename("a", "d/bound"),
            |tx| {
                tx.remove_file("d/bound")?;
                tx.symlink("a", "d/bound")
            },
        ];
        for (n, operation) in operations.into_iter().enumerate() {
            let mut tx = tree.begin();
            tx.write("new", "new").unwrap();
            let error = operation(&mut tx).and_then(|()| tx.commit().map(drop)).unwrap_err();
            assert_eq!(error.outcome(), Outcome::Unchanged, "{n}: {error:?}");
            assert_eq!(bed.files(), before, "{n}: {error:?}");
        }
    }
}

/// A mount that is read only says so before anything is promised.
#[test]
fn a_file_that_cannot_be_written_to_changes_nothing() {
    let Some(bed) = Bed::new(crate::bed::From::Elsewhere, "a_file_that_cannot_be_written_to") else { return };
    let at = bed.bound();
    let status = std::process::Command::new("mount").args(["-o", "remount,bind,ro"]).arg(&at).status().unwrap();
    assert!(status.success());
    let before = bed.files();
    let tree = options().open(bed.tree()).unwrap();
    let error = tree.transaction(change).unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unchanged, "{error:?}");
    assert!(error.path().is_some_and(|path| path.ends_with("d/bound")), "{error:?}");
    assert_eq!(bed.files(), before);
}

#[test]
fn a_change_by_somebody_else_is_a_conflict() {
    let Some(bed) = Bed::new(crate::bed::From::Here, "a_change_by_somebody_else_is_a_conflict") else { return };
    let tree = options().open(bed.tree()).unwrap();
    let mut tx = tree.begin();
    change(&mut tx).unwrap();
    fs::write(bed.bound(), "theirs").unwrap();
    let error = tx.commit().unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
    assert_eq!(fs::read(bed.source()).unwrap(), b"theirs");
    assert_ne!(fs::read(bed.source()).unwrap(), OLD.as_bytes());
}

/// Between the check and the rewriting, while the renames are under way.
#[test]
fn a_change_in_the_last_moment_is_not_overwritten() {
    let Some(bed) = Bed::new(crate::bed::From::Here, "a_change_in_the_last_moment_is_not_overwritten") else { return };
    let (is_armed, source) = (Arc::new(AtomicBool::new(false)), bed.source());
    let hook = {
        let is_armed = Arc::clone(&is_armed);
        move |verb: Verb| {
            if verb == Verb::Rename && is_armed.swap(false, Ordering::SeqCst) {
                fs::write(&source, "theirs").unwrap();
            }
        }
    };
    let tree = options().open_on(Arc::new(Hooked { inner: RealDisk, after: hook }), bed.tree()).unwrap();
    is_armed.store(true, Ordering::SeqCst);
    let error = tree.transaction(change).unwrap_err();
    assert_eq!(error.outcome(), Outcome::RolledBack, "{error:?}");
    assert_eq!(fs::read(bed.source()).unwrap(), b"theirs");
    assert_eq!(fs::read(bed.tree().join("a")).unwrap(), b"old a");
}
