//! Bringing back.

use std::path::Path;
use std::sync::Arc;

use treewal::{Durability, Error, Retry, Transaction};
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Disk, RelPath, Time};

use crate::world::*;

#[test]
fn a_staged_transaction_that_was_given_up_is_listed_and_brought_in_whole() {
    let (disk, tree, id) = staged();
    let listed = tree.quarantine().unwrap();
    assert_eq!(listed.len(), 1);
    let entry = &listed[0];
    assert_eq!((entry.id.as_str(), entry.kind, entry.label.as_str()), (id.as_str(), "staged", "redo-exhausted"));
    assert!(entry.has_report && entry.bytes > 0 && entry.transaction.is_some());
    for path in ["replaced", "removed", "made/deep/file", "large", "link"] {
        assert!(entry.paths.iter().any(|known| known == Path::new(path)), "{path} in {:?}", entry.paths);
    }
    let details = tree.quarantined(&id).unwrap();
    assert_eq!(details.tries, 2);
    let large = details.items.iter().find(|item| item.path == Path::new("large")).unwrap();
    let file = large.file.as_ref().unwrap().to_str().unwrap();
    assert_eq!(holds(&disk, file).unwrap().len(), LARGE, "a large file is found by its path");
    assert!(details.report.contains("given up"));

    let before = tree_of(&disk);
    let dry = tree.retry_quarantine(&id, Retry::new().dry_run(true)).unwrap();
    assert_eq!((&dry.conflicts[..], dry.receipt.is_none(), dry.purged), (&[][..], true, false));
    assert!(dry.steps.len() >= 6, "{:?}", dry.steps);
    assert_eq!(tree_of(&disk), before, "a dry run changes nothing");

    let done = tree.retry_quarantine(&id, Retry::new()).unwrap();
    assert!(done.purged && done.conflicts.is_empty() && done.receipt.unwrap().durable, "{done:?}");
    let now = tree_of(&disk);
    assert_eq!((now["replaced"].as_str(), now["made/deep/file"].as_str()), ("new", "made"));
    assert_eq!((now["large"].len(), now.contains_key("removed"), now["link"].as_str()), (LARGE, false, "made/deep"));
    assert_eq!(tree.quarantine().unwrap(), []);
    assert!(below(&disk, ".treewal/quarantine").is_empty());
    assert!(matches!(tree.retry_quarantine(&id, Retry::new()), Err(Error::Io { .. })));
}

/// Once an opening has said so, it is on the disk: the contents, and the report that says of which paths they are.
#[test]
fn what_was_given_up_is_durable_with_its_report() {
    let (disk, tree, id) = staged();
    let told = tree.quarantined(&id).unwrap();
    let kept = below(&disk, ".treewal/quarantine");
    for profile in [Profile::Strict, Profile::Ordered, Profile::Grouped] {
        let all = disk.outcomes(profile);
        for outcome in all.named().into_iter().chain(all.single()) {
            let lost = disk.after(&outcome);
            assert_eq!(below(&lost, ".treewal/quarantine"), kept, "{profile:?}: {}", disk.describe(&outcome));
            assert_eq!(open(&lost).quarantined(&id).unwrap().report, told.report, "{profile:?}");
        }
    }
}

#[test]
fn a_directory_comes_back_with_a_time_of_its_own() {
    let (disk, tree, id) = staged();
    tree.export_quarantine(&id, "/out").unwrap();
    assert!(tree.retry_quarantine(&id, Retry::new()).unwrap().purged);
    for path in ["made", "made/deep", "out/made", "out/made/deep"] {
        let node = disk.dump().remove(&RelPath::new(path).unwrap()).unwrap();
        assert_ne!(node.modified, Time::default(), "{path}: nobody has set it to 1970");
    }
}

#[test]
fn what_was_changed_since_is_a_conflict_and_nothing_is_done() {
    let (disk, tree, id) = staged();
    put(&disk, "replaced", "theirs");
    put(&disk, "link/in/the/way", "theirs");
    let before = tree_of(&disk);
    let refused = tree.retry_quarantine(&id, Retry::new()).unwrap();
    let named: Vec<&Path> = refused.conflicts.iter().map(|conflict| conflict.path.as_path()).collect();
    assert_eq!(named, [Path::new("link"), Path::new("replaced")], "{refused:?}");
    assert!(refused.receipt.is_none() && !refused.purged);
    assert_eq!((tree_of(&disk), tree.quarantine().unwrap().len()), (before, 1));
    // By force a file goes; a directory with something in it is nobody's to remove.
    let forced = tree.retry_quarantine(&id, Retry::new().force(true)).unwrap();
    assert_eq!(forced.conflicts.len(), 1, "{forced:?}");
    assert!(forced.receipt.is_some() && !forced.purged, "what is left out stays in quarantine");
    assert_eq!(
        (holds(&disk, "replaced").unwrap(), holds(&disk, "link/in/the/way").unwrap()),
        ("new".into(), "theirs".into())
    );
    assert_eq!(tree.quarantine().unwrap().len(), 1);
}

