//! What must hold, told by somebody who knows all that was ever written.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use treewal::RecoveryReport;
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Dir, Disk, Identity, Kind, RelPath, read_all};

use super::acts::{Act, THEIR_BITS};
use super::changes::{Change, large, small};
use crate::world::{ROOT, open};

/// Everything that can be seen of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Eye {
    identity: Identity,
    mode: u32,
    owner: (u32, u32),
    contents: Vec<u8>,
    target: Option<OsString>,
    xattrs: Vec<(OsString, Vec<u8>)>,
}

/// A tree, without treewal's own directory.
pub(crate) type Eyes = BTreeMap<RelPath, Eye>;

/// Looks at all of a tree.
pub(crate) fn eyes(disk: &SimDisk) -> Eyes {
    let own = RelPath::new(".treewal").unwrap();
    let mut seen = beneath(disk, &disk.open_root(ROOT.as_ref()).unwrap(), &RelPath::root(), &own);
    seen.remove(&own);
    seen
}

fn beneath(disk: &SimDisk, dir: &Dir, at: &RelPath, without: &RelPath) -> Eyes {
    let mut seen = Eyes::new();
    for entry in disk.list(dir).unwrap() {
        let path = at.join(&entry.name);
        let meta = disk.stat(dir, &entry.name).unwrap();
        let mut eye = Eye {
            identity: meta.identity(),
            mode: if meta.kind == Kind::Symlink { 0 } else { meta.mode },
            owner: (meta.uid, meta.gid),
            contents: Vec::new(),
            target: None,
            xattrs: disk.xattrs(dir, &entry.name).unwrap(),
        };
        match meta.kind {
            Kind::File => {
                let file = disk.open(dir, &entry.name, treewal_vfs::Open::Read).unwrap();
                eye.contents = read_all(disk, &file, 1 << 20).unwrap();
            }
            Kind::Symlink => eye.target = Some(disk.read_link(dir, &entry.name).unwrap()),
            Kind::Dir if path != *without => {
                let inner = disk.open_dir(dir, &RelPath::root().join(&entry.name)).unwrap();
                seen.extend(beneath(disk, &inner, &path, without));
            }
            _ => {}
        }
        seen.insert(path, eye);
    }
    seen
}

/// What files hold, by where they lie: what others wrote into one of ours may be in a stage again, when the power took its
/// name in the tree back.
#[derive(Default)]
struct Bytes {
    tree: Vec<Vec<u8>>,
    stages: Vec<Vec<u8>>,
    quarantine: Vec<Vec<u8>>,
}

impl Bytes {
    fn of(disk: &SimDisk) -> Self {
        let (mut bytes, own) = (Self::default(), RelPath::new(".treewal").unwrap());
        for (path, node) in disk.dump().into_iter().filter(|(_, node)| node.kind == Kind::File) {
            if path.starts_with(&own.join("stage")) {
                bytes.stages.push(node.contents);
            } else if path.starts_with(&own.join("quarantine")) {
                bytes.quarantine.push(node.contents);
            } else if !path.starts_with(&own) {
                bytes.tree.push(node.contents);
            }
        }
        bytes
    }

    fn hold(&self, contents: &Vec<u8>) -> bool {
        self.tree.contains(contents) || self.stages.contains(contents) || self.quarantine.contains(contents)
    }
}

/// What an entry is to a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Ours,
    Torn,
    Old,
    Nothing,
    Theirs,
}

impl Whose {
    fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours, whole",
            Self::Torn => "ours, cut or zeroed",
            Self::Old => "old",
            Self::Nothing => "nothing",
            Self::Theirs => "theirs",
        }
    }
}

fn is_torn(found: &[u8], whole: &[u8]) -> bool {
    found.len() <= whole.len() && found.iter().zip(whole).all(|(found, whole)| found == whole || *found == 0)
}

/// Whether an entry is `known`, and by its time nobody wrote into it. Where the power kept what somebody wrote and took the
/// time of that, nothing tells.
fn is_it(found: &Eye, known: &Eye) -> bool {
    let (this, that) = (&found.identity, &known.identity);
    this.same_inode(that) && this.modified <= that.modified
}

