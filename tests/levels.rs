//! What each level of durability syncs, and what it says of itself.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use treewal::{CheckpointSync, Durability, Error, Options, Outcome, Receipt, Transaction, Tree};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{RecordingDisk, Verb};

struct Bed {
    sim: SimDisk,
    disk: Arc<RecordingDisk>,
    tree: Tree,
}

/// A tree that has been committed to, and settled.
fn bed(level: Durability) -> Bed {
    let sim = SimDisk::new();
    let disk = Arc::new(RecordingDisk::new(Arc::new(sim.clone())));
    let options =
        Options::new().durability(level).segment_bytes(64 << 10).inline_max(4 << 10).lock_wait(Duration::ZERO);
    let tree = options.open_on(disk.clone(), "/").unwrap();
    tree.transaction(|tx| {
        tx.create_dir("d")?;
        tx.write("d/x", "old")?;
        tx.write("a", "old")
    })
    .unwrap();
    tree.checkpoint().unwrap();
    disk.take();
    Bed { sim, disk, tree }
}

fn commit(tree: &Tree, level: Option<Durability>, body: fn(&mut Transaction) -> treewal::Result<()>) -> Receipt {
    let mut tx = tree.begin();
    if let Some(level) = level {
        tx.set_durability(level);
    }
    body(&mut tx).unwrap();
    tx.commit().unwrap()
}

#[test]
fn a_deferred_commit_syncs_nothing_however_often() {
    let Bed { disk, tree, .. } = bed(Durability::Deferred);
    for _ in 0..5 {
        let receipt = commit(&tree, None, |tx| {
            tx.write("a", "new")?;
            tx.write("d/x", "new")?;
            tx.write("d/new", "new")
        });
        assert!(!receipt.durable);
        commit(&tree, None, |tx| tx.remove_file("d/new"));
    }
    assert_eq!(disk.syncs(), 0);
    tree.sync().unwrap();
    assert_eq!((disk.count(Verb::SyncData), disk.syncs()), (1, 1));
}

#[test]
fn a_level_is_that_of_the_tree_unless_the_transaction_says_another() {
    let Bed { disk, tree, .. } = bed(Durability::Journal);
    assert!(commit(&tree, None, |tx| tx.write("a", "1")).durable);
    assert_eq!(disk.syncs(), 1);
    assert!(!commit(&tree, Some(Durability::Deferred), |tx| tx.write("d/x", "1")).durable);
    assert_eq!(disk.syncs(), 1);
    assert!(commit(&tree, Some(Durability::Tree), |tx| tx.write("d/y", "1")).durable);
    assert!(disk.syncs() > 2);
    // It counts at the commit.
    let Bed { disk, tree, .. } = bed(Durability::Deferred);
    let body: fn(&mut Transaction) -> treewal::Result<()> = |tx| {
        tx.write("a", "2")?;
        tx.set_durability(Durability::Journal);
        Ok(())
    };
    assert!(commit(&tree, None, body).durable);
    assert_eq!(disk.syncs(), 1);
}

#[test]
fn over_the_work_of_a_durable_commit_it_syncs_until_that_is_settled() {
    let Bed { disk, tree, .. } = bed(Durability::Deferred);
    assert!(commit(&tree, Some(Durability::Journal), |tx| tx.write("a", "durable")).durable);
    assert!(commit(&tree, None, |tx| tx.write("a", "over it")).durable);
    assert!(!commit(&tree, None, |tx| tx.write("d/x", "beside it")).durable);
    tree.checkpoint().unwrap();
    disk.take();
    assert!(!commit(&tree, None, |tx| tx.write("a", "settled")).durable);
    assert_eq!(disk.syncs(), 0);
}

#[test]
fn what_no_record_could_make_again_is_synced_under_every_level() {
    let Bed { disk, tree, .. } = bed(Durability::Deferred);
    // The contents and their name in the stage; the record may still go.
    assert!(!commit(&tree, None, |tx| tx.write("large", vec![b'L'; 5000])).durable);
    assert_eq!((disk.count(Verb::SyncFile), disk.count(Verb::SyncData)), (1, 0));
    assert!(commit(&tree, None, |tx| tx.rename("d", "e")).durable);
}

#[test]
fn a_sync_that_fails_stops_the_handle() {
    let Bed { sim, tree, .. } = bed(Durability::Deferred);
    commit(&tree, None, |tx| tx.write("a", "new"));
    sim.fail_sync_at(Some(1));
    assert!(matches!(tree.sync(), Err(Error::Journal(_))));
    assert!(matches!(tree.sync(), Err(Error::Poisoned)));
    assert!(matches!(tree.transaction(|tx| tx.write("a", "newer")), Err(Error::Poisoned)));
}

/// It is one of contents in the stage, before anything is promised, and earlier commits are promised and no more.
#[test]
fn a_sync_of_large_contents_that_fails_stops_the_handle_too() {
    let Bed { sim, tree, .. } = bed(Durability::Journal);
    commit(&tree, None, |tx| tx.write("a", "new"));
    sim.fail_sync_at(Some(1));
    let refused = tree.transaction(|tx| tx.write("large", vec![b'L'; 5000])).unwrap_err();
    assert_eq!(refused.outcome(), Outcome::Unchanged, "{refused}");
    assert!(matches!(tree.transaction(|tx| tx.write("a", "newer")), Err(Error::Poisoned)));
    assert!(matches!(tree.checkpoint(), Err(Error::Poisoned)));
    assert!(matches!(tree.guard(["d"]), Err(Error::Poisoned)));
}

#[test]
fn a_checkpoint_syncs_what_has_changed_and_the_file_system_only_where_it_must() {
    let disk = Arc::new(RecordingDisk::new(Arc::new(SimDisk::new())));
    let options = Options::new().segment_bytes(64 << 10).checkpoint_sync(CheckpointSync::Entries);
    let tree = options.open_on(disk.clone(), "/").unwrap();
    let synced = |body: fn(&mut Transaction) -> treewal::Result<()>| {
        tree.transaction(body).unwrap();
        disk.take();
        tree.checkpoint().unwrap();
        (disk.count(Verb::SyncFile), disk.count(Verb::SyncDir), disk.count(Verb::SyncAll))
    };
    let files = synced(|tx| {
        tx.create_dir_all("d/e")?;
        tx.write("d/e/x", "x")?;
        tx.write("a", "a")
    });
    assert_eq!(files, (2, 3, 0), "x and a; e, d and the root");
    assert_eq!(synced(|tx| tx.remove_file("d/e/x")), (0, 3, 0));
    assert_eq!(synced(|tx| tx.symlink("a", "link")).2, 1, "there is no handle to sync a symlink by");
    let mut moving = tree.begin();
    moving.rename("a", "b").unwrap();
    disk.take();
    moving.commit().unwrap();
    assert_eq!(disk.count(Verb::SyncAll), 1, "what moves may be anybody's");
    // Nothing of it is left for the next one.
    assert_eq!(synced(|tx| tx.write("b", "b")), (1, 1, 0));
}
