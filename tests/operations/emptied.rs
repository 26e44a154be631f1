//! Directories that go because they are empty: what others put there meanwhile stays.

use std::fs;

use treewal::{Error, Outcome, Transaction};

use crate::world::World;

fn world() -> World {
    let world = World::new();
    fs::create_dir_all(world.at("d/sub")).unwrap();
    fs::create_dir(world.at("full")).unwrap();
    for path in ["d/x", "d/sub/y", "full/z"] {
        fs::write(world.at(path), path).unwrap();
    }
    world
}

fn take_apart(tx: &mut Transaction) {
    tx.remove_file("d/x").unwrap();
    tx.rename("d/sub/y", "y").unwrap();
    tx.remove_dir("d/sub").unwrap();
}

/// Each makes the directory `d`, or the one in it, go.
const WAYS: [fn(&mut Transaction); 5] = [
    |tx| tx.remove_dir("d/sub").unwrap(),
    |tx| tx.remove_dir("d").unwrap(),
    |tx| tx.rename("full", "d").unwrap(),
    |tx| {
        tx.remove_dir("d").unwrap();
        tx.write("d", "a file now").unwrap();
    },
    |tx| {
        tx.remove_dir("d").unwrap();
        tx.create_dir("d").unwrap();
        tx.write("d/x", "new").unwrap();
    },
];

#[test]
fn whoever_was_faster_to_put_something_there_wins() {
    for (n, way) in WAYS.into_iter().enumerate() {
        for theirs in ["d/theirs", "d/sub/theirs"] {
            let world = world();
            let mut tx = world.tree.begin();
            if n == 0 {
                tx.rename("d/sub/y", "y").unwrap();
            } else {
                take_apart(&mut tx);
            }
            way(&mut tx);
            fs::write(world.at(theirs), "theirs").unwrap();
            let result = tx.commit();
            if n == 0 && theirs == "d/theirs" {
                result.unwrap();
            } else {
                let error = result.unwrap_err();
                assert!(matches!(&error, Error::Conflict { path, .. } if path.ends_with("theirs")), "{n}: {error}");
                assert_eq!(error.outcome(), Outcome::Unchanged);
                assert_eq!(fs::read_to_string(world.at("d/x")).unwrap(), "d/x", "{n}");
                assert_eq!(fs::read_to_string(world.at("d/sub/y")).unwrap(), "d/sub/y", "{n}");
            }
            assert_eq!(fs::read_to_string(world.at(theirs)).unwrap(), "theirs", "{n}");
            world.close();
        }
    }
}

#[test]
fn what_somebody_wrote_into_a_removed_entry_meanwhile_is_no_less_theirs() {
    let world = world();
    let mut tx = world.tree.begin();
    take_apart(&mut tx);
    tx.remove_dir("d").unwrap();
    fs::write(world.at("d/x"), "edited by somebody").unwrap();
    let error = tx.commit().unwrap_err();
    assert!(matches!(&error, Error::Conflict { path, .. } if path.ends_with("x")), "{error}");
    assert_eq!(fs::read_to_string(world.at("d/x")).unwrap(), "edited by somebody");
    world.close();
}

#[test]
fn where_nobody_did_they_go() {
    for way in &WAYS[1..] {
        let world = world();
        let mut tx = world.tree.begin();
        take_apart(&mut tx);
        way(&mut tx);
        tx.commit().unwrap();
        assert_eq!(fs::read_to_string(world.at("y")).unwrap(), "d/sub/y");
        assert!(!world.at("d/sub").exists());
        world.close();
    }
}

/// What an entry of the directory displaces is put where that one stood, and goes with the directory.
#[test]
fn what_its_own_entries_displaced_goes_with_it() {
    let ways: [fn(&mut Transaction); 3] = [
        |tx| {
            tx.rename("d/x", "full/z").unwrap();
            tx.rename("d/sub/y", "y").unwrap();
            tx.remove_dir("d/sub").unwrap();
            tx.remove_dir("d").unwrap();
        },
        |tx| {
            tx.rename("d/x", "full/z").unwrap();
            tx.rename("d/sub/y", "y").unwrap();
            tx.remove_dir("d/sub").unwrap();
            tx.rename("full", "d").unwrap();
        },
        |tx| {
            tx.rename("d/sub/y", "full/z").unwrap();
            tx.exchange("d/sub", "full").unwrap();
            tx.remove_dir("full").unwrap();
        },
    ];
    for (n, way) in ways.into_iter().enumerate() {
        let world = world();
        let mut tx = world.tree.begin();
        way(&mut tx);
        tx.commit().unwrap_or_else(|error| panic!("{n}: {error}"));
        assert_eq!(world.at("full").exists(), n == 0, "{n}");
        let moved = ["full/z", "d/z", "d/sub/z"][n];
        assert_eq!(fs::read_to_string(world.at(moved)).unwrap(), ["d/x", "d/x", "d/sub/y"][n], "{n}");
        world.close();
    }
}
