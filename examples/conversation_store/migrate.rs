//! A store that was kept without transactions, and what crashes have left in it.
//!
//! There, a conversation `X` was saved as `.staging-X`; then `X` was renamed to `.old-X`, `.staging-X` to `X`, and `.old-X`
//! was removed. A file was saved as `NAME.tmp` and renamed to `NAME`. A crash may have left any of these, and a clean-up that
//! failed half way any mixture of them. So a name says little, and what counts is what is in it:
//!
//! | `X` | `.old-X` | `.staging-X` | what becomes the conversation |
//! |---|---|---|---|
//! | sound | any | any | `X` stays |
//! | else | sound | any | `.old-X`: the last version that was whole and in use |
//! | else | else | sound | `.staging-X`: nothing else is left |
//! | else | else | else | nothing does; `X` stays for `check`, the others go to the trash |
//!
//! What is left over, and sound, is removed only once a sound conversation stands in its place, and after the user's files that
//! are not there moved over to it. Where both have one, and they differ, it goes to the trash as a whole, and so does what is
//! not sound: nobody can tell what it holds. All about one conversation
//! is one transaction, and the mark that says "done" is the last one, so it may be interrupted anywhere.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use treewal::{Kind, Transaction};

use super::conversation::{Conversation, EVENTS, Invalid, MANAGED, METADATA};
use super::moves::trash;
use super::store::{ARCHIVE, LIVE, Result, Store, TRASH, dirs};

/// Stands in every store of the present form.
const MARK: &str = "store.json";
const OLD: &str = ".old-";
const STAGING: &str = ".staging-";

pub(crate) fn migrate(store: &Store) -> Result<()> {
    let names = store.change(|tx| {
        if tx.exists(MARK)? {
            return Ok(None);
        }
        [LIVE, ARCHIVE, TRASH].into_iter().try_for_each(|dir| tx.create_dir_all(dir))?;
        remnants(tx).map(Some)
    })?;
    let Some(names) = names else { return Ok(()) };
    for place in names {
        store.change(|tx| mend(tx, &place))?;
    }
    store.change(|tx| {
        for dir in dirs(tx)? {
            mend_files(tx, &dir)?;
        }
        Ok(tx.write(MARK, "{\n  \"format\": 1\n}\n")?)
    })
}

/// The conversations of which something is left under a temporary name.
fn remnants(tx: &Transaction) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for root in [LIVE, ARCHIVE] {
        for entry in tx.read_dir(root)?.iter().filter(|entry| entry.kind() == Kind::Dir) {
            let name = entry.file_name().to_str();
            let of = name.and_then(|name| name.strip_prefix(OLD).or_else(|| name.strip_prefix(STAGING)));
            found.extend(of.filter(|of| !of.is_empty()).map(|of| Path::new(root).join(of)));
        }
    }
    Ok(found)
}

fn mend(tx: &mut Transaction, place: &Path) -> Result<()> {
    let left = [OLD, STAGING].map(|prefix| {
        let mut name = OsString::from(prefix);
        name.push(place.file_name().unwrap_or_default());
        place.with_file_name(name)
    });
    let mut soundest = None;
    for dir in std::iter::once(place).chain(left.iter().map(PathBuf::as_path)) {
        if soundest.is_none() && is_sound(tx, dir)? {
            soundest = Some(dir);
        }
    }
    match soundest {
        Some(dir) if dir != place => {
            if tx.exists(place)? {
                trash(tx, place, "a sound version was left under another name, and took its place")?;
            }
            tx.rename(dir, place)?;
        }
        _ => {}
    }
    for dir in &left {
        if !tx.exists(dir)? {
            continue;
        }
        if soundest.is_some() && is_sound(tx, dir)? && hand_over(tx, dir, place)? {
            tx.remove_dir_all(dir)?;
        } else {
            trash(tx, dir, "it was left by a crash, and holds what nothing else does")?;
        }
    }
    Ok(())
}

/// Whether a directory holds a whole conversation, once its files are mended.
fn is_sound(tx: &mut Transaction, dir: &Path) -> Result<bool> {
    if !tx.exists(dir)? || !tx.metadata(dir)?.is_dir() {
        return Ok(false);
    }
    mend_files(tx, dir)?;
    match Conversation::read(tx, dir) {
        Ok(_) => Ok(true),
        Err(Invalid::Unreadable(error)) => Err(error.into()),
        Err(_) => Ok(false),
    }
}

/// What `NAME.tmp` is of a managed `NAME` takes its place where that is missing, and goes where that is whole. All other
/// names that end so are the user's.
fn mend_files(tx: &mut Transaction, dir: &Path) -> Result<()> {
    for name in MANAGED {
        let (file, temporary) = (dir.join(name), dir.join(format!("{name}.tmp")));
        if !tx.exists(&temporary)? || !tx.metadata(&temporary)?.is_file() {
            continue;
        }
        if !tx.exists(&file)? && is_json(tx, &temporary)? {
            tx.rename(&temporary, &file)?;
        } else if is_json(tx, &file)? {
            tx.remove_file(&temporary)?;
        }
    }
    Ok(())
}

fn is_json(tx: &Transaction, file: &Path) -> Result<bool> {
    if !tx.exists(file)? || !tx.metadata(file)?.is_file() {
        return Ok(false);
    }
    Ok(serde_json::from_slice::<serde_json::Value>(&tx.read(file)?).is_ok())
}

/// Moves what is the user's from a directory that goes to the one that stays. Whether all that is left in it may go.
fn hand_over(tx: &mut Transaction, from: &Path, to: &Path) -> Result<bool> {
    let mut may_go = true;
    for entry in tx.read_dir(from)? {
        let name = entry.file_name();
        let (ours, theirs) = (from.join(name), to.join(name));
        if is_superseded(name) {
            continue;
        }
        if !tx.exists(&theirs)? {
            tx.rename(&ours, &theirs)?;
        } else {
            may_go &= is_same(tx, &ours, &theirs)?;
        }
    }
    Ok(may_go)
}

/// Whether a file is written anew each time, so that the version of the one that stays is what counts.
fn is_superseded(name: &OsStr) -> bool {
    let temporary = |name: &str| name.strip_suffix(".tmp").is_some_and(|name| MANAGED.contains(&name));
    name.to_str().is_some_and(|name| name == METADATA || name == EVENTS || temporary(name))
}

fn is_same(tx: &Transaction, one: &Path, other: &Path) -> Result<bool> {
    let kinds = (tx.metadata(one)?.kind(), tx.metadata(other)?.kind());
    Ok(match kinds {
        (Kind::File, Kind::File) => tx.read(one)? == tx.read(other)?,
        (Kind::Symlink, Kind::Symlink) => tx.read_link(one)? == tx.read_link(other)?,
        (Kind::Dir, Kind::Dir) => {
            let (names, others) = (tx.read_dir(one)?, tx.read_dir(other)?);
            let mut same = names == others;
            for entry in names {
                same = same && is_same(tx, &one.join(entry.file_name()), &other.join(entry.file_name()))?;
            }
            same
        }
        _ => false,
    })
}
