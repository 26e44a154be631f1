//! A writer that goes on while the guard is rolled back.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use treewal::{Outcome, Tree};

#[test]
fn a_rollback_under_a_writer_that_does_not_stop_is_undecided_and_names_a_path() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    fs::create_dir(at("d")).unwrap();
    for n in 0..60 {
        fs::write(at(&format!("d/{n}")), "old").unwrap();
    }
    let tree = Tree::open(dir.path()).unwrap();
    let guard = tree.guard(["d"]).unwrap();
    for n in 0..60 {
        fs::write(at(&format!("d/{n}")), "new").unwrap();
    }
    let stop = AtomicBool::new(false);
    let ended = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut n = 0u64;
            while !stop.load(Ordering::Relaxed) {
                // A name that was not there, over and over: it is removed, and comes back.
                n += 1;
                fs::write(at(&format!("d/more{}", n % 3)), n.to_string()).unwrap();
            }
        });
        std::thread::sleep(std::time::Duration::from_millis(20));
        let ended = guard.rollback();
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        ended
    });
    let error = ended.expect_err("it cannot have come to rest");
    assert_eq!(error.outcome(), Outcome::Undecided);
    let cause = format!("{error:?}");
    assert!(cause.contains("d/more") || cause.contains("d\""), "{cause}");
    assert!(tree.transaction(|tx| tx.write("a", "a")).is_err(), "the handle refuses further work");
    drop(tree);
    let tree = Tree::open(dir.path()).unwrap();
    let told = &tree.recovery().transactions[0];
    assert_eq!((told.label, told.error.as_deref()), ("undo", None));
    let mut names: Vec<_> = fs::read_dir(at("d")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names.len(), 60);
    assert!((0..60).all(|n| fs::read(at(&format!("d/{n}"))).unwrap() == b"old"));
}

#[test]
fn a_writer_that_stops_in_time_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    fs::create_dir(at("d")).unwrap();
    fs::write(at("d/a"), "old").unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    for round in 0..20 {
        let guard = tree.guard(["d"]).unwrap();
        fs::write(at("d/a"), "new").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| fs::write(at(&format!("d/new{round}")), "new").unwrap());
            // Whatever the order: it ended before a second look.
            let done = guard.rollback();
            assert!(done.is_ok(), "{done:?}");
        });
        drop(fs::remove_file(at(&format!("d/new{round}"))));
        assert_eq!(fs::read(at("d/a")).unwrap(), b"old");
    }
}
