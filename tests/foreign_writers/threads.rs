//! The same with a database that the program has linked in: a thread of the process that holds the guard writes to it while
//! the guard is rolled back, and goes on for a while.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use treewal::{GuardOptions, Options, Outcome};
use treewal_vfs::random;

use crate::rig::place;

const BUDGET: Duration = Duration::from_millis(800);
const ROWS: u32 = 120;

fn make(db: &Path, mode: &str) {
    let connection = Connection::open(db).unwrap();
    let found: String = connection.query_row(&format!("PRAGMA journal_mode={mode}"), [], |row| row.get(0)).unwrap();
    assert_eq!(found, mode);
    connection.execute_batch("CREATE TABLE page (id INTEGER PRIMARY KEY, body TEXT)").unwrap();
    for _ in 0..ROWS {
        connection.execute("INSERT INTO page (body) VALUES (?1)", ["old ".repeat(60)]).unwrap();
    }
}

/// Writes until it is told to stop; what fails is tried again.
fn write(db: &Path, stop: &AtomicBool, written: &AtomicU32) {
    let connection = Connection::open(db).unwrap();
    connection.execute_batch("PRAGMA cache_size=10; PRAGMA synchronous=OFF").unwrap();
    let turn = || {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for _ in 0..20 {
            connection.execute("INSERT INTO page (body) VALUES (?1)", ["new ".repeat(90)])?;
        }
        connection.execute_batch("UPDATE page SET body = body || 'x' WHERE id % 7 = 3; COMMIT")?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    };
    while !stop.load(Ordering::Relaxed) {
        match turn() {
            Ok(()) => drop(written.fetch_add(1, Ordering::Relaxed)),
            Err(_) => {
                // Nothing to roll back, perhaps.
                drop(connection.execute_batch("ROLLBACK"));
                std::thread::sleep(Duration::from_micros(200));
            }
        }
    }
}

fn check(db: &Path, at: &str) {
    let connection = Connection::open(db).unwrap();
    let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok", "{at}");
    let old = "old ".repeat(60);
    let count = |sql: &str| connection.query_row(sql, [&old], |row| row.get::<_, u32>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM page WHERE body = ?1"), ROWS, "{at}");
    assert_eq!(count("SELECT count(*) FROM page WHERE body <> ?1"), 0, "{at}");
}

fn written_to_throughout(mode: &str, exchanges: bool) {
    let (begun, mut rounds, mut undecided) = (Instant::now(), 0, 0);
    while rounds < 3 || begun.elapsed() < BUDGET {
        let dir = tempfile::tempdir_in(place()).unwrap();
        let db = dir.path().join("index.db");
        make(&db, mode);
        let tree = Options::new().open(dir.path()).unwrap();
        let options = GuardOptions::new().matching("index.db*").exchange(exchanges);
        let guard = tree.guard_with(options, [""; 0]).unwrap();
        let (stop, written) = (AtomicBool::new(false), AtomicU32::new(0));
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| write(&db, &stop, &written));
            while written.load(Ordering::Relaxed) < 2 && !writer.is_finished() {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_micros(random() % 3000));
            if let Err(error) = guard.rollback() {
                assert_eq!(error.outcome(), Outcome::Undecided, "{error:?}");
                undecided += 1;
            }
            std::thread::sleep(Duration::from_micros(random() % 3000));
            stop.store(true, Ordering::Relaxed);
        });
        drop(tree);
        let tree = Options::new().open(dir.path()).unwrap();
        assert!(tree.recovery().pending().next().is_none(), "{}", tree.recovery());
        assert!(tree.recovery().transactions.iter().all(|told| told.quarantine.is_none()), "{}", tree.recovery());
        drop(tree);
        check(&db, &format!("{mode}, exchanges: {exchanges}, round {rounds}"));
        rounds += 1;
    }
    println!("a thread writes, {mode}, exchanges: {exchanges}: {rounds} rounds, {undecided} undecided");
}

#[test]
fn a_write_ahead_log() {
    written_to_throughout("wal", false);
    written_to_throughout("wal", true);
}

#[test]
fn a_rollback_journal() {
    written_to_throughout("delete", false);
    written_to_throughout("delete", true);
}
