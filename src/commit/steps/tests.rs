use proptest::prelude::*;
use treewal_journal::record::{Body, Change, LookChange, New, PathBytes};
use treewal_vfs::{Kind, Time};

use super::*;

fn identity(ino: u64) -> Identity {
    Identity { kind: Kind::File, ino, born: Time::default(), size: 0, modified: Time::default() }
}

fn rel(path: &str) -> RelPath {
    RelPath::new(path).unwrap()
}

fn new(slot: u64, inner: &str) -> Goal {
    entry(slot, inner, Body::Dir, 1000 + slot)
}

fn link(from: &str) -> Body {
    Body::Link { from: PathBytes::from(&rel(from)) }
}

fn with_look((path, intent): (RelPath, Intent)) -> (RelPath, Intent) {
    let mode = Some(Change { to: 0o600, prior: 0o644 });
    (path, Intent { look: Some(LookChange { mode, ..LookChange::default() }), ..intent })
}

fn entry(slot: u64, inner: &str, body: Body, ino: u64) -> Goal {
    Goal::New(New {
        slot,
        inner: PathBytes::from(&rel(inner)),
        identity: identity(ino),
        mode: 0o644,
        uid: 0,
        gid: 0,
        xattrs: Vec::new(),
        times: None,
        body,
    })
}

fn intent(path: &str, prior: Option<u64>, goal: Goal) -> (RelPath, Intent) {
    let bytes = PathBytes::from(&rel(path));
    (rel(path), Intent { path: bytes.clone(), base: Some(bytes), prior: prior.map(identity), goal, look: None })
}

/// What moves, what it displaces, from where and to where.
type Told = (Identity, Option<Identity>, Place, Place);

/// What a plan does, without the numbers that it gives to entries.
fn told(plan: &Plan) -> (Vec<Told>, Vec<u64>) {
    let which = |entity: &Entity| plan.identities[entity.0];
    let steps = plan.steps.iter().map(|step| match step {
        Step::Move { entity, from, to } => (which(entity), None, from.clone(), to.clone()),
        Step::Exchange { entity, displaced, from, to } => {
            (which(entity), Some(which(displaced)), from.clone(), to.clone())
        }
    });
    let mut displaced = plan.displaced.clone();
    displaced.sort_unstable();
    (steps.collect(), displaced)
}

fn both(intents: &[(RelPath, Intent)]) -> (Option<Plan>, Plan) {
    let pairs = intents.iter().map(|(path, intent)| (path, intent));
    let (mut one, mut two) = (100, 100);
    let count = |next: &mut u64| {
        *next += 1;
        *next
    };
    let direct = direct("s", pairs.clone(), &mut || count(&mut one));
    (direct, general("s", pairs, &mut || count(&mut two)))
}

#[test]
fn what_moves_about_the_tree_or_lies_beneath_a_change_goes_to_the_planner() {
    let moved = Goal::Moved { from: PathBytes::from(&rel("a")), identity: identity(1) };
    assert_eq!(both(&[intent("a", Some(1), Goal::Absent), intent("b", None, moved)]).0, None);
    let nested = [intent("d", Some(1), new(1, "")), intent("d/x", Some(2), Goal::Absent)];
    assert_eq!(both(&nested).0, None);
    let (path, mut elsewhere) = intent("b/x", Some(1), new(1, ""));
    elsewhere.base = Some(PathBytes::from(&rel("a/x")));
    assert_eq!(both(&[(path, elsewhere)]).0, None);
}

#[test]
fn what_is_inside_a_new_directory_comes_along() {
    let (path, mut inside) = intent("d/x", None, new(1, "x"));
    inside.base = None;
    let (direct, _) = both(&[intent("d", Some(1), new(1, "")), (path, inside)]);
    assert_eq!(direct.unwrap().steps.len(), 1);
}

#[test]
fn where_things_stand_in_the_end_follows_every_rename_above_them() {
    let (tree, slot) = (|path: &str| Place::tree(rel(path)), |n| Place::slot("s", n, &RelPath::root()));
    let entity = Entity(0);
    let steps = [
        Step::Move { entity, from: tree("p"), to: tree("q") },
        Step::Exchange { entity, displaced: entity, from: slot(1), to: tree("q/d") },
        Step::Move { entity, from: slot(1), to: slot(2) },
    ];
    assert_eq!(place_after(&steps, tree("p/d/x")), Place::slot("s", 2, &rel("x")));
    assert_eq!(place_after(&steps, tree("p/other")), tree("q/other"));
    assert_eq!(place_after(&steps[..2], slot(1)), tree("q/d"));
}

proptest! {
    #[test]
    fn both_ways_give_the_same_steps(
        choices in proptest::collection::vec((any::<bool>(), 0u8..8), 1..12),
    ) {
        let names = ["a", "a-b", "b/a", "b/b", "b/c/d", "c", "d/x", "d/y", "d/z", "e", "f", "g"];
        let mut intents: Vec<(RelPath, Intent)> = Vec::new();
        for (n, (stood, choice)) in choices.into_iter().enumerate() {
            let (number, prior) = (n as u64 + 1, stood.then_some(n as u64 + 1));
            match (choice, stood) {
                (0 | 1, _) => intents.push(intent(names[n], prior, new(number, ""))),
                (2, true) => intents.push(intent(names[n], prior, Goal::Absent)),
                (3, true) => intents.push(intent(names[n], prior, Goal::Kept)),
                (4, true) => intents.push(intent(names[n], prior, Goal::Emptied)),
                (5, true) => intents.push(with_look(intent(names[n], prior, Goal::Kept))),
                // Another name of an entry of the tree, and several of a new one: as many entries as names.
                (6, _) => intents.push(intent(names[n], prior, entry(number, "", link("c"), 2000))),
                (7, _) => intents.push(intent(names[n], prior, entry(number, "", Body::Staged, 3000))),
                _ => {}
            }
        }
        intents.sort_by(|a, b| a.0.cmp(&b.0));
        let (direct, general) = both(&intents);
        prop_assert_eq!(told(&direct.unwrap()), told(&general));
    }
}
