//! Breadth first through every world, so that what is found first has the shortest way to it.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::script::Script;
use crate::world::{Event, World};

/// What was found.
#[derive(Debug)]
pub(crate) struct Explored {
    /// Different worlds.
    pub(crate) states: usize,
    /// Steps between them.
    pub(crate) steps: u64,
    /// The longest of the shortest ways.
    pub(crate) depth: u32,
    pub(crate) violation: Option<Violation>,
    /// Whether all there is was seen.
    pub(crate) complete: bool,
}

#[derive(Debug)]
pub(crate) struct Violation {
    pub(crate) what: String,
    /// The steps that lead to it.
    pub(crate) trace: Vec<String>,
}

/// How a world was reached: from which one, by which of its steps.
#[derive(Clone, Copy)]
struct Origin {
    from: usize,
    step: usize,
    depth: u32,
}

/// A world is remembered by 64 bits of hash alone: of ten million, two are taken for one with a chance of three in a million.
fn digest(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

pub(crate) fn explore(script: &Script, states_max: usize) -> Explored {
    let start = World::new(script);
    let mut seen = HashSet::from([digest(&start)]);
    let mut origins = vec![Origin { from: 0, step: 0, depth: 0 }];
    let mut open = VecDeque::from([(0, start)]);
    let mut explored = Explored { states: 1, steps: 0, depth: 0, violation: None, complete: false };
    while let Some((number, world)) = open.pop_front() {
        let depth = origins[number].depth + 1;
        for (step, (event, next)) in world.steps(script).into_iter().enumerate() {
            explored.steps += 1;
            match next {
                Err(what) => {
                    let mut trace = trace(script, &origins, number);
                    trace.push(told(&world, event));
                    explored.violation = Some(Violation { what, trace });
                    return explored;
                }
                Ok(next) if seen.insert(digest(&next)) => {
                    origins.push(Origin { from: number, step, depth });
                    explored.depth = depth;
                    open.push_back((origins.len() - 1, next));
                }
                Ok(_) => {}
            }
        }
        explored.states = origins.len();
        if explored.states >= states_max {
            return explored;
        }
    }
    explored.complete = true;
    explored
}

/// The steps from the start to a world, by taking them again.
fn trace(script: &Script, origins: &[Origin], to: usize) -> Vec<String> {
    let mut way = Vec::new();
    let mut at = to;
    while at != 0 {
        way.push(origins[at].step);
        at = origins[at].from;
    }
    let mut world = World::new(script);
    let mut trace = Vec::new();
    for step in way.into_iter().rev() {
        let (event, next) = world.steps(script).into_iter().nth(step).unwrap();
        trace.push(told(&world, event));
        world = next.unwrap();
    }
    trace
}

fn told(world: &World, event: Event) -> String {
    match event {
        Event::Act(who) => format!("{who}: {:?}", world.process(who).acts.front().unwrap()),
        other => format!("{other:?}"),
    }
}
