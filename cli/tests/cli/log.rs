//! `log` of a tree and of a journal without one: whole, torn, damaged.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use treewal::Options;

use crate::common::*;

/// A tree with small segments and these many transactions.
pub(crate) fn used(transactions: usize) -> tempfile::TempDir {
    used_until(|done, _| done == transactions)
}

/// A tree with small segments and as many transactions as it takes.
fn used_until(is_enough: impl Fn(usize, &Path) -> bool) -> tempfile::TempDir {
    let dir = tree(&[]);
    let tree = Options::new().segment_bytes(64 << 10).open(dir.path()).unwrap();
    for n in 0.. {
        if is_enough(n, dir.path()) {
            break;
        }
        tree.transaction(|tx| tx.write(format!("f{}", n % 7), format!("text {n}").repeat(100))).unwrap();
    }
    // As after a kill: closing it would settle everything.
    std::mem::forget(tree);
    dir
}

pub(crate) fn segments(journal: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(journal).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|end| end == "wal")).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths
}

/// A copy of the journal of a tree, alone in a directory.
pub(crate) fn copied(tree: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for path in segments(&tree.join(".treewal/journal")) {
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

/// Flips a bit in the payload of the record of this number.
pub(crate) fn flip(journal: &Path, lsn: u64) {
    let said = log_json(journal);
    let record = said["records"].as_array().unwrap().iter().find(|record| record["lsn"] == lsn).unwrap();
    let at = usize::try_from(record["offset"].as_u64().unwrap()).unwrap() + 32;
    let path = journal.join(format!("{:016x}.wal", record["segment"].as_u64().unwrap()));
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

pub(crate) fn log_json(journal: &Path) -> Value {
    let answer = treewal(Path::new("/"), ["log".as_ref(), "--json".as_ref(), journal.as_os_str()]);
    answer.json()
}

fn stamps(dir: &Path) -> Vec<String> {
    let stamp = |path: &Path| {
        let meta = fs::symlink_metadata(path).unwrap();
        format!("{path:?} {} {} {} {:o}", meta.len(), meta.mtime_nsec(), meta.ctime_nsec(), meta.mode())
    };
    let mut all: Vec<String> = fs::read_dir(dir).unwrap().map(|entry| stamp(&entry.unwrap().path())).collect();
    all.push(stamp(dir));
    all.sort();
    all
}

#[test]
fn a_log_has_segments_records_transactions_marks_and_an_end() {
    let dir = used_until(|_, dir| treewal::log(dir).unwrap().segments.len() == 2);
    let json = treewal(dir.path(), ["log", "--json"]).exits(0).json();
    assert_eq!((&json["tail"]["state"], &json["outcome"]), (&"clean".into(), &"unchanged".into()));
    let records = json["records"].as_array().unwrap();
    let lsns: Vec<u64> = records.iter().map(|record| record["lsn"].as_u64().unwrap()).collect();
    let (first, last) = (lsns[0], *lsns.last().unwrap());
    assert_eq!(lsns, (first..=last).collect::<Vec<_>>());
    assert_eq!((&json["first_lsn"], &json["last_lsn"]), (&first.into(), &last.into()));
    // What a mark says was durable was written before.
    assert!(records.iter().all(|record| record["durable"].as_u64() < record["lsn"].as_u64()));
    let durable = records.iter().map(|record| record["durable"].as_u64().unwrap()).max();
    assert_eq!(json["durable_lsn"].as_u64(), durable);

    let segments = json["segments"].as_array().unwrap();
    assert!(segments.len() > 1, "{segments:?}");
    for pair in segments.windows(2) {
        assert_eq!((&pair[0]["state"], &pair[0]["last_lsn"]), (&"sealed".into(), &pair[1]["previous_lsn"]));
        assert_eq!(pair[0]["last_lsn"].as_u64().unwrap() + 1, pair[1]["first_lsn"].as_u64().unwrap());
    }
    let current = segments.last().unwrap();
    assert_eq!((&current["state"], &current["bytes"]), (&"current".into(), &(64 << 10).into()));
    assert_eq!(current["used"], json["tail"]["offset"]);

    // Each transaction is begin, intent and commit.
    let transactions = json["transactions"].as_array().unwrap();
    let whole: Vec<&Value> = transactions.iter().filter(|transaction| transaction["kind"] == "staged").collect();
    assert!(whole.len() > 10, "{transactions:?}");
    for transaction in whole {
        assert_eq!((&transaction["state"], &transaction["records"]), (&"committed".into(), &3.into()));
    }
    let human = treewal(dir.path(), ["log"]).exits(0).stdout;
    for words in ["segment 00000000000000", "sealed, records", "begin ", "staged, committed", "end: clean"] {
        assert!(human.contains(words), "no {words:?} in {human}");
    }
    let end = format!("records {first} to {last}, known to be durable up to {}\n", durable.unwrap());
    assert!(human.ends_with(&end), "{human}");
}

#[test]
fn a_copied_journal_needs_no_tree_no_lock_and_no_permission_and_stays_as_it_is() {
    let dir = used(60);
    let copy = copied(dir.path());
    let whole = treewal(dir.path(), ["log", "--json"]).exits(0).json();
    for path in segments(copy.path()) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o444)).unwrap();
    }
    fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let before = stamps(copy.path());
    let mut command = command(Path::new("/"), ["log", "--json"]);
    command.arg(copy.path());
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        // Whom permissions do not hold back must give them up.
        command.uid(65534);
    }
    let said = answer(command).exits(0).json();
    for part in ["tree", "records", "transactions", "segments", "tail", "durable_lsn"] {
        assert_eq!(said[part], whole[part], "{part}");
    }
    assert_eq!(stamps(copy.path()), before);
    fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn looking_at_a_tree_does_not_close_it_to_others() {
    let dir = used(1);
    let dot = dir.path().join(".treewal");
    fs::set_permissions(&dot, fs::Permissions::from_mode(0o755)).unwrap();
    treewal(dir.path(), ["log"]).exits(0);
    let said = treewal(dir.path(), ["verify"]).exits(0).stdout;
    assert!(said.contains("can be entered by others (mode 0755)"), "{said}");
    assert_eq!(fs::metadata(&dot).unwrap().mode() & 0o777, 0o755);
}

