//! What must hold after a crash, before and after recovery.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use treewal::{Durability, RecoveryReport};
use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Disk, Kind, RelPath, Time};

use crate::rig::{Plan, Renames};

/// What a tree holds, as far as it matters to anybody.
pub(crate) type Dump = BTreeMap<RelPath, Seen>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) contents: Vec<u8>,
    pub(crate) target: Option<Vec<u8>>,
    pub(crate) owner: (u32, u32),
    pub(crate) xattrs: BTreeMap<OsString, Vec<u8>>,
    /// The first name of the same inode, where it has several.
    pub(crate) first_link: Option<RelPath>,
    /// The time of modification, where it was set: to one long gone.
    pub(crate) set: Option<Time>,
}

/// What was set lies before this, in seconds; what the disk's clock says does not.
const LONG_GONE: i64 = 1_000_000;

/// Which of the paths that there are before and after are never missing, also before recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lasting {
    /// Each: staged transactions promise it.
    All,
    /// Each but those inside a directory that takes the place of another: a power loss may keep the exchange and lose the names
    /// inside, and what is kept follows the exchange. The guarantees name that gap.
    NotInside(&'static str),
    /// None: a guard lets anybody do anything. What it undoes moves the time of the tree itself, which no guard of paths in it
    /// knows.
    Guarded,
    /// None, and the guard is one of the tree itself.
    GuardedWhole,
}

impl Lasting {
    fn holds(self, path: &RelPath) -> bool {
        match self {
            Self::All => true,
            Self::NotInside(dir) => {
                !path.parent().is_some_and(|parent| parent.starts_with(&RelPath::new(dir).unwrap()))
            }
            Self::Guarded | Self::GuardedWhole => false,
        }
    }
}

/// What a crash may lead to.
pub(crate) struct Expected<'a> {
    /// The tree before the first step, and every state that it has on the way.
    pub(crate) states: &'a [Dump],
    /// Those that recovery may come to.
    pub(crate) allowed: Vec<&'a Dump>,
    /// Whether something may be in quarantine.
    pub(crate) may_keep: bool,
}

impl<'a> Expected<'a> {
    /// Steps one after another: the tree is as after those that the workload was told are done, or one more.
    pub(crate) fn after(states: &'a [Dump], acknowledged: usize) -> Self {
        let last = states.len().min(acknowledged + 2);
        Self { states, allowed: states[acknowledged..last].iter().collect(), may_keep: false }
    }
}

/// The tree without treewal's own directory, the tree itself among its paths.
pub(crate) fn dump(disk: &SimDisk) -> Dump {
    let own = RelPath::new(".treewal").unwrap();
    let nodes = disk.dump_without(&own);
    // A name in the stage is none that anybody sees.
    let mut names: BTreeMap<RelPath, Vec<RelPath>> = BTreeMap::new();
    for (path, node) in &nodes {
        if let Some(first) = &node.first_link {
            names.entry(first.clone()).or_default().push(path.clone());
        }
    }
    nodes
        .into_iter()
        .map(|(path, node)| {
            let target = node.target.map(|target| target.as_encoded_bytes().to_vec());
            let seen = Seen {
                kind: node.kind,
                mode: node.mode,
                contents: node.contents,
                target,
                owner: (node.uid, node.gid),
                xattrs: node.xattrs,
                first_link: node.first_link.and_then(|first| match names.get(&first).map(Vec::as_slice) {
                    Some([first, _, ..]) => Some(first.clone()),
                    _ => None,
                }),
                set: Some(node.modified).filter(|modified| modified.secs < LONG_GONE),
            };
            (path, seen)
        })
        .collect()
}

/// Whether a tree is as another. A directory in which names came and went has a time that nobody promised: those of several
/// transactions that a recovery redoes as one may not move it at all.
pub(crate) fn is_as(found: &Dump, wanted: &Dump) -> bool {
    found.len() == wanted.len() && found.iter().all(|(path, seen)| is_entry_as(Some(seen), wanted.get(path)))
}

/// The same of one entry.
pub(crate) fn is_entry_as(found: Option<&Seen>, wanted: Option<&Seen>) -> bool {
    match (found, wanted) {
        (Some(found), Some(wanted)) if wanted.kind == Kind::Dir && wanted.set.is_none() => {
            Seen { set: None, ..found.clone() } == *wanted
        }
        _ => found == wanted,
    }
}

