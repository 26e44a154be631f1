//! Crashes on the simulated disk: every workload is cut at every call that changes the disk, under many of the outcomes
//! that the model allows, again inside recovery, and recovered twice. What must hold is said in `judge.rs`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and counts out loud"
)]

mod catalogue;
mod count;
mod deferred;
mod entries;
mod judge;
mod mounted;
mod plan;
mod publish;
mod recover;
mod rig;
mod together;
mod turns;
mod workloads;

use count::say_total;
use entries::{attributes, links, made_again, restored, same_contents};
use mounted::mounted;
use rig::{Plan, Renames, explore};
use treewal::Durability;
use workloads::{Workload, directories, guards, sequences, taken_apart, transactions};

#[test]
fn staged_transactions_are_atomic_and_durable_under_power_loss() {
    run(&transactions(), Durability::Journal);
    run(&directories(), Durability::Journal);
}

#[test]
fn sequences_keep_every_acknowledged_transaction() {
    run(&sequences(), Durability::Journal);
}

#[test]
fn under_durability_tree_each_file_is_old_or_new_even_before_recovery() {
    run(&transactions(), Durability::Tree);
    run(&directories(), Durability::Tree);
    run(&sequences(), Durability::Tree);
}

#[test]
fn directories_taken_apart_go_wholly_or_not_at_all() {
    run(&taken_apart(), Durability::Journal);
    run(&taken_apart(), Durability::Tree);
}

#[test]
fn attributes_survive_what_contents_survive() {
    run(&attributes(), Durability::Journal);
    run(&attributes(), Durability::Tree);
}

#[test]
fn what_a_recovery_began_to_make_again_gets_all_its_attributes_from_the_next() {
    run_on(&[made_again()], Plan::new(Durability::Journal).with_crashes_inside_of_each());
}

#[test]
fn what_held_the_same_contents_before_is_not_taken_for_what_was_committed() {
    run(&same_contents(), Durability::Journal);
    run(&same_contents(), Durability::Tree);
}

#[test]
fn a_file_whose_time_was_set_back_and_lost_is_still_ours() {
    for durability in [Durability::Journal, Durability::Tree] {
        run(&[restored()], durability);
    }
}

#[test]
fn names_of_one_entry_stay_names_of_one_entry() {
    run(&links(), Durability::Journal);
    run(&links(), Durability::Tree);
}

#[test]
fn guards_restore_or_keep_under_power_loss() {
    run(&guards(), Durability::Journal);
}

/// Where the file system cannot exchange two names, or has no second names either.
#[test]
fn without_an_exchange_of_names_all_ends_alike() {
    for renames in [Renames::NoExchange, Renames::Plain] {
        for durability in [Durability::Journal, Durability::Tree] {
            let plan = Plan::new(durability).shallow().on(renames).crashed_inside_at_one_level();
            run_on(&transactions(), plan);
            run_on(&directories(), plan);
        }
        run_on(&sequences(), Plan::new(Durability::Journal).shallow().on(renames));
        run_on(&taken_apart(), Plan::new(Durability::Journal).shallow().on(renames));
    }
    // These need second names themselves.
    run_on(&links(), Plan::new(Durability::Journal).shallow().on(Renames::NoExchange));
}

/// A file at whose path something is mounted, rewritten in place.
#[test]
fn a_file_that_is_rewritten_in_place_is_whole_after_recovery() {
    for durability in [Durability::Journal, Durability::Tree, Durability::Deferred] {
        run_on(&mounted(), Plan::new(durability).on(Renames::Mounted).crashed_inside_at_one_level());
    }
}

/// Checkpoints that sync the file system as a whole; those of the other tests sync entry by entry.
#[test]
fn checkpoints_may_sync_everything() {
    run_on(&sequences(), Plan::new(Durability::Journal).synced_whole().shallow());
    run_on(&directories(), Plan::new(Durability::Journal).synced_whole().shallow());
}

fn run(workloads: &[Workload], durability: Durability) {
    run_on(workloads, Plan::new(durability).crashed_inside_at_one_level());
}

fn run_on(workloads: &[Workload], plan: Plan) {
    for workload in workloads {
        let count = explore(workload, plan);
        println!("{}, {}: {count}", plan.said(), workload.name);
        assert!(count.states > 100, "{}: exploring next to nothing proves nothing", workload.name);
        assert!(count.nested_distinct > 10 || !plan.inside.is_on, "{}: next to nothing inside recovery", workload.name);
    }
    say_total();
}
