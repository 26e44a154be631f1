//! Giving up: all that a transaction has goes to quarantine, and the tree works on.

use treewal_journal::record::Record;
use treewal_vfs::RelPath;

use crate::decide::{Verdict, decide};
use crate::history::{Told, Work};
use crate::home::is_owned;
use crate::quarantine::{Case, SNAPSHOT, given_up};
use crate::recover::{Item, Recovery};
use crate::redo::{Superseded, TakenBack};
use crate::sound::is_one_name;
use crate::tries::{DECIDED, PASSING};
use crate::{Error, Result};

impl Recovery<'_> {
    /// Makes it durable that a person has given transactions up, before anything of them is moved.
    pub(crate) fn decide_by_hand(&mut self, items: &mut [Item<'_>]) -> Result<()> {
        let is_it = |item: &&mut Item<'_>| item.facts.wanted.is_some() && decide(item.facts).1 == Verdict::GiveUp;
        let mut decided = Vec::new();
        for item in items.iter_mut().filter(is_it) {
            item.tries.push(DECIDED.to_owned());
            let number = u32::try_from(item.tries.len()).unwrap_or(u32::MAX);
            decided.push(Record::Attempt { txn: item.txn, number, reason: DECIDED.to_owned() });
        }
        if decided.is_empty() { Ok(()) } else { self.append(&decided) }
    }

    /// Keeps what a redo could not place.
    pub(crate) fn keep_superseded(
        &mut self,
        (txn, told): (u64, &Told),
        lost: &[&Superseded],
    ) -> Result<Option<String>> {
        if lost.iter().all(|lost| lost.contents.is_none() && !lost.is_to_tell()) {
            return Ok(None);
        }
        let mut case = Case::open(self.home, txn, Some(told))?;
        case.because("redo", "somebody else changed these paths before it was finished");
        case.say(&format!(
            "transaction {txn} was committed, but these paths were changed by somebody else before it was finished:"
        ));
        for lost in lost {
            case.keep(lost)?;
        }
        case.close().map(Some)
    }

    /// Keeps what a transaction had put into the tree, and was taken out again.
    pub(crate) fn keep_taken(&mut self, txn: u64, taken: &TakenBack) -> Result<Option<String>> {
        if taken.displaced.is_empty() {
            return Ok(None);
        }
        let mut case = Case::open(self.home, txn, None)?;
        case.say(&format!(
            "transaction {txn} was committed, and the state before it was restored by hand; this was of the transaction:"
        ));
        for (path, contents) in &taken.displaced {
            case.keep(&Superseded::given_up(txn, path.clone(), Some(contents.clone())))?;
        }
        case.close().map(Some)
    }

    /// Moves all that a transaction has into quarantine; gives the name of its case.
    pub(crate) fn give_up(&mut self, item: &Item<'_>, label: &'static str, tries: &[String]) -> Result<String> {
        let (txn, told) = (item.txn, item.told);
        let reason = why(label, tries);
        tracing::error!(txn, label, reason, "a transaction is given up; its material is kept in quarantine");
        let mut case = Case::open(self.home, txn, Some(told))?;
        case.because(label, &reason);
        case.say(&format!("transaction {txn} was given up ({label}) after {} tries: {reason}", tries.len()));
        for (number, why) in (1..).zip(tries) {
            let why = if why.is_empty() { "it was cut short" } else { why };
            case.say(&format!("try {number}: {why}"));
        }
        match &told.work {
            Work::Guarded(guard) => {
                case.say("its snapshot, the state before it, is in `snapshot`; the guarded paths are:");
                for path in &guard.paths {
                    case.say(&format!("{:?}", RelPath::from_bytes(&path.0).unwrap_or_default()));
                }
                case.guarded(guard.paths.iter().map(|path| path.0.clone()));
                if is_one_name(&guard.snapshot) {
                    case.take_dir(&self.home.guards, guard.snapshot.as_ref(), SNAPSHOT);
                }
            }
            Work::Staged(begin, intents) => {
                for lost in given_up(txn, intents) {
                    case.keep(&lost)?;
                }
                // What was moved and got no further, and what was displaced, stand in the stage. It goes as a whole, unless
                // somebody else still needs it.
                let is_needed =
                    |stage: &String| Ok::<_, Error>(self.needed.contains(stage) || is_owned(self.home, stage)?);
                if is_one_name(&begin.stage) && !is_needed(&begin.stage)? {
                    case.say("what else stood in its stage is in `stage`, here or with a transaction given up before");
                    self.stages.push((begin.stage.clone(), case.name.clone()));
                }
            }
        }
        let name = case.close()?;
        self.settled.push(Record::Quarantine { txn, name: name.clone(), reason });
        Ok(name)
    }
}

/// Why a transaction is given up, for people.
fn why(label: &str, tries: &[String]) -> String {
    let passing = tries.iter().rev().find_map(|why| why.strip_prefix(PASSING));
    let last = tries.iter().rev().find(|why| !why.is_empty()).map_or("they were cut short", String::as_str);
    if label == "incomplete" {
        return "the journal lacks a part of it".to_owned();
    }
    match label.rsplit('-').next() {
        Some("abandoned" | "hand") => "a person decided so".to_owned(),
        Some("starved") => format!(
            "nothing is wrong with it, but each try failed for a reason that may pass, at last: {}",
            passing.unwrap_or(last)
        ),
        Some("exhausted") => format!("too many tries failed, at last: {last}"),
        _ if tries.iter().all(String::is_empty) => "a record names something outside the tree".to_owned(),
        _ => last.to_owned(),
    }
}
