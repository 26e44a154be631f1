//! What may be left of the contents of a file.

use std::collections::{BTreeMap, BTreeSet};

use super::tools::{BOTH, Desk, rel};
use crate::sim::{Node, Outcome, Profile};
use crate::{Disk, Open, RelPath};

/// The contents of `a` after each random outcome and each exhaustive one.
fn contents(desk: &Desk, profile: Profile) -> BTreeSet<Vec<u8>> {
    let outcomes = desk.disk.outcomes(profile);
    let all: Vec<Outcome> = outcomes.exhaustive(100_000).unwrap().chain(outcomes.sample(1, 3000)).collect();
    all.iter().map(|outcome| desk.disk.after(outcome).dump()[&rel("a")].contents.clone()).collect()
}

/// One letter a sector.
fn sectors(letters: &str) -> Vec<u8> {
    letters.bytes().flat_map(|letter| [if letter == b'0' { 0 } else { letter }; 512]).collect()
}

fn letters(bytes: &[u8]) -> String {
    let whole = bytes.chunks(512).map(|sector| {
        assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is torn");
        if sector[0] == 0 { '0' } else { char::from(sector[0]) }
    });
    whole.collect()
}

#[test]
fn sectors_of_two_writes_mix() {
    let desk = Desk::with(&["a"]);
    let file = desk.write("a", &sectors("ooo"));
    desk.disk.sync_file(&file).unwrap();
    desk.write("a", &sectors("111"));
    desk.write("a", &sectors("222"));
    for profile in BOTH {
        let seen: BTreeSet<String> = contents(&desk, profile).iter().map(|bytes| letters(bytes)).collect();
        for mix in ["ooo", "111", "222", "o12", "21o", "2oo", "oo2"] {
            assert!(seen.contains(mix), "{profile:?} never left {mix}");
        }
        let zero = seen.iter().any(|mix| mix.contains('0'));
        let part = seen.iter().any(|mix| mix.contains('0') && mix.contains('2'));
        assert_eq!(part, zero, "{profile:?}");
        // Only where nothing is assumed may a sector that held something read as zeros.
        assert_eq!(zero, profile == Profile::Strict);
        assert!(seen.iter().all(|mix| mix.len() == 3));
    }
}

#[test]
fn what_was_synced_stays_in_a_sector_that_is_written_again() {
    let desk = Desk::with(&["a"]);
    let file = desk.write("a", b"acked");
    desk.disk.sync_data(&file).unwrap();
    crate::write_all(&desk.disk, &file, b" more", 5).unwrap();
    for profile in BOTH {
        for bytes in contents(&desk, profile) {
            assert!(bytes.starts_with(b"acked"), "{profile:?} {bytes:?}");
            assert!(bytes.len() <= 10);
        }
    }
}

#[test]
fn a_growing_file_has_any_length_between_and_zeros_for_what_is_missing() {
    let desk = Desk::with(&["a"]);
    let file = desk.write("a", &sectors("x"));
    desk.disk.sync_data(&file).unwrap();
    crate::write_all(&desk.disk, &file, &sectors("yy"), 512).unwrap();
    for profile in BOTH {
        let seen = contents(&desk, profile);
        let lengths: BTreeSet<usize> = seen.iter().map(Vec::len).collect();
        assert!(lengths.len() > 20, "{profile:?} {lengths:?}");
        assert!(lengths.iter().all(|len| (512..=1536).contains(len)));
        for mix in ["x", "x00", "x0y", "xy0", "xyy"] {
            assert!(seen.contains(&sectors(mix)), "{profile:?} never left {mix}");
        }
    }
}

