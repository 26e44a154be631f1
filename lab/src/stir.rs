//! A kernel that writes back when it is told to.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use treewal_vfs::{Dir, Disk, RealDisk};

use crate::image::mix;
use crate::order::Kernel;

/// To be called after each call that changes something: what is in memory is written back then, or may be.
pub(crate) type Stir = Arc<dyn Fn() + Send + Sync>;

/// Gives `body` what writes back the file system of `root` as `kernel` does. Nobody may have that any more when `body`
/// returns.
///
/// Under [`Kernel::Slow`] nobody waits for it: whoever called goes on, and its next sync meets writes that are on their
/// way. That is how a flush comes to overtake a write: a file system waits for what a flush of its own shall cover, so no
/// write of the one who syncs is ever overtaken. Errors are for whoever syncs next.
pub(crate) fn stirred<R>(root: Dir, kernel: Kernel, body: impl FnOnce(&Stir) -> R) -> R {
    let root = Arc::new(root);
    let (ask, asked) = sync_channel(1);
    let beside = Arc::clone(&root);
    let beside = std::thread::spawn(move || asked.iter().for_each(|()| drop(RealDisk.sync_all(&beside))));
    let calls = AtomicU64::new(0);
    let stir: Stir = Arc::new(move || {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        match kernel {
            Kernel::Plain => {}
            Kernel::Eager => drop(RealDisk.sync_all(&root)),
            // Where one is asked for already, that one will do.
            Kernel::Slow if mix(call) % 2 == 0 => drop(ask.try_send(())),
            Kernel::Slow => {}
        }
    });
    let made = body(&stir);
    drop(stir);
    beside.join().unwrap();
    made
}

/// Where the calls of another process cannot be followed: as often as it goes.
pub(crate) fn write_back_all_the_time(tree: &Path, is_over: &AtomicBool) {
    let root = RealDisk.open_root(tree).unwrap();
    while !is_over.load(Ordering::Relaxed) {
        RealDisk.sync_all(&root).unwrap();
        std::thread::sleep(Duration::from_micros(300));
    }
}