#[test]
fn a_large_file_that_had_come_to_its_place_is_left_there_and_the_rest_comes_back() {
    let (disk, tree, id) = half_way();
    let details = tree.quarantined(&id).unwrap();
    let large = details.items.iter().find(|item| item.path == Path::new("large")).unwrap();
    assert_eq!(large.file, None, "its contents are in the tree alone");
    let done = tree.retry_quarantine(&id, Retry::new()).unwrap();
    assert!(done.purged && done.conflicts.is_empty(), "{done:?}");
    assert!(done.steps.iter().all(|step| step.path != Path::new("large")), "{done:?}");
    let now = tree_of(&disk);
    assert_eq!((now["large"].len(), now["replaced"].as_str(), now["link"].as_str()), (LARGE, "new", "made/deep"));
}

#[test]
fn a_large_file_that_somebody_changed_in_its_place_is_a_conflict() {
    type Change = fn(&SimDisk);
    let changes: [Change; 3] = [
        |disk| put(disk, "large", "theirs"),
        |disk| put(disk, "large", &"y".repeat(LARGE)),
        |disk| {
            remove(disk, "large");
            put(disk, "large", &"x".repeat(LARGE));
        },
    ];
    for change in changes {
        let (disk, tree, id) = half_way();
        change(&disk);
        let before = tree_of(&disk);
        let refused = tree.retry_quarantine(&id, Retry::new()).unwrap();
        let named: Vec<&Path> = refused.conflicts.iter().map(|conflict| conflict.path.as_path()).collect();
        assert_eq!((&named[..], refused.receipt.is_none()), (&[Path::new("large")][..], true), "{refused:?}");
        assert_eq!(tree_of(&disk), before);
        // By force the rest comes; there is nothing to go over theirs with.
        let forced = tree.retry_quarantine(&id, Retry::new().force(true)).unwrap();
        assert!(forced.receipt.is_some() && !forced.purged && forced.conflicts.len() == 1, "{forced:?}");
        let now = tree_of(&disk);
        assert_eq!((&now["large"], now["replaced"].as_str()), (&before["large"], "new"));
    }
}

/// As who copies with times, in place: a shorter file, older than the commit.
#[test]
fn a_large_file_that_somebody_has_written_to_before_the_rest_was_given_up_is_not_ours() {
    let (disk, tree, id) = half_way_and(|disk| {
        put(disk, "large", "theirs");
        let old = Time { secs: 1_000, nanos: 0 };
        disk.set_times(&root(disk), "large".as_ref(), old, old).unwrap();
    });
    let refused = tree.retry_quarantine(&id, Retry::new()).unwrap();
    let named: Vec<&Path> = refused.conflicts.iter().map(|conflict| conflict.path.as_path()).collect();
    assert_eq!((&named[..], refused.receipt.is_none()), (&[Path::new("large")][..], true), "{refused:?}");
    assert_eq!(holds(&disk, "large").as_deref(), Some("theirs"));
}

#[test]
fn ours_comes_back_over_theirs_only_where_theirs_is_what_the_report_found() {
    let (disk, tree, id) = superseded();
    let done = tree.retry_quarantine(&id, Retry::new()).unwrap();
    assert!(done.purged, "{done:?}");
    assert_eq!(holds(&disk, "page").as_deref(), Some("ours"));

    let (disk, tree, id) = superseded();
    put(&disk, "page", "theirs, later still");
    let done = tree.retry_quarantine(&id, Retry::new()).unwrap();
    assert_eq!((done.conflicts.len(), done.receipt.is_none()), (1, true), "{done:?}");
    assert_eq!(holds(&disk, "page").as_deref(), Some("theirs, later still"));
}

#[test]
fn the_snapshot_of_a_guard_is_restored_with_attributes_and_later_work_is_a_conflict() {
    let (disk, tree, id) = guarded();
    let entry = &tree.quarantine().unwrap()[0];
    assert_eq!((entry.kind, entry.label.as_str(), &entry.paths[..]), ("guarded", "undo-exhausted", &["db".into()][..]));
    let details = tree.quarantined(&id).unwrap();
    assert!(details.items.iter().any(|item| item.path == Path::new("db/gone")), "{details:?}");
    let dry = tree.retry_quarantine(&id, Retry::new().dry_run(true)).unwrap();
    let steps: Vec<(&str, &str)> = dry.steps.iter().map(|step| (step.path.to_str().unwrap(), step.what)).collect();
    assert!(steps.contains(&("db/index", "restore")) && steps.contains(&("db/gone", "restore")), "{steps:?}");
    assert_eq!(holds(&disk, "db/index").as_deref(), Some("halfway"));

    put(&disk, "db/later", "of somebody who came later");
    let refused = tree.retry_quarantine(&id, Retry::new()).unwrap();
    assert!(refused.receipt.is_none() && refused.conflicts.iter().any(|one| one.path == Path::new("db/later")));
    assert_eq!(holds(&disk, "db/later").as_deref(), Some("of somebody who came later"));
    remove(&disk, "db/later");

    let done = tree.retry_quarantine(&id, Retry::new()).unwrap();
    assert!(done.purged, "{done:?}");
    assert_eq!(
        (holds(&disk, "db/index").as_deref(), holds(&disk, "db/gone").as_deref()),
        (Some("before"), Some("before too"))
    );
    assert_eq!((holds(&disk, "db/new"), holds(&disk, "other").as_deref()), (None, Some("o")));
    let node = disk.dump().remove(&RelPath::new("db/index").unwrap()).unwrap();
    assert_eq!(node.mode, 0o640);
    assert_eq!(node.xattrs.get(std::ffi::OsStr::new("user.key")).map(Vec::as_slice), Some(&b"value"[..]));
    assert!(below(&disk, ".treewal/quarantine").is_empty());
}

