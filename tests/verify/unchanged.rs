//! Nothing changes, whatever is found.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use treewal::{Options, Tree};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Disk, Open, RecordingDisk, RelPath, write_all};

#[test]
fn a_check_makes_no_call_that_changes_anything() {
    let disk = SimDisk::new();
    let recording = Arc::new(RecordingDisk::new(Arc::new(disk.clone())));
    let tree = Options::new().open_on(recording.clone(), "/").unwrap();
    tree.transaction(|tx| tx.write("a", "one")).unwrap();
    tree.snapshot("first").unwrap();
    let guard = tree.guard(["a"]).unwrap();
    let root = disk.open_root("/".as_ref()).unwrap();
    let quarantine = disk.open_dir(&root, &RelPath::new(".treewal/quarantine").unwrap()).unwrap();
    disk.create_dir(&quarantine, OsStr::new("txn-3"), 0o700).unwrap();
    let own = disk.open_dir(&root, &RelPath::new(".treewal").unwrap()).unwrap();
    let odd = disk.open(&own, OsStr::new("odd"), Open::CreateNew { mode: 0o600 }).unwrap();
    write_all(&disk, &odd, b"x", 0).unwrap();

    let (mutations, calls) = (disk.mutations(), recording.calls().len());
    let found = tree.verify().unwrap();
    let codes: Vec<&str> = found.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["stray", "quarantined"], "{found:?}");
    assert_eq!(disk.mutations(), mutations);
    assert!(recording.calls().len() > calls + 20, "it looked");
    let bad: Vec<_> = recording.calls()[calls..].iter().filter(|call| call.verb.is_mutating()).cloned().collect();
    assert!(bad.is_empty(), "{bad:?}");
    guard.commit().unwrap();
}

fn used() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let tree = Tree::open(dir.path()).unwrap();
    tree.transaction(|tx| tx.write("a", "one")).unwrap();
    tree.snapshot("first").unwrap();
    drop(tree);
    fs::create_dir(dir.path().join(".treewal/quarantine/txn-3")).unwrap();
    dir
}

/// Runs this test again, alone, in another process, on this tree.
fn again(dir: &Path, prefix: &[&str], suffix: &str) -> Option<String> {
    let program = std::env::current_exe().unwrap();
    let (first, rest) = prefix.split_first().unwrap();
    let mut command = Command::new(first);
    command.args(rest);
    if suffix.is_empty() {
        command.arg(&program);
    } else {
        command.arg(suffix.replace("PROGRAM", program.to_str().unwrap()));
    }
    command.args(["--exact", "unchanged::child_that_checks", "--nocapture"]);
    let output = command.env("TREEWAL_VERIFY_DIR", dir).output().ok()?;
    Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// What the other tests run in another process; by itself it has nothing to do.
#[test]
fn child_that_checks() {
    if let Some(dir) = std::env::var_os("TREEWAL_VERIFY_DIR") {
        let found = treewal::verify(dir).unwrap();
        let codes: Vec<&str> = found.iter().map(|finding| finding.code).collect();
        eprintln!("found {}", codes.join(","));
    }
}

#[test]
fn no_system_call_changes_anything() {
    let dir = used();
    let calls = "trace=openat,openat2,open,creat,mkdir,mkdirat,unlink,unlinkat,rename,renameat,renameat2,link,linkat,\
                 symlink,symlinkat,chmod,fchmod,fchmodat,chown,fchown,fchownat,utimensat,truncate,ftruncate,\
                 setxattr,fsetxattr,lsetxattr,removexattr,fallocate,mknodat";
    let said = again(dir.path(), &["strace", "-f", "-y", "-e", calls], "");
    let Some(said) = said.filter(|said| said.contains("found quarantined")) else {
        eprintln!("no_system_call_changes_anything: skipped, strace is missing or may not trace");
        return;
    };
    let own: Vec<&str> = said.lines().filter(|line| line.contains(".treewal")).collect();
    assert!(own.len() > 5, "{said}");
    let is_bad = |line: &&&str| {
        let opens = line.contains("open");
        !opens || ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| line.contains(flag))
    };
    let bad: Vec<_> = own.iter().filter(is_bad).collect();
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn a_tree_that_is_mounted_read_only_is_checked() {
    let disk = SimDisk::new();
    let tree = Options::new().open_on(Arc::new(disk.clone()), "/").unwrap();
    tree.transaction(|tx| tx.write("a", "one")).unwrap();
    tree.checkpoint().unwrap();
    disk.set_read_only(true);
    assert_eq!(tree.verify().unwrap(), []);

    let dir = used();
    let script = "mount --bind \"$TREEWAL_VERIFY_DIR\" \"$TREEWAL_VERIFY_DIR\" && \
                  mount -o remount,bind,ro \"$TREEWAL_VERIFY_DIR\" && \
                  ! touch \"$TREEWAL_VERIFY_DIR/x\" && exec 'PROGRAM' \"$0\" \"$@\"";
    let said = again(dir.path(), &["unshare", "-m", "sh", "-c"], script);
    match said {
        Some(said) if said.contains("running 1 test") => assert!(said.contains("found quarantined"), "{said}"),
        said => eprintln!("a_tree_that_is_mounted_read_only_is_checked: bind mount skipped, it needs root: {said:?}"),
    }
}
