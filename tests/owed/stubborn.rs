//! A disk that does not rename to or from certain names, as long as it is told so.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::sync::{Arc, Mutex};

use treewal_vfs::sim::SimDisk;
use treewal_vfs::{Dir, Disk, Layer, Rename};

#[derive(Debug)]
pub(crate) struct Stubborn {
    inner: SimDisk,
    names: Mutex<BTreeSet<String>>,
    errno: i32,
}

impl Stubborn {
    pub(crate) fn new(inner: &SimDisk, errno: i32, names: &[&str]) -> Arc<Self> {
        let names = Mutex::new(names.iter().map(|name| (*name).to_owned()).collect());
        Arc::new(Self { inner: inner.clone(), names, errno })
    }

    /// From now on everything works.
    pub(crate) fn give_in(&self) {
        self.names.lock().unwrap().clear();
    }

    fn refuses(&self, name: &OsStr) -> bool {
        name.to_str().is_some_and(|name| self.names.lock().unwrap().contains(name))
    }
}

impl Layer for Stubborn {
    fn inner(&self) -> &dyn Disk {
        &self.inner
    }

    fn rename(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr, how: Rename) -> io::Result<()> {
        if self.refuses(name) || self.refuses(to_name) {
            return Err(io::Error::from_raw_os_error(self.errno));
        }
        self.inner.rename(from, name, to, to_name, how)
    }
}
