//! Steps against a disk on which somebody else was faster.

use std::ffi::OsStr;

use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Dir, Disk, Identity, Open, RelPath, write_all};

use super::{Entity, Ground, Place, Step};
use crate::Error;

struct Bed {
    disk: SimDisk,
    root: Dir,
}

impl Bed {
    fn new(names: &[&str]) -> Self {
        let disk = SimDisk::new();
        let root = disk.open_root("/".as_ref()).unwrap();
        let bed = Self { disk, root };
        for name in names {
            bed.put(name, name);
        }
        bed
    }

    fn put(&self, name: &str, contents: &str) {
        let file = self.disk.open(&self.root, OsStr::new(name), Open::CreateNew { mode: 0o644 }).unwrap();
        write_all(&self.disk, &file, contents.as_bytes(), 0).unwrap();
    }

    fn identity(&self, name: &str) -> Identity {
        self.disk.stat(&self.root, OsStr::new(name)).unwrap().identity()
    }

    fn holds(&self, name: &str) -> Option<String> {
        let node = self.disk.dump().remove(&RelPath::new(name).unwrap())?;
        Some(String::from_utf8(node.contents).unwrap())
    }
}

fn place(name: &str) -> Place {
    Place::tree(RelPath::new(name).unwrap())
}

#[test]
fn a_move_never_takes_the_place_of_what_somebody_put_there() {
    let bed = Bed::new(&["new", "theirs"]);
    let mut ground = Ground::new(&bed.disk, bed.root.clone());
    let identity = bed.identity("new");
    let step = Step::Move { entity: Entity(0), from: place("new"), to: place("theirs") };
    let mut done = true;
    assert!(matches!(ground.take(&step, &|_| identity, &mut done), Err(Error::Io { .. })));
    assert!(!done);
    assert_eq!((bed.holds("new"), bed.holds("theirs")), (Some("new".into()), Some("theirs".into())));
}

#[test]
fn what_was_displaced_and_is_not_what_was_expected_goes_back() {
    let bed = Bed::new(&["new", "old"]);
    let identities = [bed.identity("new"), bed.identity("old")];
    // Somebody replaces the file between the check and the rename.
    bed.disk.remove_file(&bed.root, OsStr::new("old")).unwrap();
    bed.put("old", "theirs");
    let mut ground = Ground::new(&bed.disk, bed.root.clone());
    let step = Step::Exchange { entity: Entity(0), displaced: Entity(1), from: place("new"), to: place("old") };
    let mut done = false;
    assert!(matches!(ground.take(&step, &|entity| identities[entity.0], &mut done), Err(Error::Changed { .. })));
    assert!(done, "the rename happened, and must be taken back");
    ground.undo(&step).unwrap();
    assert_eq!((bed.holds("new"), bed.holds("old")), (Some("new".into()), Some("theirs".into())));
}
