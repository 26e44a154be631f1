//! Any order of appends, syncs, rotations, truncations, kills and power losses, beside a list of records: what was
//! acknowledged is there, in order and without a gap, and nothing else ever is.

use std::sync::Arc;

use proptest::prelude::*;
use treewal_journal::{Log, Lsn, Tail};
use treewal_vfs::Disk;
use treewal_vfs::sim::{Profile, SimDisk};

use crate::common::*;

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<usize>),
    Flush,
    Sync,
    /// Syncs up to a record that lies so far back.
    SyncTo(u64),
    Prepare,
    /// Gives back all but so many records.
    Truncate(u64),
    Drop,
    Kill,
    PowerLoss {
        profile: Profile,
        seed: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let size =
        prop_oneof![6 => 0..200usize, 2 => 1000..20_000usize, 1 => 32_700..33_000usize, 1 => 40_000..61_000usize];
    let profile = prop_oneof![Just(Profile::Strict), Just(Profile::Ordered)];
    prop_oneof![
        10 => prop::collection::vec(size, 1..5).prop_map(Step::Append),
        3 => Just(Step::Flush),
        6 => Just(Step::Sync),
        2 => (0..4u64).prop_map(Step::SyncTo),
        2 => Just(Step::Prepare),
        2 => (0..6u64).prop_map(Step::Truncate),
        1 => Just(Step::Drop),
        1 => Just(Step::Kill),
        2 => (profile, any::<u64>()).prop_map(|(profile, seed)| Step::PowerLoss { profile, seed }),
    ]
}

struct World {
    disk: SimDisk,
    log: Log,
    /// Every record that may be found, by number from 1 on.
    records: Vec<Vec<u8>>,
    /// Records up to here survive a kill, a power loss, and may be gone.
    flushed: u64,
    synced: u64,
    truncated: u64,
    made: u32,
}

impl World {
    fn new() -> Self {
        let (disk, shared) = sim();
        let log = create(shared);
        Self { disk, log, records: Vec::new(), flushed: 0, synced: 0, truncated: 0, made: 0 }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append(sizes) => self.append(sizes),
            Step::Flush => {
                self.log.flush().unwrap();
                self.flushed = self.log.last().0;
            }
            Step::Sync => {
                self.log.sync().unwrap();
                self.synced = self.log.last().0;
            }
            Step::SyncTo(back) => {
                let lsn = Lsn(self.log.last().0.saturating_sub(*back));
                self.log.sync_to(lsn).unwrap();
                self.synced = self.synced.max(lsn.0);
            }
            Step::Prepare => self.log.prepare().unwrap(),
            Step::Truncate(kept) => {
                let upto = self.log.last().0.saturating_sub(*kept);
                self.log.truncate(Lsn(upto)).unwrap();
                self.truncated = self.truncated.max(upto);
            }
            Step::Drop => self.reopen(self.disk.clone(), self.flushed.max(self.synced)),
            Step::Kill => self.reopen(self.disk.kill(), self.flushed.max(self.synced)),
            Step::PowerLoss { profile, seed } => {
                let outcomes = self.disk.outcomes(*profile);
                let outcome = outcomes.sample(*seed, 1).next().unwrap_or_else(|| outcomes.nothing());
                self.reopen(self.disk.after(&outcome), self.synced);
            }
        }
        assert!(self.log.durable().0 >= self.synced && self.log.last().0 == self.records.len() as u64);
        self.synced = self.log.durable().0;
    }

    fn append(&mut self, sizes: &[usize]) {
        let payload = |size: &usize| {
            self.made += 1;
            let mut payload = self.made.to_le_bytes().to_vec();
            payload.resize((*size).max(4), self.made.to_le_bytes()[0]);
            payload
        };
        let payloads: Vec<Vec<u8>> = sizes.iter().map(payload).collect();
        let batch: Vec<(u8, &[u8])> = payloads.iter().map(|payload| (1, payload.as_slice())).collect();
        let last = self.log.append(&batch).unwrap();
        self.records.extend(payloads);
        assert_eq!(last.0, self.records.len() as u64);
    }

    /// Takes the log up on what is left of the disk; so many records must be there.
    fn reopen(&mut self, disk: SimDisk, must: u64) {
        let (found, seen) = scan(&disk);
        assert!(!matches!(found.tail, Tail::Corrupt { .. }), "{}", found.tail);
        let first = seen.first().map_or(found.last.0 + 1, |record| record.0);
        assert!(first <= self.truncated + 1, "records from {first} on, truncated up to {}", self.truncated);
        assert!(found.last.0 >= must, "{} of {must} records", found.last);
        for (lsn, record) in (first..).zip(&seen) {
            assert_eq!(record.0, lsn, "a gap");
            assert!(record.2 == self.records[usize::try_from(lsn - 1).unwrap()], "record {lsn}");
        }
        self.disk = disk.clone();
        let shared: Arc<dyn Disk> = Arc::new(disk);
        self.log = open(shared).0;
        self.records.truncate(usize::try_from(found.last.0).unwrap());
        // What was read is durable.
        (self.flushed, self.synced) = (found.last.0, found.last.0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_life_of_a_log(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.step(&Step::PowerLoss { profile: Profile::Strict, seed: 1 });
        world.step(&Step::Append(vec![10]));
        world.step(&Step::Sync);
    }
}
