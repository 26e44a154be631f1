//! A journal that is written by operations and then damaged: every record that was acknowledged comes back in order, or
//! the damage is named; what a repair keeps stays; the log goes on.
#![no_main]

use std::collections::BTreeMap;
use std::sync::Arc;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use treewal_fuzz::{Journal, Seen, options, segment};
use treewal_journal::{Log, Lsn, Tail};

fuzz_target!(|data: &[u8]| {
    let mut u = Unstructured::new(data);
    let journal = Journal::in_memory();
    if write(&mut u, &journal).is_err() {
        return;
    }
    let (sound, written) = journal.scan(Some(options().tree)).unwrap();
    assert_eq!(sound.tail, Tail::Clean, "a log that nobody damaged");
    let before: BTreeMap<String, Vec<u8>> =
        journal.segments().into_iter().map(|name| (name.clone(), journal.get(&name))).collect();
    let rounds = u.int_in_range(0..=4).unwrap_or(0);
    for _ in 0..rounds {
        if damage(&mut u, &journal).is_err() {
            break;
        }
    }
    let (found, seen) = journal.scan(Some(options().tree)).unwrap();
    judge(&journal, &before, &written, found.tail, &seen);
    // Where every header is as it was, no number is given a second time to something else.
    let headers_stand = journal.segments().len() == before.len()
        && before
            .iter()
            .all(|(name, old)| now(&journal, &before, name).is_some_and(|new| new.get(..4096) == old.get(..4096)));
    let next = journal.mend_and_go_on(options(), &found, &seen).unwrap();
    if headers_stand && matches!(found.tail, Tail::Corrupt { .. }) {
        assert!(written.last().is_none_or(|last| next > last.lsn), "number {next} was given before: {}", found.tail);
    }
});

/// What stands under a name that was there before.
fn now(journal: &Journal, before: &BTreeMap<String, Vec<u8>>, name: &str) -> Option<Vec<u8>> {
    (before.contains_key(name) && journal.segments().iter().any(|there| there == name)).then(|| journal.get(name))
}

fn write(u: &mut Unstructured<'_>, journal: &Journal) -> Result<()> {
    let mut log = Log::create(Arc::clone(&journal.disk), journal.dir.clone(), options()).unwrap();
    for n in 0..u.int_in_range(1..=24u8)? {
        match u.int_in_range(0..=9)? {
            0 => {
                let back = u64::from(u.arbitrary::<u8>()? % 8);
                log.sync().unwrap();
                log.truncate(Lsn(log.last().0.saturating_sub(back))).unwrap();
            }
            1 => {
                drop(log);
                let (scan, _) = journal.scan(Some(options().tree)).unwrap();
                log = journal.resume(options(), &scan).unwrap();
            }
            2 => log.prepare().unwrap(),
            choice => {
                let mut batch = Vec::new();
                for _ in 0..u.int_in_range(1..=4)? {
                    let len = match choice {
                        3 => usize::from(u.arbitrary::<u16>()? % 30_000),
                        _ => usize::from(u.arbitrary::<u8>()?),
                    };
                    batch.push((1 + n, vec![n ^ 0x5a; len]));
                }
                log.append(&batch).unwrap();
                match choice {
                    0..=3 => {}
                    4 => log.flush().unwrap(),
                    _ => log.sync().unwrap(),
                }
            }
        }
    }
    Ok(())
}

fn damage(u: &mut Unstructured<'_>, journal: &Journal) -> Result<()> {
    let names = journal.segments();
    let Some(name) = names.get(usize::from(u.arbitrary::<u8>()?) % names.len().max(1)) else { return Ok(()) };
    let mut bytes = journal.get(name);
    if bytes.is_empty() {
        return Ok(());
    }
    // Near the start, where most frames are, or anywhere.
    let place = |u: &mut Unstructured<'_>, len: usize| -> Result<usize> {
        let at = usize::from(u.arbitrary::<u16>()?);
        Ok(match u.int_in_range(0..=3)? {
            0 => at % 124,
            1 => at,
            _ => 4096 + at % 2048,
        } % len)
    };
    let at = place(u, bytes.len())?;
    let end = bytes.len().min(at + 1 + usize::from(u.arbitrary::<u16>()? % 4096));
    match u.int_in_range(0..=9)? {
        0..=2 => bytes[at] ^= u.arbitrary::<u8>()?.max(1),
        3 => bytes.truncate(at),
        4 => bytes[at..end].fill(0),
        5 => {
            let noise = u.bytes((end - at).min(u.len()))?;
            bytes[at..at + noise.len()].copy_from_slice(noise);
        }
        6 => {
            let from = place(u, bytes.len())?;
            let len = (end - at).min(bytes.len() - from);
            bytes.copy_within(from..from + len, at);
        }
        7 => {
            journal.remove(name);
            return Ok(());
        }
        8 => {
            let other = journal.get(&names[usize::from(u.arbitrary::<u8>()?) % names.len()]);
            let end = end.min(other.len());
            if at < end {
                bytes[at..end].copy_from_slice(&other[at..end]);
            }
        }
        _ => {
            let number = u.int_in_range(1..=12u64)?;
            journal.put(&segment(number), &bytes);
            return Ok(());
        }
    }
    journal.put(name, &bytes);
    Ok(())
}

fn judge(journal: &Journal, before: &BTreeMap<String, Vec<u8>>, written: &[Seen], tail: Tail, seen: &[Seen]) {
    // Only records that were written, in their order and without a gap.
    let start = seen.first().map_or(0, |first| written.iter().position(|one| one.lsn == first.lsn).unwrap());
    assert_eq!(seen, &written[start..start + seen.len()]);
    if matches!(tail, Tail::Corrupt { .. }) {
        return;
    }
    // Nothing is said to be missing: then nothing that still proves it is there.
    let Some(missing) = written.get(start + seen.len()) else { return };
    let intact = |one: &Seen| {
        let (name, end) = (segment(one.segment), one.offset + 32 + one.payload.len());
        let (old, new) = (&before[&name], now(journal, before, &name).unwrap_or_default());
        let same = |range: std::ops::Range<usize>| old.get(range.clone()) == new.get(range);
        same(0..4096) && same(one.offset..end)
    };
    let mut later = written[start + seen.len()..].iter().filter(|one| one.lsn > missing.lsn);
    // The oldest segments can be removed without a trace, and with them everything that was in them.
    let ended_in = seen.last().map_or(missing.segment, |last| last.segment.max(missing.segment));
    let proof = later.find(|one| one.segment == ended_in && one.durable >= missing.lsn && intact(one));
    assert!(proof.is_none(), "{missing:?} is missing without a word, and {proof:?} says that it was durable");
}
