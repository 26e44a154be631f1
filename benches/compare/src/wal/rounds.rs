//! Rounds: in each, every contestant does the same, in an order drawn anew.

use std::path::{Path, PathBuf};

use treewal_compare::Dice;

use crate::Result;
use crate::contestant::{Kind, Log};
use crate::home::Home;

pub(crate) struct Run {
    pub(crate) at: PathBuf,
    pub(crate) rounds: usize,
    pub(crate) dice: Dice,
    homes: usize,
}

impl Run {
    pub(crate) fn new(at: &Path, rounds: usize) -> Result<Self> {
        Ok(Self { at: at.to_owned(), rounds, dice: Dice::new(std::process::id().into()), homes: 0 })
    }

    /// Calls `turn` once a round for each of `rows`, shuffled, with the number of the row and the round.
    pub(crate) fn each(
        &mut self,
        title: &str,
        rows: usize,
        mut turn: impl FnMut(&mut Self, usize, usize) -> Result,
    ) -> Result {
        for round in 0..self.rounds {
            eprintln!("{title}, round {}", round + 1);
            let mut order: Vec<usize> = (0..rows).collect();
            self.dice.shuffle(&mut order);
            for row in order {
                turn(self, row, round)?;
            }
        }
        Ok(())
    }

    /// A directory of its own, which was never there before.
    pub(crate) fn home(&mut self) -> Result<Home> {
        self.homes += 1;
        Home::make(&self.at, &format!("log-{}", self.homes))
    }

    /// Does something with an empty log of this kind; the log is gone afterwards.
    pub(crate) fn with<T>(&mut self, kind: Kind, room: u64, what: impl FnOnce(&dyn Log) -> Result<T>) -> Result<T> {
        let seat = self.seat(kind, room)?;
        let given = what(&*seat.log).map_err(|error| named(kind, &*error))?;
        seat.leave()?;
        Ok(given)
    }

    /// In each round makes an empty log of each kind and calls `turn` for each of them `slices` times, shuffled anew each
    /// time, with the number of the kind and the round. The shorter a turn, the less the disk changes meanwhile.
    pub(crate) fn together(
        &mut self,
        title: &str,
        kinds: &[Kind],
        room: u64,
        slices: usize,
        mut turn: impl FnMut(&dyn Log, usize, usize) -> Result,
    ) -> Result {
        for round in 0..self.rounds {
            eprintln!("{title}, round {}", round + 1);
            let seats: Vec<Seat> = kinds.iter().map(|kind| self.seat(*kind, room)).collect::<Result<_>>()?;
            let mut order: Vec<usize> = (0..kinds.len()).collect();
            for _ in 0..slices {
                self.dice.shuffle(&mut order);
                for row in &order {
                    seats[*row].home.settle()?;
                    turn(&*seats[*row].log, *row, round).map_err(|error| named(kinds[*row], &*error))?;
                }
            }
            seats.into_iter().try_for_each(Seat::leave)?;
        }
        Ok(())
    }

    fn seat(&mut self, kind: Kind, room: u64) -> Result<Seat> {
        let home = self.home()?;
        let log = kind.make(&home.path, room).map_err(|error| named(kind, &*error))?;
        home.settle()?;
        Ok(Seat { home, log })
    }
}

/// A log and where it lives.
struct Seat {
    home: Home,
    log: Box<dyn Log>,
}

impl Seat {
    fn leave(self) -> Result {
        self.log.end()?;
        self.home.remove()
    }
}

fn named(kind: Kind, error: &dyn std::error::Error) -> String {
    format!("{}: {error}", kind.name())
}
