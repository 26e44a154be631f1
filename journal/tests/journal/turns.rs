//! Several writers of one log that take turns: each goes on behind what the others have appended, reads no more than that,
//! and syncs nothing for it; what was not left in order is not gone on with.

use std::sync::Arc;

use proptest::prelude::*;
use treewal_journal::{Log, LogEnd, Lsn, SEGMENT_BYTES_MIN, Tail};
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Disk, RecordingDisk, Verb};

use crate::common::*;

/// What came of a rejoin: the log, the first number that it could hand out, and what it did hand out.
type Rejoined = (Log, Lsn, Vec<Seen>);

fn rejoin(log: &Log, end: LogEnd) -> Option<Rejoined> {
    let mut seen = Vec::new();
    let rejoined = log.rejoin(end, &mut |frame| seen.push((frame.lsn.0, frame.kind, frame.payload.to_vec())));
    rejoined.unwrap().map(|(log, first)| (log, first, seen))
}

/// A log, and another one on it that was resumed before anything was appended.
fn two() -> (Arc<dyn Disk>, Log, Log) {
    let (_, disk) = sim();
    let one = create(Arc::clone(&disk));
    commit(&one, b"first");
    let (other, _) = open(Arc::clone(&disk));
    (disk, one, other)
}

#[test]
fn a_turn_costs_what_was_appended_and_syncs_nothing() {
    let (_, disk) = sim();
    let recording = Arc::new(RecordingDisk::new(disk));
    let mut logs = [Some(create(recording.clone())), None];
    // Much that neither has to read again.
    for _ in 0..30 {
        commit(logs[0].as_ref().unwrap(), &[7; 1000]);
    }
    logs[1] = Some(open(recording.clone()).0);
    let mut end = logs[0].as_ref().unwrap().end().unwrap();
    for turn in 0..20u8 {
        let mine = usize::from(turn % 2);
        recording.take();
        let (log, first, seen) = rejoin(logs[mine].as_ref().unwrap(), end).unwrap();
        let calls = recording.take();
        let read: u64 = calls.iter().filter(|call| call.verb == Verb::ReadAt).map(|call| call.bytes).sum();
        assert!(read <= 16 << 10, "turn {turn}: {read} bytes");
        assert!(!calls.iter().any(|call| call.verb.is_sync() || call.verb.is_mutating()), "{calls:?}");
        // What it appended itself it does not read again.
        let wanted: Vec<Vec<u8>> = turn.checked_sub(1).map(|before| vec![before; 100]).into_iter().collect();
        assert_eq!(payloads(&seen), wanted, "turn {turn}");
        assert_eq!(first.0, log.last().0 + 1 - seen.len() as u64);
        commit(&log, &[turn; 100]);
        end = log.end().unwrap();
        logs[mine] = Some(log);
    }
}

#[test]
fn segments_that_came_and_went_meanwhile_are_noticed() {
    let (disk, one, other) = two();
    // The other one still has the first segment open when that is gone, and its file another segment.
    for n in 0..12u8 {
        commit(&one, &vec![n; 20_000]);
        one.truncate(one.last()).unwrap();
        one.prepare().unwrap();
    }
    assert!(!names(&*disk).contains(&segment(1)));
    let (other, first, seen) = rejoin(&other, one.end().unwrap()).unwrap();
    assert!(first > Lsn(2), "records are gone, and that is told");
    assert_eq!((seen[0].0, seen.last().unwrap().0), (first.0, one.last().0));
    assert_eq!((other.bytes(), other.room()), (one.bytes(), one.room()));
    // It knows which segment stands ready, and which may go.
    let before = names(&*disk);
    other.prepare().unwrap();
    assert_eq!(names(&*disk), before);
    for n in 0..12u8 {
        commit(&other, &vec![n; 20_000]);
    }
    other.truncate(other.last()).unwrap();
    assert_eq!(names(&*disk).len(), 2, "{:?}", names(&*disk));
    let (one, ..) = rejoin(&one, other.end().unwrap()).unwrap();
    let last = commit(&one, b"end");
    let (found, seen) = scan(&*disk);
    assert_eq!((found.tail, found.last, seen.last().unwrap().2.as_slice()), (Tail::Clean, last, b"end".as_slice()));
}

#[test]
fn what_was_not_left_in_order_is_not_gone_on_with() {
    let refuses = |what: &str, spoil: &dyn Fn(&Arc<dyn Disk>, &Log)| {
        let (disk, one, other) = two();
        commit(&one, &[1; 500]);
        commit(&one, &[2; 500]);
        let end = one.end().unwrap();
        assert!(rejoin(&other, end).is_some());
        spoil(&disk, &one);
        assert!(rejoin(&other, end).is_none(), "{what}");
    };
    let name = segment(1);
    let second = 4096 + 40 + 536;
    refuses("a record changed", &|disk, _| poke(&**disk, &name, second + 100, b"x"));
    refuses("a record cut", &|disk, _| poke(&**disk, &name, second, &[0; 600]));
    refuses("more than was said", &|_, one| {
        commit(one, b"more");
    });
    refuses("something behind the end", &|disk, _| poke(&**disk, &name, second + 536, b"rest"));
    refuses("a sync failed", &|disk, _| put(&**disk, "doubt", b""));
    refuses("a header changed", &|disk, _| poke(&**disk, &name, 20, b"x"));
    refuses("a segment that nobody made", &|disk, _| put(&**disk, &segment(2), &[0; 70_000]));
    refuses("a segment of another log", &|disk, _| {
        let mut bytes = bytes_of(&**disk, &name);
        bytes[48] = 2;
        put(&**disk, &segment(2), &bytes);
    });
    refuses("no segment at all", &|disk, _| {
        disk.remove_file(&root(&**disk), name.as_ref()).unwrap();
    });
}

