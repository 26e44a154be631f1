//! SQLite, as python's own library brings it: the database with its sidecar files.

use std::path::Path;
use std::process::Command;

use crate::rig::{World, Writer, must};

const NEEDS: &[&[&str]] = &[&["python3", "-c", "import sqlite3"]];
const SET: &[&str] = &["index.db", "index.db-wal", "index.db-shm", "index.db-journal"];
const ROWS: u32 = 400;

/// With a write-ahead log, which holds committed pages when the guard is taken.
pub(crate) const WAL: Writer = Writer {
    name: "sqlite, write-ahead log",
    needs: NEEDS,
    guard: &["index.db*"],
    prepare: |world| prepare(world, "wal"),
    command: |world| python(world, WRITE),
    check,
};

/// With a rollback journal.
pub(crate) const JOURNAL: Writer = Writer {
    name: "sqlite, rollback journal",
    needs: NEEDS,
    guard: SET,
    prepare: |world| prepare(world, "delete"),
    command: |world| python(world, WRITE),
    check,
};

fn python(world: &World, script: &str) -> Command {
    world.calm("python3", &["-c", script])
}

/// Ends without closing, so that what is in the log stays there.
const MAKE: &str = r#"
import os, sqlite3, sys
mode, rows = sys.argv[1], int(sys.argv[2])
db = sqlite3.connect("index.db", isolation_level=None)
db.execute("PRAGMA journal_mode=" + mode)
db.execute("CREATE TABLE page (id INTEGER PRIMARY KEY, name TEXT UNIQUE, body TEXT)")
for n in range(rows):
    db.execute("INSERT INTO page (name, body) VALUES (?, ?)", ("page %d" % n, "old " * 60))
os._exit(0)
"#;

/// Many small transactions, a large one, checkpoints, and the whole file written anew.
const WRITE: &str = r#"
import sqlite3
db = sqlite3.connect("index.db", isolation_level=None)
db.execute("PRAGMA cache_size=20")
for turn in range(12):
    db.execute("BEGIN")
    for n in range(30):
        db.execute("INSERT INTO page (name, body) VALUES (?, ?)", ("turn %d %d" % (turn, n), "new " * 90))
    db.execute("UPDATE page SET body = body || 'x' WHERE id % 7 = ?", (turn % 7,))
    db.execute("DELETE FROM page WHERE id % 97 = ?", (turn,))
    db.execute("COMMIT")
    if turn % 5 == 3:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if turn == 8:
        db.execute("VACUUM")
db.execute("CREATE TABLE done (at TEXT)")
"#;

const ASK: &str = r#"
import sqlite3, sys
db = sqlite3.connect("index.db", isolation_level=None)
sound = [row[0] for row in db.execute("PRAGMA integrity_check")]
assert sound == ["ok"], sound
done = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'done'").fetchone()[0]
assert done == int(sys.argv[1]), done
if not done:
    found = db.execute("SELECT count(*), min(body), max(body) FROM page").fetchone()
    assert found == (int(sys.argv[2]), "old " * 60, "old " * 60), found
"#;

fn prepare(world: &World, mode: &str) {
    world.must("python3", &["-c", MAKE, mode, &ROWS.to_string()]);
    assert_eq!(world.tree.join("index.db-wal").exists(), mode == "wal");
}

fn check(world: &World, copy: &Path, done: bool) {
    let mut command = python(world, ASK);
    command.args([u8::from(done).to_string(), ROWS.to_string()]);
    must(&mut command, copy);
}
