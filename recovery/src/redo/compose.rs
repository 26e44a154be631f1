//! Many committed transactions as one: the final wish for each path, and every state it may legally be found in. Pure.

use std::collections::BTreeMap;

use treewal_journal::record::{Body, Goal, Intent, New};
use treewal_vfs::{BadPath, Identity, Kind, RelPath, Time};

use super::looks::{Looks, newest};

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
    /// Directories among them, and when the transaction that found each was committed.
    pub dirs: Vec<(Identity, Time)>,
    /// What shall stand here.
    pub goal: Goal,
    /// Attributes that were set on an entry of the tree.
    pub look: Looks,
    /// The transaction that set times here, in the goal or in the look; 0 where none did.
    timed_by: u64,
    /// The stage directory that the goal's slots are in.
    pub stage: String,
    /// The transaction that wishes it.
    pub txn: u64,
    /// When the last transaction that touches the path began to look, by the clock of the disk.
    pub at: Time,
}

/// One committed transaction, as composition takes it.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Its number.
    pub txn: u64,
    /// When it was committed, by the clock of the disk.
    pub at: Time,
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
            // What was beneath an emptied directory has gone one by one, each with a wish of its own.
            if !matches!(wish.goal, Goal::Kept | Goal::Emptied) {
                drop_beneath(&mut wishes, &wish.path, part.txn);
            }
            outdate_times(&mut wishes, &wish);
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
        dirs: intent.prior.filter(|prior| prior.kind == Kind::Dir).map(|prior| (prior, part.at)).into_iter().collect(),
        goal: intent.goal.clone(),
        look: Looks::of(intent.look.as_ref()),
        timed_by: if sets_times(intent) { part.txn } else { 0 },
        stage: part.stage.to_owned(),
        txn: part.txn,
        at: part.at,
    })
}

/// The wish of a later transaction after that of an earlier one for the same path.
fn follow(earlier: Wish, mut later: Wish) -> Wish {
    if let Goal::Kept = later.goal {
        later.known.retain(|found| is_of(&earlier.goal, found));
        later.dirs.retain(|(found, _)| is_of(&earlier.goal, found));
    }
    let mut known = earlier.known;
    known.extend(later.known.into_iter().map(|found| as_made(&earlier.goal, found)));
    let mut dirs = earlier.dirs;
    dirs.extend(later.dirs);
    if let Goal::Kept = later.goal {
        // New attributes for what the earlier transaction put here: its wish stands, with them.
        let mut goal = earlier.goal;
        let mut look = earlier.look.follow(later.look);
        if let Goal::New(new) = &mut goal {
            look = look.settle(new);
        }
        return Wish {
            known,
            dirs,
            goal,
            look,
            timed_by: later.timed_by.max(earlier.timed_by),
            at: later.at,
            ..earlier
        };
    }
    Wish { known, dirs, base: earlier.base, ..later }
}

/// Whether what a later transaction gave attributes to is what an earlier one had put there. If not, somebody else came
/// between them. The later one keeps what it found, so nothing here was to replace that: it is theirs when it is found again,
/// after a kill with the new attributes, after a loss of power perhaps without. Ours goes to quarantine then.
fn is_of(earlier: &Goal, found: &Identity) -> bool {
    match earlier {
        Goal::Absent | Goal::Emptied => false,
        // Who writes to one name of a file writes to all; and a directory changes with what is in it.
        Goal::New(new @ New { body: Body::Inline(_) | Body::Staged, .. }) => {
            new.identity.same_inode(found) && found.modified <= newest(new)
        }
        Goal::New(new) => new.identity.same_inode(found),
        Goal::Moved { identity, .. } => identity.same_inode(found),
        Goal::Kept | Goal::Rewritten { .. } => true,
    }
}

/// What a later transaction found, as it may be found again. Where an earlier one made it and set its time back, that may be
/// lost: then it has the time at which it was written, and is ours none the less.
fn as_made(earlier: &Goal, found: Identity) -> Identity {
    match earlier {
        Goal::New(new) if new.times.is_some() && new.identity.same_inode(&found) => {
            Identity { modified: found.modified.max(newest(new)), ..found }
        }
        _ => found,
    }
}

fn sets_times(intent: &Intent) -> bool {
    let new = matches!(&intent.goal, Goal::New(new) if new.times.is_some());
    new || intent.look.as_ref().is_some_and(|look| look.times.is_some())
}

/// A directory whose times an earlier transaction set, and in which a later one changes a name, has the time of that.
fn outdate_times(wishes: &mut BTreeMap<RelPath, Wish>, wish: &Wish) {
    if matches!(wish.goal, Goal::Kept) {
        return;
    }
    let Some(above) = wish.path.parent().and_then(|parent| wishes.get_mut(&parent)) else { return };
    if above.timed_by == 0 || above.timed_by == wish.txn {
        return;
    }
    above.timed_by = 0;
    above.look.forget_times();
    if let Goal::New(new) = &mut above.goal {
        new.times = None;
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rel(path: &str) -> RelPath {
        RelPath::new(path).unwrap()
    }

    /// A path at which a transaction found an inode of this kind, and wants nothing.
    fn removed(path: &str, kind: Kind, ino: u64) -> Intent {
        let at = Some((&rel(path)).into());
        let prior = Some(Identity { kind, ino, born: Time::default(), size: 0, modified: Time::default() });
        Intent { path: (&rel(path)).into(), base: at, prior, goal: Goal::Absent, look: None }
    }

    fn composed(transactions: &[&[Intent]]) -> Vec<(RelPath, u64, Vec<u64>)> {
        let parts: Vec<Part<'_>> = (1..)
            .zip(transactions)
            .map(|(txn, intents)| Part { txn, at: Time::default(), stage: "stage", intents })
            .collect();
        let wishes = compose(&parts).unwrap();
        let inodes = |wish: &Wish| wish.known.iter().map(|known| known.ino).collect();
        wishes.iter().map(|wish| (wish.path.clone(), wish.txn, inodes(wish))).collect()
    }

    #[test]
    fn of_one_path_the_last_wish_stands_and_all_that_was_found_there_is_known() {
        let [first, second] = [removed("a", Kind::File, 1), removed("a", Kind::File, 2)];
        assert_eq!(composed(&[&[first], &[second]]), [(rel("a"), 2, vec![1, 2])]);
    }

    #[test]
    fn what_was_wished_beneath_a_directory_goes_with_the_transaction_that_removes_it() {
        let inside = [removed("d/x", Kind::File, 1), removed("d.x", Kind::File, 2)];
        let above = [removed("d", Kind::Dir, 3), removed("d/y", Kind::File, 4)];
        let wishes = composed(&[&inside, &above]);
        assert_eq!(wishes, [(rel("d"), 2, vec![3]), (rel("d/y"), 2, vec![4]), (rel("d.x"), 1, vec![2])]);
    }
}
