//! The simulated disk beside the real one: the same work gives the same results, errors and tree.

use std::collections::BTreeMap;
use std::ffi::OsString;

use proptest::prelude::*;

use super::random::{Act, Hands, Step, work};
use crate::sim::SimDisk;
use crate::{Dir, Disk, Kind, Open, RealDisk, RelPath, read_all};

/// What can be compared of one entry.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    kind: Kind,
    mode: u32,
    owner: Option<(u32, u32)>,
    links: u64,
    contents: Vec<u8>,
    target: Option<OsString>,
    xattrs: Vec<(OsString, Vec<u8>)>,
    same_as: RelPath,
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn walk(disk: &dyn Disk, dir: &Dir, path: &RelPath, inodes: &mut BTreeMap<u64, RelPath>) -> BTreeMap<RelPath, Seen> {
    let mut out = BTreeMap::new();
    let mut entries = disk.list(dir).unwrap();
    entries.sort_by(|one, two| one.name.cmp(&two.name));
    for entry in entries {
        let (name, here) = (&entry.name, path.join(&entry.name));
        let meta = disk.stat(dir, name).unwrap();
        assert_eq!((Some(meta.kind), meta.ino), (entry.kind, entry.ino));
        let contents = match meta.kind {
            Kind::File => read_all(disk, &disk.open(dir, name, Open::Read).unwrap(), 1 << 20).unwrap(),
            _ => Vec::new(),
        };
        let seen = Seen {
            kind: meta.kind,
            mode: meta.mode,
            owner: is_root().then_some((meta.uid, meta.gid)),
            // Some file systems do not count the names of a directory.
            links: if meta.kind == Kind::Dir { 0 } else { meta.links },
            contents,
            target: (meta.kind == Kind::Symlink).then(|| disk.read_link(dir, name).unwrap()),
            // What a security module adds is not of this test.
            xattrs: disk.xattrs(dir, name).unwrap().into_iter().filter(|(key, _)| key != "security.selinux").collect(),
            same_as: inodes.entry(meta.ino).or_insert_with(|| here.clone()).clone(),
        };
        if meta.kind == Kind::Dir {
            let below = disk.open_dir(dir, &RelPath::new(name).unwrap()).unwrap();
            out.extend(walk(disk, &below, &here, inodes));
        }
        out.insert(here, seen);
    }
    out
}

/// Whether any user may take the step, with the same result.
fn for_everybody((_, act): &Step) -> bool {
    match act {
        Act::Owner(..) => false,
        Act::Mode(mode) | Act::Mkdir(mode) | Act::Make(Open::Create { mode } | Open::CreateNew { mode }) => {
            mode & 0o6000 == 0 && mode & 0o600 == 0o600
        }
        Act::SetXattr(key, _) | Act::RemoveXattr(key) => !key.starts_with("trusted."),
        _ => true,
    }
}

proptest! {
    #[test]
    fn the_same_work_has_the_same_end_on_both(steps in work(60)) {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        let place = tempfile::tempdir().unwrap();
        let (real, sim) = (RealDisk, SimDisk::new());
        let mut one = Hands::new(&real, real.open_root(place.path()).unwrap());
        let mut two = Hands::new(&sim, sim.open_root("/".as_ref()).unwrap());
        // Flushing the file system of the machine over and over shows nothing here.
        let cheap = |step: &&Step| !matches!(step.1, Act::SyncAll) && (is_root() || for_everybody(step));
        for taken in steps.iter().filter(cheap) {
            let said = |result: std::io::Result<String>| result.map_err(|error| error.raw_os_error().ok_or(error.kind()));
            prop_assert_eq!(said(one.step(taken)), said(two.step(taken)), "{:?}", taken);
        }
        let one = walk(&real, &one.root, &RelPath::root(), &mut BTreeMap::new());
        let two = walk(&sim, &two.root, &RelPath::root(), &mut BTreeMap::new());
        prop_assert_eq!(one, two);
    }
}
