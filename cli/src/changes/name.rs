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
        Change::Chmod { path, .. } => format!("chmod {}", shown(path)),
        _ => "a change of another kind".to_owned(),
    }
}
