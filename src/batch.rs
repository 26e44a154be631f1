//! Batches: many items are prepared at the same time, and committed one after another, in their order.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::vec;

use parking_lot::{Condvar, Mutex};

/// Prepares items on several threads, and commits them in the order in which they came.
///
/// What takes long (to read, convert, hash, fill a transaction) needs no lock and is done for several items at once. The
/// commits come one after another, as if nothing had been done at the same time: numbers, logs and what is printed are the
/// same in every run, and of two items that meet, the first one is there when the second one is committed.
///
/// Each item stands for itself. What `prepare` gives for an item is handed to `commit` as it is, an error as well, so that
/// one that fails takes nothing from the others.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let tree = treewal::Tree::open(dir.path())?;
/// use treewal::{Batch, Receipt, Result};
///
/// let receipts: Vec<Result<Receipt>> = Batch::new().run(
///     ["one", "two", "three"],
///     |name| {
///         let mut tx = tree.begin();
///         tx.write(format!("{name}.md"), format!("# {name}\n"))?;
///         Ok(tx)
///     },
///     |_, tx: Result<_>| tx?.commit(),
/// );
/// assert!(receipts.iter().flatten().map(|receipt| receipt.id).is_sorted());
/// # assert_eq!(receipts.iter().flatten().count(), 3);
/// # Ok(()) }
/// ```
///
/// A crash leaves the items that were committed, which are the first ones: an item that is there has all before it that did
/// not fail. What had been prepared in transactions is swept with their stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    threads: usize,
    ahead_max: usize,
}

impl Default for Batch {
    fn default() -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        Self { threads, ahead_max: threads * 4 }
    }
}

impl Batch {
    /// As many threads as there are processors, and at most four times as many items prepared ahead.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many threads prepare, beside the one that commits. With none, that one prepares as well.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// How many items may be prepared before their turn, at least 1: what they hold, they hold that long.
    #[must_use]
    pub fn ahead_max(mut self, items: usize) -> Self {
        self.ahead_max = items.max(1);
        self
    }

    /// Prepares and commits all items, and gives what `commit` gave, in their order. `commit` is called in this thread.
    ///
    /// # Panics
    /// Where `prepare` or `commit` does: then nothing after that item is committed.
    pub fn run<T: Send, P: Send, R>(
        &self,
        items: impl IntoIterator<Item = T>,
        prepare: impl Fn(&T) -> P + Sync,
        mut commit: impl FnMut(T, P) -> R,
    ) -> Vec<R> {
        let items: Vec<T> = items.into_iter().collect();
        let count = items.len();
        let queue = Queue::new(items, self.ahead_max);
        thread::scope(|scope| {
            let _stop = Stop(&queue);
            for _ in 0..self.threads.min(count) {
                let thread = thread::Builder::new().name("treewal-prepare".to_owned());
                if thread.spawn_scoped(scope, || queue.work(&prepare)).is_err() {
                    // Those that there are, or this one, do it all.
                    break;
                }
            }
            let ended = (0..count).map(|index| {
                let (item, prepared) = queue.turn(index, &prepare);
                commit(item, prepared)
            });
            ended.collect()
        })
    }
}

/// An item, and what became of preparing it.
type Prepared<T, P> = (T, Result<P, Box<dyn Any + Send>>);

/// The items on their way.
struct Queue<T, P> {
    state: Mutex<State<T, P>>,
    changed: Condvar,
    ahead_max: usize,
}

struct State<T, P> {
    waiting: vec::IntoIter<T>,
    /// How many were taken to be prepared.
    taken: usize,
    /// How many have had their turn.
    turned: usize,
    prepared: BTreeMap<usize, Prepared<T, P>>,
    stopped: bool,
}