#[test]
fn a_file_cut_and_written_anew_may_be_old_empty_zero_or_new() {
    let desk = Desk::with(&["a"]);
    let file = desk.write("a", &sectors("oo"));
    desk.disk.sync_data(&file).unwrap();
    desk.disk.set_len(&file, 0).unwrap();
    desk.write("a", &sectors("n"));
    let strict = contents(&desk, Profile::Strict);
    let ordered = contents(&desk, Profile::Ordered);
    for left in ["oo", "", "0", "n"] {
        assert!(strict.contains(&sectors(left)) && ordered.contains(&sectors(left)), "never left {left:?}");
    }
    // In place while the cut is not: a journal would have the cut first.
    assert!(strict.contains(&sectors("no")) && !ordered.contains(&sectors("no")));
    // A length that survived holds what was synced, never zeros that nobody wrote.
    assert!(strict.iter().chain(&ordered).all(|bytes| bytes.len() <= 512 || bytes[512..].iter().all(|b| *b == b'o')));
}

#[test]
fn a_cut_alone_is_the_old_file_or_a_beginning_of_it() {
    let desk = Desk::with(&["a"]);
    let file = desk.write("a", &sectors("xyz"));
    desk.disk.sync_data(&file).unwrap();
    desk.disk.set_len(&file, 100).unwrap();
    for profile in BOTH {
        for bytes in contents(&desk, profile) {
            assert!(bytes.len() >= 100 && sectors("xyz").starts_with(&bytes), "{profile:?} {}", bytes.len());
        }
    }
}

#[test]
fn a_cut_that_did_not_happen_spares_the_rest_of_a_sector_that_was_written_after_it() {
    let desk = Desk::with(&["a"]);
    let file = desk.write("a", &sectors("xyz"));
    desk.disk.sync_data(&file).unwrap();
    desk.disk.set_len(&file, 100).unwrap();
    crate::write_all(&desk.disk, &file, &[b'n'; 10], 0).unwrap();
    for bytes in contents(&desk, Profile::Strict) {
        assert_eq!(bytes[10..], sectors("xyz")[10..bytes.len()]);
    }
}

#[test]
fn bytes_cut_off_do_not_come_back_when_the_file_grows_again() {
    let desk = Desk::with(&["a"]);
    let file = desk.write("a", &sectors("xy"));
    desk.disk.sync_data(&file).unwrap();
    desk.disk.set_len(&file, 512).unwrap();
    desk.disk.sync_data(&file).unwrap();
    desk.disk.set_len(&file, 1024).unwrap();
    for profile in BOTH {
        for bytes in contents(&desk, profile) {
            assert!(bytes[512..].iter().all(|byte| *byte == 0) && bytes.starts_with(&sectors("x")));
        }
    }
}

#[test]
fn a_sync_makes_the_contents_the_only_ones() {
    let desk = Desk::with(&["a"]);
    let file = desk.write("a", &sectors("abc"));
    desk.disk.set_len(&file, 700).unwrap();
    desk.disk.sync_data(&file).unwrap();
    for profile in BOTH {
        assert_eq!(contents(&desk, profile), BTreeSet::from([sectors("abc")[..700].to_vec()]));
    }
}

#[test]
fn a_reflink_is_as_open_as_a_write_and_keeps_its_holes() {
    let desk = Desk::with(&["a"]);
    let source = desk.open("s", Open::CreateNew { mode: 0o600 });
    crate::write_all(&desk.disk, &source, b"end", 1 << 20).unwrap();
    desk.disk.sync_all(&desk.root).unwrap();
    let copy = desk.open("c", Open::CreateNew { mode: 0o600 });
    desk.disk.reflink(&source, &copy).unwrap();
    assert_eq!(desk.disk.stat_file(&copy).unwrap().allocated, 4096);
    assert_eq!(desk.disk.next_data(&copy, 0).unwrap(), Some((1 << 20, (1 << 20) + 3)));
    let lost = desk.disk.after(&desk.disk.outcomes(Profile::Strict).names_without_contents());
    assert_eq!(lost.dump()[&rel("c")].contents, b"");
    desk.disk.sync_all(&desk.root).unwrap();
    crate::write_all(&desk.disk, &source, b"END", 1 << 20).unwrap();
    let kept = desk.disk.after(&desk.disk.outcomes(Profile::Strict).nothing());
    assert!(kept.dump()[&rel("c")].contents.ends_with(b"end"));
}

