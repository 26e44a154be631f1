//! A process that was forked off the one that opened a tree has its handles, and with them its locks: both would be the one
//! writer. So a handle works in the process that opened it, and nowhere else.

use super::Core;
use crate::{Error, Result};

impl Core {
    /// Whether this is another process than the one that opened the tree.
    pub(crate) fn is_forked(&self) -> bool {
        self.opened_by != std::process::id()
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

    use treewal_vfs::RealDisk;

    use crate::engine::Engine;
    use crate::{Error, Options};

    #[test]
    fn a_forked_process_neither_writes_nor_cleans_up() {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = Engine::open(Options::new(), Arc::new(RealDisk), dir.path()).unwrap();
        engine.stage().unwrap().create_file().unwrap();
        let listed = || std::fs::read_dir(dir.path().join(".treewal/stage")).unwrap().count();
        assert_eq!(listed(), 2);
        Arc::get_mut(&mut engine.core).unwrap().opened_by += 1;
        assert!(matches!(engine.hold_beside_guards().map(drop), Err(Error::Store { .. })));
        assert!(matches!(engine.stage().map(drop), Err(Error::Store { .. })));
        assert!(matches!(engine.checkpoint(), Err(Error::Store { .. })));
        drop(engine);
        assert_eq!(listed(), 2);
    }
}
