//! Change sets: every operation there is, as the documentation writes it, does what it says and comes back from JSON as it
//! was.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and looks at the tree from outside"
)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::{Value, json};
use treewal::{Change, ChangeSet, Error, Tree};
use treewal_vfs::{Disk, RealDisk};

const EXAMPLE: &str = include_str!("../src/changeset/example.json");

fn tree() -> (tempfile::TempDir, Tree) {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    for sub in ["old/in", "site", "site.next"] {
        fs::create_dir_all(at(sub)).unwrap();
    }
    for (path, contents) in [
        ("log", "one line\n"),
        ("template", "test"),
        ("draft.md", "draft"),
        ("left", "L"),
        ("right", "R"),
        ("old/in/x", "x"),
        ("site/mine", "mine"),
        ("site/index", "old"),
        ("site.next/index", "new"),
    ] {
        fs::write(at(path), contents).unwrap();
    }
    fs::write(at("logo"), [0, 1, 2, 3]).unwrap();
    fs::write(at("disk.img"), vec![b'.'; 4096]).unwrap();
    set_xattr(dir.path(), "right", "user.old", b"1");
    let tree = Tree::open(dir.path()).unwrap();
    (dir, tree)
}

fn set_xattr(dir: &Path, name: &str, key: &str, value: &[u8]) {
    RealDisk.set_xattr(&RealDisk.open_root(dir).unwrap(), name.as_ref(), key.as_ref(), value).unwrap();
}

fn xattrs(dir: &Path, name: &str) -> Vec<(String, Vec<u8>)> {
    let found = RealDisk.xattrs(&RealDisk.open_root(dir).unwrap(), name.as_ref()).unwrap();
    found.into_iter().map(|(name, value)| (name.into_string().unwrap(), value)).collect()
}

