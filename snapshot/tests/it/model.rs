//! Random trees, random changes: after a restore the guarded paths are as they were, and the others as they had become.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::select;
use treewal_snapshot::{ChangeKind, Check, Sharing, compare};
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Kind, Meta, Open, RealDisk, RelPath, Rename, Time, remove_tree, write_all};

use crate::bed::{Bed, Dump, assert_same, rel};

const PATHS: [&str; 12] = ["a", "b", "c", "a/x", "a/y", "b/x", "b/y", "a/x/p", "a/x/q", "b/x/p", "b/x/q", "a/x/p/r"];

/// One thing that somebody does; where it is not possible, nothing.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    WriteInPlace { path: &'static str, offset: u64, bytes: Vec<u8> },
    Truncate { path: &'static str, len: u64 },
    Replace { path: &'static str, bytes: Vec<u8> },
    CreateDir { path: &'static str },
    Symlink { path: &'static str, target: &'static str },
    Fifo { path: &'static str },
    Link { from: &'static str, to: &'static str },
    Rename { from: &'static str, to: &'static str },
    Exchange { from: &'static str, to: &'static str },
    Remove { path: &'static str },
    Mode { path: &'static str, mode: u32 },
    Times { path: &'static str, nanos: u32 },
    Xattr { path: &'static str, value: u8 },
}

impl Op {
    /// Whether it changes an inode that a name of then may still have: what is forbidden under hard links.
    fn is_in_place(&self) -> bool {
        match self {
            Self::WriteInPlace { .. } | Self::Truncate { .. } | Self::Times { .. } => true,
            Self::Mode { .. } | Self::Xattr { .. } | Self::Link { .. } => true,
            // A rename, too, moves the time of last change, and can come back.
            Self::Rename { .. } | Self::Exchange { .. } => true,
            Self::Replace { .. } | Self::CreateDir { .. } | Self::Symlink { .. } => false,
            Self::Fifo { .. } | Self::Remove { .. } => false,
        }
    }

    fn apply(&self, bed: &Bed<'_>) -> io::Result<()> {
        let disk = bed.disk;
        let at = |path: &str| -> io::Result<_> {
            let path = rel(path);
            let (parent, name) = path.split().ok_or(io::ErrorKind::NotFound)?;
            Ok((disk.open_dir(&bed.tree, &parent)?, name.to_os_string()))
        };
        let write = |path: &str, how: Open, bytes: &[u8], offset: u64| -> io::Result<()> {
            let (dir, name) = at(path)?;
            // A fifo would be opened without anybody at its other end.
            if disk.stat(&dir, &name).is_ok_and(|meta| meta.kind != Kind::File) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            write_all(disk, &disk.open(&dir, &name, how)?, bytes, offset)
        };
        match self {
            Self::WriteInPlace { path, offset, bytes } => write(path, Open::Create { mode: 0o644 }, bytes, *offset),
            Self::Truncate { path, len } => {
                let (dir, name) = at(path)?;
                if disk.stat(&dir, &name)?.kind != Kind::File {
                    return Ok(());
                }
                disk.set_len(&disk.open(&dir, &name, Open::ReadWrite)?, *len)
            }
            Self::Replace { path, bytes } => {
                let (dir, name) = at(path)?;
                let temp = OsStr::new("temporary");
                let file = disk.open(&bed.private, temp, Open::CreateNew { mode: 0o640 })?;
                write_all(disk, &file, bytes, 0)?;
                let renamed = disk.rename(&bed.private, temp, &dir, &name, Rename::Replace);
                renamed.or_else(|_| disk.remove_file(&bed.private, temp))
            }
            Self::CreateDir { path } => at(path).and_then(|(dir, name)| disk.create_dir(&dir, &name, 0o755)),
            Self::Symlink { path, target } => {
                at(path).and_then(|(dir, name)| disk.symlink(OsStr::new(target), &dir, &name))
            }
            Self::Fifo { path } => {
                let (dir, name) = at(path)?;
                let like = Meta { kind: Kind::Fifo, mode: 0o600, ..disk.stat_dir(&bed.tree)? };
                disk.make_node(&dir, &name, &like)
            }
            Self::Link { from, to } => {
                let ((from, name), (to, to_name)) = (at(from)?, at(to)?);
                disk.hard_link(&from, &name, &to, &to_name)
            }
            Self::Rename { from, to } => {
                let ((from, name), (to, to_name)) = (at(from)?, at(to)?);
                disk.rename(&from, &name, &to, &to_name, Rename::Replace)
            }
            Self::Exchange { from, to } => {
                let ((from, name), (to, to_name)) = (at(from)?, at(to)?);
                disk.rename(&from, &name, &to, &to_name, Rename::Exchange)
            }
            Self::Remove { path } => at(path).and_then(|(dir, name)| remove_tree(disk, &dir, &name)).map(drop),
            Self::Mode { path, mode } => at(path).and_then(|(dir, name)| disk.set_mode(&dir, &name, *mode)),
            Self::Times { path, nanos } => {
                let time = Time { secs: 1_111_111_111, nanos: *nanos };
                at(path).and_then(|(dir, name)| disk.set_times(&dir, &name, time, time))
            }
            Self::Xattr { path, value } => {
                let key = OsStr::new(if *value < 8 { "user.a" } else { "user.b" });
                at(path).and_then(|(dir, name)| match value {
                    0 => disk.remove_xattr(&dir, &name, key),
                    _ => disk.set_xattr(&dir, &name, key, &[*value]),
                })
            }
        }
    }
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    (any::<u8>(), prop_oneof![Just(0usize), 1..20usize, 500..1600usize]).prop_map(|(byte, count)| vec![byte; count])
}

fn op() -> impl Strategy<Value = Op> {
    let path = || select(&PATHS[..]);
    prop_oneof![
        3 => (path(), prop_oneof![Just(0u64), 0..2000u64, Just(100_000)], bytes())
            .prop_map(|(path, offset, bytes)| Op::WriteInPlace { path, offset, bytes }),
        1 => (path(), 0..3000u64).prop_map(|(path, len)| Op::Truncate { path, len }),
        4 => (path(), bytes()).prop_map(|(path, bytes)| Op::Replace { path, bytes }),
        5 => path().prop_map(|path| Op::CreateDir { path }),
        2 => (path(), select(&["a", "../b", "nowhere", "/etc"][..])).prop_map(|(path, target)| Op::Symlink { path, target }),
        1 => path().prop_map(|path| Op::Fifo { path }),
        3 => (path(), path()).prop_map(|(from, to)| Op::Link { from, to }),
        3 => (path(), path()).prop_map(|(from, to)| Op::Rename { from, to }),
        2 => (path(), path()).prop_map(|(from, to)| Op::Exchange { from, to }),
        3 => path().prop_map(|path| Op::Remove { path }),
        2 => (path(), select(&[0o600, 0o755, 0o4711, 0o700, 0o500][..])).prop_map(|(path, mode)| Op::Mode { path, mode }),
        1 => (path(), 0..1_000_000_000u32).prop_map(|(path, nanos)| Op::Times { path, nanos }),
        2 => (path(), 0..16u8).prop_map(|(path, value)| Op::Xattr { path, value }),
    ]
}

#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) setup: Vec<Op>,
    pub(crate) guarded: Vec<&'static str>,
    pub(crate) sharing: Sharing,
    pub(crate) ops: Vec<Op>,
    pub(crate) seed: u64,
}

pub(crate) fn case() -> impl Strategy<Value = Case> {
    let guarded = prop_oneof![
        2 => Just(vec![""]),
        3 => proptest::collection::vec(select(&PATHS[..]), 1..4),
    ];
    let sharing = select(&[Sharing::Auto, Sharing::Copy, Sharing::HardLink][..]);
    let ops = |count| proptest::collection::vec(op(), count);
    (ops(5..30), guarded, sharing, ops(1..20), any::<u64>()).prop_map(|(setup, guarded, sharing, ops, seed)| Case {
        setup,
        guarded,
        sharing,
        ops,
        seed,
    })
}

/// What lies under the guarded paths, links told within it alone.
pub(crate) fn guarded(bed: &Bed<'_>, paths: &[&str]) -> Dump {
    let paths: Vec<RelPath> = paths.iter().map(|path| rel(path)).collect();
    bed.dump_of(&|path, _| paths.iter().any(|guarded| path.starts_with(guarded)))
}

/// What lies elsewhere, is no directory above a guarded path, and is no other name of something guarded: that has the
/// attributes of the one inode that both are.
fn others(bed: &Bed<'_>, paths: &[&str]) -> Dump {
    let paths: Vec<RelPath> = paths.iter().map(|path| rel(path)).collect();
    bed.dump_of(&|path, meta| {
        let is_related = paths.iter().any(|guarded| path.starts_with(guarded) || guarded.starts_with(path));
        !is_related && (meta.kind == Kind::Dir || meta.links == 1)
    })
}

pub(crate) fn run_all(bed: &Bed<'_>, ops: &[Op], sharing: Sharing) {
    for op in ops.iter().filter(|op| sharing != Sharing::HardLink || !op.is_in_place()) {
        // Most are possible, and one that is not changes nothing.
        drop(op.apply(bed));
    }
}

/// `None` where the paths cannot be guarded: one leads through something that is no directory.
fn check(bed: &Bed<'_>, case: &Case) -> Option<(Dump, Dump)> {
    run_all(bed, &case.setup, Sharing::Auto);
    let before = guarded(bed, &case.guarded);
    bed.take(&case.guarded, case.sharing).ok()?;
    assert_eq!(compare(bed.disk, &bed.tree, &bed.manifest()).unwrap(), []);
    run_all(bed, &case.ops, case.sharing);
    let theirs = others(bed, &case.guarded);
    Some((before, theirs))
}

/// `fine` says that no two changes happen at the same time; else two files may be the same but for their inode, and the
/// one may stay in the place of the other.
fn restores(bed: &Bed<'_>, case: &Case, fine: bool) {
    let Some((before, mut theirs)) = check(bed, case) else { return };
    let first = bed.restore(Check::Attributes).unwrap();
    assert_same(&before, &guarded(bed, &case.guarded), "restored");
    // What stood where a directory above a guarded path had been made room for it.
    let mut after = others(bed, &case.guarded);
    after.retain(|path, _| theirs.contains_key(path));
    theirs.retain(|path, _| after.contains_key(path));
    assert_same(&theirs, &after, "not guarded");
    let second = bed.restore(Check::Contents).unwrap();
    assert_eq!((second.restored, second.removed, second.metadata), (0, 0, 0), "{first:?}");
    assert_same(&before, &guarded(bed, &case.guarded), "twice");
    for change in compare(bed.disk, &bed.tree, &bed.manifest()).unwrap() {
        let alike = !fine && change.kind == ChangeKind::Modified;
        assert!(change.kind == ChangeKind::Metadata || alike, "{change:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_restore_brings_back_what_was_guarded(case in case()) {
        let disk = SimDisk::new();
        restores(&Bed::new(&disk, Path::new("/")), &case, true);
    }

    #[test]
    fn a_restore_that_loses_its_power_is_finished_by_the_next(case in case()) {
        let disk = SimDisk::new();
        let bed = Bed::new(&disk, Path::new("/"));
        if let Some((before, _)) = check(&bed, &case) {
            disk.cut_at(Some(1 + case.seed % 40));
            if bed.restore(Check::Attributes).is_err() {
                let profile = if case.seed % 2 == 0 { Profile::Strict } else { Profile::Ordered };
                for outcome in disk.outcomes(profile).sample(case.seed, 6) {
                    let disk = disk.after(&outcome);
                    let bed = Bed::new(&disk, Path::new("/"));
                    bed.restore(Check::Contents).unwrap();
                    assert_same(&before, &guarded(&bed, &case.guarded), "after a power loss");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_on_the_file_system_of_the_machine(case in case()) {
        let home = tempfile::tempdir().unwrap();
        restores(&Bed::new(&RealDisk, home.path()), &case, false);
    }
}
