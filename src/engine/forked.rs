//! A process that was forked off the one that opened a tree has its handles, and with them its locks: both would be the one
//! writer. So a handle works in the process that opened it, and nowhere else.

use std::sync::atomic::Ordering;

use super::Core;
use crate::{Error, Result};

impl Core {
    /// Whether this is another process than the one that opened the tree.
    pub(crate) fn is_forked(&self) -> bool {
        self.opened_by.load(Ordering::Relaxed) != std::process::id()
    }

    /// # Errors
    /// [`Error::Store`] in another process than the one that opened the tree.
    pub(crate) fn prove_own_process(&self) -> Result<()> {
        if !self.is_forked() {
            return Ok(());
        }
        let reason = "this process was forked off the one that opened the tree; open the tree again".to_owned();
        Err(Error::Store { path: ".treewal/lock".into(), reason })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the test looks at the tree from outside")]

    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use treewal_vfs::RealDisk;

    use crate::engine::Engine;
    use crate::guard::{Guard, GuardOptions};
    use crate::{Error, Options};

    #[test]
    fn a_forked_process_neither_writes_nor_cleans_up() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(Options::new(), Arc::new(RealDisk), dir.path()).unwrap();
        engine.stage().unwrap().create_file().unwrap();
        let listed = || std::fs::read_dir(dir.path().join(".treewal/stage")).unwrap().count();
        assert_eq!(listed(), 2);
        engine.opened_by.fetch_add(1, Ordering::Relaxed);
        assert!(matches!(engine.hold_beside_guards().map(drop), Err(Error::Store { .. })));
        assert!(matches!(engine.stage().map(drop), Err(Error::Store { .. })));
        assert!(matches!(engine.checkpoint(), Err(Error::Store { .. })));
        drop(engine);
        assert_eq!(listed(), 2);
    }
    /// The guard is that of the process that took it: what another one, with a copy of it, does or ends without doing
    /// neither restores the paths nor gives up the snapshot that restores them, nor the lock.
    #[test]
    fn a_guard_in_a_forked_process_neither_rolls_back_nor_releases() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "old").unwrap();
        let snapshots = || std::fs::read_dir(dir.path().join(".treewal/guards")).unwrap().count();
        let ends: [fn(Guard) -> Option<Error>; 4] = [
            |guard| {
                drop(guard);
                None
            },
            |guard| guard.commit().err(),
            |guard| guard.rollback().err(),
            |guard| guard.guard(["a"]).err(),
        ];
        for end in ends {
            let options = Options::new().lock_wait(std::time::Duration::ZERO);
            let engine = Arc::new(Engine::open(options.clone(), Arc::new(RealDisk), dir.path()).unwrap());
            let guard = engine.guard(&["a".into()], GuardOptions::default()).unwrap();
            std::fs::write(&path, "in place").unwrap();
            engine.opened_by.fetch_add(1, Ordering::Relaxed);
            assert!(end(guard).is_none_or(|error| matches!(error, Error::Store { .. })));
            assert_eq!((std::fs::read(&path).unwrap(), snapshots()), (b"in place".to_vec(), 1));
            let locked = Engine::open(options.clone(), Arc::new(RealDisk), dir.path()).map(drop);
            assert!(matches!(locked, Err(Error::Locked { .. })), "{locked:?}");
            // Both are gone without a word.
            drop(engine);
            assert_eq!((std::fs::read(&path).unwrap(), snapshots()), (b"in place".to_vec(), 1));
            drop(Engine::open(options, Arc::new(RealDisk), dir.path()).unwrap());
            assert_eq!((std::fs::read(&path).unwrap(), snapshots()), (b"old".to_vec(), 0));
        }
    }
}
