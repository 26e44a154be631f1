//! How fast a log is scanned, beside the least that any reader must do: map the file, look at each header, put each
//! frame through the checksum. Run it alone, in release mode:
//!
//! `cargo test --release -p treewal-journal --test speed -- --ignored --nocapture`
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what fails here is the measurement, and it has something to say"
)]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use treewal_journal::{Log, LogOptions, Reader, ScanOptions, Source, Tail, TreeId};
use treewal_vfs::{Dir, Disk, Open, RealDisk};

const TREE: TreeId = TreeId(*b"tree that is big");
const ROUNDS: usize = 9;

fn fill(home: &Path, record_bytes: usize, total: u64, segment_bytes: u64) -> Dir {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let dir = disk.open_root(home).unwrap();
    let options = LogOptions { segment_bytes, ..LogOptions::new(TREE) };
    let log = Log::create(disk, dir.clone(), options).unwrap();
    let payload: Vec<u8> = (0..=255u8).cycle().take(record_bytes).collect();
    let batch: Vec<(u8, &[u8])> = vec![(1, &payload[..]); (256 << 10) / (record_bytes + 32)];
    while log.bytes() < total {
        log.append(&batch).unwrap();
    }
    log.sync().unwrap();
    dir
}

/// What no reader can leave out; gives how many records there are.
fn limit(dir: &Dir) -> u64 {
    let mut records = 0;
    let mut names: Vec<_> = RealDisk.list(dir).unwrap().into_iter().map(|entry| entry.name).collect();
    names.sort();
    for name in names {
        let file = RealDisk.open(dir, &name, Open::Read).unwrap();
        let size = RealDisk.stat_file(&file).unwrap().size;
        let mut map = RealDisk.map(&file, size).unwrap().unwrap();
        let bytes = map.upto(usize::MAX).unwrap();
        // A segment that was reserved before it was begun has its seed in the second header.
        let header = if bytes[56..64] == [0; 8] { 512 } else { 0 };
        let seed = crc32fast::hash(&bytes[header + 64..header + 72]);
        let mut at = 4096;
        while let Some(head) = bytes.get(at..at + 32) {
            let len = usize::try_from(u32::from_le_bytes(head[8..12].try_into().unwrap())).unwrap();
            if head[12] == 0 {
                break;
            }
            let mut hasher = crc32fast::Hasher::new_with_initial(seed);
            hasher.update(&bytes[at + 4..at + 32 + len]);
            assert_eq!(hasher.finalize().to_le_bytes(), head[..4]);
            records += 1;
            at += (32 + len).next_multiple_of(8);
        }
    }
    records
}

fn scan(dir: &Dir, source: Source, threads: usize) -> u64 {
    let mut records = 0;
    let options = ScanOptions { source, threads, ..ScanOptions::new(Some(TREE)) };
    let scan = Reader::scan_with(&RealDisk, dir, &options, &mut |_| {
        records += 1;
        ControlFlow::Continue(())
    });
    assert_eq!(scan.unwrap().tail, Tail::Clean);
    records
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

fn measure(record_bytes: usize, total: u64, segment_bytes: u64) {
    let home = tempfile::tempdir().unwrap();
    let dir = fill(home.path(), record_bytes, total, segment_bytes);
    let rows: [(&str, &dyn Fn() -> u64); 5] = [
        ("limit: map and crc32fast", &|| limit(&dir)),
        ("mapped", &|| scan(&dir, Source::Mapped, 1)),
        ("buffered", &|| scan(&dir, Source::Buffered, 1)),
        ("mapped, 2 threads", &|| scan(&dir, Source::Mapped, 2)),
        ("buffered, 2 threads", &|| scan(&dir, Source::Buffered, 2)),
    ];
    let expected = limit(&dir);
    let mut times = vec![Vec::new(); rows.len()];
    for round in 0..=ROUNDS {
        for at in 0..rows.len() {
            let at = (at + round) % rows.len();
            let start = Instant::now();
            let records = rows[at].1();
            let took = start.elapsed();
            assert_eq!(records, expected);
            // The first round warms up.
            if round > 0 {
                times[at].push(took);
            }
        }
    }
    println!("{total} bytes in segments of {segment_bytes}, records of {record_bytes}:");
    for (at, (name, _)) in rows.iter().enumerate() {
        let ratios: Vec<f64> =
            times[at].iter().zip(&times[0]).map(|(ours, limit)| ours.as_secs_f64() / limit.as_secs_f64()).collect();
        let mut sorted = ratios;
        sorted.sort_by(f64::total_cmp);
        let took = median(times[at].clone());
        println!(
            "  {name:26} {:8.1} ms {:7.0} MB/s  {:.2}x",
            took * 1e3,
            total as f64 / took / 1e6,
            sorted[sorted.len() / 2]
        );
    }
}

#[test]
#[ignore = "a measurement: needs a quiet machine, release mode and 1 GiB of disk"]
fn beside_the_limit() {
    measure(4096, 1 << 30, 8 << 20);
    measure(128, 256 << 20, 8 << 20);
}
