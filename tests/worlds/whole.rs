//! What a reader finds, whoever was killed before it: a whole tree, or an error that says why there is none.

use std::sync::Arc;
use std::time::Duration;

use treewal::{Error, Options, Tree};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Disk, Fault, FaultDisk, Open, Verb, errno, write_all};

fn impatient() -> Options {
    Options::new().segment_bytes(64 << 10).lock_wait(Duration::from_millis(60))
}

fn put(disk: &SimDisk, name: &str, contents: &str) {
    let root = disk.open_root("/".as_ref()).unwrap();
    let file = disk.open(&root, name.as_ref(), Open::Create { mode: 0o644 }).unwrap();
    write_all(disk, &file, contents.as_bytes(), 0).unwrap();
}

/// What a neighbour does before it is killed: old or new, both files of one kind.
type Work = fn(&Tree, &SimDisk) -> treewal::Result<()>;

const WORKS: [Work; 3] = [
    |tree, _| {
        tree.transaction(|tx| {
            tx.write("a", "new")?;
            tx.write("b", "new")
        })
    },
    |tree, _| {
        tree.transaction(|tx| {
            tx.rename("a", "c")?;
            tx.write("a", "new")?;
            tx.write("b", "new")
        })
    },
    |tree, disk| {
        let guard = tree.guard(["a", "b"])?;
        put(disk, "a", "new");
        put(disk, "b", "new");
        guard.commit()
    },
];

#[test]
fn whatever_a_killed_neighbour_left_a_reader_finds_the_tree_whole() {
    let mut cuts = [0; 3];
    for (number, work) in WORKS.iter().enumerate() {
        for at in 1.. {
            let disk = SimDisk::new();
            put(&disk, "a", "old");
            put(&disk, "b", "old");
            let tree = impatient().open_on(Arc::new(disk.clone()), "/").unwrap();
            // In every other round the handle has seen others before, and says how it leaves the tree.
            if at % 2 == 0 {
                drop(tree.read().unwrap());
            }
            let neighbour = disk.another_process();
            let faulty = Arc::new(FaultDisk::new(Arc::new(neighbour.clone()), Fault::None));
            let theirs = impatient().open_on(faulty.clone(), "/").unwrap();
            faulty.arm(Fault::Off { at });
            let ended = work(&theirs, &neighbour);
            let died = faulty.is_off();
            std::mem::forget(theirs);
            drop(neighbour.kill());
            let reader = tree.read().unwrap_or_else(|error| panic!("work {number}, killed at {at}: {error:?}"));
            let (a, b) = (reader.read_to_string("a").unwrap(), reader.read_to_string("b").unwrap());
            assert_eq!(a, b, "work {number}, killed at {at}");
            assert!(a == "new" || (died && a == "old"), "work {number}, killed at {at}: {a:?} {ended:?}");
            drop(reader);
            tree.transaction(|tx| tx.write("a", "on")).unwrap();
            if !died {
                break;
            }
            cuts[number] += 1;
        }
    }
    println!("killed at {cuts:?} calls");
    assert!(cuts.iter().all(|cuts| *cuts > 5), "{cuts:?}");
}

#[test]
fn a_reader_of_a_handle_whose_commits_are_deferred_does_not_wait_for_ever() {
    let disk = SimDisk::new();
    let options = impatient().durability(treewal::Durability::Deferred);
    let tree = options.open_on(Arc::new(disk.clone()), "/").unwrap();
    for n in 0..3 {
        tree.transaction(|tx| tx.write("a", format!("{n}"))).unwrap();
        assert_eq!(tree.read().unwrap().read_to_string("a").unwrap(), format!("{n}"));
    }
}

#[test]
fn while_a_transaction_is_owed_there_is_no_whole_tree_to_read() {
    let disk = SimDisk::new();
    put(&disk, "precious", "before");
    let tree = impatient().open_on(Arc::new(disk.clone()), "/").unwrap();
    let guard = tree.guard(["precious"]).unwrap();
    put(&disk, "precious", "halfwy");
    std::mem::forget((guard, tree));
    let disk = disk.kill();
    let fault = Fault::ErrorFrom { at: 1, errno: errno::EIO };
    let broken = Arc::new(FaultDisk::new(Arc::new(disk.clone()), fault).only(Verb::Rename));
    let tree = impatient().open_on(broken, "/").unwrap();
    assert!(matches!(tree.read(), Err(Error::Pending { .. })));
    drop(tree);
    assert_eq!(impatient().open_on(Arc::new(disk), "/").unwrap().read().unwrap().read("precious").unwrap(), b"before");
}