#[test]
fn who_is_not_at_rest_has_no_end_and_cannot_rejoin() {
    let (_, one, other) = two();
    let end = one.end().unwrap();
    other.append(&[(1, "not synced")]).unwrap();
    assert!(other.end().is_none() && rejoin(&other, end).is_none());
    other.flush().unwrap();
    assert!(other.end().is_none());
    other.sync().unwrap();
    assert!(other.end().is_some());
    // And what the one does not know it does not vouch for: another record of the same number.
    commit(&one, b"elsewhere");
    assert_ne!(one.end(), other.end());
}

#[derive(Debug, Clone)]
enum Step {
    /// Whose turn it is.
    Turn(usize),
    Append(Vec<usize>),
    Prepare,
    Truncate(u64),
    PowerLoss(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![6 => 4..200usize, 2 => 1000..20_000usize, 1 => 32_700..61_000usize];
    prop_oneof![
        6 => (0..3usize).prop_map(Step::Turn),
        8 => prop::collection::vec(size, 1..5).prop_map(Step::Append),
        2 => Just(Step::Prepare),
        2 => (0..6u64).prop_map(Step::Truncate),
        1 => any::<u64>().prop_map(Step::PowerLoss),
    ]
}

/// Three writers, and what they have acknowledged together.
struct World {
    disk: SimDisk,
    logs: Vec<Log>,
    at: usize,
    records: Vec<Vec<u8>>,
    truncated: u64,
    rejoined: u32,
}

impl World {
    fn new() -> Self {
        let (disk, shared) = sim();
        drop(create(shared));
        let mut world = Self { disk, logs: Vec::new(), at: 0, records: Vec::new(), truncated: 0, rejoined: 0 };
        world.reopen();
        world
    }

    fn reopen(&mut self) {
        self.logs = (0..3).map(|_| open(Arc::new(self.disk.clone())).0).collect();
        self.at = 0;
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Turn(to) if *to != self.at => self.turn(*to),
            Step::Turn(_) => {}
            Step::Append(sizes) => {
                for size in sizes {
                    let payload = vec![u8::try_from(self.records.len() % 251).unwrap(); *size];
                    let last = self.logs[self.at].append(&[(1, &payload)]).unwrap();
                    self.records.push(payload);
                    assert_eq!(last.0, self.records.len() as u64);
                }
                self.logs[self.at].sync().unwrap();
            }
            Step::Prepare => self.logs[self.at].prepare().unwrap(),
            Step::Truncate(kept) => {
                let upto = (self.records.len() as u64).saturating_sub(*kept);
                self.logs[self.at].truncate(Lsn(upto)).unwrap();
                self.truncated = self.truncated.max(upto);
            }
            Step::PowerLoss(seed) => {
                let outcomes = self.disk.outcomes(Profile::Strict);
                let outcome = outcomes.sample(*seed, 1).next().unwrap_or_else(|| outcomes.nothing());
                self.disk = self.disk.after(&outcome);
                self.judge();
                self.reopen();
            }
        }
    }

    fn turn(&mut self, to: usize) {
        let end = self.logs[self.at].end().unwrap();
        let known = self.logs[to].last();
        let (log, first, seen) = rejoin(&self.logs[to], end).unwrap();
        assert!(first == known.next() || first.0 <= self.truncated + 1 && first > known, "{first} behind {known}");
        assert_eq!(seen.len() as u64, self.records.len() as u64 + 1 - first.0);
        for (lsn, record) in (first.0..).zip(&seen) {
            assert!((record.0, &record.2) == (lsn, &self.records[usize::try_from(lsn - 1).unwrap()]));
        }
        assert_eq!((log.bytes(), log.room()), (self.logs[self.at].bytes(), self.logs[self.at].room()));
        assert_eq!((log.last(), log.durable(), log.end()), (end.last, end.last, Some(end)));
        self.logs[to] = log;
        self.at = to;
        self.rejoined += 1;
    }

    /// All that was acknowledged is on the disk, and a scan finds nothing to complain of.
    fn judge(&self) {
        let (found, seen) = scan(&self.disk);
        assert_eq!((found.tail, found.last.0, &found.findings[..]), (Tail::Clean, self.records.len() as u64, &[][..]));
        let first = seen.first().map_or(found.last.0 + 1, |record| record.0);
        assert!(first <= self.truncated + 1);
        assert!(seen.iter().zip(&self.records[usize::try_from(first - 1).unwrap()..]).all(|(a, b)| &a.2 == b));
        // A segment more than is needed, one that is written, one that stands ready, and a spare file.
        let kept: usize = self.records[usize::try_from(self.truncated).unwrap()..].iter().map(|r| r.len() + 40).sum();
        let most = 4 + 2 * kept.div_ceil(usize::try_from(SEGMENT_BYTES_MIN).unwrap() / 2);
        assert!(names(&self.disk).len() <= most, "{:?} for {kept} bytes", names(&self.disk));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn any_turns_of_three(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.step(&Step::Turn((world.at + 1) % 3));
        assert!(world.rejoined > 0);
        world.step(&Step::PowerLoss(0));
    }
}
