//! A tree that was copied with all that is in `.treewal`: other inodes, other times of birth.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::work::{cut_commit, cut_guard, files, prepare, recovered, states, step};

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
    let whole = home.path().join("whole");
    prepare(&whole);
    let [before, after] = states(&whole, false);
    let (mut in_order, mut apart) = (0, 0);
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
            if found == before || found == after {
                in_order += 1;
            } else {
                // What stands at a path is known by its inode, and that is another one: left as it is, and told.
                apart += 1;
                assert!(report.transactions.iter().any(|done| !done.superseded.is_empty()), "{name}: {report}");
                for (path, contents) in &found {
                    let known = [left.get(path), after.get(path)].contains(&Some(contents));
                    assert!(known, "{name}: {path} is neither as it was nor as it was to be: {report}");
                }
            }
            if report.transactions.iter().any(|done| done.label == "redo") {
                let held = held(&copied);
                for (path, contents) in &after {
                    assert!(held.contains(contents), "{name}: {path} is nowhere: {report}");
                }
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
    println!("{in_order} copies as before or after, {apart} in part, with a report");
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
