//! What the tests beside this one rest on: the crashes of a commit that they see are torn in every way that there is.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use treewal::Durability;
use treewal_vfs::sim::{Node, Profile, SimDisk, seed_random};
use treewal_vfs::{Disk, Open, RelPath, Rename, write_all};

use crate::rig::{PROFILES, Plan, outcomes, prepare};
use crate::workloads::tree_of_files;

type Tree = BTreeMap<RelPath, Node>;

fn sector(node: &Node, number: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = node.contents.iter().skip(number * 512).take(512).copied().collect();
    bytes.resize(512, 0);
    bytes
}

/// In which ways one tree lies between another without, and a third with, all that was not synced.
fn kinds(found: &Tree, without: &Tree, with: &Tree) -> BTreeSet<&'static str> {
    let mut kinds = BTreeSet::new();
    let own = RelPath::new(".treewal/journal").unwrap();
    for (path, node) in found {
        let (Some(old), Some(new)) = (without.get(path), with.get(path)) else { continue };
        let sectors = node.contents.len().max(old.contents.len()).max(new.contents.len()).div_ceil(512);
        let open: Vec<usize> = (0..sectors).filter(|n| sector(old, *n) != sector(new, *n)).collect();
        let is_new = |n: &usize| sector(node, *n) == sector(new, *n);
        let is_old = |n: &usize| sector(node, *n) == sector(old, *n);
        if open.iter().any(is_new) && open.iter().any(is_old) {
            kinds.insert(if path.starts_with(&own) { "a torn journal" } else { "a torn file" });
        }
        if node.contents.len() == new.contents.len()
            && new.contents.len() > old.contents.len()
            && open.iter().any(is_old)
        {
            kinds.insert("size before data");
        }
    }
    kinds
}

#[test]
fn crashes_of_a_commit_are_torn_in_every_way() {
    let plan = Plan::new(Durability::Journal);
    let base = prepare(tree_of_files, plan);
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    for cut in 1.. {
        let disk = base.remount();
        disk.cut_at(Some(cut));
        seed_random(Some(1));
        let work = |tree: treewal::Tree| {
            tree.transaction(|tx| {
                tx.write("a", "new a, and longer than a sector ".repeat(60))?;
                tx.write("large", vec![b'N'; 9500])?;
                tx.update("log", |file| std::io::Write::write_all(file, &[b'l'; 1500]))
            })
        };
        drop(plan.open(&disk).and_then(work));
        if !disk.is_off() {
            break;
        }
        for profile in PROFILES {
            let all = disk.outcomes(profile);
            let [without, with] = [all.contents_without_names(), all.everything()].map(|one| disk.after(&one).dump());
            let none = disk.after(&all.names_without_contents()).dump();
            for outcome in outcomes(&disk, profile, plan, cut) {
                let found = disk.after(&outcome).dump();
                let kinds = kinds(&found, &none, &with).into_iter().chain(kinds(&found, &without, &with));
                kinds.for_each(|kind| *seen.entry(kind).or_default() += 1);
            }
        }
    }
    println!("{seen:?}");
    for kind in ["a torn journal", "a torn file", "size before data"] {
        assert!(seen.get(kind).is_some_and(|count| *count > 10), "{kind} is not among {seen:?}");
    }
}

fn at(disk: &SimDisk, path: &str) -> treewal_vfs::Dir {
    disk.open_dir(&disk.open_root("/".as_ref()).unwrap(), &RelPath::new(path).unwrap()).unwrap()
}

/// Every part of the entries of each directory, in any order of the directories, and a rename wholly or not at all.
#[test]
fn names_are_kept_and_lost_in_every_part_that_hangs_together() {
    let base = prepare(tree_of_files, Plan::new(Durability::Journal));
    let names = |profile: Profile| -> BTreeSet<Vec<bool>> {
        let disk = base.remount();
        let (d, e) = (at(&disk, "d"), at(&disk, "e"));
        for (dir, name) in [(&d, "1"), (&e, "2"), (&d, "3")] {
            let file = disk.open(dir, OsStr::new(name), Open::CreateNew { mode: 0o644 }).unwrap();
            write_all(&disk, &file, b"new", 0).unwrap();
            disk.sync_data(&file).unwrap();
        }
        disk.rename(&d, OsStr::new("x"), &e, OsStr::new("x"), Rename::NoReplace).unwrap();
        let all = disk.outcomes(profile).exhaustive(10_000).unwrap();
        let is_there = |tree: &Tree, path: &str| tree.contains_key(&RelPath::new(path).unwrap());
        all.map(|outcome| {
            let tree = disk.after(&outcome).dump();
            assert_ne!(is_there(&tree, "d/x"), is_there(&tree, "e/x"), "both names of a rename, or neither");
            ["d/1", "e/2", "d/3", "e/x"].map(|path| is_there(&tree, path)).to_vec()
        })
        .collect()
    };
    assert_eq!(names(Profile::Strict).len(), 16, "any part of the three and of the rename");
    let ordered: BTreeSet<Vec<bool>> = (0..5).map(|kept| (0..4).map(|n| n < kept).collect()).collect();
    // A sync of contents does not move the moment up to which names are kept.
    assert_eq!(names(Profile::Ordered), ordered);
}

/// Of a file that is overwritten and grows: its size before its data, its data before its size, and each sector by itself.
#[test]
fn size_and_data_of_a_file_are_kept_each_for_itself() {
    let base = prepare(tree_of_files, Plan::new(Durability::Journal));
    for profile in PROFILES {
        let disk = base.remount();
        let file = disk.open(&at(&disk, "d"), OsStr::new("x"), Open::ReadWrite).unwrap();
        write_all(&disk, &file, &[b'n'; 1024], 0).unwrap();
        let path = RelPath::new("d/x").unwrap();
        let all = disk.outcomes(profile).exhaustive(1000).unwrap();
        let seen: BTreeSet<Vec<u8>> = all.map(|outcome| disk.after(&outcome).dump()[&path].contents.clone()).collect();
        let sectors = |first: &[u8], second: &[u8]| {
            let mut bytes = first.to_vec();
            bytes.resize(512, 0);
            bytes.extend(second);
            bytes.resize(1024, 0);
            bytes
        };
        let new = [b'n'; 512];
        let wanted = [
            ("old", b"old x".to_vec()),
            ("new", vec![b'n'; 1024]),
            ("size before data", sectors(b"old x", &[])),
            ("data before size", b"nnnnn".to_vec()),
            ("the first sector without the second", sectors(&new, &[])),
            ("the second sector without the first", sectors(b"old x", &new)),
        ];
        for (kind, contents) in wanted {
            assert!(seen.contains(&contents), "{profile:?}: {kind} is not among {} outcomes", seen.len());
        }
    }
}
