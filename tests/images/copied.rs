//! A tree that was copied with all that is in `.treewal`: other inodes, other times of birth.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use treewal_vfs::{Fault, FaultDisk, RealDisk};

use crate::work::{cut_commit, cut_guard, files, options, prepare, recovered, states, step};

fn copy(how: &str, from: &Path, to: &Path) {
    assert!(Command::new("cp").arg(how).arg(from).arg(to).status().unwrap().success());
}

/// Everything that a tree and its quarantine hold.
fn held(tree: &Path) -> BTreeSet<Vec<u8>> {
    let kept = files(&tree.join(".treewal/quarantine"));
    files(tree).into_values().chain(kept.into_values()).collect()
}

/// The copy is made after any call of a commit that was cut there. It has all that the tree had, and all that was promised.
#[test]
fn a_copy_of_a_tree_at_work_loses_nothing() {
    let home = tempfile::tempdir().unwrap();
    let undisturbed = home.path().join("undisturbed");
    prepare(&undisturbed);
    let [before, after] = states(&undisturbed, false);
    let (mut whole, mut guessed) = (0, 0);
    for how in ["-a", "-r"] {
        for at in (1..).step_by(step()) {
            let (tree, copied) =
                (home.path().join(format!("tree{how}{at}")), home.path().join(format!("copy{how}{at}")));
            prepare(&tree);
            let is_cut = cut_commit(&tree, at, false);
            copy(how, &tree, &copied);
            let left = files(&copied);
            let name = format!("cp {how}, cut at {at}");
            let (report, found) = recovered(&copied, &name);
            let promised = report.transactions.iter().any(|done| done.label == "redo");
            assert_eq!(&found, if promised || !is_cut { &after } else { &before }, "{name}: {report}");
            assert!(report.transactions.iter().all(|done| done.superseded.is_empty()), "{name}: {report}");
            whole += 1;
            // Whatever was displaced on a guess is kept, and told.
            guessed += usize::from(report.transactions.iter().any(|done| done.quarantine.is_some()));
            let held = held(&copied);
            for (path, contents) in &left {
                assert!(!promised || held.contains(contents), "{name}: {path} as it was is nowhere: {report}");
            }
            if !is_cut {
                assert_eq!(found, after, "{name}: {report}");
                break;
            }
            // The tree itself is as whole as ever.
            let (_, found) = recovered(&tree, &name);
            assert!(found == before || found == after, "{name}");
            fs::remove_dir_all(&tree).unwrap();
            fs::remove_dir_all(&copied).unwrap();
        }
    }
    println!("{whole} copies, all of them as before or after; in {guessed}, something was kept in quarantine first");
    assert!(guessed > 0);
}

/// The recovery of a copy is cut short at each of its calls, and done again.
#[test]
fn a_copy_whose_recovery_is_cut_short_loses_nothing() {
    let home = tempfile::tempdir().unwrap();
    let undisturbed = home.path().join("undisturbed");
    prepare(&undisturbed);
    let [before, after] = states(&undisturbed, false);
    let mut cuts = 0;
    for at in (1..).step_by(step().min(4)) {
        let tree = home.path().join(format!("tree{at}"));
        prepare(&tree);
        if !cut_commit(&tree, at, false) {
            break;
        }
        for inside in (1..).step_by(step().min(4)) {
            let copied = home.path().join(format!("copy{at}-{inside}"));
            copy("-r", &tree, &copied);
            let left = files(&copied);
            let disk = Arc::new(FaultDisk::new(Arc::new(RealDisk), Fault::Off { at: inside }));
            drop(options().open_on(disk.clone(), &copied));
            let name = format!("cut at {at}, recovery at {inside}");
            recovered(&copied, &name);
            let (found, held) = (files(&copied), held(&copied));
            assert!(found == after || found == before, "{name}: {found:?}");
            for (path, contents) in &left {
                assert!(found == before || held.contains(contents), "{name}: {path} as it was is nowhere");
            }
            fs::remove_dir_all(&copied).unwrap();
            if !disk.is_off() {
                break;
            }
            cuts += 1;
        }
    }
    println!("{cuts} recoveries of copies cut short");
    assert!(cuts > 20, "{cuts}");
}

/// Somebody goes on in the copy before it is opened: what has another size stays, and what has the same one is kept.
#[test]
fn what_was_changed_in_a_copy_is_not_lost() {
    let home = tempfile::tempdir().unwrap();
    let mut kept = 0;
    for at in 1.. {
        let (tree, copied) = (home.path().join(format!("tree{at}")), home.path().join(format!("copy{at}")));
        prepare(&tree);
        if !cut_commit(&tree, at, false) {
            break;
        }
        copy("-r", &tree, &copied);
        fs::write(copied.join("a"), "THEIR").unwrap();
        fs::write(copied.join("large"), "short").unwrap();
        let (report, found) = recovered(&copied, &format!("cut at {at}"));
        assert!(held(&copied).contains(&b"THEIR"[..]), "cut at {at}: {report}");
        assert_eq!(found["large"], b"short", "cut at {at}: {report}");
        kept += usize::from(found["a"] != b"THEIR");
        // It is a tree of its own from now on, which knows its files by their inodes.
        let identity = |tree: &Path| fs::read(tree.join(".treewal/tree")).unwrap();
        assert_ne!(identity(&copied), identity(&tree), "cut at {at}");
    }
    assert!(kept > 3, "{kept}");
}

#[test]
fn a_copy_of_a_tree_under_a_guard_is_restored() {
    let home = tempfile::tempdir().unwrap();
    let tree = home.path().join("tree");
    prepare(&tree);
    let before = files(&tree);
    cut_guard(&tree);
    for how in ["-a", "-r"] {
        let copied = home.path().join(format!("copy{how}"));
        copy(how, &tree, &copied);
        let (report, found) = recovered(&copied, how);
        assert_eq!(found, before, "cp {how}: {report}");
    }
}
