//! All sequences.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use treewal_vfs::sim::SimDisk;

use crate::alphabet::{operations, tree};
use crate::judge::{commits, memory, refuses, survives};
use crate::memory::Memory;
use crate::ops::Op;
use crate::told::is_outside;

/// How many operations a transaction has at most, and how many of its calls are the last.
struct Depth {
    length: usize,
    all_cuts: bool,
}

#[derive(Default)]
struct Counts {
    committed: AtomicU64,
    refused: AtomicU64,
    cuts: AtomicU64,
}

struct Walk<'a> {
    base: SimDisk,
    before: Memory,
    operations: &'a [Op],
    depth: Depth,
    counts: &'a Counts,
}

impl Walk<'_> {
    /// Everything that begins with `ops`, which leave `state`.
    fn go(&self, ops: &mut Vec<Op>, state: &Memory) {
        self.judge(ops, state);
        if ops.len() == self.depth.length {
            return;
        }
        let mut refused = Vec::new();
        for op in self.operations.iter().filter(|op| !is_outside(state, op)) {
            let mut after = state.clone();
            match after.take(op) {
                Err(no) => refused.push((op, no)),
                Ok(()) => {
                    ops.push(op.clone());
                    self.go(ops, &after);
                    ops.pop();
                }
            }
        }
        refuses(&self.base, ops, &refused);
        self.counts.refused.fetch_add(refused.len() as u64, Ordering::Relaxed);
    }

    fn judge(&self, ops: &[Op], state: &Memory) {
        commits(&self.base, ops, state);
        let number = self.counts.committed.fetch_add(1, Ordering::Relaxed);
        let states = (&self.before, state);
        let cut = |at| {
            let was_cut = survives(&self.base, ops, states, at);
            self.counts.cuts.fetch_add(u64::from(was_cut), Ordering::Relaxed);
            was_cut
        };
        if self.depth.all_cuts {
            (1..).take_while(|at| cut(*at)).for_each(drop);
        } else {
            // Another one each time: over all sequences every part of a commit has its turn.
            cut(1 + number % 40);
        }
    }
}

fn depth() -> Depth {
    let asked = |name: &str| std::env::var(name).ok();
    let length = asked("TREEWAL_EXHAUSTIVE_LENGTH").and_then(|length| length.parse().ok()).unwrap_or(2);
    Depth { length, all_cuts: asked("TREEWAL_EXHAUSTIVE_CUTS").is_some_and(|cuts| cuts == "all") }
}

#[test]
fn every_short_transaction_does_what_the_system_would_do_or_nothing() {
    let (operations, next, counts) = (operations(), AtomicUsize::new(0), Counts::default());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let base = tree();
                let before = memory(&base);
                let walk = Walk { base, before, operations: &operations, depth: depth(), counts: &counts };
                while let Some(first) = operations.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut state = walk.before.clone();
                    if state.take(first).is_ok() {
                        walk.go(&mut vec![first.clone()], &state);
                    }
                }
            });
        }
    });
    let Counts { committed, refused, cuts } = counts;
    let [committed, refused, cuts] = [committed, refused, cuts].map(AtomicU64::into_inner);
    println!("{} operations: {committed} transactions, {refused} refused operations, {cuts} cut", operations.len());
    assert!(committed > 3000 && refused > 10_000 && cuts > 1000, "far fewer than there are");
}
