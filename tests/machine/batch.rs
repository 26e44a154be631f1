//! Many transactions one after another: what each leaves, and where they end.

use treewal::{Batch, Outcome, Transaction};

use crate::call::{Told, stage};
use crate::step::{Crash, Level};
use crate::transactions::{Done, Plan};
use crate::world::{Checked, State, World};

impl World {
    /// The states between the transactions, the first before all of them.
    fn one_by_one(&self, ops: &[Told]) -> Vec<State> {
        let after = ops.iter().map(|told| State {
            memory: told.after.clone(),
            outside: told.outside.clone(),
            ..self.state.clone()
        });
        [self.state.clone()].into_iter().chain(after).collect()
    }

    /// Each operation is a transaction. Where one fails, nobody goes on. A crash is at the n-th call of one of them.
    pub(crate) fn batch(
        &mut self,
        who: usize,
        level: Level,
        plan: &Plan,
        crash: Option<(u64, &Crash)>,
    ) -> Checked<Done> {
        let states = self.one_by_one(&plan.ops);
        let tree = &self.handles[who].as_ref().unwrap().tree;
        let doomed = crash.map(|(at, _)| usize::try_from(at).unwrap_or(0) % plan.ops.len().max(1));
        let (mut turn, mut ended, mut error) = (0, false, None);
        let commit = |one: &Told, mut tx: Transaction| {
            if ended {
                return Ok(());
            }
            tx.set_durability(level.durability());
            stage(&mut tx, std::slice::from_ref(one))?;
            // Behind a commit may come a checkpoint, which meets the crash: nobody goes on then, either.
            ended = doomed == Some(turn);
            if ended {
                self.arm(who, crash);
            }
            match tx.commit() {
                Ok(_) => turn += 1,
                Err(met) => (ended, error) = (true, Some(met)),
            }
            Ok::<(), String>(())
        };
        // With none, this thread begins them as well.
        let done = Batch::new().threads(who).run(&plan.ops, |_| tree.begin(), commit);
        done.into_iter().collect::<Checked>()?;
        self.is_batched(level, &states[..=turn]);
        let Some(error) = error else {
            return Ok(Done { states: states[turn..=turn].to_vec(), ..Done::default() });
        };
        self.counts.add("batch within");
        let sure = error.outcome() != Outcome::Undecided && matches!(crash, Some((_, Crash::Fault(_))));
        let states = if sure { &states[turn..=turn] } else { &states[turn..=turn + 1] };
        Ok(Done { error: Some(error), changed: Vec::new(), states: states.to_vec() })
    }

    /// So many of them were acknowledged, the last is not told of here.
    fn is_batched(&mut self, level: Level, states: &[State]) {
        let mut versions = states.iter().skip(1).map(|state| state.memory.seen());
        if level == Level::Deferred {
            self.since.extend(versions);
        } else if let Some(last) = versions.next_back().filter(|last| *last != states[0].memory.seen()) {
            self.since = vec![last];
            self.deferred.clear();
            self.loose.clear();
        }
    }
}
