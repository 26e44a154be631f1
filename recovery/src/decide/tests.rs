//! Every combination of facts, against the rules said in other words.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const TRIES: [Tries; 3] = [Tries::Left, Tries::Spent, Tries::Starved];
const TRIED: [Tried; 4] = [Tried::Not, Tried::Done, Tried::Failed, Tried::Impossible];
const WANTED: [Option<Resolution>; 4] =
    [None, Some(Resolution::Keep), Some(Resolution::Restore), Some(Resolution::Abandon)];

fn all() -> Vec<Facts> {
    let mut all = Vec::new();
    for bits in 0..256u32 {
        let bit = |n: u32| bits & (1 << n) != 0;
        for tries in TRIES {
            for tried in TRIED {
                all.extend(WANTED.map(|wanted| Facts {
                    staged: bit(0),
                    committed: bit(1),
                    complete: bit(2),
                    sound: bit(3),
                    rolled_back: bit(4),
                    quarantined: bit(5),
                    covered: bit(6),
                    waits: bit(7),
                    tries,
                    tried,
                    wanted,
                }));
            }
        }
    }
    all
}

#[test]
fn ro10_every_combination_is_decided_as_the_table_says() {
    let mut met: BTreeMap<&str, u32> = BTreeMap::new();
    for facts in all() {
        let (label, verdict) = decide(facts);
        *met.entry(label).or_default() += 1;
        let Facts { staged, committed, complete, sound, tried, wanted, .. } = facts;
        let over = facts.rolled_back || facts.quarantined;
        // Nothing is owed where nothing was promised, or where the promise is kept.
        let owed = !over && staged == committed;
        assert_eq!(label == "settled", over, "{facts:?}");
        assert_eq!(label == "unpromised", !over && staged && !committed, "{facts:?}");
        assert_eq!(label == "kept", !over && !staged && committed, "{facts:?}");
        // Nothing promised is ever forgotten, nothing that is over is touched.
        assert_eq!(matches!(verdict, Verdict::Forget | Verdict::Discard), !owed, "{facts:?}");
        // A snapshot is dropped only when the work is settled one way or the other, and never where it was given up.
        let done = (facts.rolled_back || committed) && !facts.quarantined;
        assert_eq!(verdict == Verdict::Discard, !staged && done, "{facts:?}");

        // A redo needs a whole promise and nobody who wants something else; an undo that there was none.
        let by_itself = owed && wanted.is_none() && tried == Tried::Not && !facts.waits && facts.tries == Tries::Left;
        assert_eq!(verdict == Verdict::Redo, by_itself && staged && complete && sound, "{facts:?}");
        let by_hand = owed && wanted == Some(Resolution::Restore) && tried == Tried::Not;
        let undo = !staged && (by_itself && !facts.covered && sound || by_hand);
        assert_eq!(verdict == Verdict::Undo, undo, "{facts:?}");
        assert_eq!(verdict == Verdict::TakeBack, by_hand && staged && complete && sound, "{facts:?}");
        // No try is made twice in one recovery.
        if tried != Tried::Not {
            assert!(!matches!(verdict, Verdict::Redo | Verdict::Undo | Verdict::TakeBack), "{facts:?}");
        }
        // What a person wants is done, or it is owed as before; it is given up against their will only where a part of it
        // is missing or forged.
        if owed && wanted == Some(Resolution::Restore) && (!staged || complete && sound) {
            assert_eq!(label, "restored-by-hand", "{facts:?}");
            assert_ne!(verdict, Verdict::GiveUp, "{facts:?}");
        }
        if owed && wanted == Some(Resolution::Abandon) {
            assert_eq!((label, verdict), ("abandoned", Verdict::GiveUp), "{facts:?}");
        }
        if owed && wanted == Some(Resolution::Keep) {
            assert_eq!(label, "kept-by-hand", "{facts:?}");
            assert_eq!(verdict == Verdict::Settle, !staged, "the contents of a promise are not thrown away");
        }
        // A failed try leaves it owed, and only one that cannot help gives it up.
        if owed && wanted.is_none() && sound && complete && !facts.covered {
            match tried {
                Tried::Done => assert_eq!(verdict, Verdict::Settle, "{facts:?}"),
                Tried::Failed => assert_eq!(verdict, Verdict::Wait, "{facts:?}"),
                Tried::Impossible => assert_eq!(verdict, Verdict::GiveUp, "{facts:?}"),
                // Who waits is not given up by the way: only an opening does that.
                Tried::Not if facts.waits => assert_eq!(verdict, Verdict::Wait, "{facts:?}"),
                Tried::Not => assert_eq!(verdict == Verdict::GiveUp, facts.tries != Tries::Left, "{facts:?}"),
            }
        }
        // The label says which kind it is, and which end it came to.
        assert!(!label.starts_with("redo") || staged, "{facts:?}");
        assert!(!label.starts_with("undo") || !staged, "{facts:?}");
        assert_eq!(label.ends_with("-owed"), verdict == Verdict::Wait && wanted.is_none(), "{facts:?}");
        for end in ["-exhausted", "-starved", "-impossible"] {
            assert!(!label.ends_with(end) || verdict == Verdict::GiveUp, "{facts:?}");
        }
    }
    // Each row is there for something.
    assert_eq!(met.keys().copied().collect::<BTreeSet<_>>(), BTreeSet::from(LABELS));
    assert_eq!(met.values().sum::<u32>(), 256 * 3 * 4 * 4);
}
