//! A call of a disk, as a value.

use std::ffi::{OsStr, OsString};
use std::fmt;

use crate::Verb;

/// One call, as it was asked; whether it succeeded is not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What was asked.
    pub verb: Verb,
    /// The name or path it was asked for; empty for a verb that takes only a handle.
    pub name: OsString,
    /// The second name of `rename` and `hard_link`, the target of `symlink`, the key of an extended attribute.
    pub other: Option<OsString>,
    /// How many bytes were to be read or written.
    pub bytes: u64,
}

impl Call {
    /// A call of a verb that takes a name.
    pub(crate) fn new(verb: Verb, name: impl AsRef<OsStr>) -> Self {
        Self { verb, name: name.as_ref().to_os_string(), other: None, bytes: 0 }
    }

    /// A call of a verb that takes only a handle.
    pub(crate) fn of(verb: Verb) -> Self {
        Self { verb, name: OsString::new(), other: None, bytes: 0 }
    }

    pub(crate) fn with(self, other: &OsStr) -> Self {
        Self { other: Some(other.to_os_string()), ..self }
    }

    pub(crate) fn bytes(self, bytes: usize) -> Self {
        Self { bytes: bytes as u64, ..self }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.verb)?;
        if !self.name.is_empty() {
            write!(f, " {:?}", self.name)?;
        }
        if let Some(other) = &self.other {
            write!(f, " {other:?}")?;
        }
        if self.bytes > 0 {
            write!(f, " ({} bytes)", self.bytes)?;
        }
        Ok(())
    }
}
