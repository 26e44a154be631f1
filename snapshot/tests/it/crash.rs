//! Power losses and kills at every changing call of taking and of restoring, on the simulated disk.

use std::ffi::OsStr;
use std::path::Path;

use crate::bed::{Bed, Dump, Node, assert_same, rel};
use crate::hooked::Hooked;
use treewal_snapshot::{Check, Manifest, Sharing};
use treewal_vfs::sim::{Outcome, Profile, SimDisk};
use treewal_vfs::{Dir, Disk, Rename, Verb};

const PATHS: [&str; 3] = ["w", "file", "absent"];
const SAMPLES: usize = 12;

fn bed(disk: &SimDisk) -> Bed<'_> {
    Bed::new(disk, Path::new("/"))
}

/// A tree, all of it durable.
fn furnished() -> SimDisk {
    let disk = SimDisk::new();
    let bed = bed(&disk);
    bed.write("file", b"top");
    bed.dir("w");
    bed.dir("w/empty");
    bed.dir("w/sub");
    bed.dir("w/sub/deep");
    bed.write("w/sub/deep/file", b"deep");
    bed.write("w/a", &[b'a'; 1500]);
    bed.mode("w/a", 0o600);
    bed.write("w/b", b"bee");
    bed.link("w/b", "w/sub/b2");
    bed.symlink("a", "w/link");
    bed.fifo("w/fifo");
    bed.xattr("w/b", "user.tag", "one");
    bed.write("w/kept", b"kept");
    bed.times("w/sub", 1_000_000_000, 5);
    disk.sync_all(&bed.tree).unwrap();
    disk.remount()
}

/// What writers do who replace files by renaming.
fn replace_things(bed: &Bed<'_>) {
    bed.write("w/file.new", b"another");
    bed.rename("w/file.new", "file");
    bed.replace("w/a", &[b'A'; 700]);
    bed.remove("w/b");
    bed.dir("w/b");
    bed.write("w/b/inside", b"inside");
    bed.remove("w/sub");
    bed.write("w/sub", b"a file");
    bed.remove("w/link");
    bed.symlink("b", "w/link");
    bed.remove("w/fifo");
    bed.remove("w/empty");
    bed.dir("absent");
    bed.dir("absent/new");
    bed.write("absent/new/x", b"x");
}

/// What writers do who do not.
fn write_in_place(bed: &Bed<'_>) {
    bed.write("file", b"TOP");
    bed.write("w/a", &[b'A'; 1500]);
    bed.write_at("w/b", b"longer", 3);
    bed.mode("w/kept", 0o777);
    bed.xattr("w/sub/deep/file", "user.x", "y");
    bed.remove("w/link");
    bed.write("absent", b"new");
    bed.write("w/sub/new", b"new");
}

