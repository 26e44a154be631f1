//! A tree before and after a command.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use treewal_vfs::RealDisk;

use crate::catalogue::{Before, Case, named, prepare};
use crate::seen::{self, Seen};
use crate::strace;

/// What can be seen of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Walk {
    /// Kinds, bits, contents, targets, owners, extended attributes, and the times that were set.
    pub(crate) seen: Seen,
    /// How many names each file has.
    names: BTreeMap<PathBuf, u64>,
    /// Of each snapshot what it holds, and what is different in the tree.
    pub(crate) snapshots: BTreeMap<String, Vec<String>>,
}

impl Walk {
    /// Without the numbers of names: a stage that nothing could remove holds one more until the next opening.
    pub(crate) fn seen_alone(&self) -> Self {
        Self { names: BTreeMap::new(), ..self.clone() }
    }
}

pub(crate) struct Look {
    pub(crate) before: Walk,
    pub(crate) after: Walk,
}

impl Look {
    /// What becomes of the tree of a case if nobody disturbs it; of a recovery, what must become of it.
    pub(crate) fn of(case: &Case) -> Self {
        let dir = prepare(case);
        let before = walk(dir.path());
        let untouched = || walk(prepare(named("several")).path());
        let after = match case.before {
            Before::Nothing => walk(strace::plain(case).dir.path()),
            Before::Snapshot => {
                let after = walk(strace::plain(case).dir.path());
                if case.args.contains(&"restore") {
                    assert_eq!(seen::differences(&after.seen, &untouched().seen), "", "restored is as it was");
                }
                after
            }
            Before::Killed => walk(strace::plain(named("several")).dir.path()),
            Before::KilledRun => untouched(),
        };
        if !case.is_recovery() {
            return Self { before, after };
        }
        assert!(before != after, "{}: nothing is to be done", case.name);
        assert!(before != untouched(), "{}: nothing was done", case.name);
        // What was promised, and what was not committed, is not open any more: a recovery has one end.
        Self { before: after.clone(), after }
    }
}

pub(crate) fn walk(dir: &Path) -> Walk {
    let seen = seen::look(&RealDisk, dir);
    let meta = |path: &PathBuf| fs::symlink_metadata(dir.join(path)).unwrap();
    let files = seen.keys().map(|path| path.to_path()).filter(|path| !meta(path).is_dir());
    let names = files.map(|path| (path.clone(), meta(&path).nlink())).collect();
    let snapshots = treewal::snapshots(dir).unwrap();
    let snapshots = snapshots.iter().map(|snapshot| (snapshot.name().to_owned(), held(snapshot))).collect();
    Walk { seen, names, snapshots }
}

fn held(snapshot: &treewal::Snapshot) -> Vec<String> {
    let entries = snapshot.entries().unwrap();
    let contents = entries.iter().map(|path| format!("{path:?}: {:?}", snapshot.read(path).ok()));
    let changes = snapshot.diff().unwrap();
    contents.chain(changes.iter().map(|change| format!("{change:?}"))).collect()
}

/// Where a tree is neither as before nor as after.
pub(crate) fn differences(found: &Walk, look: &Look) -> String {
    let Look { before, after } = look;
    let seen = |wanted: &Walk| seen::differences(&found.seen, &wanted.seen);
    let snapshots: Vec<_> = [before, found, after].into_iter().map(|walk| walk.snapshots.keys()).collect();
    format!(
        "from before: {}; from after: {}; snapshots before, found, after: {snapshots:?}; names {:?}",
        seen(before),
        seen(after),
        found.names
    )
}
