//! Operations that fail before there is any commit.

use std::sync::Arc;

use treewal::{Durability, Error, Outcome};
use treewal_vfs::{Fault, FaultDisk, Verb, errno};

use crate::seen::look;
use crate::world::{BODIES, Bed, ROOT, after, allowed, assert_among, assert_reopens, options, prepared};

/// A caller who goes on after an operation failed must not commit a file that was emptied, or a part of one.
#[test]
fn an_operation_that_fails_leaves_the_path_as_it_was() {
    let operations: [fn(&mut treewal::Transaction) -> treewal::Result<()>; 4] = [
        |tx| tx.write("large", vec![b'N'; 9000]),
        |tx| tx.append("large", "more"),
        |tx| tx.append("a", vec![b'N'; 9000]),
        |tx| tx.copy("large", "a").map(drop),
    ];
    for (n, operation) in operations.into_iter().enumerate() {
        for verb in [Verb::WriteAt, Verb::ReadAt, Verb::Create, Verb::Reflink] {
            for at in 1..5 {
                let sim = prepared();
                let before = look(&sim, ROOT);
                let faulty = Arc::new(FaultDisk::new(Arc::new(sim.clone()), Fault::None).only(verb));
                let tree = options(Durability::Journal).open_on(faulty.clone(), ROOT).unwrap();
                // The stage is there already.
                tree.transaction(|tx| tx.write("warm", vec![b'w'; 9000])).unwrap();
                tree.transaction(|tx| tx.remove_file("warm")).unwrap();
                let mut tx = tree.begin();
                faulty.arm(Fault::ErrorFrom { at, errno: errno::ENOSPC });
                let Err(error) = operation(&mut tx) else { continue };
                assert_eq!(error.outcome(), Outcome::Unchanged);
                assert!(tx.changes().is_empty(), "operation {n}, {verb:?} {at}: {:?}", tx.changes());
                faulty.arm(Fault::None);
                assert_eq!(tx.read("a").unwrap(), b"old a");
                tx.commit().unwrap();
                assert_among(&look(&sim, ROOT), &[&before], &format!("operation {n}, {verb:?} {at}"));
            }
        }
    }
}

/// An append that fails half way, to a file that the transaction made itself.
#[test]
fn a_failed_append_adds_nothing_to_a_new_file() {
    let sim = prepared();
    let faulty = Arc::new(FaultDisk::new(Arc::new(sim.clone()), Fault::None).only(Verb::WriteAt));
    let tree = options(Durability::Journal).open_on(faulty.clone(), ROOT).unwrap();
    let mut tx = tree.begin();
    tx.write("n", vec![b'1'; 9000]).unwrap();
    faulty.arm(Fault::ShortWrite { at: 1 });
    tx.append("n", vec![b'2'; 5000]).unwrap();
    assert_eq!(tx.read("n").unwrap().len(), 14_000, "a short write is gone on with");
    sim.set_space(4096);
    assert_eq!(tx.append("n", vec![b'3'; 20_000]).unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    sim.set_space(1 << 30);
    assert_eq!((tx.metadata("n").unwrap().len(), tx.read("n").unwrap().len()), (14_000, 14_000));
    tx.append("n", "4").unwrap();
    tx.commit().unwrap();
    let found = look(&sim, ROOT);
    let contents = &found.iter().find(|(path, _)| path.to_string() == "n").unwrap().1.contents;
    assert_eq!(*contents, [[b'1'; 9000].as_slice(), &[b'2'; 5000], b"4"].concat());
}

/// A disk that fills up at any moment: whatever was said is true, and everything goes on once there is room again.
#[test]
fn a_disk_without_room_breaks_no_word() {
    let mut refused = 0;
    for (name, body) in BODIES {
        let base = prepared();
        let before = look(&base, ROOT);
        let done = after(&base, &[body]);
        for space in (0..80_000).step_by(1536) {
            let bed = Bed::new(&base, Durability::Journal);
            bed.sim.set_space(space);
            let result = bed.tree.transaction(body);
            refused += u32::from(result.is_err());
            let at = format!("{name}, {space} bytes free: {result:?}");
            let outcome = result.as_ref().err().map(Error::outcome);
            let wanted = allowed(outcome, &before, &done);
            assert_among(&look(&bed.sim, ROOT), &wanted, &at);
            let full = bed.sim.remount();
            drop(bed.tree);
            // Recovery without room opens all the same, or says why not; with room it ends as was said.
            full.set_space(0);
            drop(options(Durability::Journal).open_on(Arc::new(full.clone()), ROOT));
            full.set_space(1 << 30);
            assert_reopens(&full.remount(), &wanted, &at);
            bed.sim.set_space(1 << 30);
            assert_reopens(&bed.sim, &wanted, &at);
        }
    }
    assert!(refused > 30, "{refused}");
}
