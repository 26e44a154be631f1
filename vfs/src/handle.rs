//! Open handles: opaque, cheap to clone, closed with their last clone.

use std::fmt;
use std::sync::Arc;

/// An open directory. Clones share one handle; it closes with the last of them.
#[derive(Clone)]
pub struct Dir(pub(crate) Arc<Handle>);

/// An open file. Clones share one handle; it closes, and gives up its lock, with the last of them.
#[derive(Clone)]
pub struct File(pub(crate) Arc<Handle>);

pub(crate) enum Handle {
    /// A descriptor of the operating system.
    Os(std::os::fd::OwnedFd),
    /// An open of the simulated disk.
    #[cfg(feature = "sim")]
    Sim(crate::sim::SimHandle),
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Os(fd) => write!(f, "{fd:?}"),
            #[cfg(feature = "sim")]
            Self::Sim(handle) => write!(f, "{handle:?}"),
        }
    }
}

impl fmt::Debug for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dir({:?})", self.0)
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "File({:?})", self.0)
    }
}
