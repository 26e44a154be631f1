use super::*;

/// A little world: every name is an entity, `at` says where it stands, `want` what shall stand where.
struct World {
    model: Model,
    goals: Goals,
}

fn rel(path: &str) -> RelPath {
    RelPath::new(path).unwrap()
}

impl World {
    fn new(tree: &[(&str, usize)], stage: &[(u64, usize)], want: &[(&str, Option<usize>)]) -> Self {
        let mut model = Model::default();
        for (path, entity) in tree {
            model.put(Place::tree(rel(path)), Entity(*entity));
        }
        for (slot, entity) in stage {
            model.put(Place::slot("s", *slot, &RelPath::root()), Entity(*entity));
        }
        Self { model, goals: want.iter().map(|(path, goal)| (rel(path), goal.map(Entity))).collect() }
    }

    /// Plans, checks that the goals are met and that no path went missing that stood before and stands after.
    fn steps(&mut self) -> Vec<Step> {
        let before = self.model.clone();
        let mut next = 100;
        let steps = plan(&mut self.model, &self.goals, &mut || {
            next += 1;
            Place::slot("s", next, &RelPath::root())
        });
        for (path, goal) in &self.goals {
            assert_eq!(self.model.at(&Place::tree(path.clone())), *goal, "{path} in {steps:?}");
        }
        let lasting: Vec<&Place> = before
            .iter()
            .map(|(place, _)| place)
            .filter(|place| place.area == Area::Tree && self.model.at(place).is_some())
            .collect();
        let mut replay = before.clone();
        for step in &steps {
            match step {
                Step::Move { entity, from, to } => {
                    assert_eq!(replay.at(from), Some(*entity));
                    assert_eq!(replay.at(to), None, "{step:?}");
                    replay.rename(from, to);
                }
                Step::Exchange { entity, displaced, from, to } => {
                    assert_eq!((replay.at(from), replay.at(to)), (Some(*entity), Some(*displaced)), "{step:?}");
                    assert!(
                        !from.starts_with(to) && !to.starts_with(from),
                        "a directory cannot change places with its own content"
                    );
                    replay.exchange(from, to);
                }
            }
            for place in &lasting {
                assert!(replay.at(place).is_some(), "{place:?} is missing after {step:?} of {steps:?}");
            }
        }
        steps
    }
}

#[test]
fn replacing_and_creating_files() {
    let mut world = World::new(&[("a", 1)], &[(1, 2), (2, 3)], &[("a", Some(2)), ("b", Some(3))]);
    let steps = world.steps();
    assert!(matches!(steps[0], Step::Exchange { displaced: Entity(1), .. }));
    assert!(matches!(steps[1], Step::Move { entity: Entity(3), .. }));
    assert_eq!(steps.len(), 2);
}

#[test]
fn what_is_in_place_needs_no_step() {
    let mut world = World::new(&[("a", 1), ("b", 2)], &[], &[("a", Some(1)), ("b", Some(2)), ("c", None)]);
    assert_eq!(world.steps(), []);
}

#[test]
fn a_swap_is_one_exchange_and_a_cycle_of_three_two() {
    assert_eq!(World::new(&[("a", 1), ("b", 2)], &[], &[("a", Some(2)), ("b", Some(1))]).steps().len(), 1);
    let mut cycle = World::new(&[("a", 1), ("b", 2), ("c", 3)], &[], &[("a", Some(3)), ("b", Some(1)), ("c", Some(2))]);
    assert_eq!(cycle.steps().len(), 2);
}

#[test]
fn log_rotation_never_leaves_the_log_missing() {
    // log.1 -> log.2 (new), log -> log.1, a new log.
    let mut world =
        World::new(&[("log", 1), ("log.1", 2)], &[(1, 3)], &[("log", Some(3)), ("log.1", Some(1)), ("log.2", Some(2))]);
    assert_eq!(world.steps().len(), 3);
    // The target of the move sorts before its source.
    World::new(&[("z/log", 1), ("z", 9)], &[(1, 3)], &[("old", Some(1)), ("z/log", Some(3))]).steps();
}

#[test]
fn a_directory_moves_and_something_leaves_it() {
    // a -> b, and what was a/x goes to c, and b/y is replaced.
    let mut world = World::new(
        &[("a", 1), ("a/x", 2), ("a/y", 3)],
        &[(1, 4)],
        &[("a", None), ("b", Some(1)), ("b/x", None), ("b/y", Some(4)), ("c", Some(2))],
    );
    world.steps();
}

#[test]
fn a_directory_is_replaced_by_its_own_child() {
    let mut world = World::new(&[("d", 1), ("d/in", 2)], &[], &[("d", Some(2))]);
    let steps = world.steps();
    assert!(matches!(&steps[0], Step::Move { entity: Entity(2), to, .. } if to.area != Area::Tree));
}

#[test]
fn a_file_becomes_a_directory_with_content() {
    let mut world = World::new(&[("d", 1)], &[(1, 2)], &[("d", Some(2)), ("d/f", Some(3))]);
    world.model.put(Place::slot("s", 1, &rel("f")), Entity(3));
    assert_eq!(world.steps().len(), 1, "the new directory takes its content along");
}

#[test]
fn a_directory_goes_into_a_new_one() {
    let mut world = World::new(&[("old", 1)], &[(1, 2)], &[("new", Some(2)), ("new/old", Some(1)), ("old", None)]);
    world.steps();
}

#[test]
fn what_leaves_a_directory_is_taken_from_where_the_directory_has_gone() {
    // d/x goes to y; d and e change places; e/x comes to stand at d/x, which is never missing.
    let mut swap = World::new(
        &[("d", 1), ("d/x", 2), ("e", 3), ("e/x", 4)],
        &[],
        &[("d", Some(3)), ("e", Some(1)), ("e/x", None), ("y", Some(2))],
    );
    assert_eq!(swap.steps().len(), 2);
    // d/x goes to y, and a new file takes the place of d.
    World::new(&[("d", 1), ("d/x", 2)], &[(1, 3)], &[("d", Some(3)), ("y", Some(2))]).steps();
    // The same with a path that sorts before the directory.
    World::new(&[("d", 1), ("d/x", 2)], &[(1, 3)], &[("a", Some(2)), ("d", Some(3))]).steps();
}

mod random {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// Any assignment of entities, old and new, to any of a dozen paths in two levels of directories.
        #[test]
        fn any_assignment_is_reached_step_by_step(
            before in proptest::collection::vec(any::<bool>(), 8),
            after in proptest::collection::vec(proptest::option::of(0usize..16), 8),
        ) {
            // Flat names: with directories fixed, every permutation, cycle, creation and removal.
            let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
            let tree: Vec<(&str, usize)> =
                names.iter().zip(&before).enumerate().filter(|(_, (_, there))| **there).map(|(n, (name, _))| (*name, n)).collect();
            let stage: Vec<(u64, usize)> = (8..16).map(|n| (n as u64, n)).collect();
            let mut used = BTreeSet::new();
            let want: Vec<(&str, Option<usize>)> = names.iter().zip(&after).map(|(name, goal)| {
                let goal = goal.filter(|n| (*n >= 8 || before[*n]) && used.insert(*n));
                (*name, goal)
            }).collect();
            World::new(&tree, &stage, &want).steps();
        }
    }
}
