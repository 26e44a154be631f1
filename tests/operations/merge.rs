//! Merging a prepared directory into one that stays: against a model of what must be there, and which inodes.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use proptest::prelude::*;
use treewal::{Error, Publish};
use treewal_vfs::{Disk, RealDisk, RelPath, Time};

use crate::world::World;

/// A path of a random tree: what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Dir { mode: u32, attribute: bool },
    File { len: usize, letter: u8, mode: u32, attribute: bool },
    Symlink(u8),
}

type Forest = BTreeMap<String, Node>;

/// What is seen of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    ino: u64,
    modified: (i64, i64),
    what: What,
}

/// Kind, permission bits, contents or target, and extended attributes.
type What = (char, u32, Vec<u8>, Vec<(String, Vec<u8>)>);

fn nodes() -> impl Strategy<Value = Node> {
    let mode = prop_oneof![Just(0o755), Just(0o700), Just(0o555)];
    // Around the limit above which contents are staged.
    let len = prop_oneof![Just(0usize), Just(5), Just(70_000), Just(140_000)];
    prop_oneof![
        4 => (mode.clone(), any::<bool>()).prop_map(|(mode, attribute)| Node::Dir { mode, attribute }),
        4 => (len, b'a'..=b'b', mode, any::<bool>())
            .prop_map(|(len, letter, mode, attribute)| Node::File { len, letter, mode, attribute }),
        1 => (b'a'..=b'b').prop_map(Node::Symlink),
    ]
}

/// Up to three levels of the names `a`, `b` and `c`; what would be beneath something that is no directory is left out.
fn forests() -> impl Strategy<Value = Forest> {
    proptest::collection::btree_map("[abc](/[abc]){0,2}", nodes(), 0..14).prop_map(|all| {
        let is_dir = |path: &str| matches!(all.get(path), Some(Node::Dir { .. }));
        let stands = |path: &String| path.match_indices('/').all(|(at, _)| is_dir(&path[..at]));
        all.iter().filter(|(path, _)| stands(path)).map(|(path, node)| (path.clone(), node.clone())).collect()
    })
}

fn make(at: &Path, forest: &Forest, year: i64) {
    fs::create_dir(at).unwrap();
    for (path, node) in forest {
        let path = at.join(path);
        match node {
            Node::Dir { .. } => fs::create_dir(path).unwrap(),
            Node::File { len, letter, .. } => fs::write(path, vec![*letter; *len]).unwrap(),
            Node::Symlink(letter) => symlink(char::from(*letter).to_string(), path).unwrap(),
        }
    }
    for (n, (path, node)) in forest.iter().enumerate().rev() {
        let path = at.join(path);
        let (Node::Dir { mode, attribute } | Node::File { mode, attribute, .. }) = node else { continue };
        let root = RealDisk.open_root(path.parent().unwrap()).unwrap();
        if *attribute {
            RealDisk.set_xattr(&root, path.file_name().unwrap(), "user.a".as_ref(), b"1").unwrap();
        }
        let time = Time { secs: year * 31_000_000 + i64::try_from(n).unwrap(), nanos: 7 };
        RealDisk.set_times(&root, path.file_name().unwrap(), time, time).unwrap();
        fs::set_permissions(path, Permissions::from_mode(*mode)).unwrap();
    }
}

fn see(at: &Path) -> BTreeMap<String, Seen> {
    let mut all = BTreeMap::new();
    let mut open = vec![String::new()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(at.join(&dir)).unwrap() {
            let path = format!("{dir}{}", entry.unwrap().file_name().to_str().unwrap());
            let meta = fs::symlink_metadata(at.join(&path)).unwrap();
            let (kind, contents) = match () {
                () if meta.is_dir() => {
                    open.push(format!("{path}/"));
                    ('d', Vec::new())
                }
                () if meta.is_symlink() => {
                    ('l', fs::read_link(at.join(&path)).unwrap().into_os_string().into_encoded_bytes())
                }
                () => ('f', fs::read(at.join(&path)).unwrap()),
            };
            let rel = RelPath::new(&path).unwrap();
            let (parent, name) = rel.split().unwrap();
            let parent = RealDisk.open_dir(&RealDisk.open_root(at).unwrap(), &parent).unwrap();
            let xattrs = RealDisk.xattrs(&parent, name).unwrap();
            let xattrs = xattrs.into_iter().map(|(name, value)| (name.into_string().unwrap(), value)).collect();
            let modified = (meta.mtime(), meta.mtime_nsec());
            all.insert(path, Seen { ino: meta.ino(), modified, what: (kind, meta.mode() & 0o7777, contents, xattrs) });
        }
    }
    all
}

