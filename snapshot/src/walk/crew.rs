//! Several threads at one walk. What they make comes back in the order of the names.
//!
//! The calling thread lists directories, and hands out runs of names while no more than a few are ahead of what was
//! given back. Where it would have to wait it works on a run itself. No thread is started before there is work for
//! two, so a small walk is done by the caller alone.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;

use parking_lot::{Condvar, Mutex};

use super::names::{Names, Run, Step};
use crate::Result;

/// Names that are handed out at a time: some hundred system calls, against which waking a thread is nothing.
const NAMES: usize = 256;
/// How many times as many parts as threads may be ahead of what was given back: all the memory that a walk takes beside
/// the listings of the directories on the way down.
const AHEAD: usize = 4;
/// More threads than this wait for each other in the file system.
const THREADS_MAX: usize = 8;

/// How many threads a walk may use, the calling one among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Threads(usize);

impl Threads {
    /// As many as asked for, or as the machine runs at once.
    pub(crate) fn new(asked: Option<NonZeroUsize>) -> Self {
        let machine = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self(asked.map_or_else(machine, NonZeroUsize::get).min(THREADS_MAX))
    }
}

/// Calls `look` for every name, from any of the threads, each with a hand of its own that `hand` makes; and `take` with
/// what that gave, from the calling thread and in the order of the names.
///
/// # Errors
/// The first one in the order of the names, of `look`, `take` or the listing. What comes later may have been looked at.
pub(crate) fn walk<H, T: Send>(
    names: &mut Names<'_>,
    threads: Threads,
    hand: &(impl Fn() -> H + Sync),
    look: &(impl Fn(&mut H, &Step<'_>) -> Result<T> + Sync),
    take: &mut dyn FnMut(&Step<'_>, T) -> Result<()>,
) -> Result<()> {
    let mut own = hand();
    let Some(first) = part(names)? else { return Ok(()) };
    let second = part(names);
    if threads.0 < 2 || matches!(second, Ok(None)) {
        let (mut here, mut next) = (Some(first), second);
        while let Some(part) = here {
            for step in part.iter().flat_map(Run::steps) {
                let made = look(&mut own, &step)?;
                take(&step, made)?;
            }
            here = next?;
            next = if here.is_some() { self::part(names) } else { Ok(None) };
        }
        return Ok(());
    }
    let crew = Crew { state: Mutex::new(State::default()), work: Condvar::new(), made: Condvar::new() };
    std::thread::scope(|scope| {
        let crew = &crew;
        // Ends the threads however this ends.
        let _end = End(crew);
        for _ in 1..threads.0 {
            scope.spawn(move || crew.work(&mut hand(), look));
        }
        crew.give(first);
        crew.lead(names, second, threads.0 * AHEAD, &mut own, look, take)
    })
}

type Part = Vec<Run>;
type Made<T> = (Part, Result<Vec<T>>);

/// The next names, over as many directories as it takes.
fn part(names: &mut Names<'_>) -> Result<Option<Part>> {
    let mut part = Vec::new();
    let mut left = NAMES;
    while left > 0 {
        match names.next(left) {
            Ok(Some(run)) => {
                left = left.saturating_sub(run.len());
                part.push(run);
            }
            Ok(None) => break,
            Err(error) => return Err(error),
        }
    }
    Ok((!part.is_empty()).then_some(part))
}

fn look_at<H, T>(part: &Part, hand: &mut H, look: &impl Fn(&mut H, &Step<'_>) -> Result<T>) -> Result<Vec<T>> {
    part.iter().flat_map(Run::steps).map(|step| look(hand, &step)).collect()
}

struct Crew<T> {
    state: Mutex<State<T>>,
    /// There is work, or will be none any more.
    work: Condvar,
    /// Something was made.
    made: Condvar,
}

struct State<T> {
    waiting: VecDeque<(u64, Part)>,
    made: BTreeMap<u64, Made<T>>,
    given: u64,
    over: bool,
}

impl<T> Default for State<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), made: BTreeMap::new(), given: 0, over: false }
    }
}

struct End<'a, T>(&'a Crew<T>);

impl<T> Drop for End<'_, T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.over = true;
        state.waiting.clear();
        drop(state);
        self.0.work.notify_all();
        self.0.made.notify_all();
    }
}

impl<T: Send> Crew<T> {
    fn give(&self, part: Part) {
        let mut state = self.state.lock();
        let number = state.given;
        state.given += 1;
        state.waiting.push_back((number, part));
        drop(state);
        self.work.notify_one();
    }

    /// What a thread does until there is no more.
    fn work<H>(&self, hand: &mut H, look: &impl Fn(&mut H, &Step<'_>) -> Result<T>) {
        // A thread that unwinds ends the walk: whoever waits for its part would wait for ever.
        let unwinds = End(self);
        loop {
            let mut state = self.state.lock();
            let (number, part) = loop {
                if state.over {
                    drop(state);
                    std::mem::forget(unwinds);
                    return;
                }
                match state.waiting.pop_front() {
                    Some(part) => break part,
                    None => self.work.wait(&mut state),
                }
            };
            drop(state);
            let made = look_at(&part, hand, look);
            self.state.lock().made.insert(number, (part, made));
            self.made.notify_one();
        }
    }

    /// What the calling thread does.
    fn lead<H>(
        &self,
        names: &mut Names<'_>,
        mut next: Result<Option<Part>>,
        ahead: usize,
        hand: &mut H,
        look: &impl Fn(&mut H, &Step<'_>) -> Result<T>,
        take: &mut dyn FnMut(&Step<'_>, T) -> Result<()>,
    ) -> Result<()> {
        let mut given = 1;
        for number in 0.. {
            while given - number < ahead as u64 {
                let Ok(Some(part)) = next else { break };
                self.give(part);
                given += 1;
                next = self::part(names);
            }
            if number == given {
                // What could not be listed comes after everything that was.
                return next.map(drop);
            }
            let Some((part, made)) = self.fetch(number, hand, look) else { return Ok(()) };
            for (step, made) in part.iter().flat_map(Run::steps).zip(made?) {
                take(&step, made)?;
            }
        }
        Ok(())
    }

    /// What was made of part `number`; meanwhile works on others. `None` where a thread unwound.
    fn fetch<H>(&self, number: u64, hand: &mut H, look: &impl Fn(&mut H, &Step<'_>) -> Result<T>) -> Option<Made<T>> {
        let mut state = self.state.lock();
        loop {
            if let Some(made) = state.made.remove(&number) {
                return Some(made);
            }
            if state.over {
                return None;
            }
            match state.waiting.pop_front() {
                Some((other, part)) => {
                    drop(state);
                    let made = look_at(&part, hand, look);
                    state = self.state.lock();
                    state.made.insert(other, (part, made));
                }
                None => self.made.wait(&mut state),
            }
        }
    }
}
