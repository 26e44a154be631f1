//! Many, deep and large: what grows with a transaction must not run out, and must not take the square of its time.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test fails by panicking, and looks at the tree from outside"
)]

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use treewal::{Options, Tree};
use treewal_vfs::{RealDisk, RecordingDisk, Verb};

#[path = "shared/hooked.rs"]
mod hooked;

use hooked::Hooked;

/// Far above what any of these takes in time, far below what the square of it did.
const LONG: Duration = Duration::from_secs(60);

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

/// How many times as much as is fit for every run: the environment variable `TREEWAL_LIMITS_DEPTH`. With 10 a transaction
/// has 100,000 operations, with 100 a tree a million files.
fn depth() -> usize {
    std::env::var("TREEWAL_LIMITS_DEPTH").ok().and_then(|depth| depth.parse().ok()).unwrap_or(1)
}

#[test]
fn paths_as_long_as_the_system_takes() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Tree::open(dir.path()).unwrap();
    let tree = open();
    // 16 names of 255 bytes, and 15 slashes: 4095 bytes. The names are of the tree; where it lies adds nothing.
    let names: Vec<String> = (0..16).map(|n| format!("{n:x}").repeat(255)).collect();
    let (parent, file) = (names[..15].join("/"), names.join("/"));
    assert_eq!(file.len(), 4095);
    tree.transaction(|tx| {
        tx.create_dir_all(&parent)?;
        tx.write(&file, "deep")
    })
    .unwrap();
    let narrow = ["x"; 2048].join("/");
    assert_eq!(narrow.len(), 4095);
    tree.transaction(|tx| tx.create_dir_all(&narrow)).unwrap();
    std::mem::forget(tree);
    let tree = open();
    assert_eq!(tree.begin().read(&file).unwrap(), b"deep");
    assert!(tree.begin().metadata(&narrow).unwrap().is_dir());
    assert!(!tree.recovery().found_damage(), "{}", tree.recovery());
    tree.transaction(|tx| tx.remove_dir_all("x")).unwrap();
}

/// Directories that move can take what is in them further down than any path reaches. The system allows it; a record that
/// recovery cannot read must not be promised.
#[test]
fn what_would_come_to_lie_deeper_than_a_path_reaches_is_refused_before_the_promise() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    let deep = |name: &str| vec![name.repeat(250); 12].join("/");
    let (from, to) = (deep("a"), deep("b"));
    for are_new in [true, false] {
        let mut tx = tree.begin();
        if !are_new {
            tree.transaction(|tx| tx.create_dir_all(&from).and_then(|()| tx.create_dir_all(&to))).unwrap();
        }
        tx.create_dir_all(&from).unwrap();
        tx.create_dir_all(&to).unwrap();
        tx.write(format!("{from}/f"), "deep").unwrap();
        tx.write("other", "other").unwrap();
        tx.rename("a".repeat(250), format!("{to}/c")).unwrap();
        let refused = tx.commit().unwrap_err();
        assert!(matches!(refused, treewal::Error::InvalidPath { .. }), "{are_new}: {refused}");
        assert!(!dir.path().join("other").exists());
    }
    // What lies there without being named may move.
    tree.transaction(|tx| tx.rename("a".repeat(250), format!("{to}/c"))).unwrap();
    std::mem::forget(tree);
    let tree = Tree::open(dir.path()).unwrap();
    assert!(tree.recovery().is_clean(), "{}", tree.recovery());
    tree.transaction(|tx| tx.rename(format!("{to}/c"), "a")).unwrap();
    assert!(dir.path().join(from.replacen(&"a".repeat(250), "a", 1)).is_dir());
}