fn same_contents(one: &Eye, other: &Eye) -> bool {
    one.identity.kind == other.identity.kind && one.contents == other.contents && one.target == other.target
}

/// One case: ours, theirs, and when.
pub(crate) struct Case<'a> {
    pub(crate) change: &'a Change,
    pub(crate) act: Act,
    pub(crate) killed_at: Option<u64>,
    pub(crate) old: &'a Eyes,
    /// What the commit leads to.
    pub(crate) new: &'a Eyes,
}

impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, killed at {:?}, then {:?}", self.change.name, self.killed_at, self.act)
    }
}

/// A recovery, from outside.
struct Seen {
    before: Eyes,
    after: Eyes,
    held: Bytes,
    kept: Bytes,
    report: RecoveryReport,
}

/// Why a promise is broken.
type Judged = Result<(), String>;

impl Case<'_> {
    /// Recovers the disk, and looks at what became of everything that was on it. Gives what stood at the path.
    pub(crate) fn judge(&self, disk: &SimDisk) -> Result<&'static str, String> {
        let (before, held) = (eyes(disk), Bytes::of(disk));
        let met = self.whose(&RelPath::new(super::changes::PATH).unwrap(), &before);
        let tree = open(disk);
        let report = tree.recovery().clone();
        drop(tree);
        let seen = Seen { before, after: eyes(disk), held, kept: Bytes::of(disk), report };
        let judged = self.judge_theirs(&seen).and_then(|()| self.judge_ours(&seen));
        judged.map_err(|why| format!("{why}\nrecovery: {}", seen.report))?;
        if seen.report.pending().count() > 0 {
            return Err(format!("unfinished: {}", seen.report));
        }
        let again = open(disk);
        if !again.recovery().is_clean() || eyes(disk) != seen.after {
            return Err(format!("a second recovery did something: {}", again.recovery()));
        }
        Ok(met.name())
    }

    fn whose(&self, path: &RelPath, eyes: &Eyes) -> Whose {
        let Some(found) = eyes.get(path) else { return Whose::Nothing };
        if let Some(new) = self.new.get(path).filter(|new| new.identity.kind == found.identity.kind) {
            if found.identity.kind == Kind::Dir || same_contents(found, new) {
                return Whose::Ours;
            }
            let (this, that) = (&found.identity, &new.identity);
            if this.same_inode(that) && this.modified <= that.modified && is_torn(&found.contents, &new.contents) {
                return Whose::Torn;
            }
        }
        if self.old.values().any(|old| is_it(found, old)) { Whose::Old } else { Whose::Theirs }
    }

    /// Nothing of theirs is changed, moved or lost.
    fn judge_theirs(&self, Seen { before, after, held, kept, .. }: &Seen) -> Judged {
        for (path, found) in before {
            let now = after.get(path);
            let is_bystander = !self.is_changed(path) || self.whose(path, before) == Whose::Theirs;
            // Where it is an inode of ours, the commit says where that stands, and what attributes it has.
            let is_placed = path.ancestors().chain([path.clone()]).any(|above| {
                let Some(dir) = before.get(&above) else { return false };
                let ours = self.new.iter().find(|(_, new)| new.identity.same_inode(&dir.identity));
                let Some((at, _)) = ours else { return false };
                let at = at.join_path(&path.strip_prefix(&above).unwrap());
                after.get(&at).is_some_and(|now| now.identity == found.identity && same_contents(now, found))
            });
            if is_bystander && now != Some(found) && !is_placed {
                return Err(format!("{path} was theirs, {found:?}, and is {now:?}"));
            }
        }
        let is_known = |contents: &Vec<u8>, eyes: &Eyes| eyes.values().any(|known| is_torn(contents, &known.contents));
        let passes = |contents: &Vec<u8>| {
            before.values().any(|eye| eye.contents == *contents && self.old.values().any(|old| is_it(eye, old)))
        };
        // What was staged and never promised.
        let staged = |contents: &Vec<u8>| [small("ours"), large("ours")].iter().any(|ours| is_torn(contents, ours));
        for contents in held.tree.iter().chain(&held.stages).filter(|contents| !staged(contents)) {
            let is_there = kept.tree.contains(contents) || kept.quarantine.contains(contents);
            if !is_there && !is_known(contents, self.old) && !is_known(contents, self.new) && !passes(contents) {
                return Err(format!("{} bytes of theirs are nowhere", contents.len()));
            }
        }
        for path in after.keys().filter(|path| !before.contains_key(*path)) {
            let was_there = before.values().any(|eye| eye.identity == after[path].identity);
            let is_ours = was_there || self.new.contains_key(path) || self.new.keys().any(|new| new.starts_with(path));
            // It is in a directory of ours, whose name the power had taken back.
            if !is_ours && !held.stages.contains(&after[path].contents) {
                return Err(format!("{path} was not there before, and is none of ours"));
            }
        }
        Ok(())
    }

    /// What was committed is there, or in quarantine.
    fn judge_ours(&self, seen: &Seen) -> Judged {
        let Seen { before, after, held, kept, report } = seen;
        if !report.transactions.iter().any(|done| done.label == "redo") {
            return Ok(());
        }
        let told = |path: &RelPath| {
            let mut lists = report.transactions.iter().map(|done| &done.superseded);
            lists.any(|list| list.contains(&path.to_string()))
        };
        let is_told = |path: &RelPath| told(path) || path.ancestors().any(|above| told(&above));
        for (path, new) in self.new.iter().filter(|(path, _)| self.is_changed(path)) {
            let (found, now) = (self.whose(path, before), after.get(path));
            let bytes = new.target.as_ref().map_or(new.contents.clone(), |target| target.as_encoded_bytes().to_vec());
            let is_kept =
                new.identity.kind == Kind::Dir || kept.tree.contains(&bytes) || kept.quarantine.contains(&bytes);
            // What the journal does not hold can only be where it was.
            let is_owed = self.change.is_held || held.hold(&bytes);
            let is_same = |other: &&Eye| other.identity.same_inode(&new.identity);
            match found {
                // A large file of ours that bears the time of ours is taken for ours: nothing says what it held.
                Whose::Theirs if !told(path) && self.change.is_held => {
                    return Err(format!("{path} is theirs, and that is not told"));
                }
                Whose::Theirs if is_owed && !is_kept => return Err(format!("ours, of {path}, is nowhere")),
                Whose::Theirs => {}
                _ if now.is_some_and(|now| same_contents(now, new)) => self.judge_looks(path, before.get(path), now)?,
                // Theirs is in our file, whose name the power had taken back.
                _ if now.as_ref().is_some_and(is_same) => {}
                _ if is_told(path) && (!is_owed || is_kept) => {}
                Whose::Nothing if self.change.is_attributes => {}
                // It would have come along with the directory that it was in.
                Whose::Nothing if !is_owed && path.depth() > 2 => {}
                found => return Err(format!("{path} was {found:?} and is not what was committed: {now:?}")),
            }
        }
        for path in self.old.keys().filter(|path| !self.new.contains_key(*path)) {
            if self.whose(path, before) == Whose::Old && after.contains_key(path) && !is_told(path) {
                return Err(format!("{path} was removed, and is there"));
            }
        }
        Ok(())
    }

    /// Attributes that others set on what is ours stay, where they can be told from those that are not yet there.
    fn judge_looks(&self, path: &RelPath, found: Option<&Eye>, now: Option<&Eye>) -> Judged {
        let (Some(new), Some(now)) = (self.new.get(path), now) else { return Ok(()) };
        let Some(found) = found.filter(|found| same_contents(found, new)) else { return Ok(()) };
        if !found.identity.same_inode(&new.identity) {
            let is_left = now == found || self.old.values().any(|old| is_it(found, old));
            return if is_left { Ok(()) } else { Err(format!("{path} is in their inode: {found:?}, and {now:?}")) };
        }
        let wanted = if found.mode == THEIR_BITS { THEIR_BITS } else { new.mode };
        if now.mode == wanted { Ok(()) } else { Err(format!("{path} shall have the bits {wanted:o}: {now:?}")) }
    }

    fn is_changed(&self, path: &RelPath) -> bool {
        self.old.get(path) != self.new.get(path)
    }
}
