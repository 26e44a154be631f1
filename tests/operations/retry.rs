//! Trying again after a conflict.

use std::cell::Cell;
use std::fs;
use std::time::Duration;

use treewal::{Error, RetryPolicy, Tree};

use crate::world::World;

fn quick() -> RetryPolicy {
    RetryPolicy::new().pause_min(Duration::from_millis(1)).pause_max(Duration::from_millis(5)).tries_max(200)
}

fn count(tree: &Tree) -> treewal::Result<()> {
    tree.transaction_with(quick(), |tx| {
        let count: u64 = tx.read_to_string("count")?.parse().unwrap();
        tx.write("count", (count + 1).to_string())
    })
}

#[test]
fn threads_that_count_at_once_lose_no_count() {
    let world = World::new();
    fs::write(world.at("count"), "0").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| count(&world.tree).unwrap()));
        }
    });
    assert_eq!(fs::read_to_string(world.at("count")).unwrap(), "100");
    world.close();
}

/// What a transaction saw, it may rely on: also that there was nothing.
#[test]
fn what_changed_between_a_look_and_a_write_is_a_conflict() {
    let world = World::new();
    fs::write(world.at("count"), "0").unwrap();
    for path in ["count", "new", "gone"] {
        fs::write(world.at("gone"), "0").unwrap();
        let mut tx = world.tree.begin();
        let looked = tx.read(path);
        assert_eq!(looked.is_err(), path == "new");
        match path {
            "gone" => fs::remove_file(world.at(path)).unwrap(),
            _ => fs::write(world.at(path), "somebody's").unwrap(),
        }
        let written = tx.write(path, "ours").and_then(|()| tx.commit().map(drop));
        assert!(matches!(&written, Err(Error::Conflict { path: at, .. }) if at.as_os_str() == path), "{written:?}");
    }
    assert_eq!(fs::read(world.at("new")).unwrap(), b"somebody's");
    world.close();
}

#[test]
fn tries_end_and_other_errors_end_them_at_once() {
    let world = World::new();
    fs::write(world.at("f"), "0").unwrap();
    let tries = Cell::new(0);
    let spoilt = world.tree.transaction_with(quick().tries_max(3), |tx| {
        tries.set(tries.get() + 1);
        tx.write("f", "ours")?;
        fs::write(world.at("f"), format!("somebody's, number {}", tries.get())).unwrap();
        Ok(())
    });
    assert!(matches!(spoilt, Err(Error::Conflict { .. })), "{spoilt:?}");
    assert_eq!(tries.get(), 3);
    let missing = world.tree.transaction_with(quick(), |tx| {
        tries.set(tries.get() + 1);
        tx.read("none")
    });
    assert_eq!(missing.unwrap_err().kind(), std::io::ErrorKind::NotFound);
    assert_eq!(tries.get(), 4);
    // A guard of this process holds the tree: that is an end to wait for, too.
    let guard = world.tree.guard(["f"]).unwrap();
    let held = world.tree.transaction_with(quick().tries_max(2), |tx| tx.write("f", "held"));
    assert!(matches!(held, Err(Error::Locked { .. })), "{held:?}");
    guard.rollback().unwrap();
    world.close();
}

#[test]
fn a_directory_that_is_gone_is_a_conflict_before_anything_is_promised() {
    let world = World::new();
    let gone: [fn(&World); 4] = [
        |world| world.tree.transaction(|tx| tx.remove_dir("d")).unwrap(),
        |world| world.tree.transaction(|tx| tx.remove_dir("d").and_then(|()| tx.write("d", "file"))).unwrap(),
        |world| fs::rename(world.at("d"), world.at("elsewhere")).unwrap(),
        |world| {
            fs::remove_dir(world.at("d")).unwrap();
            std::os::unix::fs::symlink("elsewhere", world.at("d")).unwrap();
        },
    ];
    for go in gone {
        drop(fs::remove_file(world.at("d")));
        drop(fs::remove_dir_all(world.at("elsewhere")));
        fs::create_dir(world.at("d")).unwrap();
        let mut tx = world.tree.begin();
        tx.write("d/f", "new").unwrap();
        go(&world);
        let error = tx.commit().unwrap_err();
        assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
        assert!(error.is_retryable());
    }
    world.close();
}
