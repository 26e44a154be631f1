//! What must hold: P7 and P3 always, P1 and P2 and P3 after a completed recovery.

use std::collections::BTreeMap;

use crate::disk::{Spot, Version};
use crate::script::{FOREIGN, Op, Script};
use crate::world::{Foreign, Told, World};

/// In every world, also in one that nobody has recovered yet.
pub(crate) fn always(world: &World, script: &Script) -> Result<(), String> {
    for path in (0..script.paths).filter(|path| script.lasts(*path)) {
        if world.disk.at(Spot::Tree(path)).is_none() {
            return Err(format!("P7: p{path} is missing"));
        }
    }
    let is_safe = match world.foreign {
        Foreign::Waiting | Foreign::Lost => true,
        Foreign::There(_) => {
            let somewhere = world.disk.names().any(|(_, ent)| ent.version == FOREIGN);
            somewhere || world.quarantine.contains(&FOREIGN) || !world.told.replacing.is_empty()
        }
    };
    if is_safe { Ok(()) } else { Err("P3: the work of somebody else is gone".to_owned()) }
}

/// After a recovery: each transaction is there wholly or not at all, each acknowledged one is there, and of what is in
/// nobody's place nothing is gone. From then on what is there stays: gives what the outside may hold us to.
pub(crate) fn recovered(world: &World, script: &Script) -> Result<Told, String> {
    let Told { order, acknowledged, replacing } = &world.told;
    let open: Vec<u8> = order.iter().copied().filter(|txn| !acknowledged.contains(txn)).collect();
    let mut said = String::new();
    // The most first, as of two that come to the same the one with more is the stricter.
    for left_out in 0..1u32 << open.len() {
        let is_in = |txn: &u8| match open.iter().position(|other| other == txn) {
            Some(at) => left_out & (1 << at) == 0,
            None => true,
        };
        let there: Vec<u8> = order.iter().copied().filter(is_in).collect();
        match is_as_after(world, script, &there) {
            Ok(()) => {
                let replacing = replacing.iter().copied().filter(|txn| there.contains(txn)).collect();
                return Ok(Told { acknowledged: there.iter().copied().collect(), order: there, replacing });
            }
            Err(why) if said.is_empty() => said = why,
            Err(_) => {}
        }
    }
    Err(format!("P1, P2: as after no transactions that may be there; {said}"))
}

fn is_as_after(world: &World, script: &Script, there: &[u8]) -> Result<(), String> {
    let mut wanted: BTreeMap<u8, (Option<Version>, Option<u8>)> =
        (0..script.paths).map(|path| (path, (Some(path).filter(|path| *path < script.there), None))).collect();
    for txn in there {
        for (path, op) in script.ops(*txn) {
            let version = match *op {
                Op::Small(version) | Op::Large(version) => Some(version),
                Op::Remove => None,
            };
            wanted.insert(*path, (version, Some(*txn)));
        }
    }
    for (path, (wanted, by)) in wanted {
        let found = world.disk.at(Spot::Tree(path));
        if found.is_some_and(|ent| world.disk.is_torn(ent)) {
            return Err(format!("p{path} is torn"));
        }
        let found = found.map(|ent| ent.version);
        if found == wanted {
            continue;
        }
        if found != Some(FOREIGN) || by.is_some_and(|by| world.told.replacing.contains(&by)) {
            return Err(format!("p{path} is {found:?} instead of {wanted:?}"));
        }
        // Somebody has seen it and put theirs over it, or it is kept.
        let is_kept = wanted.is_none_or(|wanted| world.quarantine.contains(&wanted));
        let is_seen = matches!(world.foreign, Foreign::There(over) if over == wanted);
        if by.is_some() && !is_kept && !is_seen {
            return Err(format!("P3: {wanted:?} of p{path} is neither in its place nor kept"));
        }
    }
    let must_be_there =
        matches!(world.foreign, Foreign::There(_)) && !there.iter().any(|txn| world.told.replacing.contains(txn));
    if must_be_there && !world.disk.tree_holds(FOREIGN) && !world.quarantine.contains(&FOREIGN) {
        return Err("P3: the work of somebody else is neither in the tree nor in quarantine".to_owned());
    }
    Ok(())
}
