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
        let home = self.home()?;
        let log = kind.make(&home.path, room).map_err(|error| format!("{}: {error}", kind.name()))?;
        home.settle()?;
        let given = what(&*log).map_err(|error| format!("{}: {error}", kind.name()))?;
        log.end()?;
        home.remove()?;
        Ok(given)
    }
}
