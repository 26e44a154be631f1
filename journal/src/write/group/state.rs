//! What the threads of a group agree on.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::Lsn;
use crate::error::{Error, Failure};

/// Whom to wake once the state is given back.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Calls {
    pub(super) turn: bool,
    pub(super) heir: bool,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) durable: Lsn,
    /// Somebody writes, or keeps others from it.
    pub(super) writing: bool,
    pub(super) flight: Option<Flight>,
    /// Number of the batch that gathers.
    pub(super) batch: u64,
    /// Somebody waits to lead it.
    pub(super) has_heir: bool,
    /// How many wait to lead, those among them whose batch has gone without them.
    pub(super) heirs: u32,
    /// How many follow it.
    pub(super) followers: u32,
    /// How many want something synced, whatever they are at.
    pub(super) inside: u32,
    /// How many that were when the last flight landed, and whether the next waits for as many.
    pub(super) company: u32,
    pub(super) gathering: bool,
    /// How long a flight takes, smoothed.
    pub(super) pace: Duration,
    pub(super) hope: Hope,
    /// How many wait for their turn, and how many of them want nobody else at work.
    pub(super) waiting: u32,
    pub(super) waiting_alone: u32,
    pub(super) poison: Option<Poison>,
}

/// Whether it pays to wait for company. Each time that nobody came, twice as many flights go without waiting.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hope {
    /// How many go without waiting after the next disappointment, less one.
    patience_lost: u32,
    /// How many still do.
    without: u32,
}

/// The most flights in a row that go without waiting.
const WITHOUT_MAX: u32 = 63;

impl Hope {
    /// Whether this flight is to wait.
    pub(super) fn is_left(&mut self) -> bool {
        let left = self.without == 0;
        self.without = self.without.saturating_sub(1);
        left
    }

    pub(super) fn learn(&mut self, somebody_came: bool) {
        self.patience_lost = if somebody_came { 0 } else { (self.patience_lost * 2 + 1).min(WITHOUT_MAX) };
        self.without = self.patience_lost;
    }
}

/// A batch that is being written or synced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub(super) batch: u64,
    pub(super) target: Lsn,
    pub(super) members: u32,
}

/// The failure that closed the log, for everybody who asks.
#[derive(Debug, Clone)]
pub(super) struct Poison {
    verb: &'static str,
    name: String,
    source: Arc<io::Error>,
}

impl State {
    pub(super) fn new(durable: Lsn) -> Self {
        Self {
            durable,
            writing: false,
            flight: None,
            batch: 0,
            has_heir: false,
            heirs: 0,
            followers: 0,
            inside: 0,
            company: 0,
            gathering: false,
            pace: Duration::ZERO,
            hope: Hope::default(),
            waiting: 0,
            waiting_alone: 0,
            poison: None,
        }
    }

    /// The first failure is the one that is told.
    pub(super) fn poison(&mut self, failure: Failure) {
        let Failure { verb, name, source, .. } = failure;
        self.poison.get_or_insert_with(|| Poison { verb, name, source: Arc::new(source) });
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        match self.poison.clone() {
            None => Ok(()),
            Some(Poison { verb, name, source }) => Err(Error::Poisoned { verb, name, source }),
        }
    }

    /// How many there are to go with a leader, itself counted.
    pub(super) fn present(&self) -> u32 {
        1 + self.followers + u32::from(self.has_heir)
    }

    /// What a flight that landed says about the next: how many may come, and how long it takes.
    pub(super) fn learn(&mut self, took: Duration) {
        self.company = self.inside;
        self.pace = if self.pace.is_zero() { took } else { (self.pace * 3 + took) / 4 };
    }

    /// The flight that makes `wanted` durable.
    pub(super) fn carrier(&mut self, wanted: Lsn) -> Option<&mut Flight> {
        self.flight.as_mut().filter(|flight| flight.target >= wanted)
    }

    /// Who can go on now that something has ended.
    pub(super) fn calls(&self) -> Calls {
        let left_behind = self.heirs > u32::from(self.has_heir);
        Calls { turn: self.waiting > 0, heir: left_behind || (self.has_heir && self.may_lead()) }
    }

    /// Whether nobody writes, and no sync is under way.
    pub(super) fn is_idle(&self) -> bool {
        !self.writing && self.flight.is_none()
    }

    /// Whether somebody writes, or was called to do so and is only not awake yet.
    pub(super) fn is_taken(&self) -> bool {
        self.writing || self.waiting_alone > 0 || (self.has_heir && self.may_lead())
    }

    /// Whether the batch that gathers may go now.
    pub(super) fn may_lead(&self) -> bool {
        !self.writing && self.waiting_alone == 0 && self.flight.is_none()
    }
}
