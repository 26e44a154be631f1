//! Following a journal as fast as can be, while segments are begun, removed and used again.

#![cfg(test)]

use std::sync::atomic::{AtomicBool, Ordering};

use treewal::{Follow, LogEvent, Options};

const TRANSACTIONS: usize = 400;

/// Writes until it is done, in a thread of its own, while `look` is called again and again; then once more.
fn beside_a_writer(mut look: impl FnMut(&std::path::Path)) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let tree = Options::new().segment_bytes(64 << 10).open(dir.path()).unwrap();
    tree.transaction(|tx| tx.write("first", "1")).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..TRANSACTIONS {
                let text = format!("{n} ").repeat(400 + n % 7 * 300);
                tree.transaction(|tx| tx.write(format!("f{}", n % 5), &text)).unwrap();
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            look(dir.path());
        }
    });
    look(dir.path());
    treewal::log(dir.path()).unwrap().tail.lsn
}

#[test]
fn a_follower_never_takes_a_writer_at_work_for_damage_and_leaves_nothing_out_unsaid() {
    let (mut next, mut begun, mut follow) = (1, 0, None);
    let end = beside_a_writer(|dir| {
        for event in follow.get_or_insert_with(|| Follow::tree(dir)).look().unwrap() {
            match event {
                LogEvent::Record(record) => {
                    assert_eq!(record.lsn, next);
                    next += 1;
                }
                LogEvent::Missed { from, upto } => {
                    assert_eq!(from, next);
                    next = upto + 1;
                }
                LogEvent::Segment(segment) => {
                    assert!(segment.number > begun);
                    begun = segment.number;
                }
                other => panic!("{other:?}"),
            }
        }
    });
    assert_eq!(next, end);
    assert!(begun > 5, "{begun} segments");
}

#[test]
fn a_look_at_the_journal_beside_a_writer_never_finds_damage() {
    let mut last = 0;
    beside_a_writer(|dir| {
        let log = treewal::log(dir).unwrap();
        assert_ne!(log.tail.state, "corrupt", "{}", log.tail.says);
        assert!(log.last_lsn >= last || log.records.is_empty(), "{} after {last}", log.last_lsn);
        last = log.last_lsn.max(last);
    });
}
