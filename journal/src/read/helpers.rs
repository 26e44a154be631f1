//! Other threads that check segments before their turn comes.
//!
//! A segment can be checked without the one before it: its header has all that its frames start from. The thread that
//! called for the scan hands all records out, in order. It walks through what another has checked by the same rules, and
//! leaves out nothing but the checksums; what nobody has begun to check when its turn comes, it checks itself. So what a
//! scan says does not depend on the number of threads, and a thread that gets no time holds up nobody for long.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::how::{SCAN_THREADS_MAX, ScanOptions, Source};
use super::scan::Job;
use super::window::SegmentBytes;

/// How far ahead a mapped segment may be checked, in segments for each thread: some rest for a thread that has to wait
/// for a processor. What is read stays in memory, and only one is.
const AHEAD_MAPPED: usize = 4;

/// A segment of which another thread has checked the frames.
pub(crate) struct Checked<'a> {
    /// The very bytes that were checked.
    pub(crate) bytes: SegmentBytes<'a>,
    /// Up to where the checksums of all frames fit.
    pub(crate) upto: usize,
}

/// What has become of a segment.
enum Slot<'a> {
    Free,
    Taken,
    /// `None` where checking it met an error, which the caller will meet as well.
    Ready(Option<Checked<'a>>),
}

/// What the threads of a scan know of each other.
pub(crate) struct Ahead<'a> {
    state: Mutex<State<'a>>,
    changed: Condvar,
    threads: usize,
    /// How many segments beyond the caller's may be checked.
    ahead_max: usize,
}

struct State<'a> {
    slots: Vec<Slot<'a>>,
    /// The segment that the caller has come to.
    at: usize,
    over: bool,
}

impl<'a> Ahead<'a> {
    fn new(segments: usize, options: &ScanOptions) -> Self {
        let threads = options.threads.min(SCAN_THREADS_MAX).min(segments).max(1);
        let each = if options.source == Source::Mapped { AHEAD_MAPPED } else { 1 };
        let slots = (0..segments).map(|_| Slot::Free).collect();
        let state = Mutex::new(State { slots, at: 0, over: false });
        Self { state, changed: Condvar::new(), threads, ahead_max: threads * each }
    }

    /// What is known of segment number `at`, which is the caller's turn: waits for a thread that is at it. `None` where
    /// the caller has to check it.
    pub(crate) fn take(&self, at: usize) -> Option<Checked<'a>> {
        let mut state = self.lock();
        state.at = at;
        self.changed.notify_all();
        loop {
            match state.slots.get_mut(at).map(|slot| std::mem::replace(slot, Slot::Taken)) {
                Some(Slot::Taken) => state = self.wait(state),
                Some(Slot::Ready(checked)) => return checked,
                Some(Slot::Free) | None => return None,
            }
        }
    }

    /// A segment to check, `from` or later; waits while that is too far ahead. `None` where there is none any more.
    fn next(&self, mut from: usize, is_first: bool) -> Option<Turn<'_, 'a>> {
        let mut state = self.lock();
        loop {
            if !is_first {
                // The very next one is left to the caller, who may be there before it is done.
                from = from.max(state.at + 2);
            }
            let free = state.slots.iter().enumerate().skip(from).find(|(_, slot)| matches!(slot, Slot::Free));
            let at = free.filter(|_| !state.over)?.0;
            if at <= state.at + self.ahead_max {
                state.slots[at] = Slot::Taken;
                return Some(Turn { ahead: self, at, checked: None });
            }
            state = self.wait(state);
        }
    }

    fn change(&self, change: impl FnOnce(&mut State<'a>)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// A panic elsewhere leaves nothing half done here.
    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'b>(&self, state: MutexGuard<'b, State<'a>>) -> MutexGuard<'b, State<'a>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

/// A segment that is being checked. When it is dropped, for whatever reason, nobody waits for it any more.
struct Turn<'b, 'a> {
    ahead: &'b Ahead<'a>,
    at: usize,
    checked: Option<Checked<'a>>,
}

impl Drop for Turn<'_, '_> {
    fn drop(&mut self) {
        self.ahead.change(|state| state.slots[self.at] = Slot::Ready(self.checked.take()));
    }
}

/// Lets the other threads go, also when the visitor panics.
struct Over<'b, 'a>(&'b Ahead<'a>);

impl Drop for Over<'_, '_> {
    fn drop(&mut self) {
        self.0.change(|state| state.over = true);
    }
}

/// Calls `body` while other threads, as many as `options` say, check the segments of `jobs` with `check`. Where a thread
/// cannot be started, the scan goes on with fewer.
pub(crate) fn with_others<'a, T>(
    jobs: &[Job],
    options: &ScanOptions,
    check: impl Fn(&Job) -> io::Result<Checked<'a>> + Sync,
    body: impl FnOnce(&Ahead<'a>) -> T,
) -> T {
    let ahead = Ahead::new(jobs.len(), options);
    thread::scope(|scope| {
        let over = Over(&ahead);
        for number in 1..ahead.threads {
            let (ahead, check) = (&ahead, &check);
            let work = move || {
                let mut next = ahead.next(number, true);
                while let Some(mut turn) = next {
                    // Without its error: what is not checked here is checked by who asks for it, who meets it in its turn.
                    turn.checked = check(&jobs[turn.at]).ok();
                    let at = turn.at;
                    drop(turn);
                    next = ahead.next(at + ahead.threads, false);
                }
            };
            if let Err(error) = thread::Builder::new().name("treewal-scan".to_owned()).spawn_scoped(scope, work) {
                tracing::debug!(%error, "a scan goes on with fewer threads");
            }
        }
        let out = body(&ahead);
        drop(over);
        out
    })
}
