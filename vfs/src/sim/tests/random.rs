//! Random work on a disk: the same work for the simulated and the real one, and properties of every crash of it.

use std::ffi::OsStr;
use std::io;

use proptest::prelude::*;

use super::tools::{BOTH, whole};
use crate::sim::{Node, Outcome, Profile, SimDisk};
use crate::{Dir, Disk, File, Kind, Meta, Open, RelPath, Rename, Time, errno, read_all};

/// Where the work is done: shallow, so that names meet.
const PATHS: [&str; 9] = ["a", "b", "c", "a/a", "a/b", "b/a", "b/c", "a/a/a", "b/a/b"];

#[derive(Debug, Clone)]
pub(super) enum Act {
    Mkdir(u32),
    Rmdir,
    Remove,
    Symlink(&'static str),
    Link(&'static str),
    Fifo,
    Rename(&'static str, Rename),
    Make(Open),
    Write(u64, Vec<u8>),
    SetLen(u64),
    Read,
    ReadLink,
    List,
    Mode(u32),
    Owner(u32, u32),
    Times(Time),
    SetXattr(&'static str, u8),
    RemoveXattr(&'static str),
    SyncData,
    SyncFile,
    SyncDir,
    SyncAll,
    /// Opens and keeps a file, whatever becomes of its name.
    Hold,
    HeldWrite(u64, Vec<u8>),
    HeldLook,
    /// Opens and keeps a directory.
    HoldDir,
    HeldMkdir(&'static str),
    HeldRename(&'static str, &'static str),
}

pub(super) type Step = (&'static str, Act);

pub(super) fn path() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&PATHS[..])
}

fn act() -> impl Strategy<Value = Act> {
    let how = || proptest::sample::select(vec![Rename::Replace, Rename::NoReplace, Rename::Exchange]);
    let mode = || proptest::sample::select(vec![0o777, 0o700, 0o644, 0o1755, 0o2775, 0o4755]);
    let key = || proptest::sample::select(vec!["user.a", "user.b", "trusted.a", "nonsense", ""]);
    let make = mode().prop_flat_map(|mode| {
        proptest::sample::select(vec![Open::CreateNew { mode }, Open::Create { mode }, Open::Read, Open::ReadWrite])
    });
    prop_oneof![
        4 => mode().prop_map(Act::Mkdir),
        1 => Just(Act::Rmdir),
        2 => Just(Act::Remove),
        1 => proptest::sample::select(vec!["a", "b/a", "/nowhere"]).prop_map(Act::Symlink),
        2 => path().prop_map(Act::Link),
        1 => Just(Act::Fifo),
        6 => (path(), how()).prop_map(|(to, how)| Act::Rename(to, how)),
        4 => make.prop_map(Act::Make),
        5 => (0u64..6000, proptest::collection::vec(1u8.., 0..1500)).prop_map(|(at, bytes)| Act::Write(at, bytes)),
        2 => (0u64..6000).prop_map(Act::SetLen),
        1 => Just(Act::Read),
        1 => Just(Act::ReadLink),
        1 => Just(Act::List),
        1 => mode().prop_map(Act::Mode),
        1 => (0u32..3, 0u32..3).prop_map(|(uid, gid)| Act::Owner(uid, gid)),
        1 => (0i64..100, 0u32..1000).prop_map(|(secs, nanos)| Act::Times(Time { secs, nanos })),
        2 => (key(), any::<u8>()).prop_map(|(key, value)| Act::SetXattr(key, value)),
        1 => key().prop_map(Act::RemoveXattr),
        1 => Just(Act::SyncData),
        1 => Just(Act::SyncFile),
        1 => Just(Act::SyncDir),
        1 => prop_oneof![3 => Just(Act::SyncDir), 1 => Just(Act::SyncAll)],
        2 => held(),
    ]
}

fn held() -> impl Strategy<Value = Act> {
    let name = || proptest::sample::select(vec!["a", "b", "c"]);
    prop_oneof![
        2 => Just(Act::Hold),
        1 => (0u64..6000, proptest::collection::vec(1u8.., 0..1500)).prop_map(|(at, bytes)| Act::HeldWrite(at, bytes)),
        1 => Just(Act::HeldLook),
        2 => Just(Act::HoldDir),
        1 => name().prop_map(Act::HeldMkdir),
        1 => (name(), path()).prop_map(|(from, to)| Act::HeldRename(from, to)),
    ]
}

fn steps(length: usize) -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec((path(), act()), 1..length)
}

/// Where a step may change something.
fn touches((path, act): &Step) -> Vec<&'static str> {
    match act {
        Act::SyncData | Act::SyncFile | Act::SyncDir | Act::SyncAll | Act::Read | Act::ReadLink | Act::List => vec![],
        Act::Rename(to, _) | Act::Link(to) | Act::HeldRename(_, to) => vec![path, to],
        _ => vec![path],
    }
}

/// Work on a tree that has a little of everything at first, so that most steps find what they need.
pub(super) fn work(length: usize) -> impl Strategy<Value = Vec<Step>> {
    let make = || Act::Make(Open::CreateNew { mode: 0o644 });
    let first = [
        ("a", Act::Mkdir(0o777)),
        ("b", Act::Mkdir(0o700)),
        ("a/a", Act::Mkdir(0o777)),
        ("c", make()),
        ("a/b", make()),
        ("b/a", make()),
        ("b/c", Act::Symlink("a")),
        ("a/a/a", make()),
    ];
    steps(length).prop_map(move |steps| first.iter().cloned().chain(steps).collect())
}

fn at<'a>(disk: &dyn Disk, root: &Dir, path: &'a str) -> io::Result<(Dir, &'a OsStr)> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    // Where there is no `openat2`, a symlink on the way is just no directory.
    let either = |error: io::Error| match error.raw_os_error() {
        Some(errno::ENOTDIR) => io::Error::from_raw_os_error(errno::ELOOP),
        _ => error,
    };
    Ok((disk.open_dir(root, &RelPath::new(parent).unwrap()).map_err(either)?, OsStr::new(name)))
}

/// A process at work on a disk.
pub(super) struct Hands<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) root: Dir,
    file: Option<File>,
    dir: Option<Dir>,
}

