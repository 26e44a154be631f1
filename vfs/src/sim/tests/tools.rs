//! Short ways to do things to a disk and to see what may be left of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use crate::sim::image::{Body, Image, ROOT};
use crate::sim::{Node, Profile, SimDisk};
use crate::{Dir, Disk, File, Kind, Open, RelPath, Rename, write_all};

pub(super) const BOTH: [Profile; 2] = [Profile::Strict, Profile::Ordered];

pub(super) fn rel(path: &str) -> RelPath {
    RelPath::new(path).unwrap()
}

/// A disk and its root, with paths as strings.
pub(super) struct Desk {
    pub(super) disk: SimDisk,
    pub(super) root: Dir,
}

impl Desk {
    pub(super) fn new() -> Self {
        Self::of(SimDisk::new())
    }

    pub(super) fn of(disk: SimDisk) -> Self {
        let root = disk.open_root("/".as_ref()).unwrap();
        Self { disk, root }
    }

    /// A desk where each of `paths` stands durably: a directory where it ends in `/`, else a file holding `old`.
    pub(super) fn with(paths: &[&str]) -> Self {
        let desk = Self::new();
        for path in paths {
            match path.strip_suffix('/') {
                Some(dir) => desk.mkdir(dir),
                None => drop(desk.write(path, b"old")),
            }
        }
        desk.disk.sync_all(&desk.root).unwrap();
        desk
    }

    pub(super) fn dir(&self, path: &str) -> Dir {
        self.disk.open_dir(&self.root, &rel(path)).unwrap()
    }

    pub(super) fn at<'a>(&self, path: &'a str) -> (Dir, &'a OsStr) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        (self.dir(parent), OsStr::new(name))
    }

    pub(super) fn open(&self, path: &str, how: Open) -> File {
        let (dir, name) = self.at(path);
        self.disk.open(&dir, name, how).unwrap()
    }

    /// Makes or opens a file and writes at its start.
    pub(super) fn write(&self, path: &str, bytes: &[u8]) -> File {
        let file = self.open(path, Open::Create { mode: 0o644 });
        write_all(&self.disk, &file, bytes, 0).unwrap();
        file
    }

    pub(super) fn mkdir(&self, path: &str) {
        let (dir, name) = self.at(path);
        self.disk.create_dir(&dir, name, 0o755).unwrap();
    }

    pub(super) fn rename(&self, from: &str, to: &str, how: Rename) {
        let (from, to) = (self.at(from), self.at(to));
        self.disk.rename(&from.0, from.1, &to.0, to.1, how).unwrap();
    }

    pub(super) fn mv(&self, from: &str, to: &str) {
        self.rename(from, to, Rename::Replace);
    }

    pub(super) fn link(&self, from: &str, to: &str) {
        let (from, to) = (self.at(from), self.at(to));
        self.disk.hard_link(&from.0, from.1, &to.0, to.1).unwrap();
    }

    pub(super) fn rm(&self, path: &str) {
        let (dir, name) = self.at(path);
        self.disk.remove_file(&dir, name).unwrap();
    }

    pub(super) fn rmdir(&self, path: &str) {
        let (dir, name) = self.at(path);
        self.disk.remove_dir(&dir, name).unwrap();
    }

    pub(super) fn sync_dir(&self, path: &str) {
        self.disk.sync_dir(&self.dir(path)).unwrap();
    }

    /// Every tree that a crash may leave, as one line each.
    pub(super) fn may_leave(&self, profile: Profile) -> BTreeSet<String> {
        let outcomes = self.disk.outcomes(profile).exhaustive(100_000).unwrap();
        outcomes.map(|outcome| line(&whole(&self.disk.after(&outcome)).dump())).collect()
    }

    /// Asserts that a crash may leave exactly `lines`, under the strict profile and the ordered one.
    #[track_caller]
    pub(super) fn leaves(&self, strict: &[&str], ordered: &[&str]) {
        for (profile, lines) in BOTH.into_iter().zip([strict, ordered]) {
            let expected = lines.iter().map(|line| (*line).to_string()).collect();
            assert_eq!(self.may_leave(profile), expected, "{profile:?}");
        }
        self.leaves_no_other_at_random();
    }

    /// Every outcome that is drawn, or differs in one thing, is a whole tree whose names are those of an exhaustive one.
    fn leaves_no_other_at_random(&self) {
        for profile in BOTH {
            let shapes: BTreeSet<String> =
                self.may_leave(profile).iter().map(|line| line.split('=').next().unwrap().to_string()).collect();
            let outcomes = self.disk.outcomes(profile);
            for outcome in outcomes.sample(7, 40).chain(outcomes.single()) {
                let line = line(&whole(&self.disk.after(&outcome)).dump());
                assert!(shapes.contains(line.split('=').next().unwrap()), "{profile:?}: {line} is new: {outcome:?}");
            }
        }
    }
}

/// `a=old b/ c->a`: paths in order, contents with `0` for a zero byte, `a+c=old` for two names of one file.
pub(super) fn line(tree: &BTreeMap<RelPath, Node>) -> String {
    let mut out = Vec::new();
    for (path, node) in tree.iter().filter(|(path, _)| !path.is_root()) {
        if node.first_link.as_ref().is_some_and(|first| first != path) {
            continue;
        }
        let links = tree.iter().filter(|(_, other)| other.first_link.is_some() && other.first_link == node.first_link);
        let names: Vec<String> = match &node.first_link {
            Some(_) => links.map(|(path, _)| path.to_string()).collect(),
            None => vec![path.to_string()],
        };
        out.push(match (&node.kind, &node.target) {
            (Kind::Dir, _) => format!("{path}/"),
            (_, Some(target)) => format!("{path}->{}", target.to_string_lossy()),
            _ => format!("{}={}", names.join("+"), text(&node.contents)),
        });
    }
    out.join(" ")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', "0")
}

/// Asserts that a disk is a tree: every name leads somewhere, every inode has as many names as it says, no directory
/// has two, and all can be reached.
#[track_caller]
pub(super) fn whole(disk: &SimDisk) -> SimDisk {
    let state = disk.state.lock();
    for image in [&state.seen, &state.durable] {
        whole_image(image);
    }
    drop(state);
    disk.clone()
}

#[track_caller]
fn whole_image(image: &Image) {
    let mut names = BTreeMap::from([(ROOT, 1)]);
    let mut numbers = BTreeSet::new();
    let mut open = vec![ROOT];
    while let Some(id) = open.pop() {
        let inode = image.find(id).expect("an entry leads nowhere");
        let Body::Dir(entries) = &inode.body else { continue };
        let mut subdirs = 0;
        for child in entries.by_name.values() {
            let count = names.entry(*child).or_insert(0);
            *count += 1;
            if image.is_dir(*child) {
                assert_eq!(*count, 1, "a directory has two names");
                assert_eq!(image.parent(*child), Some(id), "a directory knows another parent");
                subdirs += 1;
                open.push(*child);
            }
        }
        assert_eq!(entries.subdirs, subdirs);
    }
    for (id, inode) in &image.inodes {
        assert_eq!(names.get(id), Some(&inode.names), "{id:?} {inode:?}");
        assert!(inode.names == 0 || numbers.insert(inode.ino), "two inodes share number {}", inode.ino);
    }
}