/// P1, P2, P3, P4, P5: after one opening the tree is before or after, after if that was promised, nothing is in
/// quarantine, and nothing is left over.
pub(crate) fn judge(disk: &SimDisk, expected: &Expected<'_>, report: &RecoveryReport, at: &dyn Fn() -> String) {
    let found = dump(disk);
    if !expected.allowed.iter().any(|wanted| is_as(&found, wanted)) {
        panic!("{}\nnone of the allowed states:\n{}\nrecovery: {report}", at(), differences(&found, expected));
    }
    assert!(!report.found_damage(), "{}: damage reported: {report}", at());
    assert_eq!(report.pending().count(), 0, "{}: still pending: {report}", at());
    for sub in if expected.may_keep { &["stage", "guards"][..] } else { &["stage", "guards", "quarantine"] } {
        assert_eq!(entries(disk, sub), Vec::<OsString>::new(), "{}: left over in {sub}", at());
    }
}

/// The names in one of treewal's own directories.
pub(crate) fn entries(disk: &SimDisk, sub: &str) -> Vec<OsString> {
    let root = disk.open_root("/".as_ref()).unwrap();
    let dir = disk.open_dir(&root, &RelPath::new(".treewal").unwrap().join(OsStr::new(sub)));
    let listed = dir.and_then(|dir| disk.list(&dir)).unwrap_or_default();
    listed.into_iter().map(|entry| entry.name).collect()
}

/// P7, and what each durability level says of a tree that nobody has recovered yet.
pub(crate) fn judge_unrecovered(
    disk: &SimDisk,
    expected: &Expected<'_>,
    (plan, lasting): (Plan, Lasting),
    at: &dyn Fn() -> String,
) {
    if matches!(lasting, Lasting::Guarded | Lasting::GuardedWhole) {
        return;
    }
    let durability = plan.durability;
    let found = dump(disk);
    for (path, first) in &expected.states[0] {
        let versions: Vec<&Seen> = expected.states.iter().filter_map(|state| state.get(path)).collect();
        if versions.len() < expected.states.len() {
            continue;
        }
        let may_be_missing = !lasting.holds(path) || may_be_missing(plan.renames, path, &versions, &found);
        if may_be_missing && !found.contains_key(path) {
            continue;
        }
        let Some(seen) = found.get(path) else { panic!("{}: {path} is missing before recovery", at()) };
        if durability == Durability::Tree
            && plan.renames != Renames::Mounted
            && first.kind == Kind::File
            && versions.iter().all(|version| version.kind == Kind::File)
        {
            assert!(versions.iter().any(|version| version.contents == seen.contents), "{}: {path} is torn", at());
        }
    }
}

/// Where two names cannot be exchanged, a directory is missing for a moment, and what is in it; a file only where there are
/// no second names.
fn may_be_missing(renames: Renames, path: &RelPath, versions: &[&Seen], found: &Dump) -> bool {
    match renames {
        Renames::All | Renames::Mounted => false,
        Renames::Plain => true,
        Renames::NoExchange => {
            let above_is_missing = path.parent().is_some_and(|dir| !dir.is_root() && !found.contains_key(&dir));
            above_is_missing || versions.iter().any(|version| version.kind == Kind::Dir)
        }
    }
}

fn differences(found: &Dump, expected: &Expected<'_>) -> String {
    let short = |seen: Option<&Seen>| match seen {
        None => "absent".to_owned(),
        Some(seen) => {
            let head: String = seen.contents.iter().take(12).map(|byte| char::from(*byte)).collect();
            let Seen { kind, mode, contents, owner, xattrs, first_link, set, .. } = seen;
            let len = contents.len();
            format!("{kind:?} {mode:04o} {owner:?} {xattrs:?} {first_link:?} {set:?} {len} bytes {head:?}")
        }
    };
    let mut lines = Vec::new();
    let allowed = &expected.allowed;
    let paths: std::collections::BTreeSet<&RelPath> =
        found.keys().chain(allowed.iter().flat_map(|state| state.keys())).collect();
    for path in paths {
        let wanted: Vec<Option<&Seen>> = allowed.iter().map(|state| state.get(path)).collect();
        if wanted.iter().any(|wanted| *wanted != found.get(path)) {
            let wanted: Vec<String> = wanted.into_iter().map(short).collect();
            lines.push(format!("  {path}: {} (allowed: {})", short(found.get(path)), wanted.join("; ")));
        }
    }
    lines.join("\n")
}