#[test]
fn a_torn_journal_is_told_and_a_damaged_one_has_its_exit_code() {
    let dir = used(3);
    let copy = copied(dir.path());
    let last = log_json(copy.path())["last_lsn"].as_u64().unwrap();
    flip(copy.path(), last);
    let json = log_json(copy.path());
    assert_eq!(
        (&json["exit"], &json["tail"]["state"], &json["tail"]["lsn"]),
        (&0.into(), &"torn".into(), &last.into())
    );
    assert_eq!(json["segments"][0]["state"], "torn");
    let journal = copy.path().as_os_str();
    let human = treewal(Path::new("/"), ["log".as_ref(), journal]).exits(0).stdout;
    assert!(human.contains("end: torn at record") && human.contains("nothing acknowledged is missing"), "{human}");

    flip(copy.path(), 2);
    let json = log_json(copy.path());
    assert_eq!(
        (&json["exit"], &json["tail"]["state"], &json["tail"]["lsn"]),
        (&6.into(), &"corrupt".into(), &2.into())
    );
    assert_eq!(json["records"].as_array().unwrap().len(), 1);
    let human = treewal(Path::new("/"), ["log".as_ref(), journal]).exits(6).stdout;
    assert!(human.contains("end: damaged at record 2, segment 0000000000000001"), "{human}");
}

#[test]
fn a_directory_without_segments_is_not_taken_for_an_empty_journal() {
    let dir = used(1);
    for arguments in [["log"].as_slice(), &["log", "-f"]] {
        let mut command = command(Path::new("/"), arguments);
        command.arg(dir.path());
        answer(command).exits(1).says(&["there is no segment", "-C"]);
        treewal(Path::new("/"), arguments.iter().chain(&["/nowhere/at/all"])).exits(1).says(&["nowhere"]);
    }
}

#[test]
fn a_reader_that_has_read_enough_ends_it_quietly() {
    let dir = used(60);
    for arguments in [["log"].as_slice(), &["log", "--json"], &["log", "-f"], &["log", "-f", "--json"]] {
        let mut child = command(dir.path(), arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        assert!(!line.is_empty());
        drop(out);
        until("it ends", || child.try_wait().unwrap().is_some());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
    }
}
