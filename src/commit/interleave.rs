//! Several commits whose stages alternate as a test says: what threads do by chance, on purpose.

use super::Receipt;
use super::flight::Flight;
use crate::transaction::Parts;
use crate::{Result, Transaction};

/// How many stages a commit has once its new entries stand in the stage: check, append, sync, apply.
const STAGES: usize = 4;

/// Where a commit has got to.
#[derive(Clone, Copy)]
enum Next {
    Check,
    Append,
    Sync((u64, treewal_journal::Lsn)),
    Apply((u64, treewal_journal::Lsn)),
}

/// Commits transactions of one tree at the same time, in this thread. Each item of `schedule` is the number of the
/// transaction whose next stage is taken, after `before` was called with how many stages were taken so far; what the
/// schedule leaves undone is done in order at its end.
///
/// The changes of no two of them may meet: the second would wait for the first for ever.
#[doc(hidden)]
pub fn interleave(
    mut transactions: Vec<Transaction>,
    schedule: &[usize],
    before: &mut dyn FnMut(usize),
) -> Vec<Result<Receipt>> {
    let mut parts: Vec<_> = transactions.iter_mut().map(Transaction::take_parts).collect();
    let mut results: Vec<Option<Result<Receipt>>> = parts.iter().map(|_| None).collect();
    let mut under_way: Vec<Option<(Flight<'_>, Next)>> = Vec::new();
    for (n, Parts { base, engine, difference, expectations, durability }) in parts.iter_mut().enumerate() {
        match Flight::prepare(engine, base, std::mem::take(difference), expectations, *durability) {
            Ok(flight) => under_way.push(Some((flight, Next::Check))),
            Err(error) => {
                under_way.push(None);
                results[n] = Some(Err(error));
            }
        }
    }
    let rest = (0..under_way.len()).flat_map(|n| [n; STAGES]);
    for (taken, n) in schedule.iter().copied().chain(rest).enumerate() {
        let Some((flight, next)) = under_way.get_mut(n).and_then(Option::take) else { continue };
        before(taken);
        match step(flight, next) {
            Ok(on) => under_way[n] = Some(on),
            Err(result) => results[n] = Some(result),
        }
    }
    drop(under_way);
    drop(parts);
    let results: Vec<Result<Receipt>> = results.into_iter().flatten().collect();
    transactions.iter_mut().zip(&results).for_each(|(transaction, result)| transaction.settle(result));
    results
}

/// Takes one stage; gives the commit back, or how it ended.
fn step<'a>(mut flight: Flight<'a>, next: Next) -> std::result::Result<(Flight<'a>, Next), Result<Receipt>> {
    let taken = match next {
        Next::Check => flight.check().map(|()| Next::Append),
        Next::Append => flight.append().map(Next::Sync),
        Next::Sync(promise) => flight.sync(promise).map(|()| Next::Apply(promise)),
        Next::Apply(promise) => return Err(flight.end(|flight| flight.apply(promise))),
    };
    match taken {
        Ok(next) => Ok((flight, next)),
        Err(error) => Err(flight.end(|_| Err(error))),
    }
}
