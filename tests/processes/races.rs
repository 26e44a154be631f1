//! Processes that commit at the same time, of which some are killed at random moments and others go on.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::child::{Process, start};
use crate::judge::{at_rest, judge};
use crate::readers::while_reading;
use crate::worker::{options, own, prepare, stop};
use crate::{depth, moment, work_dir};

/// How long one tree is worked on.
const ROUND: Duration = Duration::from_millis(1_200);

#[derive(Default)]
struct Tally {
    rounds: u32,
    kills: u32,
    acknowledged: usize,
    reads: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, kills, acknowledged, reads } = self;
        write!(
            f,
            "{rounds} rounds, {kills} kills, {acknowledged} acknowledged commits, {reads} reads and 0 of them wrong"
        )
    }
}

/// A few processes on one tree.
struct Crowd<'a> {
    dir: &'a Path,
    beside: bool,
    processes: Vec<Option<Process>>,
}

impl Crowd<'_> {
    fn start(&mut self, id: usize) {
        let mut process = start("work", self.dir, &format!("{id} {}", self.beside));
        // Also a process that only opens may be killed.
        if moment(Duration::from_millis(4)) > Duration::from_millis(1) {
            assert_eq!(process.hear().as_deref(), Some("open"), "{:?}", process.wait());
        }
        self.processes[id] = Some(process);
    }

    fn kill(&mut self, id: usize) -> u32 {
        self.processes[id].take().map_or(0, |mut process| {
            process.kill();
            1
        })
    }

    /// Kills one at a time, or all but one, until time is over.
    fn go_on(&mut self, time: Duration) -> u32 {
        let begun = Instant::now();
        let mut kills = 0;
        while begun.elapsed() < time {
            std::thread::sleep(moment(Duration::from_millis(50)));
            let chosen = usize::try_from(treewal_vfs::random()).unwrap_or(0) % self.processes.len();
            let several = treewal_vfs::random() % 4 == 0;
            for id in 0..self.processes.len() {
                if several != (id == chosen) {
                    kills += self.kill(id);
                }
            }
            // For a while, the others are among themselves.
            std::thread::sleep(moment(Duration::from_millis(20)));
            for id in 0..self.processes.len() {
                if self.processes[id].is_none() {
                    self.start(id);
                }
            }
        }
        kills
    }
}

fn round(count: u64, beside: bool, tally: &mut Tally) {
    let home = tempfile::tempdir_in(work_dir()).unwrap();
    let dir = home.path().join("tree");
    fs::create_dir(&dir).unwrap();
    prepare(&dir, 0..count);
    drop(options(beside).open(&dir).unwrap());
    let mut crowd = Crowd { dir: &dir, beside, processes: (0..count).map(|_| None).collect() };
    let (kills, reads) = while_reading(&dir, 0..count, || {
        (0..crowd.processes.len()).for_each(|id| crowd.start(id));
        let mut kills = crowd.go_on(ROUND);
        // Every other time, the last ones are killed as well, and the next opening has to make it good.
        if tally.rounds % 2 == 1 {
            kills += (0..crowd.processes.len()).map(|id| crowd.kill(id)).sum::<u32>();
            drop(options(beside).open(&dir).unwrap());
        } else {
            fs::write(stop(&dir), "").unwrap();
            for process in crowd.processes.iter_mut().flatten() {
                let status = process.wait();
                assert!(status.success(), "a process failed: {status}");
            }
        }
        kills
    });
    let whole = at_rest(&dir).and_then(|()| judge(&dir, 0..count));
    let acknowledged = whole.unwrap_or_else(|error| {
        let kept = home.keep();
        panic!("{count} processes, beside {beside}: {error}; the tree is kept at {kept:?}, see {:?}", own(0));
    });
    tally.rounds += 1;
    tally.kills += kills;
    tally.acknowledged += acknowledged;
    tally.reads += reads;
}

fn race(beside: bool) {
    let begun = Instant::now();
    let mut tally = Tally::default();
    while begun.elapsed() < Duration::from_secs(5) * depth() {
        round(2 + u64::from(tally.rounds % 3 == 2), beside, &mut tally);
    }
    println!("checkpoints beside commits {beside}: {tally}; {:.1} s", begun.elapsed().as_secs_f64());
    assert!(tally.kills > 10 && tally.acknowledged > 100 && tally.reads > 1000, "{tally} prove nothing");
}

#[test]
fn whatever_is_killed_the_others_lose_nothing() {
    race(false);
}

#[test]
fn whatever_is_killed_the_others_lose_nothing_with_checkpoints_beside_commits() {
    race(true);
}
