//! Threads on one log, in thousands of orders: nobody waits for ever, nobody is told what is not so, and the log holds
//! what was appended. A run that fails prints a schedule that `shuttle::replay` takes.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner, thread};
use treewal_journal::{Error, Log, LogOptions, Lsn, Reader, SEGMENT_BYTES_MIN, Tail, TreeId};
use treewal_vfs::sim::{Profile, SimDisk};
use treewal_vfs::{Dir, Disk, Fault, FaultDisk, RelPath, Verb, errno};

/// How many orders each scheduler tries, of each test; `TREEWAL_ORDERS` sets another number.
fn orders() -> usize {
    std::env::var("TREEWAL_ORDERS").map_or(1500, |text| text.parse().expect("TREEWAL_ORDERS must be a number"))
}

fn in_all_orders(test: impl Fn() + Send + Sync + Copy + 'static) {
    let mut config = Config::new();
    // A log on a simulated disk wants more than the default.
    config.stack_size = 1 << 20;
    Runner::new(RandomScheduler::new(orders()), config.clone()).run(test);
    Runner::new(PctScheduler::new(3, orders()), config).run(test);
}

fn journal(disk: &dyn Disk) -> Dir {
    let root = disk.open_root("/".as_ref()).unwrap();
    disk.open_dir(&root, &RelPath::new("journal").unwrap()).unwrap()
}

fn sim() -> SimDisk {
    let disk = SimDisk::new();
    let root = disk.open_root("/".as_ref()).unwrap();
    disk.create_dir(&root, OsStr::new("journal"), 0o700).unwrap();
    disk.sync_all(&root).unwrap();
    disk
}

fn options() -> LogOptions {
    LogOptions { segment_bytes: SEGMENT_BYTES_MIN, ..LogOptions::new(TreeId(*b"one of many tree")) }
}

fn log(disk: impl Disk + 'static, options: LogOptions) -> Arc<Log> {
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let dir = journal(&*disk);
    Arc::new(Log::create(disk, dir, options).unwrap())
}

/// The thread and the round of each record that a power loss at this moment leaves.
fn after_power_loss(disk: &SimDisk) -> Vec<(u8, u8)> {
    let left = disk.after(&disk.outcomes(Profile::Strict).nothing());
    let mut seen = Vec::new();
    let scan = Reader::scan(&left, &journal(&left), None, &mut |frame| {
        seen.push((frame.payload[0], frame.payload[1]));
        ControlFlow::Continue(())
    });
    assert!(!matches!(scan.unwrap().tail, Tail::Corrupt { .. }));
    seen
}

fn record(thread: u8, round: u8, bytes: usize) -> [(u8, Vec<u8>); 1] {
    let mut payload = vec![thread, round];
    payload.resize(bytes.max(2), 7);
    [(1, payload)]
}

/// Each thread's records in its own order, as many as it says.
fn assert_in_order(seen: &[(u8, u8)], rounds: &[u8]) {
    for (thread, rounds) in (0u8..).zip(rounds) {
        let mine: Vec<u8> = seen.iter().filter(|record| record.0 == thread).map(|record| record.1).collect();
        assert!(mine.len() >= usize::from(*rounds), "thread {thread} was promised {rounds} records of {seen:?}");
        assert_eq!(mine, (0u8..).take(mine.len()).collect::<Vec<_>>());
    }
}

#[test]
fn every_thread_gets_what_it_waits_for() {
    in_all_orders(|| {
        let disk = sim();
        let log = log(disk.clone(), options());
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let (log, disk) = (Arc::clone(&log), disk.clone());
                thread::spawn(move || {
                    for round in 0..3 {
                        let lsn = log.append(&record(thread, round, 10)).unwrap();
                        log.sync_to(lsn).unwrap();
                        assert!(log.durable() >= lsn);
                        assert!(after_power_loss(&disk).contains(&(thread, round)));
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_in_order(&after_power_loss(&disk), &[3; 4]);
        assert_eq!(log.durable(), Lsn(12));
    });
}

#[test]
fn segments_fill_up_under_threads_that_append_truncate_and_prepare() {
    in_all_orders(|| {
        let disk = sim();
        let log = log(disk.clone(), LogOptions { ahead: true, ..options() });
        // Copied, written from where they are, and in a batch that no segment holds.
        let threads: Vec<_> = [20_000, 40_000, 30]
            .into_iter()
            .zip(0u8..)
            .map(|(bytes, thread)| {
                let log = Arc::clone(&log);
                thread::spawn(move || {
                    for round in 0..3 {
                        let lsn = log.append(&record(thread, round, bytes)).unwrap();
                        if round != 1 {
                            log.sync_to(lsn).unwrap();
                        }
                    }
                })
            })
            .collect();
        let large = {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                let batch: Vec<_> = (0..4).flat_map(|round| record(3, round, 25_000)).collect();
                let last = log.append(&batch).unwrap();
                log.flush().unwrap();
                log.sync_to(Lsn(last.0 - 3)).unwrap();
            })
        };
        let chores = {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                log.prepare().unwrap();
                log.truncate(Lsn(0)).unwrap();
            })
        };
        for thread in threads.into_iter().chain([large, chores]) {
            thread.join().unwrap();
        }
        log.sync().unwrap();
        assert_in_order(&after_power_loss(&disk), &[3, 3, 3, 4]);
    });
}

