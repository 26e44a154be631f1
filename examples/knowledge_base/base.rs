//! Whoever changes the base does it under a guard on all that the change touches; whoever looks at it holds it still.
//!
//! A document touches its directory, the index with whatever SQLite puts beside it, and the log. They are written in place,
//! by this program and by SQLite. Until the guard is committed, an error, a kill and a power loss all end the same way:
//! every one of them is as it was.
//!
//! The connection to the index must be closed before the guard ends: a rollback puts other files in the place of those that
//! it has open.

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use treewal::{GuardOptions, RetryPolicy, Tree};

use super::index::Index;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const DOCUMENTS: &str = "documents";
const INDEX: &str = "index.db";
const LOG: &str = "log.md";

pub(crate) struct Base {
    tree: Tree,
    dir: PathBuf,
}

impl Base {
    /// Opens a base, and recovers it: what another process was killed at is undone before anybody sees it.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let tree = Tree::open(dir)?;
        if !tree.recovery().is_clean() {
            tracing::warn!("{}", tree.recovery());
        }
        tree.transaction_with(RetryPolicy::new(), |tx| tx.create_dir_all(DOCUMENTS))?;
        let index = dir.join(INDEX);
        if !index.exists() {
            let guard = tree.guard_with(GuardOptions::new().matching("index.db*"), [LOG])?;
            // Another process may have been faster.
            if !index.exists() {
                Index::make(&index)?;
            }
            guard.commit()?;
        }
        Ok(Self { tree, dir: dir.to_owned() })
    }

    /// Changes what belongs to a document: all of it, or nothing.
    pub(crate) fn change<T>(&self, name: &str, change: impl FnOnce(&Index) -> Result<T>) -> Result<T> {
        let paths = [Path::new(DOCUMENTS).join(name), LOG.into()];
        // Whatever SQLite puts beside its file is its business: the pattern guards what is there, and what will be.
        let guard = self.tree.guard_with(GuardOptions::new().matching("index.db*"), paths)?;
        match self.with_index(change) {
            Ok(value) => {
                guard.commit()?;
                Ok(value)
            }
            Err(error) => {
                guard.rollback()?;
                Err(error)
            }
        }
    }

    /// Looks at the index while nobody changes the base: what is found there will not be undone. Others may look as well.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Index) -> Result<T>) -> Result<T> {
        let _reader = self.tree.read()?;
        self.with_index(look)
    }

    /// Opens the index, and closes it before this returns.
    fn with_index<T>(&self, use_it: impl FnOnce(&Index) -> Result<T>) -> Result<T> {
        let index = Index::open(&self.dir.join(INDEX))?;
        let value = use_it(&index)?;
        index.close()?;
        Ok(value)
    }

    /// Where the documents lie.
    pub(crate) fn documents(&self) -> PathBuf {
        self.dir.join(DOCUMENTS)
    }

    /// Where a document lies. Its name is one component of a path, and one line of the log.
    pub(crate) fn place(&self, name: &str) -> Result<PathBuf> {
        if ["", ".", ".."].contains(&name) || name.contains(|c: char| c == '/' || c.is_control()) {
            return Err(format!("{name:?} is no name of a document").into());
        }
        Ok(self.documents().join(name))
    }

    /// Adds a line to the log.
    pub(crate) fn note(&self, line: &str) -> Result<()> {
        let mut log = fs::OpenOptions::new().append(true).create(true).open(self.dir.join(LOG))?;
        Ok(log.write_all(format!("- {line}\n").as_bytes())?)
    }

    /// The lines of the log.
    pub(crate) fn log(&self) -> Result<Vec<String>> {
        let text = match fs::read_to_string(self.dir.join(LOG)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        Ok(text.lines().filter_map(|line| line.strip_prefix("- ")).map(str::to_owned).collect())
    }
}
