//! Trying again: a transaction that met somebody else's begins anew from what is there then.

use std::time::Duration;

use treewal_vfs::random;

use crate::{Error, Outcome, Result, Transaction, Tree};

/// How [`Tree::transaction_with`] goes on after a conflict.
///
/// Pauses double from the first to the longest, each shortened at random by up to a half, so that two that meet do not
/// meet again at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    tries_max: u32,
    pause_min: Duration,
    pause_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { tries_max: 8, pause_min: Duration::from_millis(2), pause_max: Duration::from_millis(500) }
    }
}

impl RetryPolicy {
    /// 8 tries, pauses from 2 ms to 500 ms.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many tries there are, the first among them; at least 1.
    #[must_use]
    pub fn tries_max(mut self, tries: u32) -> Self {
        self.tries_max = tries.max(1);
        self
    }

    /// The first pause.
    #[must_use]
    pub fn pause_min(mut self, pause: Duration) -> Self {
        self.pause_min = pause;
        self
    }

    /// The longest pause.
    #[must_use]
    pub fn pause_max(mut self, pause: Duration) -> Self {
        self.pause_max = pause;
        self
    }

    /// The pause before the try after this many; `part` of 256 is what chance takes of its half.
    pub(crate) fn pause(&self, tries: u32, part: u8) -> Duration {
        let doubled = self.pause_min.saturating_mul(1u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX));
        let whole = doubled.min(self.pause_max);
        whole - whole / 2 * u32::from(part) / 256
    }
}

impl Tree {
    /// As [`transaction`](Self::transaction), and again from the beginning where somebody else was faster: where the commit,
    /// or `body`, gives [`Error::Conflict`] or [`Error::Locked`].
    ///
    /// `body` runs once for each try, on the tree as it is then; what it does outside of the transaction happens as often.
    ///
    /// ```no_run
    /// # fn main() -> treewal::Result<()> {
    /// # let tree = treewal::Tree::open("site")?;
    /// use treewal::RetryPolicy;
    /// // Counts right, however many processes count.
    /// tree.transaction_with(RetryPolicy::new().tries_max(20), |tx| {
    ///     let count: u64 = tx.read_to_string("count")?.trim().parse().unwrap_or(0);
    ///     tx.write("count", format!("{}\n", count + 1))
    /// })?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The last error once all tries are used up; any other error at once.
    pub fn transaction_with<T>(
        &self,
        policy: RetryPolicy,
        mut body: impl FnMut(&mut Transaction) -> Result<T>,
    ) -> Result<T> {
        for tries in 1.. {
            match self.transaction(&mut body) {
                Err(error) if tries < policy.tries_max && is_somebody_elses(&error) => {
                    let pause = policy.pause(tries, random().to_le_bytes()[0]);
                    tracing::debug!(tries, ?pause, error = &error as &dyn std::error::Error, "trying again");
                    std::thread::sleep(pause);
                }
                done => return done,
            }
        }
        Err(Error::Poisoned)
    }
}

/// Whether nothing happened, and only because somebody else was at work.
fn is_somebody_elses(error: &Error) -> bool {
    match error {
        Error::Conflict { .. } | Error::Locked { .. } => error.outcome() == Outcome::Unchanged && error.is_retryable(),
        Error::RolledBack { source, .. } | Error::Change { source, .. } => is_somebody_elses(source),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_shortened_by_half_at_most() {
        let ms = Duration::from_millis;
        let policy = RetryPolicy::new().pause_min(ms(4)).pause_max(ms(100));
        let pauses: Vec<Duration> = (1..8).map(|tries| policy.pause(tries, 0)).collect();
        assert_eq!(pauses, [ms(4), ms(8), ms(16), ms(32), ms(64), ms(100), ms(100)]);
        assert_eq!(policy.pause(1000, 0), ms(100));
        assert!(policy.pause(6, 255) >= ms(50));
        assert_eq!(RetryPolicy::new().tries_max(0).tries_max, 1);
    }
}