#[test]
fn a_sync_that_fails_is_told_to_all_whose_records_it_was_for() {
    in_all_orders(|| {
        let disk = sim();
        let fault = FaultDisk::new(Arc::new(disk.clone()), Fault::None).only(Verb::SyncData);
        fault.arm(Fault::Error { at: 3, errno: errno::EIO });
        let log = log(fault, options());
        let promised: Arc<[AtomicU64; 3]> = Arc::default();
        let closed_at = Arc::new(AtomicU64::new(u64::MAX));
        let threads: Vec<_> = (0..3)
            .map(|thread| {
                let (log, promised, closed_at) = (Arc::clone(&log), Arc::clone(&promised), Arc::clone(&closed_at));
                thread::spawn(move || {
                    for round in 0..3 {
                        let appended = log.append(&record(thread, round, 10));
                        match appended.and_then(|lsn| log.sync_to(lsn)) {
                            Ok(()) => promised[usize::from(thread)].fetch_add(1, Ordering::SeqCst),
                            Err(Error::Poisoned { verb: "sync", .. }) => {
                                closed_at.fetch_min(log.durable().0, Ordering::SeqCst);
                                return;
                            }
                            Err(other) => panic!("{other}"),
                        };
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        let promised: Vec<u8> = promised.iter().map(|n| u8::try_from(n.load(Ordering::SeqCst)).unwrap()).collect();
        assert_in_order(&after_power_loss(&disk), &promised);
        // Few syncs can serve all of them, but whoever comes after a failed one is told.
        if promised.iter().any(|rounds| *rounds < 3) {
            assert_eq!(log.durable(), Lsn(closed_at.load(Ordering::SeqCst)), "no later sync proves anything");
            assert!(matches!(log.sync(), Err(Error::Poisoned { .. })));
        }
    });
}

#[test]
fn records_can_be_appended_by_one_thread_and_awaited_by_another() {
    in_all_orders(|| {
        let disk = sim();
        let log = log(disk.clone(), options());
        let appender = {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                for round in 0..4 {
                    log.append(&record(0, round, 10)).unwrap();
                }
            })
        };
        let waiters: Vec<_> = (1..=4u64)
            .map(|lsn| {
                let log = Arc::clone(&log);
                thread::spawn(move || {
                    while log.last() < Lsn(lsn) {
                        thread::yield_now();
                    }
                    log.sync_to(Lsn(lsn)).unwrap();
                    assert!(log.durable() >= Lsn(lsn));
                })
            })
            .collect();
        for thread in waiters.into_iter().chain([appender]) {
            thread.join().unwrap();
        }
        assert_in_order(&after_power_loss(&disk), &[4]);
    });
}

/// Another thread may begin a segment while those before it are given back: one that is begun, durably, always stays.
#[test]
fn a_log_that_gives_segments_back_is_not_left_without_a_beginning() {
    in_all_orders(|| {
        let disk = sim();
        let log = log(disk.clone(), options());
        let mut last = Lsn(0);
        for round in 0..2 {
            last = log.append(&record(0, round, 40_000)).unwrap();
            log.sync_to(last).unwrap();
        }
        let appender = {
            let log = Arc::clone(&log);
            thread::spawn(move || log.append(&record(0, 2, 40_000)).map(drop))
        };
        let chores = {
            let log = Arc::clone(&log);
            thread::spawn(move || log.truncate(last))
        };
        for thread in [appender, chores] {
            thread.join().unwrap().unwrap();
        }
        let left = disk.after(&disk.outcomes(Profile::Strict).nothing());
        let scan = Reader::scan(&left, &journal(&left), None, &mut |_| ControlFlow::Continue(())).unwrap();
        assert!(scan.last >= last, "it goes on behind record {}, and {last} was durable", scan.last);
    });
}