impl<'a> Hands<'a> {
    pub(super) fn new(disk: &'a dyn Disk, root: Dir) -> Self {
        Self { disk, root, file: None, dir: None }
    }

    /// Takes one step and says what came of it, in terms that do not depend on the disk.
    pub(super) fn step(&mut self, (path, act): &Step) -> io::Result<String> {
        let nothing = |()| String::new();
        let held = || io::Error::other("nothing is held");
        match act {
            Act::Hold => {
                let (dir, name) = at(self.disk, &self.root, path)?;
                self.file = None;
                self.file = Some(self.disk.open(&dir, name, Open::ReadWrite)?);
                Ok(String::new())
            }
            Act::HeldWrite(offset, bytes) => {
                let file = self.file.as_ref().ok_or_else(held)?;
                Ok(self.disk.write_at(file, bytes, *offset)?.to_string())
            }
            Act::HeldLook => {
                let file = self.file.as_ref().ok_or_else(held)?;
                let meta = self.disk.stat_file(file)?;
                Ok(format!("{:?} {:o} {} {}", meta.kind, meta.mode, meta.links, meta.size))
            }
            Act::HoldDir => {
                self.dir = None;
                self.dir = Some(at(self.disk, &self.root, &format!("{path}/x"))?.0);
                Ok(String::new())
            }
            Act::HeldMkdir(name) => {
                let dir = self.dir.as_ref().ok_or_else(held)?;
                self.disk.create_dir(dir, name.as_ref(), 0o755).map(nothing)
            }
            Act::HeldRename(name, to) => {
                let dir = self.dir.as_ref().ok_or_else(held)?;
                let (to, to_name) = at(self.disk, &self.root, to)?;
                self.disk.rename(dir, name.as_ref(), &to, to_name, Rename::Replace).map(nothing)
            }
            act => step(self.disk, &self.root, path, act),
        }
    }
}

