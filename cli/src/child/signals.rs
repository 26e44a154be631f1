//! Signals while a command runs under a guard.
//!
//! The first SIGINT, SIGTERM or SIGHUP is passed on to the command; once that has ended, the tree is restored. A second
//! one kills the command and ends treewal at once: restoring is left to the next opening of the tree.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, getpgrp, kill_process};
use rustix::termios::tcgetpgrp;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator;
use signal_hook::low_level::exit;
use treewal_vfs::{Disk as _, Open, RealDisk, read_all};

use crate::exit::Exit;

/// What has come so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signals {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    first: Option<i32>,
    child: Option<Pid>,
}

impl Signals {
    /// Begins to catch signals, except those that our caller had us ignore (`nohup`, a background job of a script).
    ///
    /// # Errors
    /// That the system has no thread for it.
    pub(crate) fn catch() -> io::Result<Self> {
        let signals = Self::default();
        let ignored = ignored().unwrap_or_default();
        let wanted: Vec<i32> =
            [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|n| ignored & (1 << (n - 1)) == 0).collect();
        let mut caught = iterator::Signals::new(&wanted)?;
        let clone = signals.clone();
        thread::Builder::new().name("signals".into()).spawn(move || {
            for number in caught.forever() {
                clone.take(number);
            }
        })?;
        Ok(signals)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing here panics while it holds the lock, and a number is a number.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, number: i32) {
        let mut state = self.state();
        if state.first.is_some() {
            if let Some(child) = state.child {
                kill_process(child, Signal::KILL).unwrap_or_default();
            }
            exit(Exit::of_signal(number).code().into());
        }
        state.first = Some(number);
        if let Some(child) = state.child {
            pass_on(number, child);
        }
    }

    /// Which signal has asked us to end, if any.
    pub(crate) fn first(&self) -> Option<i32> {
        self.state().first
    }

    /// From here on the child gets what we get, what came before among it.
    pub(super) fn forward_to(&self, child: Pid) {
        let mut state = self.state();
        state.child = Some(child);
        if let Some(number) = state.first {
            pass_on(number, child);
        }
    }

    pub(super) fn forward_no_more(&self) {
        self.state().child = None;
    }
}

/// Ctrl-C on a terminal reaches the whole foreground group; a command that got it twice might not end in order.
fn pass_on(number: i32, child: Pid) {
    if number == SIGINT && is_foreground() {
        return;
    }
    if let Some(signal) = Signal::from_named_raw(number) {
        // A child that has just ended needs no signal.
        kill_process(child, signal).unwrap_or_default();
    }
}

fn is_foreground() -> bool {
    let foreground = tcgetpgrp(io::stdin()).or_else(|_| tcgetpgrp(io::stderr())).or_else(|_| tcgetpgrp(io::stdout()));
    foreground.is_ok_and(|group| group == getpgrp())
}

/// The signals that this process was started to ignore, signal `n` as bit `n - 1`.
fn ignored() -> Option<u64> {
    let dir = RealDisk.open_root("/proc/self".as_ref()).ok()?;
    let file = RealDisk.open(&dir, "status".as_ref(), Open::Read).ok()?;
    let text = String::from_utf8(read_all(&RealDisk, &file, 1 << 20).ok()?).ok()?;
    let mask = text.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}
