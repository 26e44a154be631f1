//! Guards on a real file system: what is there, what is done to it, and that all of it comes back, by a rollback and by the
//! recovery after the process was killed.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use treewal::Tree;

use crate::child::{dies_of, guard};
use crate::walk::{differences, inodes, leftovers, walk, work_dir};

pub(crate) struct Story {
    pub(crate) name: &'static str,
    pub(crate) guarded: &'static [&'static str],
    pub(crate) hard_links: bool,
    prepare: fn(&Path),
    pub(crate) change: fn(&Path),
    /// What the change leaves alone, and the restore as well: the same inodes.
    untouched: &'static [&'static str],
}

impl Story {
    const fn new(name: &'static str, prepare: fn(&Path), change: fn(&Path)) -> Self {
        Self { name, guarded: &["d"], hard_links: false, prepare, change, untouched: &[] }
    }
}

fn write(dir: &Path, path: &str, text: &str) {
    fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
    fs::write(dir.join(path), text).unwrap();
}

/// As those writers do that never write in place.
fn replace(dir: &Path, path: &str, text: &str) {
    write(dir, &format!("{path}.new"), text);
    fs::rename(dir.join(format!("{path}.new")), dir.join(path)).unwrap();
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

pub(crate) const STORIES: [Story; 12] = [
    Story {
        guarded: &["absent", "d/absent/deep"],
        ..Story::new(
            "ro2",
            |dir| write(dir, "d/f", "old"),
            |dir| {
                write(dir, "absent", "new");
                write(dir, "d/absent/deep/f", "new");
            },
        )
    },
    Story {
        guarded: &["d/e/f", "d", "d/e", "d", "g", "g"],
        ..Story::new(
            "ro3",
            |dir| {
                write(dir, "d/e/f", "old");
                write(dir, "d/g", "old");
                write(dir, "g", "old");
            },
            |dir| {
                fs::remove_dir_all(dir.join("d")).unwrap();
                write(dir, "d", "a file now");
                write(dir, "g", "new");
            },
        )
    },
    Story {
        hard_links: true,
        untouched: &["d/same", "d/deep/same"],
        ..Story::new(
            "ro7",
            |dir| {
                for path in ["d/same", "d/deep/same", "d/changed", "d/removed"] {
                    write(dir, path, "old");
                }
            },
            |dir| {
                replace(dir, "d/changed", "new");
                write(dir, "d/new/images/one.png", "new");
                write(dir, "d/deep/new", "new");
                fs::remove_file(dir.join("d/removed")).unwrap();
            },
        )
    },
    Story {
        untouched: &["d/same"],
        ..Story::new(
            "ro26",
            |dir| {
                write(dir, "d/private", "old");
                fs::set_permissions(dir.join("d/private"), Permissions::from_mode(0o600)).unwrap();
                write(dir, "d/same", "old");
                write(dir, "d/one", "two names");
                fs::hard_link(dir.join("d/one"), dir.join("d/two")).unwrap();
                symlink("nowhere", dir.join("d/dangling")).unwrap();
                fs::create_dir_all(dir.join("d/empty")).unwrap();
                write(dir, "d/file", "old");
                write(dir, "d/dir/f", "old");
                fifo(&dir.join("d/fifo"));
            },
            |dir| {
                for gone in ["d/private", "d/one", "d/two", "d/dangling", "d/fifo", "d/file"] {
                    fs::remove_file(dir.join(gone)).unwrap();
                }
                for gone in ["d/empty", "d/dir"] {
                    fs::remove_dir_all(dir.join(gone)).unwrap();
                }
                write(dir, "d/file/now/a/dir", "new");
                write(dir, "d/dir", "now a file");
                write(dir, "d/private", "new");
            },
        )
    },
    Story::new(
        "w_o1",
        |dir| {
            write(dir, "d/f", "old");
            fs::set_permissions(dir.join("d/f"), Permissions::from_mode(0o600)).unwrap();
            let long_gone = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_nanos(1_234_567_890_123);
            fs::File::options().write(true).open(dir.join("d/f")).unwrap().set_modified(long_gone).unwrap();
        },
        |dir| replace(dir, "d/f", "new"),
    ),
    Story {
        guarded: &["link"],
        ..Story::new(
            "w_o4",
            |dir| {
                write(dir, "target", "old");
                symlink("target", dir.join("link")).unwrap();
            },
            |dir| {
                fs::remove_file(dir.join("link")).unwrap();
                write(dir, "link", "a file now");
            },
        )
    },
    Story::new(
        "w_o5",
        |dir| {
            write(dir, "d/f", "old");
            symlink("f", dir.join("d/link")).unwrap();
            symlink("..", dir.join("d/up")).unwrap();
        },
        |dir| fs::remove_dir_all(dir.join("d")).unwrap(),
    ),
    Story::new(
        "w_o5b",
        |dir| {
            write(dir, "d/f", "old");
            symlink("nothing/there", dir.join("d/dangling")).unwrap();
            fifo(&dir.join("d/fifo"));
        },
        |dir| {
            fs::remove_file(dir.join("d/dangling")).unwrap();
            fs::remove_file(dir.join("d/fifo")).unwrap();
            write(dir, "d/f", "new");
        },
    ),
    Story {
        guarded: &["d/f"],
        ..Story::new(
            "w_o8",
            |dir| write(dir, "d/f", "old"),
            |dir| {
                fs::remove_file(dir.join("d/f")).unwrap();
                write(dir, "d/f/in/it", "new");
            },
        )
    },
    Story::new(
        "w_o9",
        |dir| fs::create_dir_all(dir.join("d/empty/deep")).unwrap(),
        |dir| fs::remove_dir_all(dir.join("d/empty")).unwrap(),
    ),
    Story::new(
        "w_o15",
        |dir| {
            write(dir, "d/one", "old");
            fs::hard_link(dir.join("d/one"), dir.join("d/two")).unwrap();
        },
        |dir| {
            replace(dir, "d/one", "new");
            replace(dir, "d/two", "new as well");
        },
    ),
    Story {
        untouched: &["d/same", "d/deep/same", "d/deep"],
        ..Story::new(
            "w_o17",
            |dir| {
                for path in ["d/same", "d/deep/same", "d/changed"] {
                    write(dir, path, "old");
                }
            },
            |dir| write(dir, "d/changed", "new"),
        )
    },
];

/// Tells a story twice: once the guard is rolled back, once its process is killed and the tree opened.
pub(crate) fn tell(name: &str) {
    let story = STORIES.iter().find(|story| story.name == name).unwrap();
    for killed in [false, true] {
        let at = work_dir();
        let dir = at.path();
        (story.prepare)(dir);
        drop(Tree::open(dir).unwrap());
        // The time of a directory above a guarded path is not guarded.
        let guarded = |path: &Path| story.guarded.iter().any(|guarded| path.starts_with(guarded));
        let look = || {
            let mut found = walk(dir);
            found.iter_mut().filter(|(path, _)| !guarded(path)).for_each(|(_, seen)| seen.modified = None);
            found
        };
        let (before, were) = (look(), inodes(dir));
        if killed {
            dies_of(name, dir);
            assert!(!differences(&look(), &before).is_empty(), "{name}: nothing was changed");
            let tree = Tree::open(dir).unwrap();
            let labels: Vec<_> = tree.recovery().transactions.iter().map(|told| told.label).collect();
            assert_eq!(labels, ["undo"], "{name}: {}", tree.recovery());
        } else {
            guard(story, dir, |guard| {
                (story.change)(dir);
                guard.rollback().unwrap();
            });
        }
        assert_eq!(differences(&look(), &before), Vec::<String>::new(), "{name}, killed: {killed}");
        let are = inodes(dir);
        for path in story.untouched.iter().map(Path::new) {
            assert_eq!(are[path], were[path], "{name}: {path:?} is another file, killed: {killed}");
        }
        assert_eq!(leftovers(dir), Vec::<std::path::PathBuf>::new(), "{name}, killed: {killed}");
    }
}