impl<T, P> Queue<T, P> {
    fn new(items: Vec<T>, ahead_max: usize) -> Self {
        let (waiting, prepared) = (items.into_iter(), BTreeMap::new());
        let state = State { waiting, taken: 0, turned: 0, prepared, stopped: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), ahead_max }
    }

    /// What a thread does: prepares the next one until there is none.
    fn work(&self, prepare: &impl Fn(&T) -> P) {
        while let Some((index, item)) = self.take() {
            let prepared = catch_unwind(AssertUnwindSafe(|| prepare_one(index, &item, prepare)));
            self.state.lock().prepared.insert(index, (item, prepared));
            self.changed.notify_all();
        }
    }

    fn take(&self) -> Option<(usize, T)> {
        let mut state = self.state.lock();
        loop {
            if state.stopped {
                return None;
            }
            if state.taken < state.turned + self.ahead_max {
                return state.take();
            }
            self.changed.wait(&mut state);
        }
    }

    /// Waits until it is the turn of an item, and prepares it where nobody has begun to.
    fn turn(&self, index: usize, prepare: &impl Fn(&T) -> P) -> (T, P) {
        let mut state = self.state.lock();
        loop {
            if let Some((item, prepared)) = state.prepared.remove(&index) {
                state.turned = index + 1;
                drop(state);
                self.changed.notify_all();
                return (item, prepared.unwrap_or_else(|panic| resume_unwind(panic)));
            }
            if state.taken == index {
                if let Some((index, item)) = state.take() {
                    state.turned = index + 1;
                    drop(state);
                    self.changed.notify_all();
                    let prepared = prepare_one(index, &item, prepare);
                    return (item, prepared);
                }
            }
            self.changed.wait(&mut state);
        }
    }
}

impl<T, P> State<T, P> {
    fn take(&mut self) -> Option<(usize, T)> {
        let item = self.waiting.next()?;
        self.taken += 1;
        Some((self.taken - 1, item))
    }
}

fn prepare_one<T, P>(index: usize, item: &T, prepare: &impl Fn(&T) -> P) -> P {
    let _span = tracing::debug_span!("prepare", index).entered();
    prepare(item)
}

/// Ends the threads when the batch ends, also by a panic: nobody would wait for them otherwise.
struct Stop<'a, T, P>(&'a Queue<T, P>);

impl<T, P> Drop for Stop<'_, T, P> {
    fn drop(&mut self) {
        self.0.state.lock().stopped = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn turns_come_in_order_whatever_takes_longest() {
        for threads in [0, 1, 4, 50] {
            let mut seen = Vec::new();
            let slow = |n: &u64| {
                thread::sleep(Duration::from_micros(n * 7919 % 900));
                n * 2
            };
            let given = Batch::new().threads(threads).run(0..40, slow, |n, twice| {
                seen.push(n);
                (n, twice)
            });
            assert_eq!(seen, (0..40).collect::<Vec<_>>());
            assert_eq!(given, (0..40).map(|n| (n, n * 2)).collect::<Vec<_>>());
        }
        assert_eq!(Batch::new().run(Vec::<u8>::new(), |_| (), |_, ()| ()), []);
    }

    #[test]
    fn no_more_than_asked_for_are_prepared_ahead() {
        let (prepared, ahead) = (AtomicUsize::new(0), 3);
        let prepare = |_: &usize| prepared.fetch_add(1, Ordering::SeqCst);
        Batch::new().threads(4).ahead_max(ahead).run(0..60, prepare, |n, _| {
            thread::sleep(Duration::from_millis(1));
            // This one has its turn, and so many more were begun.
            assert!(prepared.load(Ordering::SeqCst) <= n + 1 + ahead);
        });
        assert_eq!(prepared.into_inner(), 60);
    }

    #[test]
    fn they_are_prepared_at_the_same_time() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let prepare = |_: &i32| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(2));
            now.fetch_sub(1, Ordering::SeqCst);
        };
        Batch::new().threads(3).ahead_max(8).run(0..20, prepare, |_, ()| ());
        assert!(most.into_inner() > 1);
    }

    #[test]
    fn a_panic_ends_the_batch_and_leaves_no_thread_waiting() {
        for (bad_prepare, bad_commit) in [(Some(7), None), (None, Some(7))] {
            let done = AtomicUsize::new(0);
            let run = || {
                let prepare = |n: &i32| assert_ne!(Some(*n), bad_prepare, "on purpose");
                Batch::new().threads(2).ahead_max(2).run(0..100, prepare, |n, ()| {
                    assert_ne!(Some(n), bad_commit, "on purpose");
                    done.fetch_add(1, Ordering::SeqCst);
                })
            };
            assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
            assert_eq!(done.into_inner(), 7, "those before it were committed, and none after it");
        }
    }
}
