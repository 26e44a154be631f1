//! The model must not lose what was flushed, and must be able to lose all the rest.

use super::*;

fn write(at: u64, with: u8) -> Event {
    Event::Write(Write { offset: at * 4096, data: vec![with; 4096].into() })
}

/// Two writes, a flush, two more, one of them on its way at the second flush.
fn recording() -> Recording {
    use Event::{Done, Flush};
    let begin = |step| Event::Mark(Mark::Begin(step));
    let ack = |step| Event::Mark(Mark::Ack(step));
    let events = vec![
        begin(1),
        write(0, 1),
        Done(1),
        write(1, 2),
        Done(3),
        Flush,
        ack(1),
        begin(2),
        write(2, 3),
        Done(8),
        write(3, 4),
        Flush,
        Done(10),
        ack(2),
        Event::Mark(Mark::Stop),
        write(4, 5),
    ];
    Recording { base: Image::new(1 << 20).freeze(), events }
}

const RULES: Rules = Rules { seed: 7, mixed: 40, grain: 512, is_deaf: false, whole: &[] };
const ALL: Bounds = Bounds { least: 0, most: 0 };

fn made(rules: Rules) -> Vec<(Cut, Vec<u8>)> {
    let recording = recording();
    let cuts = enumerate(&recording, rules, ALL, None);
    let mut made = Vec::new();
    images(&recording, rules, &cuts, |cut, image| {
        // The first byte of each sector of the five pages.
        let mut bytes = vec![0; 5 * 4096];
        image.read(0, &mut bytes);
        made.push((*cut, bytes.into_iter().step_by(512).collect()));
        true
    });
    assert_eq!(made.len(), cuts.len());
    made
}

#[test]
fn what_was_done_before_a_flush_is_never_lost_and_the_rest_may_be() {
    let made = made(RULES);
    let page = |bytes: &[u8], n: usize| bytes[n * 8..n * 8 + 8].to_vec();
    for (cut, bytes) in made.iter().filter(|(cut, _)| cut.at > 2 * 5) {
        assert_eq!((page(bytes, 0), page(bytes, 1)), (vec![1; 8], vec![2; 8]), "{cut:?}");
    }
    let second: Vec<_> = made.iter().filter(|(cut, _)| cut.bounds.least == 2).collect();
    assert!(second.iter().all(|(_, bytes)| page(bytes, 2) == vec![3; 8]));
    // The one that the second flush did not cover.
    assert!(second.iter().any(|(_, bytes)| page(bytes, 3) == vec![0; 8]));
    assert!(made.iter().any(|(_, bytes)| page(bytes, 0) == vec![0; 8] && page(bytes, 1) == vec![2; 8]), "reordered");
    assert!(made.iter().any(|(_, bytes)| bytes.contains(&1) && page(bytes, 0) != vec![1; 8]), "torn");
    assert!(made.iter().all(|(_, bytes)| page(bytes, 4) == vec![0; 8]), "nothing after the last mark");
}

#[test]
fn an_acknowledged_step_binds_every_cut_after_it() {
    for (cut, bytes) in made(RULES) {
        if cut.at > 2 * 6 {
            assert!(cut.bounds.least >= 1, "{cut:?}");
        }
        assert!(cut.bounds.least <= cut.bounds.most, "{cut:?}");
        // The same bytes before and after the acknowledgement: the narrowest bounds of both.
        if bytes[..16] == [[1; 8], [2; 8]].concat() && bytes[16..].iter().all(|byte| *byte == 0) {
            assert_eq!(cut.bounds, Bounds { least: 1, most: 1 });
        }
    }
}

#[test]
fn a_disk_that_ignores_flushes_loses_what_was_flushed() {
    let made = made(Rules { is_deaf: true, ..RULES });
    assert!(made.iter().any(|(cut, bytes)| cut.bounds.least == 2 && bytes.iter().all(|byte| *byte == 0)));
}

#[test]
fn what_must_be_whole_is_never_torn() {
    let made = made(Rules { whole: &[(0, 4096)], mixed: 200, ..RULES });
    assert!(made.iter().all(|(_, bytes)| bytes[..8] == [0; 8] || bytes[..8] == [1; 8]));
    assert!(made.iter().any(|(_, bytes)| bytes[8..16] != [0; 8] && bytes[8..16] != [2; 8]));
}

#[test]
fn a_sample_is_in_order_and_as_large_as_asked() {
    let cuts = enumerate(&recording(), RULES, ALL, None);
    for max in [1, 5, cuts.len(), 1000] {
        let sample = sample(&cuts, max, 3);
        assert_eq!(sample.len(), max.min(cuts.len()));
        assert!(sample.is_sorted_by_key(|cut| cut.at));
    }
}
