//! What is done to a program, and where.

use std::collections::BTreeMap;
use std::fmt;

use crate::calls::{CHANGING, Call};

#[derive(Debug, Clone)]
pub(crate) enum Fault {
    Kill {
        name: String,
        nth: u64,
    },
    Fail {
        name: String,
        nth: u64,
        errno: &'static str,
    },
    /// Of each name, all calls from a number on.
    FailFrom {
        from: BTreeMap<String, u64>,
        errno: &'static str,
    },
    /// No file grows beyond so many blocks of 512 bytes.
    Limit {
        blocks: u64,
    },
}

/// A fault, and the call that it must strike first.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    pub(crate) fault: Fault,
    /// `None` where no call is meant.
    pub(crate) meant: Option<Call>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill { name, nth } => write!(f, "killed as it enters {name} number {nth}"),
            Self::Fail { name, nth, errno } => write!(f, "{name} number {nth} fails with {errno}"),
            Self::FailFrom { from, errno } => write!(f, "from these on {errno}: {from:?}"),
            Self::Limit { blocks } => write!(f, "files end at {blocks} blocks"),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.meant {
            None => write!(f, "{}", self.fault),
            Some(Call { name, nth, about, .. }) => write!(f, "{}, at {name} number {nth} of {about:?}", self.fault),
        }
    }
}

impl Fault {
    pub(crate) fn limit(blocks: u64) -> Point {
        Point { fault: Self::Limit { blocks }, meant: None }
    }

    /// What the tracer is told.
    pub(crate) fn injections(&self) -> Vec<String> {
        match self {
            Self::Kill { name, nth } => vec![format!("inject={name}:signal=SIGKILL:when={nth}")],
            Self::Fail { name, nth, errno } => vec![format!("inject={name}:error={errno}:when={nth}")],
            // Not each machine has each of these calls.
            Self::FailFrom { from, errno } => {
                from.iter().map(|(name, nth)| format!("inject=?{name}:error={errno}:when={nth}+")).collect()
            }
            Self::Limit { .. } => Vec::new(),
        }
    }
}

impl Call {
    pub(crate) fn killed(&self) -> Point {
        Point { fault: Fault::Kill { name: self.name.clone(), nth: self.nth }, meant: Some(self.clone()) }
    }

    pub(crate) fn fails(&self, errno: &'static str) -> Point {
        Point { fault: Fault::Fail { name: self.name.clone(), nth: self.nth, errno }, meant: Some(self.clone()) }
    }
}

/// A kill right after the call of this place: as the next call begins of those that the tracer can disturb.
pub(crate) fn killed_after(calls: &[Call], at: usize) -> Option<Point> {
    calls[at + 1..].iter().find(|call| call.is_known()).map(Call::killed)
}

/// From the call of this place on, every call that changes something fails, and every call with the name of such a one.
///
/// The tracer counts the calls of each name from the start of the program, and those before the tree is touched count, too. A
/// call that an undisturbed run never makes fails from the first on: it belongs to what the program does about the failure.
pub(crate) fn all_fail_from(calls: &[Call], at: usize, errno: &'static str) -> Point {
    let mut from: BTreeMap<String, u64> = CHANGING.iter().map(|name| ((*name).to_owned(), 1)).collect();
    // What it says to people goes through these.
    from.retain(|name, _| !matches!(name.as_str(), "write" | "writev"));
    for Call { name, .. } in calls.iter().filter(|call| call.changes) {
        let of_name = |call: &&Call| call.name == *name;
        let after = calls.iter().rfind(of_name).map_or(1, |last| last.nth + 1);
        from.insert(name.clone(), calls[at..].iter().find(of_name).map_or(after, |next| next.nth));
    }
    Point { fault: Fault::FailFrom { from, errno }, meant: Some(calls[at].clone()) }
}
