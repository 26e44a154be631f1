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
    /// Beginnings of the names of those who take part beside the limits; none for all.
    only: Vec<String>,
    homes: usize,
}

impl Run {
    pub(crate) fn new(at: &Path, rounds: usize, only: &[&str]) -> Result<Self> {
        Ok(Self {
            at: at.to_owned(),
            rounds,
            dice: Dice::new(std::process::id().into()),
            only: only.iter().map(|name| (*name).to_owned()).collect(),
            homes: 0,
        })
    }

    /// Whether the contestant takes part.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || name.starts_with("limit") || self.only.iter().any(|only| name.starts_with(&**only))
    }

    /// Calls `turn` once a round for each of these who takes part, shuffled, with the number of the name and the round.
    pub(crate) fn each(
        &mut self,
        title: &str,
        names: &[&str],
        mut turn: impl FnMut(&mut Self, usize, usize) -> Result,
    ) -> Result {
        for round in 0..self.rounds {
            eprintln!("{title}, round {}", round + 1);
            let mut order: Vec<usize> = (0..names.len()).filter(|row| self.wants(names[*row])).collect();
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
            let mut order: Vec<usize> = (0..kinds.len()).filter(|row| self.wants(kinds[*row].name())).collect();
            let mut seats: Vec<Option<Seat>> = kinds.iter().map(|_| None).collect();
            for row in &order {
                seats[*row] = Some(self.seat(kinds[*row], room)?);
            }
            for _ in 0..slices {
                self.dice.shuffle(&mut order);
                for row in &order {
                    let Some(seat) = &seats[*row] else { continue };
                    seat.home.settle()?;
                    turn(&*seat.log, *row, round).map_err(|error| named(kinds[*row], &*error))?;
                }
            }
            seats.into_iter().flatten().try_for_each(Seat::leave)?;
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
