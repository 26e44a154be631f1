//! Many committed transactions as one: the final wish for each path, and every state it may legally be found in. Pure.

use std::collections::BTreeMap;

use treewal_journal::record::{Goal, Intent, ModeChange};
use treewal_vfs::{BadPath, Identity, RelPath};

/// The final wish for one path.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Where.
    pub path: RelPath,
    /// Where the path lies while the transaction has not been applied; `None` beneath a new directory.
    pub base: Option<RelPath>,
    /// Identities that may stand here: what each of the transactions found. The first found what stood before all of
    /// them, each later one what those before it had put here.
    pub known: Vec<Identity>,
    /// What shall stand here.
    pub goal: Goal,
    /// New permission bits for an entry of the tree.
    pub mode: Option<ModeChange>,
    /// Permission bits that an entry of the tree may have: those before the first change of them, and what each set.
    pub known_modes: Vec<u32>,
    /// The stage directory that the goal's slots are in.
    pub stage: String,
    /// The transaction that wishes it.
    pub txn: u64,
}

/// One committed transaction, as composition takes it.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Its number.
    pub txn: u64,
    /// Its stage directory.
    pub stage: &'a str,
    /// Its intents.
    pub intents: &'a [Intent],
}

/// Composes transactions, oldest first. Parents come before what is in them.
///
/// # Errors
/// [`BadPath`] where a path would leave the tree: then nothing of the transactions is trusted.
pub fn compose(parts: &[Part<'_>]) -> Result<Vec<Wish>, BadPath> {
    let mut wishes: BTreeMap<RelPath, Wish> = BTreeMap::new();
    for part in parts {
        for intent in part.intents {
            let wish = wish(part, intent)?;
            // Whatever an earlier transaction wished for beneath a path that is replaced or removed is gone with it.
            if !matches!(wish.goal, Goal::Kept) {
                drop_beneath(&mut wishes, &wish.path, part.txn);
            }
            match wishes.remove(&wish.path) {
                None => wishes.insert(wish.path.clone(), wish),
                Some(earlier) => wishes.insert(earlier.path.clone(), follow(earlier, wish)),
            };
        }
    }
    Ok(wishes.into_values().collect())
}

fn wish(part: &Part<'_>, intent: &Intent) -> Result<Wish, BadPath> {
    if let Goal::Moved { from, .. } = &intent.goal {
        from.to_path()?;
    }
    Ok(Wish {
        path: intent.path.to_path()?,
        base: intent.base.as_ref().map(|base| base.to_path()).transpose()?,
        known: intent.prior.into_iter().collect(),
        goal: intent.goal.clone(),
        mode: intent.mode,
        known_modes: intent.mode.iter().flat_map(|change| [change.prior, change.mode]).collect(),
        stage: part.stage.to_owned(),
        txn: part.txn,
    })
}

/// The wish of a later transaction after that of an earlier one for the same path.
fn follow(earlier: Wish, later: Wish) -> Wish {
    let mut known = earlier.known;
    known.extend(later.known);
    let known_modes = [earlier.known_modes.as_slice(), &later.known_modes].concat();
    if let Goal::Kept = later.goal {
        // New bits for what the earlier transaction put here: its wish stands, with the bits.
        let mut goal = earlier.goal;
        let mut mode = later.mode.or(earlier.mode);
        if let (Goal::New(new), Some(change)) = (&mut goal, mode) {
            new.mode = change.mode;
            mode = None;
        }
        return Wish { known, goal, mode, known_modes, ..earlier };
    }
    Wish { known, known_modes, base: earlier.base, ..later }
}

fn drop_beneath(wishes: &mut BTreeMap<RelPath, Wish>, path: &RelPath, txn: u64) {
    let beneath: Vec<RelPath> = wishes
        .range(path.clone()..)
        .take_while(|(other, _)| other.starts_with(path))
        .filter(|(other, wish)| *other != path && wish.txn != txn)
        .map(|(other, _)| other.clone())
        .collect();
    for path in beneath {
        wishes.remove(&path);
    }
}
