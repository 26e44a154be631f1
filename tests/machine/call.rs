//! Operations of a transaction, those among them that only this test has: what it relies on, what it writes only where it differs,
//! and what it merges.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use treewal::{Error, Expect, Publish, Transaction};
use treewal_vfs::RelPath;

use crate::memory::{Memory, No, rel};
use crate::ops::{Op, op};
use crate::outside::Outside;
use crate::step::path;
use crate::told::{is_outside, paths_of};
use crate::world::OUTSIDE;

/// Scripts have either by its own word.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Call {
    Op(Op),
    More(More),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum More {
    /// These bytes, or those that the file has.
    WriteIfChanged(PathBuf, Option<Vec<u8>>),
    /// A path of the tree is merged into another; whether what it does not have stays.
    Merge(PathBuf, PathBuf, bool),
    Expect(PathBuf, Relied),
    Outside(Outer),
}

/// Something that stands outside of the tree is published.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outer {
    /// The n-th of those that there are.
    nth: u8,
    to: PathBuf,
    merge: bool,
    keep: bool,
    /// What it is, where it is made only now, and whether it is made durable then.
    pub(crate) kind: u8,
    pub(crate) synced: bool,
}

/// What is expected of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Relied {
    Absent,
    /// The contents that it has.
    Digest,
    /// Some that it has not.
    Other,
    Unchanged,
}

/// What an operation has to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    /// Whether it is written.
    Written(bool),
    Fails(No),
    Conflict,
}

/// An operation, what it has to answer, and what it leaves.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) call: Call,
    pub(crate) answer: Answer,
    pub(crate) after: Memory,
    pub(crate) outside: Outside,
    /// What stands outside and is published.
    pub(crate) source: Option<RelPath>,
    /// Its number in the model, where it comes into the tree.
    pub(crate) published: Option<u64>,
    /// What must still be so at the commit, as it was when the transaction began.
    pub(crate) relied: Vec<RelPath>,
    /// What a digest is expected to be.
    pub(crate) digest: Option<[u8; 32]>,
}

impl From<Op> for Call {
    fn from(op: Op) -> Self {
        Self::Op(op)
    }
}

impl Answer {
    pub(crate) fn is_ok(self) -> bool {
        matches!(self, Self::Done | Self::Written(_))
    }
}

impl Call {
    /// The paths that it names.
    pub(crate) fn paths(&self) -> Vec<&Path> {
        match self {
            Self::Op(op) => paths_of(op),
            Self::More(More::WriteIfChanged(path, _)) => vec![path],
            Self::More(More::Merge(from, to, _)) => vec![from, to],
            Self::More(More::Outside(outer)) => vec![&outer.to],
            // Nothing is done to it.
            Self::More(More::Expect(..)) => Vec::new(),
        }
    }

    /// The path that it looks at for the commit.
    pub(crate) fn relied(&self) -> Option<&Path> {
        if let Self::More(More::Expect(path, _)) = self { Some(path) } else { None }
    }

    pub(crate) fn op(&self) -> Option<&Op> {
        if let Self::Op(op) = self { Some(op) } else { None }
    }

    /// Whether it gives names of files that it keeps to what is published.
    pub(crate) fn links(&self) -> bool {
        matches!(self, Self::More(More::Outside(Outer { merge: false, keep: true, .. })))
    }

