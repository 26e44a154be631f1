//! A large file is appended to, and changed in part: where the file system shares extents, nothing is written again.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::time::Instant;

use treewal_vfs::{Disk, RealDisk};

use crate::image::{Image, KINDS};
use crate::work::options;

const LEN: usize = 40 << 20;

#[test]
fn a_large_file_is_not_written_again_to_change_a_part_of_it() {
    for (kind, bytes) in KINDS {
        let bytes = bytes.max(256 << 20);
        let Some(image) = Image::new(kind, bytes, &[], "a_large_file") else { continue };
        let tree_dir = image.at().join("tree");
        fs::create_dir(&tree_dir).unwrap();
        // Data that no compression makes small.
        let data: Vec<u8> = (0..LEN / 8).flat_map(|_| treewal_vfs::random().to_le_bytes()).collect();
        fs::write(tree_dir.join("large"), &data).unwrap();
        let tree = options().open(&tree_dir).unwrap();
        tree.checkpoint().unwrap();
        let root = RealDisk.open_root(&tree_dir).unwrap();
        let free = || {
            RealDisk.sync_all(&root).unwrap();
            RealDisk.space(&root).unwrap()
        };
        let begun = Instant::now();
        let mut before = free();
        // What each takes while the old version still stands in the stage.
        let mut taken = Vec::new();
        for step in 0..2 {
            tree.transaction(|tx| match step {
                0 => tx.append("large", b"a tail"),
                _ => tx.update("large", |file| {
                    file.seek(SeekFrom::Start(20 << 20))?;
                    file.write_all(b"in the middle")
                }),
            })
            .unwrap();
            taken.push(before.saturating_sub(free()) >> 10);
            tree.checkpoint().unwrap();
            before = free();
        }
        let found = fs::read(tree_dir.join("large")).unwrap();
        assert_eq!(found.len(), LEN + 6);
        assert!(&found[20 << 20..(20 << 20) + 13] == b"in the middle" && found.ends_with(b"a tail"));
        println!(
            "{kind}: a file of {} KiB; append takes {} KiB, update {} KiB; {:?}",
            LEN >> 10,
            taken[0],
            taken[1],
            begun.elapsed()
        );
        let is_shared = kind != "ext4";
        assert!(
            taken.iter().all(|kib| if is_shared { *kib < 8 << 10 } else { *kib > 30 << 10 }),
            "{kind}: {taken:?} KiB"
        );
    }
}
