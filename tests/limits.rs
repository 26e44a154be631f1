//! Many, deep and large: what grows with a transaction must not run out, and must not take the square of its time.
#![expect(clippy::disallowed_methods, reason = "tests look at the tree from outside")]

use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use treewal::{Options, Tree};
use treewal_vfs::{RealDisk, Verb};

#[path = "shared/hooked.rs"]
mod hooked;

use hooked::Hooked;

/// Far above what any of these takes in time, far below what the square of it did.
const LONG: Duration = Duration::from_secs(20);

#[test]
fn handles_do_not_grow_with_the_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let most = Arc::new(AtomicUsize::new(0));
    let after = {
        let (most, calls, dir) = (Arc::clone(&most), AtomicUsize::new(0), dir.path().to_owned());
        move |verb: Verb| {
            // Those of this test alone: others run beside it.
            if verb.is_mutating() && calls.fetch_add(1, Ordering::Relaxed) % 8 == 0 {
                let open = fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
                most.fetch_max(open.filter(|path| path.starts_with(&dir)).count(), Ordering::Relaxed);
            }
        }
    };
    let tree = Options::new().inline_max(100).open_on(Arc::new(Hooked { inner: RealDisk, after }), dir.path()).unwrap();
    let mut tx = tree.begin();
    for n in 0..600 {
        tx.create_dir(format!("d{n}")).unwrap();
        tx.write(format!("d{n}/small"), "small").unwrap();
        tx.write(format!("large{n}"), [b'x'; 200]).unwrap();
        tx.create(format!("d{n}/stream")).unwrap().write_all(&[b'y'; 200]).unwrap();
        tx.append(format!("large{n}"), "more").unwrap();
    }
    assert_eq!(tx.read("large599").unwrap().len(), 204);
    tx.commit().unwrap();
    let most = most.load(Ordering::Relaxed);
    assert!(most < 300, "{most} handles at once");
    for n in [0, 300, 599] {
        assert_eq!(fs::read(dir.path().join(format!("large{n}"))).unwrap().len(), 204);
        assert_eq!(fs::read(dir.path().join(format!("d{n}/stream"))).unwrap().len(), 200);
    }
}

#[test]
fn deep_paths_take_no_longer_than_they_must() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    let begun = Instant::now();
    let deep = ["x"; 1000].join("/");
    for contents in ["1", "2"] {
        tree.transaction(|tx| {
            tx.create_dir_all(&deep)?;
            tx.create_dir_all(&deep)?;
            tx.write(format!("{deep}/f"), contents)
        })
        .unwrap();
    }
    tree.transaction(|tx| tx.rename("x", "y")).unwrap();
    assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
    assert!(matches!(tree.begin().create_dir_all(["x"; 4000].join("/")), Err(treewal::Error::InvalidPath { .. })));
    let long = "n".repeat(255);
    tree.transaction(|tx| tx.write(&long, "long")).unwrap();
    assert!(tree.begin().write(format!("{long}n"), "").is_err());
    assert_eq!(fs::read_to_string(dir.path().join(long)).unwrap(), "long");
}

#[test]
fn ten_thousand_operations_are_one_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    let begun = Instant::now();
    const MANY: usize = 10_000;
    let all = |body: &dyn Fn(&mut treewal::Transaction, usize) -> treewal::Result<()>| {
        tree.transaction(|tx| (0..MANY).try_for_each(|n| body(tx, n))).unwrap();
    };
    all(&|tx, n| tx.write(format!("f{n}"), format!("{n}")));
    all(&|tx, n| tx.rename(format!("f{n}"), format!("g{n}")));
    all(&|tx, n| tx.exchange(format!("g{n}"), format!("g{}", (n + 1) % MANY)));
    assert_eq!(fs::read_to_string(dir.path().join("g1")).unwrap(), "2");
    all(&|tx, n| tx.remove_file(format!("g{n}")));
    assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

/// Contents around every limit, in segments that are as small as they get.
#[test]
fn contents_around_the_limits_of_a_record_and_a_segment() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Options::new().segment_bytes(64 << 10).inline_max(512 << 10).open(dir.path()).unwrap();
    let tree = open();
    let lens = [0, 1, 30_000, 30_704, 30_705, 61_000, 61_408, 65_535, 65_536, 65_537, 200_000];
    for len in lens {
        tree.transaction(|tx| tx.write(format!("f{len}"), vec![7; len])).unwrap();
        tree.transaction(|tx| tx.append(format!("f{len}"), "")).unwrap();
        assert_eq!(tree.begin().read(format!("f{len}")).unwrap().len(), len);
    }
    tree.transaction(|tx| (0..200).try_for_each(|n| tx.write(format!("n{n}"), vec![1; 600]))).unwrap();
    // The handle is not closed in order: what follows is recovered from the journal.
    std::mem::forget(tree);
    let tree = open();
    for len in lens {
        assert_eq!(tree.begin().read(format!("f{len}")).unwrap(), vec![7; len]);
    }
    assert!(!tree.recovery().found_damage(), "{}", tree.recovery());
}