/// What is in it is as old as it was before; the directory is not the one that was guarded.
#[test]
fn what_came_with_a_directory_that_was_moved_there_since_is_later_work() {
    let (disk, tree, id) = guarded();
    put(&disk, "made/index", "of somebody who came later");
    drop(tree);
    let disk = disk.kill();
    let tree = open(&disk);
    tree.transaction(|tx| {
        tx.remove_dir_all("db")?;
        tx.rename("made", "db")
    })
    .unwrap();
    let refused = tree.retry_quarantine(&id, Retry::new()).unwrap();
    let late: Vec<&Path> = refused.conflicts.iter().map(|one| one.path.as_path()).collect();
    assert!(refused.receipt.is_none() && late.contains(&Path::new("db/index")), "{refused:?}");
    assert_eq!(holds(&disk, "db/index").as_deref(), Some("of somebody who came later"));
    let done = tree.retry_quarantine(&id, Retry::new().force(true)).unwrap();
    assert!(done.purged, "{done:?}");
    assert_eq!(holds(&disk, "db/index").as_deref(), Some("before"));
}

/// Nothing of it can be brought back, and that is said before anything is tried.
#[test]
fn what_is_no_directory_above_what_was_guarded_is_a_conflict_also_by_force() {
    type Change = fn(&mut Transaction) -> treewal::Result<()>;
    let changes: [Change; 2] = [|tx| tx.write("deep", "of somebody"), |tx| tx.symlink("aside", "deep")];
    for change in changes {
        let disk = SimDisk::new();
        put(&disk, "deep/db/index", "before");
        let tree = open(&disk);
        let guard = tree.guard(["deep/db"]).unwrap();
        put(&disk, "deep/db/index", "halfway");
        std::mem::forget((guard, tree));
        let disk = disk.kill();
        let tree = give_up(&disk).unwrap();
        let id = tree.recovery().transactions[0].quarantine.clone().unwrap();
        tree.transaction(|tx| tx.rename("deep", "aside").and_then(|()| change(tx))).unwrap();
        let before = tree_of(&disk);
        for how in [Retry::new().dry_run(true), Retry::new(), Retry::new().force(true)] {
            let refused = tree.retry_quarantine(&id, how).unwrap();
            let named: Vec<&Path> = refused.conflicts.iter().map(|one| one.path.as_path()).collect();
            assert_eq!(
                (&named[..], refused.receipt.is_none()),
                (&[Path::new("deep")][..], true),
                "{how:?}: {refused:?}"
            );
            assert_eq!((tree_of(&disk), tree.quarantine().unwrap().len()), (before.clone(), 1));
        }
        tree.transaction(|tx| tx.remove_file("deep").and_then(|()| tx.rename("aside", "deep"))).unwrap();
        let done = tree.retry_quarantine(&id, Retry::new().force(true)).unwrap();
        assert!(done.purged, "{done:?}");
        assert_eq!(holds(&disk, "deep/db/index").as_deref(), Some("before"));
    }
}

#[test]
fn a_retry_may_be_cut_anywhere_and_nothing_is_lost() {
    let (base, tree, id) = staged();
    drop(tree);
    base.sync_all(&root(&base)).unwrap();
    for cut in 1.. {
        let disk = base.remount();
        disk.cut_at(Some(cut));
        let deferred = options().durability(Durability::Deferred);
        let done =
            deferred.open_on(Arc::new(disk.clone()), "/").and_then(|tree| tree.retry_quarantine(&id, Retry::new()));
        if !disk.is_off() {
            assert!(done.unwrap().purged && cut > 30, "cut at {cut} calls only");
            break;
        }
        for outcome in outcomes(&disk, cut) {
            let lost = disk.after(&outcome);
            let tree = open(&lost);
            let there = tree.quarantine().unwrap().iter().any(|entry| entry.id == id);
            let now = tree_of(&lost);
            let is_in = now["replaced"] == "new" && now.get("large").is_some_and(|large| large.len() == LARGE);
            assert!(there || is_in, "cut {cut}: neither in the tree nor in quarantine\n{}", disk.describe(&outcome));
            if there {
                let again = tree.retry_quarantine(&id, Retry::new()).unwrap();
                assert!(again.purged, "cut {cut}: {again:?}\n{}", disk.describe(&outcome));
            }
            assert_eq!(tree_of(&lost)["made/deep/file"], "made");
            drop(tree);
            assert!(
                below(&lost, ".treewal/quarantine").is_empty(),
                "cut {cut}: {:?}",
                below(&lost, ".treewal/quarantine")
            );
        }
    }
}
