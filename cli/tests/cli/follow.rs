//! `log --follow`: beside a writer, and on journals that end in other ways.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use treewal::Options;

use crate::common::*;
use crate::log::{copied, flip, log_json, segments, used};

/// A follower, with what it has said so far.
struct Follower {
    child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
}

impl Follower {
    fn start(dir: &Path, more: &[&str]) -> Self {
        let arguments = ["log", "--follow", "--json"].iter().chain(more);
        let mut child = command(dir, arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (out, into) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&lines));
        std::thread::spawn(move || {
            for line in out.lines() {
                into.lock().unwrap().push(serde_json::from_str(&line.unwrap()).unwrap());
            }
        });
        Self { child, lines }
    }

    fn events(&self) -> Vec<Value> {
        self.lines.lock().unwrap().clone()
    }

    fn last_lsn(&self) -> u64 {
        self.events().iter().filter_map(|event| event["lsn"].as_u64()).next_back().unwrap_or(0)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Every record in its order, without a gap that is not told; gives the segments that were begun.
fn assert_in_order(events: &[Value]) -> Vec<u64> {
    let (mut next, mut begun) = (1, Vec::new());
    for event in events {
        let number = |field: &str| event[field].as_u64().unwrap();
        match event["event"].as_str().unwrap() {
            "segment" => begun.push(number("number")),
            "record" => {
                assert_eq!(number("lsn"), next, "{event}");
                assert_eq!(Some(&number("segment")), begun.last(), "{event}");
                next += 1;
            }
            "missed" => {
                assert_eq!(number("from"), next, "{event}");
                next = number("upto") + 1;
            }
            _ => panic!("unexpected: {event}"),
        }
    }
    assert!(begun.is_sorted_by(|a, b| a < b), "{begun:?}");
    begun
}

#[test]
fn a_follower_beside_a_writer_sees_every_record_while_segments_come_and_go() {
    let dir = tree(&[]);
    let follower = Follower::start(dir.path(), &[]);
    let tree = Options::new().segment_bytes(64 << 10).open(dir.path()).unwrap();
    let journal = dir.path().join(".treewal/journal");
    tree.transaction(|tx| tx.write("first", "first")).unwrap();
    until("the follower has begun", || follower.last_lsn() > 0);
    let mut seen_at = Vec::new();
    for round in 0..6 {
        // More than a segment, and a checkpoint that lets the full ones be used again.
        for n in 0..30 {
            let text = format!("{round} {n} ").repeat(500);
            tree.transaction(|tx| tx.write(format!("f{n}"), &text)).unwrap();
        }
        tree.checkpoint().unwrap();
        let last = treewal::log(dir.path()).unwrap().last_lsn;
        until("the follower has seen it all", || follower.last_lsn() == last);
        seen_at.push(segments(&journal)[0].clone());
    }
    let begun = assert_in_order(&follower.events());
    assert!(begun.len() > 5, "{begun:?}");
    seen_at.dedup();
    assert!(seen_at.len() > 2, "the oldest segments were never removed: {seen_at:?}");
    assert_eq!(segments(&journal).last().unwrap().file_stem().unwrap().len(), 16);
    drop(tree);
    let last = treewal::log(dir.path()).unwrap().last_lsn;
    until("the follower has seen the end", || follower.last_lsn() == last);
}

#[test]
fn a_follower_that_is_too_slow_says_what_it_missed() {
    let dir = used(1);
    let follower = Follower::start(dir.path(), &[]);
    until("it has begun", || follower.last_lsn() > 0);
    signal(&follower.child, "STOP");
    let tree = Options::new().segment_bytes(64 << 10).open(dir.path()).unwrap();
    for n in 0..200 {
        let text = format!("{n} ").repeat(1000);
        tree.transaction(|tx| tx.write("f", &text)).unwrap();
    }
    tree.checkpoint().unwrap();
    let log = treewal::log(dir.path()).unwrap();
    signal(&follower.child, "CONT");
    until("it has come after", || follower.last_lsn() == log.last_lsn || log.records.is_empty());
    until("it has told", || follower.events().iter().any(|event| event["event"] == "missed"));
    assert_in_order(&follower.events());
}

#[test]
fn a_torn_end_is_told_once_and_damage_ends_it_with_its_code() {
    let dir = used(3);
    let copy = copied(dir.path());
    let last = log_json(copy.path())["last_lsn"].as_u64().unwrap();
    flip(copy.path(), last);
    let mut follower = Follower::start(Path::new("/"), &[copy.path().to_str().unwrap()]);
    until("it tells of the end", || follower.events().iter().any(|event| event["event"] == "tail"));
    let events = follower.events();
    let tail = events.last().unwrap();
    assert_eq!((&tail["event"], &tail["state"], &tail["lsn"]), (&"tail".into(), &"torn".into(), &last.into()));
    assert_in_order(&events[..events.len() - 1]);
    assert!(follower.child.try_wait().unwrap().is_none(), "a torn journal may go on");

    flip(copy.path(), 2);
    assert_eq!(follower.child.wait().unwrap().code(), Some(6));
    until("it told why", || follower.events().last().unwrap()["state"] == "corrupt");
    let human = treewal(Path::new("/"), ["log", "-f", copy.path().to_str().unwrap()]).exits(6).stdout;
    assert!(human.ends_with("says that everything up to 3 was durable\n"), "{human}");
    assert!(human.contains("end: damaged at record 2"), "{human}");
}

#[test]
fn an_interrupt_ends_it_and_a_tree_that_goes_away_is_told() {
    let dir = used(3);
    let mut follower = Follower::start(dir.path(), &[]);
    until("it has begun", || follower.last_lsn() > 0);
    signal(&follower.child, "TERM");
    let status = follower.child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));

    let mut follower = Follower::start(dir.path(), &[]);
    until("it has begun", || follower.last_lsn() > 0);
    fs::remove_dir_all(dir.path()).unwrap();
    assert_eq!(follower.child.wait().unwrap().code(), Some(1));
}

#[test]
fn records_that_were_seen_and_then_lost_are_told_and_what_comes_after_them_is_shown() {
    let (long, short) = (used(5), used(1));
    let (seen, left) = (copied(long.path()), copied(short.path()));
    let follower = Follower::start(Path::new("/"), &[seen.path().to_str().unwrap()]);
    until("it has begun", || follower.last_lsn() == 15);
    let name = segments(left.path())[0].file_name().unwrap().to_owned();
    fs::copy(left.path().join(&name), seen.path().join("draft")).unwrap();
    fs::rename(seen.path().join("draft"), seen.path().join(&name)).unwrap();
    until("it tells what is lost", || follower.events().iter().any(|event| event["event"] == "rewound"));
    let events = follower.events();
    assert_eq!(events.last().unwrap()["upto"], 3);
    assert_in_order(&events[..events.len() - 1]);
    fs::copy(segments(copied(used(2).path()).path())[0].as_path(), seen.path().join("draft")).unwrap();
    fs::rename(seen.path().join("draft"), seen.path().join(&name)).unwrap();
    until("it goes on", || follower.last_lsn() == 6);
}