    /// The word for it in what is counted.
    pub(crate) fn word(&self) -> Option<&'static str> {
        Some(match self {
            Self::Op(_) => return None,
            Self::More(More::WriteIfChanged(..)) => "write if changed",
            Self::More(More::Merge(..)) => "merge",
            Self::More(More::Expect(..)) => "expect",
            Self::More(More::Outside(Outer { merge: false, .. })) => "publish from outside",
            Self::More(More::Outside(_)) => "merge from outside",
        })
    }

    /// What it has to answer in a transaction that began on `start` and has come to `now`; `None` where that is not told.
    fn told(&self, start: &Memory, now: &Memory, outside: &Outside) -> Option<Told> {
        let told = |answer, after, relied| {
            let outside = outside.clone();
            Told { call: self.clone(), answer, after, outside, source: None, published: None, relied, digest: None }
        };
        let fails = |no| told(Answer::Fails(no), now.clone(), Vec::new());
        let mut after = now.clone();
        let more = match self {
            Self::Op(op) => {
                return Some(match after.take(op) {
                    Ok(()) => told(Answer::Done, after, Vec::new()),
                    Err(no) => fails(no),
                });
            }
            Self::More(more) => more,
        };
        Some(match more {
            More::WriteIfChanged(path, bytes) => {
                let at = rel(path);
                let there = now.at(&at).filter(|_| now.is_file(&at)).map(|entry| entry.contents.clone());
                let bytes = bytes.clone().or(there.clone()).unwrap_or_else(|| b"new".to_vec());
                match after.take(&Op::Write(path.clone(), bytes.clone())) {
                    Ok(()) if there == Some(bytes) => {
                        let relied = [at].into_iter().filter(|at| is_as_it_began(start, now, at)).collect();
                        told(Answer::Written(false), now.clone(), relied)
                    }
                    Ok(()) => told(Answer::Written(true), after, Vec::new()),
                    Err(no) => fails(no),
                }
            }
            More::Merge(from, to, keep) => match after.merge(start, &rel(from), &rel(to), *keep)? {
                Ok(relied) => told(Answer::Done, after, relied),
                Err(no) => fails(no),
            },
            More::Expect(path, what) => start.relies(now, &rel(path), *what, told),
            More::Outside(outer) => outer.told(start, now, outside, told)?,
        })
    }

    fn stage(&self, tx: &mut Transaction, told: &Told) -> treewal::Result<Option<bool>> {
        match self {
            Self::Op(op) => op.stage(tx).map(|()| None),
            Self::More(More::WriteIfChanged(path, bytes)) => {
                let had = || tx.read(path).unwrap_or_else(|_| b"new".to_vec());
                let bytes = bytes.clone().unwrap_or_else(had);
                tx.write_if_changed(path, bytes).map(Some)
            }
            Self::More(More::Merge(from, to, keep)) => {
                tx.publish_with(Publish::merge().keep_unmanaged(*keep), from, to).map(|()| None)
            }
            Self::More(More::Expect(path, what)) => {
                let expected = match what {
                    Relied::Absent => Expect::Absent,
                    Relied::Digest | Relied::Other => Expect::Digest(told.digest.unwrap_or_default()),
                    Relied::Unchanged => Expect::Unchanged,
                };
                tx.expect(path, expected).map(|()| None)
            }
            Self::More(More::Outside(outer)) => {
                let source = told.source.as_ref().map(|source| Path::new(OUTSIDE).join(source.to_path()));
                tx.publish_with(outer.how(), source.unwrap_or_default(), &outer.to).map(|()| None)
            }
        }
    }
}

impl Outer {
    pub(crate) fn how(&self) -> Publish {
        let how = if self.merge { Publish::merge() } else { Publish::exchange() };
        how.keep_unmanaged(self.keep)
    }

    pub(crate) fn as_change(&self, source: &RelPath) -> serde_json::Value {
        let from = Path::new(OUTSIDE).join(source.to_path());
        serde_json::json!({
            "op": "publish", "from": from, "to": self.to, "merge": self.merge, "keep_unmanaged": self.keep
        })
    }

    fn told(
        &self,
        start: &Memory,
        now: &Memory,
        outside: &Outside,
        told: impl Fn(Answer, Memory, Vec<RelPath>) -> Told,
    ) -> Option<Told> {
        let tops = outside.tops();
        let top = tops.get(usize::from(self.nth) % tops.len().max(1))?;
        // What stands in the tree and nowhere else cannot go: the tree itself is merged into, or not at all.
        let (to, at) = (rel(&self.to), rel("outside".as_ref()));
        if to.is_root() && !(self.merge && self.keep) {
            return None;
        }
        let (mut after, mut left) = (now.clone(), outside.clone());
        after.put_thing(&at, &outside.thing(top));
        let published = Some(after.names[&at]).filter(|_| !self.merge);
        let done = if now.is_beneath_a_symlink(&to) {
            Err(No::Refused)
        } else if self.merge {
            let source = after.clone();
            let done = after.merge_of((start, u64::MAX), (&source, &at), &to, self.keep)?;
            after.cut(&at);
            done
        } else {
            left.remove(top);
            let done = after.take(&Op::Publish(at.to_path(), self.to.clone(), self.keep));
            // What is kept is linked to, and must be the same then.
            let kept = |path: &RelPath| path.starts_with(&to) && *path != to && !now.is_dir(path);
            let stays = |path: &&RelPath| kept(path) && after.names.get(*path) == now.names.get(*path);
            let relied = now.names.keys().filter(stays).filter(|path| is_as_it_began(start, now, path));
            done.map(|()| relied.cloned().collect())
        };
        let (answer, after, left, relied) = match done {
            Ok(relied) => (Answer::Done, after, left, relied),
            Err(no) => (Answer::Fails(no), now.clone(), outside.clone(), Vec::new()),
        };
        let published = published.filter(|_| answer.is_ok());
        Some(Told { source: Some(top.clone()), published, outside: left, ..told(answer, after, relied) })
    }
}

/// Whether a path names the same as when the transaction began.
pub(crate) fn is_as_it_began(start: &Memory, now: &Memory, path: &RelPath) -> bool {
    now.names.contains_key(path) && start.names.get(path) == now.names.get(path)
}

