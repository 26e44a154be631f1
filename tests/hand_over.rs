//! Two handles on one tree, as two processes would have them: each gets its turn.
#![expect(clippy::disallowed_methods, reason = "a test looks at the tree as any program does")]

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use treewal::Tree;

/// Stops the other handle also where the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_handle_that_never_pauses_passes_nobody_over() {
    const TURNS: usize = 8;
    let dir = tempfile::tempdir().unwrap();
    let (busy, other) = (Tree::open(dir.path()).unwrap(), Tree::open(dir.path()).unwrap());
    let (stop, commits) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut waits = Vec::new();
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (busy, stop, commits) = (&busy, &stop, &commits);
            scope.spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    busy.transaction(|tx| tx.write(format!("busy{thread}"), "x")).unwrap();
                    commits.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let _stop = Stop(&stop);
        for turn in 0..TURNS {
            let before = commits.load(Ordering::SeqCst);
            // Not before it is busy again.
            while commits.load(Ordering::SeqCst) < before + 20 {
                std::thread::yield_now();
            }
            let before = commits.load(Ordering::SeqCst);
            other.transaction(|tx| tx.write("other", turn.to_string())).unwrap();
            waits.push(commits.load(Ordering::SeqCst) - before);
        }
    });
    // The batch at hand takes in no more than 128, and one more may begin before the other stands in the queue.
    assert!(waits.iter().all(|passed| *passed <= 300), "commits that passed it by: {waits:?}");
    assert_eq!(fs::read_to_string(dir.path().join("other")).unwrap(), (TURNS - 1).to_string());
}
