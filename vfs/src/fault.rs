//! A disk that fails where it is told to, so that a test can meet every fault at every call.

use std::ffi::{OsStr, OsString};
use std::io::{self, IoSlice};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::{Call, Dir, Disk, File, Layer, Meta, Rename, Verb, errno, real};

/// What goes wrong, and at which counted call, the first being 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing: the disk only counts.
    #[default]
    None,
    /// Call `at` fails once, without reaching the disk beneath.
    Error {
        /// The call that fails.
        at: u64,
        /// With which number; see [`errno`](crate::errno).
        errno: i32,
    },
    /// Call `at` and every counted one after it fail.
    ErrorFrom {
        /// The first call that fails.
        at: u64,
        /// With which number; see [`errno`](crate::errno).
        errno: i32,
    },
    /// Call `at` writes the first half of its bytes, rounded up, and says so. Nothing happens where call `at` is no
    /// `write_at`, or writes a single byte: look for writes with [`FaultDisk::only`].
    ShortWrite {
        /// The call that writes half.
        at: u64,
    },
    /// The process is killed just before call `at` reaches the disk beneath: `SIGKILL`, nothing is dropped or flushed.
    Kill {
        /// The call that is not made any more.
        at: u64,
    },
    /// The disk goes off: call `at` and every call of any kind after it fail with `EIO`, looking ones among them.
    Off {
        /// The first call that the disk does not do any more.
        at: u64,
    },
}

/// Forwards to another disk, counts the calls that change something or make it durable, and lets one [`Fault`] happen.
#[derive(Debug)]
pub struct FaultDisk {
    inner: Arc<dyn Disk>,
    only: Option<Verb>,
    exchanges: bool,
    links: bool,
    busy: Option<OsString>,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    fault: Fault,
    counted: u64,
    off: bool,
}

/// What becomes of a call that is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Whole,
    Half,
}

impl FaultDisk {
    /// A disk over `inner` on which `fault` happens. Calls for which [`Verb::is_mutating`] or [`Verb::is_sync`] holds
    /// are counted.
    #[must_use]
    pub fn new(inner: Arc<dyn Disk>, fault: Fault) -> Self {
        Self {
            inner,
            only: None,
            exchanges: true,
            links: true,
            busy: None,
            state: Mutex::new(State { fault, counted: 0, off: false }),
        }
    }

    /// Counts the calls of `verb` alone, which may also be one that only looks.
    #[must_use]
    pub fn only(self, verb: Verb) -> Self {
        Self { only: Some(verb), ..self }
    }

    /// The disk cannot exchange two names: such a rename gives `EINVAL`, as it does on file systems that know no flags. It is
    /// not counted.
    #[must_use]
    pub fn without_exchange(self) -> Self {
        Self { exchanges: false, ..self }
    }

    /// The disk knows no hard links: one gives `EPERM`. It is not counted.
    #[must_use]
    pub fn without_links(self) -> Self {
        Self { links: false, ..self }
    }

    /// Something is mounted at each entry of this name: to rename or to remove it, or to rename something to it, gives
    /// `EBUSY`. It is not counted.
    #[must_use]
    pub fn with_busy(self, name: &str) -> Self {
        Self { busy: Some(name.into()), ..self }
    }

    /// Starts anew with `fault`: the count begins again, and a disk that was off is on again.
    pub fn arm(&self, fault: Fault) {
        *self.state.lock() = State { fault, counted: 0, off: false };
    }

    /// How many calls were counted since the beginning or the last [`arm`](FaultDisk::arm), the failed ones among them
    /// but none made while the disk was off.
    #[must_use]
    pub fn mutations(&self) -> u64 {
        self.state.lock().counted
    }

    /// Whether the disk went off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.state.lock().off
    }

    /// What the disk is without, or too busy for, whatever the fault.
    fn knows(&self, call: &Call) -> Result<(), i32> {
        let is_busy = |name: &OsString| self.busy.as_ref() == Some(name);
        match call.verb {
            Verb::HardLink if !self.links => Err(errno::EPERM),
            Verb::Rename | Verb::RemoveFile | Verb::RemoveDir
                if is_busy(&call.name) || call.other.as_ref().is_some_and(is_busy) =>
            {
                Err(errno::EBUSY)
            }
            _ => Ok(()),
        }
    }

    fn judge(&self, verb: Verb) -> io::Result<Verdict> {
        let mut state = self.state.lock();
        if state.off {
            return Err(io::Error::from_raw_os_error(errno::EIO));
        }
        if !self.only.map_or(verb.is_mutating() || verb.is_sync(), |only| only == verb) {
            return Ok(Verdict::Whole);
        }
        state.counted += 1;
        let call = state.counted;
        match state.fault {
            Fault::Error { at, errno } if call == at => Err(io::Error::from_raw_os_error(errno)),
            Fault::ErrorFrom { at, errno } if call >= at => Err(io::Error::from_raw_os_error(errno)),
            Fault::ShortWrite { at } if call == at => Ok(Verdict::Half),
            // The lock is held on purpose: no other thread makes a later call before the signal is there.
            Fault::Kill { at } if call == at => Err(real::kill_self()),
            Fault::Off { at } if call >= at => {
                state.off = true;
                Err(io::Error::from_raw_os_error(errno::EIO))
            }
            _ => Ok(Verdict::Whole),
        }
    }
}

impl Layer for FaultDisk {
    fn inner(&self) -> &dyn Disk {
        &*self.inner
    }

    fn before(&self, call: Call) -> io::Result<()> {
        self.knows(&call).map_err(io::Error::from_raw_os_error)?;
        self.judge(call.verb).map(drop)
    }

    fn stat(&self, at: &Dir, name: &OsStr) -> io::Result<Meta> {
        Layer::before(self, Call::new(Verb::Stat, name))?;
        let meta = self.inner.stat(at, name)?;
        Ok(Meta { mounted: meta.mounted || self.busy.as_deref() == Some(name), ..meta })
    }

    fn rename(&self, from: &Dir, name: &OsStr, to: &Dir, to_name: &OsStr, how: Rename) -> io::Result<()> {
        if how == Rename::Exchange && !self.exchanges {
            return Err(io::Error::from_raw_os_error(errno::EINVAL));
        }
        self.before(Call::new(Verb::Rename, name).with(to_name))?;
        self.inner.rename(from, name, to, to_name, how)
    }

    fn write_at(&self, file: &File, buf: &[u8], offset: u64) -> io::Result<usize> {
        let buf = match self.judge(Verb::WriteAt)? {
            Verdict::Whole => buf,
            Verdict::Half => &buf[..buf.len().div_ceil(2)],
        };
        self.inner.write_at(file, buf, offset)
    }

    fn write_vectored_at(&self, file: &File, bufs: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        match self.judge(Verb::WriteAt)? {
            Verdict::Whole => self.inner.write_vectored_at(file, bufs, offset),
            Verdict::Half => {
                let all: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
                self.inner.write_at(file, &all[..all.len().div_ceil(2)], offset)
            }
        }
    }
}
