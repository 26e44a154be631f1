//! Each thing that must hold is asked for.

use super::*;

const CLEAN: &str = r#"{"recovery": {"torn_tail": false, "damage": [], "transactions": [],
    "stages_reclaimed": 0, "snapshots_reclaimed": 0}}"#;
const DAMAGED: &str = r#"{"recovery": {"damage": ["a record"]}}"#;

fn ran(code: i32, out: &str) -> Ran {
    Ran { code: Some(code), out: out.to_owned(), err: String::new() }
}

fn calm_one() -> Recovered {
    Recovered {
        dev: 1,
        before: Ok(Walk::new()),
        recover: ran(0, CLEAN),
        tree: Ok(Walk::new()),
        leftovers: Vec::new(),
        verify: ran(0, ""),
        again: ran(0, CLEAN),
        tree_again: Ok(Walk::new()),
        commit: ran(0, ""),
        tree_after_commit: Ok(Walk::new()),
    }
}

fn found(change: impl FnOnce(&mut Recovered)) -> Result<Found, String> {
    let mut seen = calm_one();
    change(&mut seen);
    look(&Ok(Facts::Recovered(Box::new(seen))), &[Walk::new()])
}

#[test]
fn what_is_allowed_has_its_name() {
    assert_eq!(found(|_| ()), Ok(Found::Whole));
    assert_eq!(look(&Ok(Facts::Recovered(Box::new(calm_one()))), &[]), Ok(Found::Mixed));
    assert_eq!(found(|seen| seen.recover = ran(6, DAMAGED)), Ok(Found::Told));
    assert_eq!(look(&Ok(Facts::Refused("bad superblock".to_owned())), &[]), Ok(Found::Refused));
    let left = |seen: &mut Recovered| seen.leftovers.extend(["stage/1".to_owned(), "stage/1.lock".to_owned()]);
    found(left).unwrap_err();
    assert_eq!(
        found(|seen| {
            left(seen);
            seen.verify.out = "the handle of stage/1 is gone".to_owned();
        }),
        Ok(Found::Whole)
    );
    assert_eq!(found(|seen| seen.tree = Err("nothing there (os error 2)".to_owned())), Ok(Found::Refused));
    assert_eq!(found(|seen| seen.commit.err = "Bad message (os error 74)".to_owned()), Ok(Found::Refused));
    assert_eq!(
        found(|seen| {
            seen.recover = ran(3, "");
            seen.recover.err = "Structure needs cleaning (os error 117)".to_owned();
        }),
        Ok(Found::Refused)
    );
}

#[test]
fn what_is_not_allowed_is_found() {
    look(&Err("the hand hung".to_owned()), &[]).unwrap_err();
    let changes: [fn(&mut Recovered); 13] = [
        |seen| seen.recover.code = None,
        |seen| seen.recover.code = Some(101),
        |seen| seen.verify.err = "thread 'main' panicked".to_owned(),
        |seen| seen.recover.code = Some(3),
        |seen| seen.recover.code = Some(6),
        |seen| seen.leftovers.push("quarantine/1".to_owned()),
        |seen| {
            seen.leftovers.push("quarantine/1".to_owned());
            seen.verify.out = "quarantine/1".to_owned();
        },
        |seen| seen.verify.code = Some(6),
        |seen| seen.again.code = Some(6),
        |seen| seen.again.out = DAMAGED.to_owned(),
        |seen| seen.tree_again = Err("gone".to_owned()),
        |seen| seen.commit.code = Some(5),
        |seen| {
            seen.recover = ran(6, DAMAGED);
            seen.commit.code = Some(5);
        },
    ];
    for (n, change) in changes.into_iter().enumerate() {
        assert!(found(change).is_err(), "change {n}");
    }
}
