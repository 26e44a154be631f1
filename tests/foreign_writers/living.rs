//! A database that is still being written to when its guard is rolled back, or when the process that holds the guard is
//! killed and the tree is opened anew: the writer lives on through all of it, and dies some time later.
//!
//! What it has open must be displaced wholly or not at all. A log that is the writer's own beside a database that is not
//! would let it write pages where they do not belong.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use treewal::{GuardOptions, Options};
use treewal_vfs::random;

use crate::rig::{copy, must, place, say, works};

const TREE: &str = "TREEWAL_LIVING_TREE";
const EXCHANGES: &str = "TREEWAL_LIVING_EXCHANGES";
const BUDGET: Duration = Duration::from_millis(2500);
const ROUNDS_MIN: u32 = 4;
const ROWS: &str = "150";

/// Makes a database, and ends without closing it: what is in the log stays there.
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

/// Writes for ever, by one connection; says so once it has.
const WRITE: &str = r#"
import sqlite3, sys, time
checkpoints = sys.argv[1] == "checkpoints"
db = sqlite3.connect("index.db", isolation_level=None)
db.execute("PRAGMA cache_size=10")
turn = 0
while True:
    turn += 1
    try:
        db.execute("BEGIN IMMEDIATE")
        for n in range(20):
            db.execute("INSERT INTO page (name, body) VALUES (?, ?)", ("turn %d %d" % (turn, n), "new " * 90))
        db.execute("UPDATE page SET body = body || 'x' WHERE id % 7 = ?", (turn % 7,))
        db.execute("COMMIT")
        if turn > 2 or checkpoints:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error:
        try:
            db.execute("ROLLBACK")
        except sqlite3.Error:
            pass
        time.sleep(0.001)
    if turn == 1:
        print("writing", flush=True)
"#;

const ASK: &str = r#"
import sqlite3, sys
db = sqlite3.connect("index.db", isolation_level=None)
sound = [row[0] for row in db.execute("PRAGMA integrity_check")]
assert sound == ["ok"], sound
found = db.execute("SELECT count(*), min(body), max(body) FROM page").fetchone()
assert found == (int(sys.argv[1]), "old " * 60, "old " * 60), found
"#;

/// What a trial is about.
#[derive(Debug, Clone, Copy)]
struct Trial {
    journal_mode: &'static str,
    /// The guard is rolled back by exchange.
    exchanges: bool,
    /// The writer has written into the database itself before the guard ends, not only into its log.
    checkpoints: bool,
}

#[derive(Debug, Default)]
struct Tally {
    rolled_back: u32,
    undecided: u32,
    killed: u32,
    /// Openings beside the living writer that left the undo to the next one.
    owed: u32,
}

fn python(dir: &Path, script: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", script]).args(arguments).current_dir(dir).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

impl Trial {
    fn run(self) {
        let needs = ["python3", "-c", "import sqlite3"];
        if !works(&needs) {
            say(&format!("skipped: {self:?}: {:?} is not installed, or does not work", needs.join(" ")));
            return;
        }
        let home = tempfile::tempdir_in(place()).unwrap();
        let (pristine, tree) = (home.path().join("pristine"), home.path().join("tree"));
        fs::create_dir(&pristine).unwrap();
        must(&mut python(&pristine, MAKE, &[self.journal_mode, ROWS]), &pristine);
        let depth: u32 = std::env::var("TREEWAL_FOREIGN_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(1);
        let (mut tally, begun) = (Tally::default(), Instant::now());
        let mut round = 0;
        while round < ROUNDS_MIN || begun.elapsed() < BUDGET * depth {
            copy(&pristine, &tree);
            self.round(&tree, round % 2 == 0, &mut tally);
            fs::remove_dir_all(&tree).unwrap();
            round += 1;
        }
        println!("{self:?}: {round} rounds: {tally:?}");
        assert!(tally.rolled_back > 0 && tally.killed > 0, "{tally:?}");
    }

    fn round(self, tree: &Path, kills: bool, tally: &mut Tally) {
        let mut holder = Holder::start(tree, self.exchanges);
        let word = if self.checkpoints { "checkpoints" } else { "log" };
        let mut writer = python(tree, WRITE, &[word]).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(writer.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "writing\n");
        std::thread::sleep(Duration::from_micros(random() % 15_000));
        let open = || Options::new().lock_wait(Duration::from_secs(5)).open(tree).unwrap();
        if kills {
            holder.child.kill().unwrap();
            tally.killed += 1;
        } else {
            match holder.roll_back().as_str() {
                "rolled back\n" => tally.rolled_back += 1,
                "undecided\n" => tally.undecided += 1,
                other => unreachable!("{other:?}"),
            }
        }
        holder.child.wait().unwrap();
        // It goes on beside the opening, and after it.
        let opened = open();
        tally.owed += u32::from(opened.recovery().pending().count() > 0);
        drop(opened);
        std::thread::sleep(Duration::from_micros(random() % 15_000));
        writer.kill().unwrap();
        writer.wait().unwrap();
        let opened = open();
        assert_eq!(opened.recovery().pending().count(), 0, "{}", opened.recovery());
        let lost = opened.recovery().transactions.iter().find(|told| told.quarantine.is_some());
        assert!(lost.is_none(), "{self:?}: {}", opened.recovery());
        drop(opened);
        must(&mut python(tree, ASK, &[ROWS]), tree);
    }
}

/// The process that holds the guard.
struct Holder {
    child: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Holder {
    fn start(tree: &Path, exchanges: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["living::process", "--exact", "--nocapture", "--test-threads=1"]).env(TREE, tree);
        if exchanges {
            command.env(EXCHANGES, "1");
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut holder = Self { child, said };
        assert_eq!(holder.hear(), "guarded\n");
        holder
    }

    /// The next word of its own, not of the test harness that it runs in.
    fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.said.read_line(&mut line).unwrap() > 0, "the holder said nothing");
            if ["guarded\n", "rolled back\n", "undecided\n"].contains(&line.as_str()) {
                return line;
            }
        }
    }

    fn roll_back(&mut self) -> String {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.hear()
    }
}

/// No test unless the environment says what to do: then this is the process that holds the guard.
#[test]
fn process() {
    let Some(dir) = std::env::var_os(TREE).map(PathBuf::from) else { return };
    let tree = Options::new().open(dir).unwrap();
    let options = GuardOptions::new().matching("index.db*").exchange(std::env::var_os(EXCHANGES).is_some());
    let guard = tree.guard_with(options, [""; 0]).unwrap();
    let tell = |word: &str| {
        let mut out = std::io::stdout().lock();
        out.write_all(format!("{word}\n").as_bytes()).unwrap();
        out.flush().unwrap();
    };
    // On a line of its own: the harness has begun one.
    tell("\nguarded");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    tell(match guard.rollback() {
        Ok(()) => "rolled back",
        Err(error) => {
            assert_eq!(error.outcome(), treewal::Outcome::Undecided, "{error:?}");
            "undecided"
        }
    });
}

#[test]
fn a_write_ahead_log_that_is_written_to_throughout() {
    Trial { journal_mode: "wal", exchanges: false, checkpoints: true }.run();
}

#[test]
fn a_rollback_journal_that_is_written_to_throughout() {
    Trial { journal_mode: "delete", exchanges: false, checkpoints: true }.run();
}

#[test]
fn a_write_ahead_log_under_a_guard_that_exchanges() {
    Trial { journal_mode: "wal", exchanges: true, checkpoints: false }.run();
}

#[test]
fn a_rollback_journal_under_a_guard_that_exchanges() {
    Trial { journal_mode: "delete", exchanges: true, checkpoints: false }.run();
}