fn step(disk: &dyn Disk, root: &Dir, path: &str, act: &Act) -> io::Result<String> {
    let (dir, name) = &at(disk, root, path)?;
    let file = |how| -> io::Result<File> { disk.open(dir, name, how) };
    let nothing = |()| String::new();
    match act {
        Act::Mkdir(mode) => disk.create_dir(dir, name, *mode).map(nothing),
        Act::Rmdir => disk.remove_dir(dir, name).map(nothing),
        Act::Remove => disk.remove_file(dir, name).map(nothing),
        Act::Symlink(target) => disk.symlink(target.as_ref(), dir, name).map(nothing),
        Act::Link(to) => {
            let (to, to_name) = at(disk, root, to)?;
            disk.hard_link(dir, name, &to, to_name).map(nothing)
        }
        Act::Fifo => {
            let meta = Meta { kind: Kind::Fifo, mode: 0o640, ..disk.stat_dir(root)? };
            disk.make_node(dir, name, &meta).map(nothing)
        }
        Act::Rename(to, how) => {
            let (to, to_name) = at(disk, root, to)?;
            disk.rename(dir, name, &to, to_name, *how).map(nothing)
        }
        Act::Make(how) => Ok(format!("{:?}", disk.stat_file(&file(*how)?)?.kind)),
        Act::Write(offset, bytes) => {
            Ok(disk.write_at(&file(Open::Create { mode: 0o640 })?, bytes, *offset)?.to_string())
        }
        Act::SetLen(len) => disk.set_len(&file(Open::ReadWrite)?, *len).map(nothing),
        Act::Read => Ok(format!("{:?}", read_all(disk, &file(Open::Read)?, 1 << 20)?)),
        Act::ReadLink => Ok(format!("{:?}", disk.read_link(dir, name)?)),
        Act::List => {
            let mut entries: Vec<_> = disk.list(dir)?.into_iter().map(|entry| (entry.name, entry.kind)).collect();
            entries.sort();
            Ok(format!("{entries:?}"))
        }
        Act::Mode(mode) => disk.set_mode(dir, name, *mode).map(nothing),
        Act::Owner(uid, gid) => disk.set_owner(dir, name, *uid, *gid).map(nothing),
        Act::Times(time) => {
            disk.set_times(dir, name, *time, *time)?;
            let meta = disk.stat(dir, name)?;
            Ok(format!("{:?} {:?}", meta.accessed, meta.modified))
        }
        Act::SetXattr(key, value) => disk.set_xattr(dir, name, key.as_ref(), &[*value; 3]).map(nothing),
        Act::RemoveXattr(key) => disk.remove_xattr(dir, name, key.as_ref()).map(nothing),
        Act::SyncData => disk.sync_data(&file(Open::Read)?).map(nothing),
        Act::SyncFile => disk.sync_file(&file(Open::Read)?).map(nothing),
        Act::SyncDir => disk.sync_dir(dir).map(nothing),
        Act::SyncAll => disk.sync_all(dir).map(nothing),
        held => unreachable!("{held:?}"),
    }
}

pub(super) fn done(steps: &[Step]) -> (SimDisk, Dir) {
    let disk = SimDisk::new();
    let root = disk.open_root("/".as_ref()).unwrap();
    take(&disk, &root, steps);
    (disk, root)
}

fn take(disk: &SimDisk, root: &Dir, steps: &[Step]) {
    let mut hands = Hands::new(disk, root.clone());
    for taken in steps {
        // What a step cannot do it does not, like a program that goes on: there is nothing to sync or to lose of it.
        hands.step(taken).ok();
    }
}

/// Some outcomes of every sort.
fn outcomes(disk: &SimDisk, profile: Profile, seed: u64) -> Vec<Outcome> {
    let open = disk.outcomes(profile);
    let named = [
        open.nothing(),
        open.everything(),
        open.names_without_contents(),
        open.names_and_lengths(),
        open.contents_without_names(),
    ];
    named.into_iter().chain(open.sample(seed, 30)).chain(open.exhaustive(200).into_iter().flatten()).collect()
}

