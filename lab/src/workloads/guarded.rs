//! Guards: somebody else changes files in place.

use std::fs;
use std::io::Write;

use super::World;

const GUARDED: [&str; 5] = ["a", "b", "d", "large", "fresh"];

pub(super) fn commit(world: &World<'_>) {
    let guard = world.tree().guard(GUARDED).expect("a guard");
    vandalise(world);
    guard.commit().expect("a commit");
}

pub(super) fn rollback(world: &World<'_>) {
    let guard = world.tree().guard(GUARDED).expect("a guard");
    vandalise(world);
    guard.rollback().expect("a rollback");
}

/// A name goes and nothing else: the commit has no file to sync.
pub(super) fn removal(world: &World<'_>) {
    let guard = world.tree().guard(["d"]).expect("a guard");
    fs::remove_file(world.at("d/y")).unwrap();
    (world.stir)();
    guard.commit().expect("a commit");
}

/// The whole tree.
pub(super) fn dropped(world: &World<'_>) {
    let guard = world.tree().guard(["."]).expect("a guard");
    for (from, to) in [("e/aside", "empty/moved"), ("b", "e/b"), ("d", "empty/d")] {
        fs::rename(world.at(from), world.at(to)).unwrap();
        (world.stir)();
    }
    fs::remove_file(world.at("link")).unwrap();
    fs::write(world.at("a"), "gone").unwrap();
    (world.stir)();
    drop(guard);
}

/// What careless code does in place: writes into files, makes, removes, links and renames things.
fn vandalise(world: &World<'_>) {
    let at = |path: &str| world.at(path);
    let stir = world.stir;
    fs::write(at("a"), "in place").unwrap();
    stir();
    let mut tail = fs::File::options().append(true).open(at("large")).unwrap();
    tail.write_all(b"a tail").unwrap();
    tail.sync_data().unwrap();
    fs::File::options().write(true).open(at("d/x")).unwrap().write_all(b"the head only").unwrap();
    stir();
    fs::rename(at("d/deep"), at("d/deeper")).unwrap();
    stir();
    fs::write(at("d/deeper/more"), "more").unwrap();
    fs::remove_file(at("d/deeper/z")).unwrap();
    stir();
    // Also where a transaction before has removed it.
    drop(fs::remove_file(at("d/y")));
    fs::create_dir(at("d/y")).unwrap();
    stir();
    fs::hard_link(at("a"), at("d/y/a too")).unwrap();
    fs::write(at("fresh"), "fresh").unwrap();
    stir();
}
