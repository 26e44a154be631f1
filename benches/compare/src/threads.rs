//! Threads of one handle, each with files of its own: one file a commit.
//!
//! The clock runs from the moment all threads are there to the end of the last commit; no checkpoint falls due meanwhile.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use treewal::{Options, Tree as Handle};
use treewal_compare::{Dice, median, shown};

use crate::tree::Tree;
use crate::work::{FILE_BYTES, FILES, dir_name, file_name};
use crate::{Result, Run};

const THREADS: [usize; 5] = [1, 2, 4, 8, 16];
/// Commits of each thread in a round, unless the command line says otherwise.
const COMMITS: usize = 300;
/// Bytes of journal before a checkpoint: more than all commits of a round take.
const CHECKPOINT_BYTES: u64 = 256 << 20;

/// Measures and prints the table.
pub(crate) fn measure(Run { at, rounds, count, .. }: &Run<'_>) -> Result {
    let commits = count.unwrap_or(COMMITS);
    let tree = Tree::make(at, "threads")?;
    let handle = Options::new().checkpoint_bytes(CHECKPOINT_BYTES).open(&tree.path)?;
    let mut dice = Dice::new(std::process::id().into());
    let mut rates: Vec<Vec<f64>> = vec![Vec::new(); THREADS.len()];
    // The first round only warms up.
    for round in 0..=*rounds {
        eprintln!("threads, round {round}");
        let mut order: Vec<usize> = (0..THREADS.len()).collect();
        dice.shuffle(&mut order);
        for index in order {
            handle.checkpoint()?;
            tree.flush()?;
            let rate = rate(&handle, THREADS[index], commits, &mut dice)?;
            if round > 0 {
                rates[index].push(rate);
            }
        }
    }
    drop(handle);
    println!("| threads, one file a commit | × one thread | commits a second |");
    println!("|---|--:|--:|");
    for (threads, rate) in THREADS.iter().zip(&rates) {
        let ratio = median(rates[0].iter().zip(rate).map(|(one, many)| many / one));
        println!("| {threads} | {} | {} |", shown(ratio), shown(median(rate.iter().copied())));
    }
    println!();
    tree.remove()
}

/// Commits a second of so many threads together.
fn rate(handle: &Handle, threads: usize, commits: usize, dice: &mut Dice) -> Result<f64> {
    let contents = dice.bytes(FILE_BYTES);
    let together = Barrier::new(threads + 1);
    let (began, done) = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let (handle, contents, together) = (handle.clone(), &contents, &together);
                scope.spawn(move || {
                    together.wait();
                    (0..commits).try_for_each(|commit| {
                        let path = format!("{}/{}", dir_name(thread), file_name(commit % FILES));
                        handle.transaction(|tx| tx.write(path, contents))
                    })
                })
            })
            .collect();
        together.wait();
        let began = Instant::now();
        let done: Vec<_> = workers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        (began.elapsed(), done)
    });
    for worker in done {
        worker.map_err(|_| "a thread panicked")??;
    }
    Ok((threads * commits) as f64 / began.as_secs_f64())
}
