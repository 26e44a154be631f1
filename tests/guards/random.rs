//! Random changes under a guard that commits, and then a loss of power. `TREEWAL_GUARDS_CASES` says how many.

use std::ffi::OsStr;
use std::io;

use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Dir, Disk, Open, RelPath, Rename, write_all};

use crate::committed::{LONG_AGO, base, survives};
use crate::say;

const PATHS: [&str; 12] = [
    "above",
    "above/full",
    "above/full/x",
    "above/full/y",
    "above/full/link",
    "above/full/deep",
    "above/full/deep/z",
    "above/empty",
    "above/empty/made",
    "elsewhere",
    "elsewhere/e",
    "elsewhere/made",
];

/// What is guarded: changes go in and out, and happen above.
const GUARDED: [&[&str]; 5] =
    [&["above"], &["above/full", "above/empty"], &["above/full/deep", "elsewhere"], &["above/full/x"], &[""]];

/// Numbers from a seed (`SplitMix64`).
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    /// The directory of a path, and the name there.
    fn place(&mut self, disk: &SimDisk) -> io::Result<(Dir, &'static OsStr)> {
        let path = PATHS[self.below(PATHS.len())];
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let root = disk.open_root("/".as_ref())?;
        Ok((disk.open_dir(&root, &RelPath::new(parent).unwrap())?, OsStr::new(name)))
    }

    /// Changes something, or not: most of what is drawn cannot be done.
    fn change(&mut self, disk: &SimDisk) -> io::Result<()> {
        let ((at, name), (to, to_name)) = (self.place(disk)?, self.place(disk)?);
        match self.below(13) {
            0 | 1 => disk.rename(&at, name, &to, to_name, Rename::NoReplace),
            2 => disk.rename(&at, name, &to, to_name, Rename::Replace),
            3 => disk.rename(&at, name, &to, to_name, Rename::Exchange),
            4 => disk.hard_link(&at, name, &to, to_name),
            5 => disk.remove_file(&at, name),
            6 => disk.remove_dir(&at, name),
            7 => disk.create_dir(&at, name, 0o755),
            8 => disk.symlink(OsStr::new("x"), &at, name),
            9 => {
                let file = disk.open(&at, name, Open::Create { mode: 0o644 })?;
                write_all(disk, &file, b"written", 0)
            }
            10 => disk.set_times(&at, name, LONG_AGO, LONG_AGO),
            11 => disk.set_mode(&at, name, 0o700),
            _ => disk.set_xattr(&at, name, OsStr::new("user.k"), b"v"),
        }
    }
}

#[test]
fn whatever_is_changed_under_a_guard_that_commits_outlasts_a_loss_of_power() {
    let cases = std::env::var("TREEWAL_GUARDS_CASES").map_or(200, |text| text.parse().unwrap());
    let (mut states, mut done) = (0, 0);
    for seed in 0..cases {
        let mut draw = Draw(seed);
        let paths = GUARDED[draw.below(GUARDED.len())];
        states += survives(&format!("seed {seed}"), &base(), paths, |disk| {
            for _ in 0..40 {
                done += u64::from(draw.change(disk).is_ok());
                // Few changes are synced one by one.
                if draw.below(10) == 0 {
                    break;
                }
            }
        });
    }
    say(&format!("{cases} guards, {done} changes, {states} disks"));
    assert!(done > cases, "{done} changes");
}