type Mutation = fn(&Bed<'_>);
const CASES: [(Sharing, Mutation); 5] = [
    (Sharing::Auto, replace_things),
    (Sharing::Auto, write_in_place),
    (Sharing::Copy, replace_things),
    (Sharing::Copy, write_in_place),
    (Sharing::HardLink, replace_things),
];

fn dump(disk: &SimDisk) -> Dump {
    bed(disk).dump()
}

/// What a kill leaves and what a power loss may leave.
fn crashes(disk: &SimDisk, seed: u64) -> Vec<(&'static str, Outcome)> {
    let mut all = vec![("kill", disk.outcomes(Profile::Strict).everything())];
    for (name, profile) in [("strict", Profile::Strict), ("ordered", Profile::Ordered)] {
        let outcomes = disk.outcomes(profile);
        all.extend([
            (name, outcomes.nothing()),
            (name, outcomes.names_without_contents()),
            (name, outcomes.names_and_lengths()),
            (name, outcomes.contents_without_names()),
        ]);
        all.extend(outcomes.sample(seed, SAMPLES).map(|outcome| (name, outcome)));
    }
    all
}

#[test]
fn a_power_loss_while_taking_leaves_the_tree_and_no_snapshot() {
    let start = furnished();
    let before = dump(&start);
    for sharing in [Sharing::Auto, Sharing::Copy, Sharing::HardLink] {
        let calls = {
            let disk = start.remount();
            let first = disk.mutations();
            bed(&disk).take(&PATHS, sharing).unwrap();
            disk.mutations() - first
        };
        assert!(calls > 10);
        for call in 1..=calls {
            let disk = start.remount();
            let private = bed(&disk);
            disk.cut_at(Some(call));
            private.take(&PATHS, sharing).unwrap_err();
            for (name, outcome) in crashes(&disk, call) {
                let what = format!("{sharing:?}, call {call} of {calls}, {name}");
                let disk = disk.after(&outcome);
                assert_same(&before, &dump(&disk), &what);
                // The last call is the sync: without it everything may be there, and nobody was told.
                let loaded = Manifest::load(&disk, &bed(&disk).private);
                let whole = loaded.is_ok_and(|manifest| manifest.entries(&disk).all(|entry| entry.is_ok()));
                assert!(!whole || call == calls, "{what}: taken for whole");
            }
        }
    }
}

#[test]
fn a_snapshot_that_was_taken_survives_any_crash_of_what_follows() {
    for (number, (sharing, mutate)) in CASES.into_iter().enumerate() {
        let disk = furnished();
        let before = dump(&disk);
        bed(&disk).take(&PATHS, sharing).unwrap();
        mutate(&bed(&disk));
        for (name, outcome) in crashes(&disk, number as u64) {
            let disk = disk.after(&outcome);
            bed(&disk).restore(Check::Contents).unwrap();
            assert_same(&before, &dump(&disk), &format!("case {number}, {name}"));
        }
    }
}

#[test]
fn a_restore_may_crash_at_every_call_and_is_finished_by_the_next() {
    // The last one without an exchange of names.
    let plain = [(Sharing::Copy, replace_things as Mutation)];
    for (number, (sharing, mutate)) in CASES.into_iter().chain(plain).enumerate() {
        let taken = furnished();
        taken.set_exchange(number < CASES.len());
        let before = dump(&taken);
        bed(&taken).take(&PATHS, sharing).unwrap();
        for call in 1.. {
            // The changes are made anew each time, because a remount would make them durable.
            let disk = taken.remount();
            mutate(&bed(&disk));
            let found = bed(&disk);
            disk.cut_at(Some(call));
            if found.restore(Check::Attributes).is_ok() {
                assert!(call > 10, "too few calls to be worth a test");
                break;
            }
            for (name, outcome) in crashes(&disk, call) {
                finish(&disk.after(&outcome), &before, &format!("case {number}, call {call}, {name}"), call);
            }
        }
    }
}

/// Restores after a crash; crashes in there as well; and restores for good.
fn finish(disk: &SimDisk, before: &Dump, what: &str, call: u64) {
    let again = disk.remount();
    bed(&again).restore(Check::Contents).unwrap();
    assert_same(before, &dump(&again), what);
    bed(&again).restore(Check::Contents).unwrap();
    assert_same(before, &dump(&again), &format!("{what}, twice"));

    let (found, second) = (bed(disk), 1 + call * 7 % 23);
    disk.cut_at(Some(second));
    if found.restore(Check::Contents).is_ok() {
        return;
    }
    for (name, outcome) in crashes(disk, call).into_iter().take(8) {
        let disk = disk.after(&outcome);
        bed(&disk).restore(Check::Contents).unwrap();
        assert_same(before, &dump(&disk), &format!("{what}, then call {second}, {name}"));
    }
}

#[test]
fn a_backup_is_not_lost_with_the_directory_that_it_went_into() {
    let disk = SimDisk::new();
    bed(&disk).dir("a");
    bed(&disk).dir("b");
    bed(&disk).write("b/x", b"contents");
    bed(&disk).take(&["b"], Sharing::Auto).unwrap();
    let (taken, before) = (disk.remount(), dump(&disk));
    for call in 1.. {
        // The directory is where the other one was, and nothing of that is durable.
        let disk = taken.remount();
        let bed_now = bed(&disk);
        let name = |name: &'static str| OsStr::new(name);
        disk.rename(&bed_now.tree, name("a"), &bed_now.tree, name("b"), Rename::Exchange).unwrap();
        disk.cut_at(Some(call));
        if bed_now.restore(Check::Attributes).is_ok() {
            break;
        }
        for outcome in disk.outcomes(Profile::Strict).sample(call, 200) {
            let disk = disk.after(&outcome);
            bed(&disk).restore(Check::Contents).unwrap();
            assert_eq!(dump(&disk)[&rel("b/x")], before[&rel("b/x")], "call {call}");
        }
    }
}

#[test]
fn a_restore_that_was_synced_is_there_after_a_power_loss() {
    for (number, (sharing, mutate)) in CASES.into_iter().enumerate() {
        let disk = furnished();
        let before = dump(&disk);
        bed(&disk).take(&PATHS, sharing).unwrap();
        mutate(&bed(&disk));
        bed(&disk).restore(Check::Attributes).unwrap();
        disk.sync_all(&bed(&disk).tree).unwrap();
        for (name, outcome) in crashes(&disk, 1) {
            assert_same(&before, &dump(&disk.after(&outcome)), &format!("case {number}, {name}"));
        }
    }
}

#[test]
fn no_reader_ever_misses_a_path_that_is_there_before_and_after() {
    for exchange in [true, false] {
        for (sharing, mutate) in CASES {
            let disk = furnished();
            let before = dump(&disk);
            bed(&disk).take(&PATHS, sharing).unwrap();
            mutate(&bed(&disk));
            disk.set_exchange(exchange);
            let mutated = dump(&disk);
            let watched = disk.clone();
            let tree: Dir = bed(&disk).tree;
            let seen = |verb: Verb| {
                if !verb.is_mutating() {
                    return;
                }
                let now = crate::bed::dump(&watched, &tree, &|_, _| true);
                for (path, then) in &before {
                    let Some(wrong) = mutated.get(path) else { continue };
                    // Without an exchange of names a change of kind leaves a gap, and nothing else does.
                    if !exchange && then.kind != wrong.kind {
                        continue;
                    }
                    let same = |node: &Node| (node.kind, node.contents.clone(), node.target.clone());
                    let found = now.get(path).map(same);
                    assert!(found == Some(same(then)) || found == Some(same(wrong)), "{verb:?}: {path:?} is {found:?}");
                }
            };
            let hooked = Hooked { inner: disk.clone(), after: seen };
            bed(&disk).through(&hooked).restore(Check::Attributes).unwrap();
            assert_same(&before, &dump(&disk), "at the end");
        }
    }
}

#[test]
fn a_full_disk_does_not_keep_contents_from_coming_back() {
    for (sharing, mutate) in
        [(Sharing::Copy, write_in_place as Mutation), (Sharing::HardLink, |bed: &Bed<'_>| bed.replace("w/a", b"x"))]
    {
        let disk = furnished();
        let before = dump(&disk);
        bed(&disk).take(&PATHS, sharing).unwrap();
        mutate(&bed(&disk));
        disk.set_space(0);
        // A symlink that is gone needs an inode, which the removal of what is newer has just given back.
        bed(&disk).restore(Check::Attributes).unwrap();
        assert_same(&before, &dump(&disk), &format!("{sharing:?}"));
    }
}

#[test]
fn every_error_while_restoring_is_told_and_the_next_restore_goes_on() {
    let taken = furnished();
    let before = dump(&taken);
    bed(&taken).take(&PATHS, Sharing::Copy).unwrap();
    replace_things(&bed(&taken));
    for at in 1.. {
        let sim = taken.remount();
        let fault = treewal_vfs::Fault::Error { at, errno: treewal_vfs::errno::EIO };
        let disk = treewal_vfs::FaultDisk::new(std::sync::Arc::new(sim.clone()), fault);
        let failed = bed(&sim).through(&disk).restore(Check::Attributes);
        if disk.mutations() < at {
            assert!(at > 10, "too few calls to be worth a test");
            break;
        }
        failed.unwrap_err();
        bed(&sim).restore(Check::Attributes).unwrap();
        assert_same(&before, &dump(&sim), &format!("error at call {at}"));
    }
}
