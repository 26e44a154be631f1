//! Where conversations lie, and how one is found.

use std::path::{Path, PathBuf};

use treewal::{Expect, Kind, Publish, Transaction, Tree};

use super::conversation::{Conversation, Event, Invalid, MANAGED};
use super::{migrate, persist};

pub(crate) const LIVE: &str = "conversations";
pub(crate) const ARCHIVE: &str = "archive";
pub(crate) const TRASH: &str = "trash";

/// How often a change is made again because another process was faster.
const TRIES_MAX: u32 = 8;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no conversation {0:?}")]
    NotFound(String),
    #[error("{path:?} is no conversation")]
    Invalid { path: PathBuf, source: Invalid },
    #[error("cannot write JSON")]
    Json(#[from] serde_json::Error),
    #[error("cannot use {path:?}")]
    File { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Tree(#[from] treewal::Error),
}

pub(crate) type Result<T> = std::result::Result<T, Error>;

/// An open store. To open it recovers it, so nothing here ever meets what a crash has left.
pub(crate) struct Store {
    tree: Tree,
    how: Publish,
}

impl Store {
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(|source| Error::File { path: dir.to_owned(), source })?;
        Self::on(Tree::open(dir)?)
    }

    /// The store in a tree, brought to its present form if it is not.
    pub(crate) fn on(tree: Tree) -> Result<Self> {
        let store = Self { tree, how: Publish::merge() };
        migrate::migrate(&store)?;
        Ok(store)
    }

    /// How conversations are persisted from now on.
    pub(crate) fn with(self, how: Publish) -> Self {
        Self { how, ..self }
    }

    /// Changes the store: wholly, or not at all. Where another process was faster, on what is there then.
    pub(crate) fn change<T>(&self, mut body: impl FnMut(&mut Transaction) -> Result<T>) -> Result<T> {
        let mut tries = 1;
        loop {
            let mut tx = self.tree.begin();
            let done = body(&mut tx).and_then(|value| Ok(tx.commit().map(|_| value)?));
            match done {
                Err(Error::Tree(error)) if error.is_retryable() && tries < TRIES_MAX => tries += 1,
                done => return done,
            }
        }
    }

    /// Every conversation, archived ones as well, or why a directory is none. Names with a dot are nobody's business.
    pub(crate) fn conversations(&self) -> Result<Vec<(PathBuf, std::result::Result<Conversation, Invalid>)>> {
        // Nobody commits while this lives, so no file is of another version than the one beside it.
        let _reader = self.tree.read()?;
        let tx = self.tree.begin();
        let mut found = Vec::new();
        for dir in dirs(&tx)? {
            found.push(match read(&tx, &dir) {
                Err(Invalid::Unreadable(error)) => return Err(error.into()),
                read => (dir, read),
            });
        }
        Ok(found)
    }

    pub(crate) fn find(&self, number: &str) -> Result<(PathBuf, Conversation)> {
        let _reader = self.tree.read()?;
        find(&self.tree.begin(), number)
    }

    /// Begins a conversation, and gives its number.
    pub(crate) fn begin(&self, title: &str) -> Result<String> {
        self.change(|tx| {
            let number = free_number(tx)?;
            self.persist(tx, &Conversation::new(number.clone(), title))?;
            Ok(number)
        })
    }

    /// Adds to a conversation.
    pub(crate) fn say(&self, number: &str, text: &str) -> Result<()> {
        self.change(|tx| {
            let (_, mut conversation) = find_to_change(tx, number)?;
            conversation.events.push(Event::new(text));
            self.persist(tx, &conversation)
        })
    }

    /// Puts a conversation in the place of its last version, wherever that lies and whatever its title was.
    pub(crate) fn persist(&self, tx: &mut Transaction, conversation: &Conversation) -> Result<()> {
        let name = conversation.dir_name();
        let place = match dir_of(tx, &conversation.metadata.number)? {
            None => Path::new(LIVE).join(name),
            Some(stands) => {
                let place = stands.with_file_name(name);
                if place != stands {
                    tx.rename(&stands, &place)?;
                }
                place
            }
        };
        persist::persist(tx, conversation, &place, self.how)
    }
}

/// The directories that may be conversations, in order.
pub(crate) fn dirs(tx: &Transaction) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for root in [LIVE, ARCHIVE] {
        let entries = tx.read_dir(root)?.into_iter().filter(|entry| entry.kind() == Kind::Dir);
        let named = entries.filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
        found.extend(named.map(|entry| Path::new(root).join(entry.file_name())));
    }
    Ok(found)
}

pub(crate) fn read(tx: &Transaction, dir: &Path) -> std::result::Result<Conversation, Invalid> {
    let conversation = Conversation::read(tx, dir)?;
    if is_named(dir, &conversation.metadata.number) {
        Ok(conversation)
    } else {
        Err(Invalid::Name(conversation.metadata.number))
    }
}

pub(crate) fn find(tx: &Transaction, number: &str) -> Result<(PathBuf, Conversation)> {
    let dir = dir_of(tx, number)?.ok_or_else(|| Error::NotFound(number.to_owned()))?;
    match read(tx, &dir) {
        Ok(conversation) => Ok((dir, conversation)),
        Err(source) => Err(Error::Invalid { path: dir, source }),
    }
}

/// As [`find`], for who is going to put another version in its place: what that is made from must still be there at the
/// commit. An exchange of directories would take whatever is in the old one by then, also what another process has said.
pub(crate) fn find_to_change(tx: &mut Transaction, number: &str) -> Result<(PathBuf, Conversation)> {
    if let Some(dir) = dir_of(tx, number)? {
        for name in MANAGED {
            tx.expect(dir.join(name), Expect::Unchanged)?;
        }
    }
    find(tx, number)
}

fn dir_of(tx: &Transaction, number: &str) -> Result<Option<PathBuf>> {
    Ok(dirs(tx)?.into_iter().find(|dir| is_named(dir, number)))
}

/// Whether a directory is named after a number.
fn is_named(dir: &Path, number: &str) -> bool {
    let rest = dir.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(number));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// A number from the clock that nobody has.
fn free_number(tx: &Transaction) -> Result<String> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut number = since.as_micros();
    while dir_of(tx, &format!("{number:x}"))?.is_some() {
        number += 1;
    }
    Ok(format!("{number:x}"))
}
