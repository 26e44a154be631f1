//! What is refused where a file is mounted is refused before anything is promised: a process that dies meanwhile leaves nothing that no
//! recovery could do either. On a disk of the simulator that says that something is mounted, so for everybody.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use treewal::{MountedFiles, Options, Outcome, Transaction};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Disk, Fault, FaultDisk, RelPath};

/// What is mounted.
const BOUND: &str = "bound";

type Change = fn(&mut Transaction) -> treewal::Result<()>;

fn options(how: MountedFiles) -> Options {
    Options::new().lock_wait(Duration::ZERO).segment_bytes(64 << 10).mounted_files(how)
}

fn mounted(disk: &SimDisk) -> Arc<FaultDisk> {
    Arc::new(FaultDisk::new(Arc::new(disk.clone()), Fault::None).with_busy(BOUND))
}

fn base() -> SimDisk {
    let disk = SimDisk::new();
    let tree = options(MountedFiles::Refuse).open_on(Arc::new(disk.clone()), "/").unwrap();
    tree.transaction(|tx| {
        tx.write("a", "old a")?;
        tx.write(BOUND, "old")
    })
    .unwrap();
    drop(tree);
    disk.sync_all(&disk.open_root("/".as_ref()).unwrap()).unwrap();
    disk
}

/// What files hold and where symlinks lead, treewal's own left out.
fn files(disk: &SimDisk) -> Vec<(RelPath, Vec<u8>, Option<OsString>)> {
    let own = RelPath::new(".treewal").unwrap();
    let nodes = disk.dump().into_iter().filter(|(path, _)| !path.starts_with(&own) && !path.is_root());
    nodes.map(|(path, node)| (path, node.contents, node.target)).collect()
}

#[test]
fn a_kill_at_any_call_of_what_is_refused_leaves_nothing_owed() {
    use MountedFiles::{Refuse, RewriteInPlace};
    let changes: [(MountedFiles, Change); 6] = [
        (Refuse, |tx| tx.write(BOUND, "new")),
        (RewriteInPlace, |tx| tx.remove_file(BOUND)),
        (RewriteInPlace, |tx| tx.rename(BOUND, "elsewhere")),
        (RewriteInPlace, |tx| tx.rename("a", BOUND)),
        (RewriteInPlace, |tx| tx.exchange("a", BOUND)),
        (RewriteInPlace, |tx| {
            tx.remove_file(BOUND)?;
            tx.symlink("a", BOUND)
        }),
    ];
    let base = base();
    let before = files(&base);
    for (n, (how, change)) in changes.into_iter().enumerate() {
        for at in 1.. {
            let disk = base.remount();
            let faulty = mounted(&disk);
            let tree = options(how).open_on(faulty.clone(), "/").unwrap();
            faulty.arm(Fault::Off { at });
            let mut tx = tree.begin();
            let done = tx.write("also", "new").and_then(|()| change(&mut tx)).and_then(|()| tx.commit().map(drop));
            let error = done.unwrap_err();
            let was_off = faulty.is_off();
            faulty.arm(Fault::Off { at: 1 });
            drop(tree);
            let disk = disk.kill();
            let tree = options(how).open_on(mounted(&disk), "/").unwrap();
            let report = tree.recovery();
            assert_eq!(report.pending().count(), 0, "{n}, killed at {at}: {error:?}: {report}");
            assert_eq!(files(&disk), before, "{n}, killed at {at}: {error:?}: {report}");
            if !was_off {
                assert_eq!(
                    (error.outcome(), error.path()),
                    (Outcome::Unchanged, Some(BOUND.as_ref())),
                    "{n}: {error:?}"
                );
                break;
            }
        }
    }
}