proptest! {
    #[test]
    fn every_outcome_is_a_whole_tree(steps in work(40), seed: u64) {
        let (disk, _root) = done(&steps);
        whole_but_for_orphans(&disk);
        for profile in BOTH {
            for outcome in outcomes(&disk, profile, seed) {
                whole(&disk.after(&outcome));
            }
        }
    }

    #[test]
    fn everything_is_what_was_seen(steps in work(40)) {
        let (disk, _root) = done(&steps);
        for profile in BOTH {
            prop_assert_eq!(disk.after(&disk.outcomes(profile).everything()).dump(), disk.dump());
        }
        prop_assert_eq!(disk.remount().dump(), disk.dump());
    }

    #[test]
    fn after_a_sync_of_everything_there_is_one_outcome(steps in work(40), seed: u64) {
        let (disk, root) = done(&steps);
        disk.sync_all(&root).unwrap();
        for profile in BOTH {
            prop_assert_eq!(disk.outcomes(profile).exhaustive(1).unwrap().count(), 1);
            for outcome in outcomes(&disk, profile, seed) {
                prop_assert_eq!(disk.after(&outcome).dump(), disk.dump());
            }
        }
        let state = disk.state.lock();
        prop_assert_eq!(state.seen.inodes.len(), state.durable.inodes.len());
        prop_assert!(state.names.pending.is_empty() && state.metas.is_empty() && state.files.is_empty());
    }

    #[test]
    fn what_a_sync_covered_and_nobody_touched_is_in_every_outcome(first in work(30), then in steps(6), seed: u64) {
        let (disk, root) = done(&first);
        disk.sync_all(&root).unwrap();
        let before = disk.dump();
        take(&disk, &root, &then);
        let touched: Vec<RelPath> = then.iter().flat_map(touches).map(|path| RelPath::new(path).unwrap()).collect();
        let apart = |path: &RelPath, node: &Node| {
            // Another name of the file may have been touched, and a directory has the times of what is in it.
            node.kind != Kind::Dir && node.first_link.is_none() && touched.iter().all(|other| !path.starts_with(other))
        };
        for profile in BOTH {
            for outcome in outcomes(&disk, profile, seed) {
                let after = disk.after(&outcome).dump();
                for (path, node) in before.iter().filter(|(path, node)| apart(path, node)) {
                    prop_assert_eq!(after.get(path), Some(node), "{}", path);
                }
            }
        }
    }

    #[test]
    fn a_strict_disk_may_leave_whatever_an_ordered_one_may(steps in work(25), seed: u64) {
        // Names only: how an ordered file system journals what a sync did not name is its own.
        let (disk, _root) = done(&steps);
        let (strict, ordered) = (disk.outcomes(Profile::Strict), disk.outcomes(Profile::Ordered));
        for outcome in ordered.sample(seed, 30) {
            for seq in &outcome.kept {
                for dep in strict.names.get(seq).into_iter().flat_map(|change| &change.deps) {
                    prop_assert!(!strict.names.contains_key(dep) || outcome.kept.contains(dep));
                }
            }
        }
    }

    #[test]
    fn the_same_work_gives_the_same_disk(steps in work(40), seed: u64) {
        let (one, _r1) = done(&steps);
        let (two, _r2) = done(&steps);
        prop_assert_eq!(one.digest(), two.digest());
        for profile in BOTH {
            prop_assert_eq!(outcomes(&one, profile, seed), outcomes(&two, profile, seed));
        }
    }

    #[test]
    fn a_cut_leaves_what_a_shorter_run_left(steps in work(25), n in 1u64..25) {
        let disk = SimDisk::new();
        let root = disk.open_root("/".as_ref()).unwrap();
        disk.cut_at(Some(n));
        let mut ran = Vec::new();
        let mut hands = Hands::new(&disk, root);
        for taken in &steps {
            let result = hands.step(taken);
            if disk.is_off() {
                prop_assert!(result.is_err());
                break;
            }
            ran.push(taken.clone());
        }
        drop(hands);
        // A step is at most one changing call, or one that makes a file and one that changes it.
        if disk.is_off() && disk.mutations() == done(&ran).0.mutations() {
            prop_assert_eq!(disk.digest(), done(&ran).0.digest());
        }
    }
}

fn whole_but_for_orphans(disk: &SimDisk) {
    let state = disk.state.lock();
    for inode in state.seen.inodes.values() {
        assert!(inode.names > 0, "nothing is open, so nothing is nameless");
    }
}