/// The contents of `a` after each exhaustive outcome, a letter for a sector, with and without the time of the write.
fn cases(desk: &Desk, profile: Profile) -> BTreeSet<String> {
    let old = desk.disk.after(&desk.disk.outcomes(profile).nothing()).dump()[&rel("a")].modified;
    let outcomes = desk.disk.outcomes(profile).exhaustive(1000).unwrap();
    let trees = outcomes.map(|outcome| desk.disk.after(&outcome).dump());
    let case = |tree: BTreeMap<RelPath, Node>| {
        let node = &tree[&rel("a")];
        letters(&node.contents) + if node.modified == old { "" } else { "!" }
    };
    trees.map(case).collect()
}

#[test]
fn an_exhaustive_run_sees_a_grown_file_in_every_case_that_differs_in_kind() {
    let desk = Desk::with(&[]);
    let file = desk.write("a", &sectors("oo"));
    desk.disk.sync_all(&desk.root).unwrap();
    crate::write_all(&desk.disk, &file, &sectors("nnnn"), 512).unwrap();
    // `!` is: with the time of the write. Nothing and everything come with the old time too.
    let (nothing, everything) = (["oo", "oo!"], ["onnnn", "onnnn!"]);
    let lengths = ["oo000!", "on!", "onn!"];
    let halves = ["oo0nn!", "onn00!"];
    let single = ["oonnn!", "on0nn!", "onn0n!", "onnn0!"];
    let both = [&nothing[..], &everything, &lengths, &halves, &single].concat();
    for (profile, zeroed) in [(Profile::Strict, Some("o0000!")), (Profile::Ordered, None)] {
        let expected = both.iter().copied().chain(zeroed).map(String::from).collect();
        assert_eq!(cases(&desk, profile), expected, "{profile:?}");
    }
}

#[test]
fn an_exhaustive_run_sees_each_write_and_each_cut() {
    let desk = Desk::with(&[]);
    let file = desk.write("a", &sectors("oo"));
    desk.disk.sync_all(&desk.root).unwrap();
    desk.disk.set_len(&file, 0).unwrap();
    desk.write("a", &sectors("1"));
    desk.write("a", &sectors("2"));
    // As it was, cut, the first write, the second, and the length without either. The cut is the least that a journal
    // leaves once it got that far.
    let ordered = ["oo", "oo!", "", "!", "1!", "2", "2!", "0!"];
    assert_eq!(cases(&desk, Profile::Ordered), ordered.map(String::from).into());
    // The last: written in place, but not cut.
    let strict = ["oo", "oo!", "!", "1!", "2", "2!", "0!", "2o!"];
    assert_eq!(cases(&desk, Profile::Strict), strict.map(String::from).into());
}

#[test]
fn a_reused_file_never_shows_a_mix_within_one_sector() {
    let desk = Desk::with(&["a"]);
    let file = desk.write("a", &[b'o'; 2000]);
    desk.disk.sync_data(&file).unwrap();
    crate::write_all(&desk.disk, &file, &[b'1'; 700], 100).unwrap();
    crate::write_all(&desk.disk, &file, &[b'2'; 700], 600).unwrap();
    for bytes in contents(&desk, Profile::Ordered) {
        // Sector 0 holds the first write or not; sector 1 has seen none, the first, or both.
        let first: BTreeSet<u8> = bytes[100..512].iter().copied().collect();
        assert!(first.len() == 1 && bytes[..100] == [b'o'; 100]);
        let (one, two) = (&bytes[512..600], &bytes[600..800]);
        let states = [(b'o', b'o'), (b'1', b'1'), (b'1', b'2')];
        assert!(states.iter().any(|(a, b)| one.iter().all(|x| x == a) && two.iter().all(|x| x == b)));
    }
}
