//! Readers that look while others write, are killed and recover: no path that is always there is ever missing, and each is
//! one of its versions, whole.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::contents::generation;
use crate::worker::{OWN, SHARED, own};

#[derive(Default)]
pub(crate) struct Reads {
    stop: AtomicBool,
    made: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

/// Reads while `body` runs; gives what it gave, and how often was read.
pub(crate) fn while_reading<T>(dir: &Path, ids: std::ops::Range<u64>, body: impl FnOnce() -> T) -> (T, u64) {
    struct Stop<'a>(&'a Reads);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.stop.store(true, Ordering::Relaxed);
        }
    }
    let mut paths: Vec<(PathBuf, Option<&str>)> = Vec::new();
    for id in ids {
        paths.extend(OWN.iter().map(|name| (dir.join(own(id)).join(name), Some(*name))));
    }
    paths.extend((0..SHARED).map(|n| (dir.join(format!("shared/count{n}")), None)));
    let reads = Reads::default();
    let out = std::thread::scope(|scope| {
        scope.spawn(|| reads.read_on(&paths));
        let _stop = Stop(&reads);
        body()
    });
    let wrong = reads.wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} reads are wrong, among them {:?}", wrong.len(), wrong[0]);
    (out, reads.made.into_inner())
}

impl Reads {
    fn read_on(&self, paths: &[(PathBuf, Option<&str>)]) {
        for (path, name) in paths.iter().cycle() {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            self.made.fetch_add(1, Ordering::Relaxed);
            let is_whole = |bytes: &[u8]| match name {
                Some(name) => generation(name, bytes).is_some(),
                None => String::from_utf8_lossy(bytes).parse::<u64>().is_ok(),
            };
            let wrong = match fs::read(path) {
                Ok(bytes) if is_whole(&bytes) => continue,
                Ok(bytes) => format!("{path:?} is torn: {} bytes", bytes.len()),
                Err(error) => format!("{path:?}: {error}"),
            };
            self.wrong.lock().unwrap().push(wrong);
        }
    }
}
