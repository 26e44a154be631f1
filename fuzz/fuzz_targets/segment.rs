//! A directory of segments of any bytes at all, with headers and frames that fit as often as is of use: never a panic,
//! the same answer whatever the bytes come from, and always a way on.
#![no_main]

use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use treewal_fuzz::{Journal, TREE, options, segment};
use treewal_journal::fuzz::{chain_frame, encode_header, seal_header};
use treewal_journal::{Error, Lsn, SEGMENT_BYTES_MIN, SegmentHeader};
use treewal_vfs::{Disk, Open, RealDisk, Time};

fuzz_target!(|data: &[u8]| {
    let Ok(files) = files(&mut Unstructured::new(data)) else { return };
    let (sim, real) = (Journal::in_memory(), real());
    for name in real.segments() {
        real.remove(&name);
    }
    for (seq, bytes) in &files {
        sim.put(&segment(*seq), bytes);
        real.put(&segment(*seq), bytes);
    }
    for tree in [None, Some(TREE)] {
        match (sim.scan(tree), real.scan(tree)) {
            (Err(Error::Version { .. }), Err(Error::Version { .. })) => return,
            (one, other) => assert_eq!(one.unwrap(), other.unwrap()),
        }
    }
    let (found, seen) = sim.scan(Some(TREE)).unwrap();
    sim.mend_and_go_on(options(), &found, &seen);
});

/// One to three segments, not all of them where they belong.
fn files(u: &mut Unstructured<'_>) -> Result<Vec<(u64, Vec<u8>)>> {
    let mut files = Vec::new();
    let mut chain = (Lsn(1), 0);
    for seq in 1..=u.int_in_range(1..=3)? {
        let bytes = file(u, seq, &mut chain)?;
        let number = if u.ratio(1, 16)? { u.int_in_range(1..=5)? } else { seq };
        files.push((number, bytes));
    }
    Ok(files)
}

const RAW: u8 = 1;
const CHAINED: u8 = 2;
const SHORT_FRAMES: u8 = 4;
const ODD_HEADER: u8 = 8;
const PATCHED: u8 = 16;
const CUT: u8 = 32;

/// A segment; `chain` is the number and the link that the next record would have.
fn file(u: &mut Unstructured<'_>, seq: u64, chain: &mut (Lsn, u32)) -> Result<Vec<u8>> {
    let flags: u8 = u.arbitrary()?;
    let len = usize::from(u.arbitrary::<u16>()? % 2048).min(u.len());
    let body = u.bytes(len)?.to_vec();
    if flags & RAW != 0 && flags & CHAINED == 0 {
        return Ok(body);
    }
    let seed = u64::from(u.arbitrary::<u8>()?);
    let header = SegmentHeader {
        tree: TREE,
        boot: [0; 16],
        seq,
        first: chain.0,
        seed,
        prev: chain.0.before(),
        prev_crc: chain.1,
        segment_bytes: SEGMENT_BYTES_MIN,
        created: Time::default(),
        durable: Lsn(chain.0.before().0.saturating_sub(u64::from(u.arbitrary::<bool>()?))),
    };
    let mut bytes = encode_header(&header);
    bytes.resize(usize::try_from(SEGMENT_BYTES_MIN).unwrap_or_default(), 0);
    bytes[4096..4096 + body.len()].copy_from_slice(&body);
    let mut at = 4096;
    while flags & CHAINED != 0 && at < 4096 + body.len() {
        bytes[at + 12] |= 1;
        if flags & SHORT_FRAMES != 0 {
            bytes[at + 9..at + 12].fill(0);
        }
        // The mark: not far below the number, most of the time.
        let mark = chain.0.0.saturating_sub(1 + u64::from(bytes[at + 24] % 4));
        bytes[at + 24..at + 32].copy_from_slice(&mark.to_le_bytes());
        let Some((crc, len)) = chain_frame(&mut bytes[at..], seed, chain.1, chain.0) else { break };
        *chain = (chain.0.next(), crc);
        at += len;
    }
    if flags & ODD_HEADER != 0 {
        let field = usize::from(u.arbitrary::<u8>()? % 120);
        bytes[field] ^= u.arbitrary::<u8>()?;
        seal_header(&mut bytes);
    }
    if flags & PATCHED != 0 {
        let to = usize::from(u.arbitrary::<u16>()?).min(bytes.len() - 64);
        let patch = u.bytes(u.len().min(40))?;
        bytes[to..to + patch.len()].copy_from_slice(patch);
    }
    if flags & CUT != 0 {
        bytes.truncate(usize::from(u.arbitrary::<u16>()?));
    }
    Ok(bytes)
}

/// A journal on the real disk, one a process, that is filled anew each time.
fn real() -> &'static Journal {
    static REAL: OnceLock<Journal> = OnceLock::new();
    REAL.get_or_init(|| {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let target = disk.open_root(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/target"))).unwrap();
        let name = format!("real-{:016x}", treewal_vfs::random());
        disk.create_dir(&target, OsStr::new(&name), 0o700).unwrap();
        let root = disk.open_dir(&target, &treewal_vfs::RelPath::new(&name).unwrap()).unwrap();
        drop(disk.open(&root, OsStr::new("made-by-fuzzing"), Open::Create { mode: 0o600 }).unwrap());
        Journal::beneath(disk, &root)
    })
}
