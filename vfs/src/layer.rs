//! Disks that stand over another disk and are like it but for one idea.

mod list;

use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::path::Path;

use self::list::{ask_the_layer, pass_on, verbs};
use crate::{
    Call, Dir, Disk, Entry, File, Lock, Locker, Mapping, Meta, MountId, Open, PowerLoss, RelPath, Rename, Time, Verb,
};

/// A [`Disk`] over another one. It says only what it does otherwise; everything else is passed on.
///
/// Whatever implements this is a `Disk`. There are two ways to do something otherwise, and a layer mostly needs one:
///
/// * [`before`](Layer::before) and [`after`](Layer::after) see every call that has a [`Verb`], as a value: to count, to
///   write down, to refuse, to do something in between. They need no list of verbs.
/// * A verb that the layer writes itself, under its name here, is taken over whole. `before` and `after` are not called
///   for it then, unless it calls them.
///
/// The verbs have the same names here and in `Disk`. Where both traits are in scope, call a layer as a `&dyn Disk`.
///
/// A disk that nothing can be removed from:
///
/// ```
/// use std::ffi::OsStr;
/// use std::io;
/// use treewal_vfs::{Call, Disk, Layer, RealDisk, Verb, errno};
///
/// #[derive(Debug)]
/// struct Keeping(RealDisk);
///
/// impl Layer for Keeping {
///     fn inner(&self) -> &dyn Disk {
///         &self.0
///     }
///
///     fn before(&self, call: Call) -> io::Result<()> {
///         match call.verb {
///             Verb::RemoveFile | Verb::RemoveDir => Err(io::Error::from_raw_os_error(errno::EPERM)),
///             _ => Ok(()),
///         }
///     }
/// }
///
/// # fn main() -> io::Result<()> {
/// # let dir = tempfile::tempdir()?;
/// let disk: &dyn Disk = &Keeping(RealDisk);
/// let root = disk.open_root(dir.path())?;
/// disk.create_dir(&root, OsStr::new("a"), 0o755)?;
/// assert!(disk.remove_dir(&root, OsStr::new("a")).is_err());
/// assert_eq!(disk.list(&root)?.len(), 1);
/// # Ok(())
/// # }
/// ```
///
/// # Why there are two traits
///
/// A layer that forgets a verb must pass it on, and a disk that forgets one must not compile: what is right for one is
/// wrong for the other. So `Disk` has no verb with a default, here every verb has one, and both come from a single list,
/// which the compiler compares with `Disk`. Were there one trait, whose defaults say what a disk without such a thing says,
/// a layer would answer for the disk beneath it wherever it forgot to ask.
///
/// Nothing here is on the way of an engine that is given a disk itself: that one's verbs are called as if there were no
/// layers. A layer costs a virtual call and, where a verb has a name, its copy.
pub trait Layer: Debug + Send + Sync {
    /// The disk beneath. Handles are its own: a layer gives out what it was given.
    fn inner(&self) -> &dyn Disk;

    /// Called before a call that has a [`Verb`] is passed on.
    ///
    /// # Errors
    /// What the caller gets for it; the disk beneath is not asked then, and there is no `after`. A verb that cannot fail
    /// ([`Disk::boot_id`], [`Disk::user`]) is passed on all the same.
    fn before(&self, call: Call) -> io::Result<()> {
        let _ = call;
        Ok(())
    }

    /// Called after a call that was passed on, whether it succeeded or not.
    fn after(&self, verb: Verb) {
        let _ = verb;
    }

    verbs! { pass_on }
}

// A verb that `Disk` gained with a default would be forgotten here, by every layer at once.
#[deny(clippy::missing_trait_methods)]
impl<L: Layer> Disk for L {
    verbs! { ask_the_layer }
}