impl Memory {
    /// Whether what a transaction expects of a path holds, which is about the tree as it was when it began.
    fn relies(
        &self,
        now: &Self,
        path: &RelPath,
        what: Relied,
        told: impl Fn(Answer, Self, Vec<RelPath>) -> Told,
    ) -> Told {
        if self.is_beneath_a_symlink(path) {
            return told(Answer::Fails(No::Refused), now.clone(), Vec::new());
        }
        let file = self.at(path).filter(|_| self.is_file(path));
        let holds = match what {
            Relied::Absent => self.at(path).is_none(),
            Relied::Digest => file.is_some(),
            Relied::Other => false,
            Relied::Unchanged => true,
        };
        let mut digest = Sha256::new();
        digest.update(file.map(|file| file.contents.as_slice()).unwrap_or_default());
        if what == Relied::Other {
            digest.update("and more");
        }
        let (answer, relied) = if holds { (Answer::Done, vec![path.clone()]) } else { (Answer::Conflict, Vec::new()) };
        Told { digest: Some(digest.finalize().into()), ..told(answer, now.clone(), relied) }
    }

    fn is_beneath_a_symlink(&self, path: &RelPath) -> bool {
        let mut above = std::iter::successors(path.parent(), RelPath::parent);
        above.any(|dir| self.is(&dir, treewal_vfs::Kind::Symlink))
    }
}

/// What operations answer, one after another; each in a transaction of its own, or all in one. One that sets attributes of a
/// file with several names stands alone.
pub(crate) fn told(memory: &Memory, outside: &Outside, calls: &[Call], each: bool) -> Vec<Told> {
    let fresh = |memory: &Memory| Memory { unset: std::collections::BTreeSet::new(), ..memory.clone() };
    let mut start = fresh(memory);
    let (mut now, mut left) = (start.clone(), outside.clone());
    let mut all: Vec<Told> = Vec::new();
    for call in calls {
        if each {
            start = fresh(&now);
            now = start.clone();
        }
        let outside = call.op().is_some_and(|op| is_outside(&now, op));
        let may_be_alone = |op: &Op| !matches!(op, Op::Publish(..)) && !now.is_dir(&rel(paths_of(op)[0]));
        if outside && !(all.is_empty() && call.op().is_some_and(may_be_alone)) {
            continue;
        }
        let Some(told) = call.told(&start, &now, &left) else { continue };
        (now, left) = (told.after.clone(), told.outside.clone());
        all.push(told);
        if outside {
            break;
        }
    }
    all
}

/// Stages; every answer must be the model's.
pub(crate) fn stage(tx: &mut Transaction, all: &[Told]) -> Result<(), String> {
    for told in all {
        let found = told.call.stage(tx, told);
        let fits = match (told.answer, &found) {
            (Answer::Done, Ok(None)) | (Answer::Fails(No::Refused), Err(_)) => true,
            (Answer::Written(wanted), Ok(Some(found))) => wanted == *found,
            (Answer::Fails(No::Because(kind)), Err(error)) => error.kind() == kind,
            (Answer::Conflict, Err(Error::Conflict { .. })) => true,
            _ => false,
        };
        if !fits {
            return Err(format!("{:?}: {found:?}, not {:?}", told.call, told.answer));
        }
    }
    Ok(())
}

fn bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
    let some = (prop::sample::select(vec![0, 3, 65, 300]), any::<u8>()).prop_map(|(len, byte)| vec![byte; len]);
    prop::option::of(some)
}

pub(crate) fn relied() -> BoxedStrategy<Relied> {
    use Relied::{Absent, Digest, Other, Unchanged};
    prop::sample::select(vec![Absent, Digest, Digest, Other, Unchanged, Unchanged]).boxed()
}

pub(crate) fn outer() -> BoxedStrategy<More> {
    let to = prop_oneof![12 => path(), 1 => Just(PathBuf::from("."))];
    let how = (prop::bool::weighted(0.3), any::<bool>(), any::<bool>());
    (0..2u8, to, how, 0..4u8)
        .prop_map(|(nth, to, (merge, keep, synced), kind)| More::Outside(Outer { nth, to, merge, keep, kind, synced }))
        .boxed()
}

pub(crate) fn more() -> BoxedStrategy<More> {
    prop_oneof![
        2 => (path(), bytes()).prop_map(|(path, bytes)| More::WriteIfChanged(path, bytes)),
        3 => (path(), path(), any::<bool>()).prop_map(|(from, to, keep)| More::Merge(from, to, keep)),
        4 => outer(),
        2 => (path(), relied()).prop_map(|(path, what)| More::Expect(path, what)),
    ]
    .boxed()
}

pub(crate) fn call() -> BoxedStrategy<Call> {
    prop_oneof![5 => op().prop_map(Call::Op), 1 => more().prop_map(Call::More)].boxed()
}