/// What must be at each path after the merge.
fn check(
    before: &BTreeMap<String, Seen>,
    source: &BTreeMap<String, Seen>,
    after: &BTreeMap<String, Seen>,
    keep: bool,
) -> Result<(), TestCaseError> {
    let above = |path: &str| path.match_indices('/').map(|(at, _)| path[..at].to_owned()).collect::<Vec<_>>();
    let dir_in = |all: &BTreeMap<String, Seen>, path: &String| all.get(path).is_some_and(|seen| seen.what.0 == 'd');
    // What the source says nothing of, as no directory of it is in the way.
    let unmanaged = |path: &String| {
        !source.contains_key(path) && above(path).iter().all(|dir| !source.contains_key(dir) || dir_in(source, dir))
    };
    let mut wanted: Vec<&String> = source.keys().collect();
    wanted.extend(before.keys().filter(|path| keep && unmanaged(path)));
    wanted.sort();
    prop_assert_eq!(after.keys().collect::<Vec<_>>(), wanted);
    for (path, seen) in after {
        let Some(from) = source.get(path) else {
            prop_assert_eq!((seen.ino, &seen.what), (before[path].ino, &before[path].what), "{} was to stay", path);
            continue;
        };
        prop_assert_eq!(&seen.what, &from.what, "{}", path);
        let (kind, _, contents, _) = &seen.what;
        let there = before.get(path).filter(|there| there.what.0 == *kind);
        let stayed = there.filter(|there| *kind == 'd' || there.what.2 == *contents);
        prop_assert_eq!(stayed.is_some_and(|there| there.ino == seen.ino), stayed.is_some(), "the inode of {}", path);
        if let Some(there) = there.filter(|_| *kind == 'd') {
            let names = |all: &BTreeMap<String, Seen>| {
                let child = |other: &&String| other.rsplit_once('/').is_some_and(|(dir, _)| dir == path);
                all.iter()
                    .filter(|(other, _)| child(other))
                    .map(|(other, seen)| (other.clone(), seen.ino))
                    .collect::<Vec<_>>()
            };
            let same = names(before) == names(after);
            prop_assert_eq!(seen.modified, if same { there.modified } else { from.modified }, "the time of {}", path);
        } else if *kind != 'l' {
            let expected = stayed.map_or(from.modified, |there| there.modified);
            prop_assert_eq!(seen.modified, expected, "the time of {}", path);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn a_merged_directory_has_what_the_source_has_and_is_the_same_one(
        old in forests(), new in forests(), keep in any::<bool>(), inside in any::<bool>()
    ) {
        let world = World::new();
        let elsewhere = tempfile::tempdir().unwrap();
        let next = if inside { world.at("next") } else { elsewhere.path().join("next") };
        make(&world.at("dest"), &old, 20);
        make(&next, &new, 30);
        let (before, source) = (see(&world.at("dest")), see(&next));
        let ino = fs::metadata(world.at("dest")).unwrap().ino();
        let how = Publish::merge().keep_unmanaged(keep);
        let from = if inside { Path::new("next") } else { next.as_path() };
        world.tree.transaction(|tx| tx.publish_with(how, from, "dest")).unwrap();
        let after = see(&world.at("dest"));
        check(&before, &source, &after, keep)?;
        prop_assert_eq!(fs::metadata(world.at("dest")).unwrap().ino(), ino);
        prop_assert_eq!(see(&next), source, "the source is only read");
        // A second time there is nothing to do.
        let mut tx = world.tree.begin();
        tx.publish_with(how, from, "dest").unwrap();
        prop_assert_eq!(tx.changes(), []);
        prop_assert_eq!(tx.commit().unwrap().id, 0);
        prop_assert_eq!(see(&world.at("dest")), after);
        world.close();
    }
}

#[test]
fn where_nothing_is_it_is_made_and_a_file_keeps_its_look() {
    let world = World::new();
    let next = tempfile::tempdir().unwrap();
    fs::write(next.path().join("f"), "new").unwrap();
    let merge = |dest: &str, name: &str| {
        world.tree.transaction(|tx| tx.publish_with(Publish::merge(), next.path().join(name), dest))
    };
    merge("deep", "").unwrap();
    assert_eq!(fs::read(world.at("deep/f")).unwrap(), b"new");
    fs::write(world.at("conf"), "old").unwrap();
    fs::set_permissions(world.at("conf"), Permissions::from_mode(0o640)).unwrap();
    merge("conf", "f").unwrap();
    let conf = fs::metadata(world.at("conf")).unwrap();
    assert_eq!((fs::read(world.at("conf")).unwrap(), conf.mode() & 0o777), (b"new".to_vec(), 0o640));
    merge("conf", "f").unwrap();
    assert_eq!(fs::metadata(world.at("conf")).unwrap().ino(), conf.ino());
    assert_eq!(merge("conf", "").unwrap_err().kind(), ErrorKind::NotADirectory);
    assert_eq!(merge("deep", "f").unwrap_err().kind(), ErrorKind::IsADirectory);
    assert_eq!(merge("deep", "none").unwrap_err().kind(), ErrorKind::NotFound);
    world.close();
}

/// Neither is a directory merged into itself, nor the tree into a part of it, and treewal's own directory is nobody's.
#[test]
fn what_contains_the_other_is_refused() {
    let world = World::new();
    fs::create_dir_all(world.at("a/b")).unwrap();
    let error = |from: &Path, to: &str| {
        let mut tx = world.tree.begin();
        let error = tx.publish_with(Publish::merge(), from, to).unwrap_err();
        assert_eq!(tx.changes(), [], "{error:?}");
        error
    };
    for (from, to) in [("a", "a/b"), ("a/b", "a")] {
        assert_eq!(error(from.as_ref(), to).kind(), ErrorKind::InvalidInput);
        assert_eq!(error(&world.at(from), to).kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(error(&world.at(".."), "a").kind(), ErrorKind::InvalidInput);
    assert!(matches!(error(&world.at(".treewal"), "a"), Error::Reserved { .. }));
    world.tree.transaction(|tx| tx.publish_with(Publish::merge(), "a", "a")).unwrap();
    world.close();
}

/// What cannot be made is named, and nothing of the merge is left in the transaction.
#[test]
fn a_merge_that_fails_half_way_leaves_the_transaction_as_it_was() {
    let world = World::new();
    let next = tempfile::tempdir().unwrap();
    fs::create_dir_all(next.path().join("a")).unwrap();
    fs::write(next.path().join("a/f"), vec![b'n'; 100_000]).unwrap();
    let root = RealDisk.open_root(next.path()).unwrap();
    let fifo = treewal_vfs::Meta { kind: treewal::Kind::Fifo, ..RealDisk.stat_dir(&root).unwrap() };
    RealDisk.make_node(&root, "z".as_ref(), &fifo).unwrap();
    fs::create_dir_all(world.at("dest/gone")).unwrap();
    fs::write(world.at("dest/a"), "a").unwrap();
    let mut tx = world.tree.begin();
    tx.write("dest/own", "own").unwrap();
    let before = tx.changes();
    let error = tx.publish_with(Publish::merge(), next.path(), "dest").unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::Unsupported, Some(next.path().join("z").as_path())));
    assert_eq!(tx.changes(), before);
    assert_eq!((tx.read("dest/a").unwrap(), tx.exists("dest/gone").unwrap()), (b"a".to_vec(), true));
    tx.commit().unwrap();
    assert_eq!(fs::read(world.at("dest/own")).unwrap(), b"own");
    // A fifo that is there already is the same one.
    RealDisk.make_node(&RealDisk.open_root(&world.at("dest")).unwrap(), "z".as_ref(), &fifo).unwrap();
    world.tree.transaction(|tx| tx.publish_with(Publish::merge(), next.path(), "dest")).unwrap();
    assert_eq!(fs::read(world.at("dest/a/f")).unwrap().len(), 100_000);
    assert!(!world.at("dest/own").exists());
    world.close();
}

#[test]
fn what_was_found_the_same_must_still_be_so_at_the_commit() {
    let world = World::new();
    let next = tempfile::tempdir().unwrap();
    fs::create_dir(world.at("dest")).unwrap();
    for (name, old) in [("same", "1"), ("other", "old")] {
        fs::write(next.path().join(name), "1").unwrap();
        fs::write(world.at("dest").join(name), old).unwrap();
    }
    let mut tx = world.tree.begin();
    tx.publish_with(Publish::merge(), next.path(), "dest").unwrap();
    // The directory gets the time of the prepared one, whether or not it is the one that it has.
    assert!(tx.changes().iter().all(|change| !change.path.ends_with("same")));
    fs::write(world.at("dest/same"), "somebody's").unwrap();
    let error = tx.commit().unwrap_err();
    assert!(matches!(&error, Error::Conflict { path, .. } if path.ends_with("dest/same")), "{error:?}");
    assert_eq!(fs::read(world.at("dest/other")).unwrap(), b"old");
    world.close();
}

#[test]
fn identical_bytes_are_not_written_again() {
    let world = World::new();
    for contents in [b"small".to_vec(), vec![b'x'; 300_000], Vec::new()] {
        let write = || world.tree.transaction(|tx| tx.write_if_changed("f", &contents)).unwrap();
        assert!(write());
        let meta = || fs::metadata(world.at("f")).map(|meta| (meta.ino(), meta.mtime_nsec())).unwrap();
        let before = meta();
        assert!(!write());
        assert_eq!(meta(), before);
        assert_eq!(fs::read(world.at("f")).unwrap(), contents);
        // Of the same length, and different in the last byte.
        let mut other = contents.clone();
        if let Some(last) = other.last_mut() {
            *last ^= 1;
            assert!(world.tree.transaction(|tx| tx.write_if_changed("f", &other)).unwrap());
            assert_eq!(fs::read(world.at("f")).unwrap(), other);
        }
    }
    // What the transaction has written itself counts; what somebody writes meanwhile is a conflict.
    let mut tx = world.tree.begin();
    assert!(tx.write_if_changed("g", "1").unwrap() && !tx.write_if_changed("g", "1").unwrap());
    assert!(!tx.write_if_changed("f", "").unwrap());
    fs::write(world.at("f"), "somebody's").unwrap();
    assert!(matches!(tx.commit(), Err(Error::Conflict { .. })));
    assert!(!world.at("g").exists());
    world.close();
}
