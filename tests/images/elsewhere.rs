//! A disk that is found behind another device, mounted at another place; a tree that was renamed.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::image::{Image, KINDS};
use crate::work::{cut_commit, cut_guard, files, prepare, recovered, states, step};

fn device(path: &Path) -> u64 {
    fs::metadata(path).unwrap().dev()
}

/// All trees are left at work at once, each by a process that ended elsewhere in its commit, or with its guard alive. Then
/// the disk goes to another machine, as far as a tree can tell.
#[test]
fn a_disk_that_comes_back_behind_another_device_is_recovered() {
    for (kind, bytes) in KINDS {
        let Some(mut image) = Image::new(kind, bytes, &[], "a_disk_behind_another_device") else { continue };
        let mut owed = Vec::new();
        let mut expected = Vec::new();
        for moves in [false, true] {
            let whole = image.at().join(format!("whole-{moves}"));
            prepare(&whole);
            expected.push(states(&whole, moves));
            for at in (1..).step_by(step()) {
                let name = format!("tree-{moves}-{at}");
                prepare(&image.at().join(&name));
                let is_cut = cut_commit(&image.at().join(&name), at, moves);
                owed.push((name, usize::from(moves), is_cut));
                if !is_cut {
                    break;
                }
            }
        }
        prepare(&image.at().join("guarded"));
        let before = files(&image.at().join("guarded"));
        cut_guard(&image.at().join("guarded"));
        let was = (device(image.at()), image.at().to_owned());
        image.elsewhere();
        assert_ne!(device(image.at()), was.0, "{kind}: the device number is the old one");
        assert_ne!(image.at(), was.1);
        let (mut redone, count) = (0, owed.len());
        for (name, which, is_cut) in owed {
            // Renamed as well, within its file system.
            let tree = image.at().join(format!("renamed {name}"));
            fs::rename(image.at().join(&name), &tree).unwrap();
            let (report, found) = recovered(&tree, &format!("{kind}, {name}"));
            assert!(!report.found_damage(), "{kind}, {name}: {report}");
            assert!(report.transactions.iter().all(|done| done.superseded.is_empty()), "{kind}, {name}: {report}");
            let promised = report.transactions.iter().any(|done| done.label == "redo") || !is_cut;
            redone += usize::from(report.transactions.iter().any(|done| done.changed > 0));
            let wanted = &expected[which][usize::from(promised)];
            // What a barrier settled before it was cut leaves nothing to redo.
            assert!(found == *wanted || found == expected[which][1], "{kind}, {name}: {report}");
        }
        let (report, found) = recovered(&image.at().join("guarded"), kind);
        assert_eq!(report.transactions[0].label, "undo", "{kind}: {report}");
        assert_eq!(found, before, "{kind}: {report}");
        println!("{kind}: {count} trees and a guard behind another device, {redone} with work for recovery");
        assert!(redone > 0, "{kind}: {redone}");
    }
}
