//! Both programs on the files of this project, killed at random, and checked by themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use treewal_vfs::random;

use crate::child::{program, spawn};
use crate::walk::{leftovers, work_dir};

fn rounds() -> u64 {
    std::env::var("TREEWAL_SEEDS_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(6)
}

/// Copies this project's own Markdown and Rust files, three times over, each copy a little different. Gives their paths.
fn inputs(into: &Path) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut dirs, mut found) = (vec![PathBuf::new()], Vec::new());
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(root.join(&dir)).unwrap() {
            let entry = entry.unwrap();
            let path = dir.join(entry.file_name());
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().unwrap().is_dir() && !name.starts_with('.') && name != "target" {
                dirs.push(path);
            } else if name.ends_with(".md") || name.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() > 100, "the files of the project are not here");
    let mut made = Vec::new();
    for copy in 0..3 {
        for path in &found {
            let to = into.join(copy.to_string()).join(path);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            let text = fs::read_to_string(root.join(path)).unwrap();
            fs::write(&to, format!("{text}\n<!-- {} {copy} -->\n", into.display())).unwrap();
            made.push(to);
        }
    }
    made
}

#[derive(Debug, Default)]
struct Tally {
    rounds: u64,
    killed: u64,
    /// Times that the next opening had something to finish or to undo.
    recovered: u64,
    acknowledged: usize,
}

/// Runs a program and kills it after some time; gives the lines that it had said.
fn run(mut command: Command, within: Duration, tally: &mut Tally) -> Vec<String> {
    command.env("RUST_BACKTRACE", "0");
    let mut child = spawn(command);
    let out = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || std::io::read_to_string(out).unwrap());
    let until = Instant::now() + Duration::from_micros(random() % u64::try_from(within.as_micros()).unwrap());
    while Instant::now() < until && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    let status = child.wait().unwrap();
    tally.rounds += 1;
    tally.killed += u64::from(status.code().is_none());
    let said = reader.join().unwrap();
    // What stands in a line that has no end was not said.
    let whole = said.rfind('\n').map_or("", |end| &said[..end]);
    whole.lines().map(str::to_owned).collect()
}

fn must(name: &str, arguments: &[&str]) -> String {
    let output = program(name, arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{name} {arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// Opens a tree as the next process does, and says whether there was anything to recover.
fn recover(tree: &Path, tally: &mut Tally) {
    if !tree.join(".treewal").exists() {
        return;
    }
    let tree = treewal::Tree::open(tree).unwrap();
    let report = tree.recovery();
    assert!(!report.found_damage() && report.pending().count() == 0, "{report}");
    tally.recovered += u64::from(!report.is_clean());
}

#[test]
fn the_store_of_conversations_keeps_what_it_said_whenever_it_is_killed() {
    let at = work_dir();
    let files = inputs(&at.path().join("input"));
    let store = at.path().join("store");
    let place = store.to_str().unwrap();
    let mut tally = Tally::default();
    let mut told = std::collections::BTreeSet::new();
    let mut round = 0;
    while round < rounds() || told.is_empty() || tally.killed == 0 {
        assert!(round < rounds() * 20, "it is never killed, or never says anything: {tally:?}");
        let mut arguments = vec![place];
        arguments.extend((round % 2 == 0).then_some("--exchange"));
        arguments.push("import");
        arguments.extend((round % 3 == 2).then_some("--together"));
        // Some of them anew each time, so that conversations are replaced as well as made.
        let some: Vec<&PathBuf> = files.iter().filter(|_| random() % 3 == 0).collect();
        for file in some.iter().take(200) {
            let text = fs::read_to_string(file).unwrap();
            fs::write(file, format!("{text}\nround {round}\n")).unwrap();
        }
        arguments.extend(some.iter().map(|file| file.to_str().unwrap()));
        let lines = run(program("conversation_store", &arguments), Duration::from_millis(1000), &mut tally);
        told.extend(lines.iter().filter_map(|line| line.split_once(" /")).map(|(number, _)| number.to_owned()));
        recover(&store, &mut tally);
        must("conversation_store", &[place, "check"]);
        let listed = must("conversation_store", &[place, "list"]);
        let listed: std::collections::BTreeSet<&str> =
            listed.lines().filter_map(|line| line.split_once(' ')).map(|(number, _)| number).collect();
        let lost: Vec<_> = told.iter().filter(|number| !listed.contains(number.as_str())).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        assert_eq!(leftovers(&store), Vec::<PathBuf>::new());
        round += 1;
    }
    tally.acknowledged = told.len();
    println!("conversations: {} files, {tally:?}", files.len());
}

#[test]
fn the_knowledge_base_keeps_what_it_said_whenever_it_is_killed() {
    let at = work_dir();
    let mut files = 0;
    let base = at.path().join("base");
    let place = base.to_str().unwrap();
    let mut tally = Tally::default();
    let mut told = std::collections::BTreeSet::new();
    let mut round = 0;
    while round < rounds() || told.is_empty() || tally.killed == 0 {
        assert!(round < rounds() * 20, "it is never killed, or never says anything: {tally:?}");
        // New ones in every round, and those that the last round did not come to.
        let dir = at.path().join(format!("input-{round}"));
        files += inputs(&dir).len();
        let last = at.path().join(format!("input-{}", round.saturating_sub(1)));
        let arguments = [place, "add", last.to_str().unwrap(), dir.to_str().unwrap()];
        let lines = run(program("knowledge_base", &arguments), Duration::from_millis(1200), &mut tally);
        assert!(!lines.iter().any(|line| line.starts_with("failed")), "{lines:?}");
        told.extend(lines.iter().filter_map(|line| line.strip_prefix("added ")).map(str::to_owned));
        // Half of the time it is the program that recovers, by removing another document.
        if round % 2 == 0 {
            recover(&base, &mut tally);
        }
        if let Some(name) = told.pop_first() {
            must("knowledge_base", &[place, "remove", &name]);
        }
        println!("{}", must("knowledge_base", &[place, "check"]).lines().find(|line| line.contains("sound")).unwrap());
        let db = Connection::open_with_flags(base.join("index.db"), OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        let sound: String = db.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
        assert_eq!(sound, "ok");
        for name in &told {
            let rows: i64 =
                db.query_row("SELECT count(*) FROM document WHERE name = ?", [name], |row| row.get(0)).unwrap();
            assert!(rows == 1 && base.join("documents").join(name).join("text.txt").is_file(), "{name} is lost");
        }
        drop(db);
        assert_eq!(leftovers(&base), Vec::<PathBuf>::new());
        round += 1;
    }
    tally.acknowledged = told.len();
    println!("documents: {files} files, {tally:?}");
}
