//! What a guard restores: everything, and nothing but what differs.

use std::path::Path;

use rusqlite::Connection;
use treewal::{GuardOptions, Tree};

use crate::child::{die, dies_of};
use crate::stories::tell;
use crate::walk::{leftovers, work_dir};

#[test]
fn ro2_a_path_that_was_not_there_goes() {
    tell("ro2");
}

#[test]
fn ro3_paths_given_twice_and_within_each_other_are_one() {
    tell("ro3");
}

#[test]
fn ro7_only_what_differs_is_touched_and_what_was_made_goes() {
    tell("ro7");
}

#[test]
fn ro26_all_kinds_of_entries_and_all_their_attributes_come_back() {
    tell("ro26");
}

#[test]
fn w_o1_mode_and_time_come_back() {
    tell("w_o1");
}

#[test]
fn w_o4_a_link_that_became_a_file_is_a_link_again() {
    tell("w_o4");
}

#[test]
fn w_o5_links_within_a_directory_stay_links() {
    tell("w_o5");
}

#[test]
fn w_o5b_a_dangling_link_and_a_fifo_are_kept_like_all_else() {
    tell("w_o5b");
}

#[test]
fn w_o8_a_file_that_became_a_directory_is_a_file_again() {
    tell("w_o8");
}

#[test]
fn w_o9_an_empty_directory_comes_back() {
    tell("w_o9");
}

#[test]
fn w_o15_two_names_of_one_file_stay_that() {
    tell("w_o15");
}

#[test]
fn w_o17_what_nobody_touched_is_the_same_file_after_a_crash() {
    tell("w_o17");
}

const ROWS: i64 = 300;

fn connect(dir: &Path) -> Connection {
    let db = Connection::open(dir.join("index.db")).unwrap();
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    db.pragma_update(None, "cache_size", 10).unwrap();
    db
}

/// Fills a database, and dies without closing it.
pub(crate) fn killed_maker(dir: &Path) {
    let db = connect(dir);
    db.execute_batch("CREATE TABLE page (id INTEGER PRIMARY KEY, body TEXT)").unwrap();
    for _ in 0..ROWS {
        db.execute("INSERT INTO page (body) VALUES (?)", ["old ".repeat(90)]).unwrap();
    }
    die()
}

/// Takes a guard, commits something in the database, begins something else, and dies with both on the disk.
pub(crate) fn killed_writer(dir: &Path) {
    let tree = Tree::open(dir).unwrap();
    let none: [&str; 0] = [];
    let _guard = tree.guard_with(GuardOptions::new().matching("index.db*"), none).unwrap();
    let db = connect(dir);
    db.execute("DELETE FROM page WHERE id % 3 = 0", ()).unwrap();
    db.execute_batch("BEGIN; UPDATE page SET body = body || body || body").unwrap();
    assert!(dir.join("index.db-wal").metadata().unwrap().len() > 50_000);
    die()
}

#[test]
fn ro18_a_database_is_restored_with_all_that_it_puts_beside_itself() {
    let at = work_dir();
    let dir = at.path();
    drop(Tree::open(dir).unwrap());
    // What was committed is in the sidecar, and not yet in the database, when the guard is taken.
    dies_of("a database that is left open", dir);
    assert!(dir.join("index.db-wal").metadata().unwrap().len() > 0);
    dies_of("a database that is written to", dir);
    let tree = Tree::open(dir).unwrap();
    assert_eq!(tree.recovery().transactions[0].label, "undo");
    drop(tree);
    let db = connect(dir);
    let sound: String = db.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
    let found = db.query_row("SELECT count(*), min(body), max(body) FROM page", (), |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
    });
    assert_eq!((sound.as_str(), found.unwrap()), ("ok", (ROWS, "old ".repeat(90), "old ".repeat(90))));
    assert!(leftovers(dir).is_empty());
}