/// Holes stay holes, and nothing is held in memory: 10 GiB that are hardly there.
#[test]
fn ten_gibibytes_stream_in_constant_memory() {
    const LEN: u64 = 10 << 30;
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    let allocated = |path: &str| fs::metadata(dir.path().join(path)).unwrap().blocks() * 512;
    tree.transaction(|tx| {
        let mut file = tx.create("large").unwrap();
        for n in 0..10 {
            file.seek(SeekFrom::Start(n << 30)).unwrap();
            file.write_all(b"the first of a gibibyte").unwrap();
        }
        file.set_len(LEN).unwrap();
        Ok(())
    })
    .unwrap();
    if allocated("large") > LEN / 2 {
        eprintln!("skipped: the file system knows no holes");
        return;
    }
    tree.transaction(|tx| {
        tx.copy("large", "copy")?;
        tx.append("large", "a tail")?;
        tx.update("copy", |file| file.seek(SeekFrom::Start(5 << 30)).and_then(|_| file.write_all(b"THE")))
    })
    .unwrap();
    assert_eq!(fs::metadata(dir.path().join("large")).unwrap().len(), LEN + 6);
    assert!(allocated("large") + allocated("copy") < 64 << 20);
    let mut copy = fs::File::open(dir.path().join("copy")).unwrap();
    let mut head = [0; 9];
    copy.seek(SeekFrom::Start(5 << 30)).unwrap();
    copy.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"THE first");
    // The most that this process ever held, the other tests with it.
    let most = peak_kib();
    println!("10 GiB in three transactions: {most} KiB at most");
    assert!(most < 1 << 20, "{most} KiB");
}

/// The most memory that this process ever held, in KiB.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    most.unwrap()
}

/// P8: what a commit costs does not know how large the tree is.
#[test]
fn a_commit_of_three_files_costs_the_same_in_a_tree_of_any_size() {
    let calls = |files: usize| {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..files {
            if n % 1000 == 0 {
                fs::create_dir(dir.path().join(format!("{}", n / 1000))).unwrap();
            }
            fs::write(dir.path().join(format!("{}/{n}", n / 1000)), "x").unwrap();
        }
        let disk = Arc::new(RecordingDisk::new(Arc::new(RealDisk)));
        // How a checkpoint syncs must not depend on what the machine has to write meanwhile.
        let options = Options::new().checkpoint_sync(treewal::CheckpointSync::FileSystem);
        let tree = options.open_on(Arc::clone(&disk) as _, dir.path()).unwrap();
        let opened = disk.take().len();
        let commit = |contents: &str| {
            tree.transaction(|tx| {
                tx.write("0/0", contents)?;
                tx.write("0/1", contents)?;
                tx.write("0/new", contents)
            })
            .unwrap();
            disk.take().into_iter().map(|call| call.verb).collect::<Vec<Verb>>()
        };
        let calls = [commit("1"), commit("2"), commit("3")];
        drop(tree);
        (opened, calls, disk.take().len())
    };
    let (opened, [first, ..], closed) = calls(100);
    println!("{} calls to open, {} for a commit, {} to close", opened, first.len(), closed);
    assert_eq!(calls(100), calls(10_000));
    if depth() > 1 {
        assert_eq!(calls(100), calls(10_000 * depth()));
        println!("the same with {} files", 10_000 * depth());
    }
}

#[test]
fn thousands_of_operations_are_one_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    let begun = Instant::now();
    let many = 10_000 * depth();
    let all = |what: &str, body: &dyn Fn(&mut treewal::Transaction, usize) -> treewal::Result<()>| {
        let (begun, before) = (Instant::now(), peak_kib());
        tree.transaction(|tx| (0..many).try_for_each(|n| body(tx, n))).unwrap();
        println!("{many} times {what}: {:?}, {before} KiB at most before, {} then", begun.elapsed(), peak_kib());
    };
    all("write", &|tx, n| tx.write(format!("f{n}"), format!("{n}")));
    all("rename", &|tx, n| tx.rename(format!("f{n}"), format!("g{n}")));
    all("exchange", &|tx, n| tx.exchange(format!("g{n}"), format!("g{}", (n + 1) % many)));
    assert_eq!(fs::read_to_string(dir.path().join("g1")).unwrap(), "2");
    if depth() > 1 {
        all("write over", &|tx, n| tx.write(format!("g{n}"), format!("{n}")));
        all("make a directory with a file", &|tx, n| {
            tx.create_dir(format!("d{n}"))?;
            tx.write(format!("d{n}/f"), "in it")
        });
        tree.transaction(|tx| (0..many).try_for_each(|n| tx.remove_dir_all(format!("d{n}")))).unwrap();
    }
    all("remove", &|tx, n| tx.remove_file(format!("g{n}")));
    // Small contents are in memory until the commit, and then in its records: so much for each operation, and no more.
    let most = peak_kib();
    assert!(most < (200 << 10) + 6 * many as u64, "{most} KiB for {many} operations");
    assert!(begun.elapsed() < LONG * u32::try_from(depth()).unwrap(), "{:?}", begun.elapsed());
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