/// The example with the group of whoever runs the test.
fn example(dir: &Path) -> ChangeSet {
    let gid = fs::metadata(dir).unwrap().gid();
    serde_json::from_str(&EXAMPLE.replace(r#""gid": 0"#, &format!(r#""gid": {gid}"#))).unwrap()
}

#[test]
fn the_example_of_the_documentation_has_every_operation_and_does_what_it_says() {
    let (dir, tree) = tree();
    let at = |path: &str| dir.path().join(path);
    let read = |path: &str| fs::read_to_string(at(path)).unwrap();
    let (logo, site) = (fs::metadata(at("logo")).unwrap().ino(), fs::metadata(at("site")).unwrap().ino());
    let set = example(dir.path());
    let ops: BTreeSet<String> = set.changes.iter().map(op).collect();
    assert_eq!(ops.len(), 17, "{ops:?}");
    tree.apply(&set).unwrap();
    assert_eq!(
        (read("notes/a.md"), read("notes/b.md"), read("latest")),
        ("hello\n".into(), "draft".into(), "draft".into())
    );
    assert_eq!(
        (read("log"), read("left"), read("right")),
        ("one line\none more line\n".into(), "R".into(), "L".into())
    );
    let image = read("disk.img");
    assert_eq!((image.len(), &image[510..527]), (1024, "..in the middle.."));
    assert!(at("a/b/c").is_dir() && !at("old").exists());
    assert_eq!((read("copy"), fs::metadata(at("copy")).unwrap().mode() & 0o777), ("test".into(), 0o640));
    assert_eq!(fs::metadata(at("copy")).unwrap().ino(), fs::metadata(at("copy too")).unwrap().ino());
    assert_eq!((read("site/index"), read("site/mine")), ("new".into(), "mine".into()));
    let template = fs::metadata(at("template")).unwrap();
    assert_eq!((template.mtime(), template.mtime_nsec(), template.atime()), (1_700_000_000, 5, 1_700_000_000));
    assert_eq!(xattrs(dir.path(), "template"), [("user.origin".into(), b"a mail".to_vec())]);
    assert_eq!(xattrs(dir.path(), "left"), []);
    let now = |path: &str| fs::metadata(at(path)).unwrap().ino();
    assert_eq!((now("logo"), now("site")), (logo, site), "what was the same stayed");
}

/// The word for an operation, and that nobody adds one without a word in the example.
fn op(change: &Change) -> String {
    let value = serde_json::to_value(change).unwrap();
    value["op"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_written_as_json_is_read_as_it_was() {
    let set: ChangeSet = serde_json::from_str(EXAMPLE).unwrap();
    let text = serde_json::to_string(&set).unwrap();
    assert_eq!(serde_json::from_str::<ChangeSet>(&text).unwrap(), set);
    // And nothing of it is lost or made up: what is written has all that was read.
    let (written, read): (Value, Value) =
        (serde_json::from_str(&text).unwrap(), serde_json::from_str(EXAMPLE).unwrap());
    for (written, read) in written["changes"].as_array().unwrap().iter().zip(read["changes"].as_array().unwrap()) {
        for (key, value) in read.as_object().unwrap() {
            assert_eq!(&written[key], value, "{key} of {written}");
        }
    }
}

#[test]
fn the_names_of_other_tools_are_understood() {
    let same = [
        (json!({"op": "cp", "from": "a", "to": "b"}), "copy"),
        (json!({"op": "mv", "from": "a", "to": "b"}), "rename"),
        (json!({"op": "move", "from": "a", "to": "b"}), "rename"),
        (json!({"op": "rm", "path": "a"}), "remove"),
        (json!({"op": "delete", "path": "a"}), "remove"),
        (json!({"op": "create_dir", "path": "a"}), "mkdir"),
        (json!({"op": "swap", "a": "a", "b": "b"}), "exchange"),
        (json!({"op": "link", "original": "a", "link": "b"}), "hard_link"),
        (json!({"op": "hardlink", "from": "a", "path": "b"}), "hard_link"),
        (json!({"op": "publish", "source": "a", "dest": "b"}), "publish"),
        (json!({"op": "update", "path": "a", "offset": 1, "text": ""}), "patch"),
        (json!({"op": "touch", "path": "a", "modified": 1}), "set_times"),
        (json!({"op": "set_permissions", "path": "a", "mode": "644"}), "chmod"),
        (json!({"op": "setxattr", "path": "a", "name": "user.a", "text": ""}), "set_xattr"),
        (json!({"op": "removexattr", "path": "a", "name": "user.a"}), "remove_xattr"),
    ];
    for (value, name) in same {
        assert_eq!(op(&serde_json::from_value(value).unwrap()), name);
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_the_number_of_the_change() {
    let (dir, tree) = tree();
    let before = fs::read(dir.path().join("log")).unwrap();
    let bad = [
        json!({"op": "patch", "path": "log", "offset": 0}),
        json!({"op": "patch", "path": "none", "offset": 0, "text": "x"}),
        json!({"op": "truncate", "path": "none", "len": 0}),
        json!({"op": "set_times", "path": "log", "modified": {"secs": 0, "nanos": 1_000_000_000}}),
        json!({"op": "set_xattr", "path": "log", "name": "user.a"}),
        json!({"op": "remove_xattr", "path": "log", "name": "user.a"}),
        json!({"op": "publish", "from": "none", "to": "site"}),
        json!({"op": "chmod", "path": "log", "mode": "10000"}),
    ];
    for change in bad {
        let set = json!({"changes": [{"op": "append", "path": "log", "text": "x"}, change]});
        let error = tree.apply(&serde_json::from_value(set).unwrap()).unwrap_err();
        assert!(matches!(error, Error::Change { index: 1, .. }), "{error:?}");
        assert_eq!(fs::read(dir.path().join("log")).unwrap(), before);
    }
    for unknown in [
        json!({"op": "chown", "path": "a", "user": "me"}),
        json!({"op": "set_times", "path": "a", "modified": "yesterday"}),
        json!({"op": "set_times", "path": "a", "modified": {"secs": 1, "nano": 2}}),
    ] {
        assert!(serde_json::from_value::<Change>(unknown.clone()).is_err(), "{unknown}");
    }
    for expect in
        [json!({"path": "log", "unchanged": false}), json!({"path": "log", "absent": true, "unchanged": true})]
    {
        let set = serde_json::from_value(json!({"expect": [expect]})).unwrap();
        assert!(matches!(tree.apply(&set), Err(Error::Input(_))));
    }
}

#[test]
fn attributes_of_the_tree_itself_and_of_symlinks() {
    let (dir, tree) = tree();
    let set = json!({"changes": [
        {"op": "chmod", "path": ".", "mode": "0750"},
        {"op": "set_times", "path": ".", "modified": -5},
        {"op": "set_xattr", "path": ".", "name": "user.tree", "base64": "AP8="},
    ]});
    tree.apply(&serde_json::from_value(set).unwrap()).unwrap();
    let root = fs::metadata(dir.path()).unwrap();
    assert_eq!((root.permissions().mode() & 0o777, root.mtime()), (0o750, -5));
    assert_eq!(xattrs(dir.path(), "."), [("user.tree".into(), vec![0, 255])]);
}
