//! A change in words, as an error names it.

use treewal::Change;

use crate::output::shown;

/// The operation and what it is about.
pub(crate) fn name(change: &Change) -> String {
    match change {
        Change::Write { path, .. } => format!("write {}", shown(path)),
        Change::Append { path, .. } => format!("append {}", shown(path)),
        Change::Copy { from, to, .. } => format!("copy {} to {}", shown(from), shown(to)),
        Change::Mkdir { path, .. } => format!("mkdir {}", shown(path)),
        Change::Rename { from, to, .. } => format!("rename {} to {}", shown(from), shown(to)),
        Change::Exchange { a, b } => format!("exchange {} and {}", shown(a), shown(b)),
        Change::Remove { path, .. } => format!("remove {}", shown(path)),
        Change::Symlink { path, .. } => format!("symlink {}", shown(path)),
        Change::Patch { path, .. } => format!("patch {}", shown(path)),
        Change::Truncate { path, .. } => format!("truncate {}", shown(path)),
        Change::HardLink { from, to, .. } => format!("hard_link {} to {}", shown(from), shown(to)),
        Change::Publish { from, to, .. } => format!("publish {} as {}", shown(from), shown(to)),
        Change::Chown { path, .. } => format!("chown {}", shown(path)),
        Change::SetTimes { path, .. } => format!("set_times {}", shown(path)),
        Change::SetXattr { path, name, .. } => format!("set_xattr {name:?} of {}", shown(path)),
        Change::RemoveXattr { path, name } => format!("remove_xattr {name:?} of {}", shown(path)),
        Change::Chmod { path, .. } => format!("chmod {}", shown(path)),
        _ => "a change of another kind".to_owned(),
    }
}
