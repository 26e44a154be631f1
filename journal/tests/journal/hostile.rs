//! Any bytes at all under the names of segments: never a panic, never a wrong record, always a way on.

use std::sync::Arc;

use proptest::prelude::*;
use treewal_journal::{Finding, Tail};

use crate::common::scan_every_way as scan;
use crate::common::*;

/// One way to spoil a file.
#[derive(Debug, Clone)]
enum Harm {
    Flip {
        at: usize,
        mask: u8,
    },
    Cut {
        at: usize,
    },
    Zero {
        at: usize,
        len: usize,
    },
    /// Overwrites with bytes of another place of the log: stale sectors, misdirected writes.
    Move {
        from: usize,
        at: usize,
        len: usize,
    },
    Noise {
        at: usize,
        seed: u8,
        len: usize,
    },
    Gone,
    /// The file of another segment takes its place.
    Swap {
        with: usize,
    },
}

fn harm() -> impl Strategy<Value = (usize, Harm)> {
    let at = prop_oneof![0..200usize, 4096..9000usize, 0..70_000usize];
    let len = prop_oneof![1..64usize, Just(512), 1..20_000usize];
    let harm = prop_oneof![
        (at.clone(), 1..=255u8).prop_map(|(at, mask)| Harm::Flip { at, mask }),
        at.clone().prop_map(|at| Harm::Cut { at }),
        (at.clone(), len.clone()).prop_map(|(at, len)| Harm::Zero { at, len }),
        (at.clone(), at.clone(), len.clone()).prop_map(|(from, at, len)| Harm::Move { from, at, len }),
        (at, any::<u8>(), len).prop_map(|(at, seed, len)| Harm::Noise { at, seed, len }),
        Just(Harm::Gone),
        (0..3usize).prop_map(|with| Harm::Swap { with }),
    ];
    (0..3usize, harm)
}

fn log(sizes: &[usize]) -> (Vec<Vec<u8>>, Vec<Seen>) {
    let (_, disk) = sim();
    let log = create(Arc::clone(&disk));
    for (n, size) in sizes.iter().enumerate() {
        let last = log.append(&[(1, vec![u8::try_from(n % 251).unwrap(); *size]), (2, vec![7; n])]).unwrap();
        if n % 3 != 1 {
            log.sync_to(last).unwrap();
        }
    }
    let (found, seen) = scan(&*disk);
    (found.segments.iter().map(|s| bytes_of(&*disk, &segment(s.header.seq))).collect(), seen)
}

fn spoil(files: &mut [Option<Vec<u8>>], which: usize, harm: &Harm) {
    let which = which % files.len();
    let other = files[(which + 1) % files.len()].clone().unwrap_or_default();
    if let Harm::Swap { with } = harm {
        files.swap(which, with % files.len());
        return;
    }
    let Some(file) = files[which].as_mut() else { return };
    let end = |at: usize, len: usize| (at + len).min(file.len());
    match *harm {
        Harm::Flip { at, mask } => {
            if let Some(byte) = file.get_mut(at) {
                *byte ^= mask;
            }
        }
        Harm::Cut { at } => file.truncate(at),
        Harm::Zero { at, len } if at < file.len() => {
            let end = end(at, len);
            file[at..end].fill(0);
        }
        Harm::Noise { at, seed, len } if at < file.len() => {
            let end = end(at, len);
            let mut state = u32::from(seed) | 1;
            for byte in &mut file[at..end] {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = state.to_be_bytes()[0];
            }
        }
        Harm::Move { from, at, len } if at < file.len() => {
            let part = other.get(from..(from + len).min(other.len())).unwrap_or_default().to_vec();
            let end = end(at, part.len());
            file[at..end].copy_from_slice(&part[..end - at]);
        }
        Harm::Gone => files[which] = None,
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_the_files(
        sizes in prop::collection::vec(prop_oneof![0..100usize, 1000..20_000usize], 1..14),
        harms in prop::collection::vec(harm(), 1..4),
    ) {
        let (files, written) = log(&sizes);
        let mut files: Vec<Option<Vec<u8>>> = files.into_iter().map(Some).collect();
        for (which, harm) in &harms {
            spoil(&mut files, *which, harm);
        }
        let (_, disk) = sim();
        for (seq, file) in (1..).zip(&files) {
            if let Some(bytes) = file {
                put(&*disk, &segment(seq), bytes);
            }
        }
        let (found, seen) = scan(&*disk);
        // Records are those that were written, in their order; only the oldest can be missing without a trace.
        let start = seen.first().map_or(0, |record| usize::try_from(record.0 - 1).unwrap());
        prop_assert_eq!(&seen[..], &written[start..start + seen.len()]);
        prop_assert!(start == 0 || files[0].as_ref().is_none_or(|file| file.iter().all(|byte| *byte == 0)));
        // Without a word only what came last goes.
        let whole = |file: &Option<Vec<u8>>| file.as_ref().is_some_and(|file| file.iter().any(|byte| *byte != 0));
        // The last segment looks as it did before it was begun, where its second header is gone and no mark vouches.
        let unbegun = found.findings.iter().filter(|finding| matches!(finding, Finding::Unfinished { .. })).count()
            + usize::from(found.reserved.is_some());
        let counted = files.iter().filter(|file| whole(file)).count();
        let is_last = files.len() == 1 || (unbegun <= 1 && found.segments.len() + unbegun >= counted);
        let is_damaged = matches!(found.tail, Tail::Corrupt { .. });
        prop_assert!(is_damaged || is_last, "{}", found.tail);
        mend_and_go_on(&disk);
    }

    #[test]
    fn noise_alone(files in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9000), 0..4)) {
        let (_, disk) = sim();
        for (seq, bytes) in (1..).zip(&files) {
            put(&*disk, &segment(seq), bytes);
        }
        let (found, seen) = scan(&*disk);
        prop_assert!(seen.is_empty());
        prop_assert_eq!(matches!(found.tail, Tail::Corrupt { .. }), files.iter().any(|file| !file.is_empty()));
        mend_and_go_on(&disk);
    }
}
