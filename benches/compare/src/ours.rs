//! treewal itself: one handle for the whole run, as a program would have it.

use treewal::Options;

use crate::Result;
use crate::contestant::Contestant;
use crate::tree::Tree;
use crate::work::Write;

pub(crate) struct Ours {
    tree: Tree,
    handle: treewal::Tree,
}

impl Ours {
    pub(crate) fn new(tree: Tree, options: &Options) -> Result<Self> {
        let handle = options.open(&tree.path)?;
        Ok(Self { tree, handle })
    }
}

impl Contestant for Ours {
    fn commit(&mut self, set: &[Write]) -> Result {
        let mut tx = self.handle.begin();
        for write in set {
            tx.write(&write.path, &write.contents)?;
        }
        tx.commit()?;
        Ok(())
    }

    fn settle(&mut self) -> Result {
        Ok(self.handle.checkpoint()?)
    }

    fn tree(&self) -> &Tree {
        &self.tree
    }

    fn end(self: Box<Self>) -> Tree {
        let Self { tree, handle } = *self;
        drop(handle);
        tree
    }
}
