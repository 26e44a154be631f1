//! A handle whose disk fails while it takes the lock, or before it gives the lock back: what others may go by then.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use treewal::Options;
use treewal_vfs::sim::{Lose, Profile, SimDisk};
use treewal_vfs::{Disk, File, Layer, RelPath, errno};

use crate::write;

/// Writes to a file and fails all the same, once, at the first write after it was told so.
#[derive(Debug)]
struct Wrong {
    inner: SimDisk,
    next: AtomicBool,
}

impl Layer for Wrong {
    fn inner(&self) -> &dyn Disk {
        &self.inner
    }

    fn write_at(&self, file: &File, buf: &[u8], offset: u64) -> io::Result<usize> {
        let written = Disk::write_at(&self.inner, file, buf, offset)?;
        if self.next.swap(false, Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(errno::EIO));
        }
        Ok(written)
    }
}

/// A handle that could not take the lock has signed the lock file: the next time, that must not pass for nobody having been there.
#[test]
fn who_fails_while_it_takes_the_lock_reads_what_others_have_done() {
    let disk = SimDisk::new();
    let options = Options::new().segment_bytes(64 << 10).lock_wait(Duration::ZERO);
    let wrong = Arc::new(Wrong { inner: disk.clone(), next: AtomicBool::new(false) });
    let ours = options.open_on(wrong.clone(), "/").unwrap();
    let others = options.open_on(Arc::new(disk.another_process()), "/").unwrap();
    for n in 0..2 {
        ours.transaction(|tx| tx.write("ours", format!("{n}"))).unwrap();
        others.transaction(|tx| tx.write("theirs", format!("{n}"))).unwrap();
    }
    wrong.next.store(true, Ordering::SeqCst);
    assert!(ours.checkpoint().is_err());
    assert!(!wrong.next.load(Ordering::SeqCst));
    ours.transaction(|tx| tx.write("ours", "last")).unwrap();
    let left = disk.after(&disk.outcomes(Profile::Strict).nothing());
    let tree = options.open_on(Arc::new(left.clone()), "/").unwrap();
    assert!(!tree.recovery().found_damage(), "{}", tree.recovery());
    for (path, contents) in [("ours", "last"), ("theirs", "1")] {
        assert_eq!(left.dump()[&RelPath::new(path).unwrap()].contents, contents.as_bytes(), "{path}");
    }
}

/// What a failed sync of everything should have covered, the kernel may have dropped: who comes next must not go on as if all were
/// in order, and forget by a checkpoint of its own what only the journal has.
#[test]
fn behind_a_failed_sync_the_next_handle_makes_sure_of_what_was_committed() {
    let mut failed = 0;
    for at in 1..8 {
        let disk = SimDisk::new();
        let options = Options::new().segment_bytes(64 << 10).lock_wait(Duration::ZERO);
        let ours = options.open_on(Arc::new(disk.clone()), "/").unwrap();
        let others = options.open_on(Arc::new(disk.another_process()), "/").unwrap();
        for tree in [&ours, &others, &ours, &others] {
            write(tree, "met", 10);
        }
        write(&ours, "committed", 2_000);
        disk.set_failed_syncs(Lose::Contents);
        disk.fail_sync_at(Some(at));
        let taken = ours.snapshot("one");
        disk.fail_sync_at(None);
        failed += usize::from(taken.is_err());
        others.checkpoint().unwrap();
        for profile in [Profile::Strict, Profile::Ordered, Profile::Grouped] {
            let all = disk.outcomes(profile);
            for outcome in all.named() {
                let left = disk.after(&outcome);
                drop(options.open_on(Arc::new(left.clone()), "/").unwrap());
                let found = left.dump().remove(&RelPath::new("committed").unwrap()).map(|node| node.contents);
                let at = format!("sync {at}, {taken:?}, {profile:?}: {}", disk.describe(&outcome));
                assert!(found == Some(vec![b'x'; 2_000]), "{at}");
            }
        }
    }
    assert!(failed > 1, "{failed}");
}
