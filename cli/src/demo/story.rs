//! What the demonstration tells of: Alice pays Bob what she owes him. Three files change and one is new; whoever sees
//! only some of that sees money made or lost.

use super::picture::Picture;

/// A file of the story: its name, and its contents before and after; `None` where it does not exist.
pub(super) type File = (&'static str, Option<&'static str>, Option<&'static str>);

/// The story.
pub(super) const FILES: [File; 4] = [
    ("alice.txt", Some("100 coins"), Some("70 coins")),
    ("bob.txt", Some("20 coins"), Some("50 coins")),
    ("owed.txt", Some("alice owes bob 30"), None),
    ("paid.txt", None, Some("alice paid bob 30")),
];

/// How the change is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// By a transaction.
    Commit,
    /// In place, by code that knows nothing of treewal, under a guard.
    Guard,
}

impl Work {
    /// Its name as an argument.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Guard => "guard",
        }
    }
}

/// The tree before.
pub(super) fn before() -> Picture {
    FILES.iter().filter_map(|(name, before, _)| before.map(|text| ((*name).to_owned(), text.to_owned()))).collect()
}

/// The tree after.
pub(super) fn after() -> Picture {
    FILES.iter().filter_map(|(name, _, after)| after.map(|text| ((*name).to_owned(), text.to_owned()))).collect()
}
