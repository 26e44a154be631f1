//! Two systems rebuilt on treewal: each behaviour that they had, and each hole that they left, is a row of `docs/seeds.md`,
//! and has a test here that begins with the name of the row.
//!
//! `conversation` and `weak_store` are about the store of conversations, with the program of `examples/conversation_store`;
//! the others about the knowledge base and what it asks of guards, with that of `examples/knowledge_base`. `killed` runs both
//! programs on the files of this project, kills them at random, and lets them check themselves: `TREEWAL_SEEDS_ROUNDS=n`
//! for n rounds of each.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test fails by panicking, counts out loud, and looks at the tree from outside"
)]

mod base;
mod batches;
mod child;
mod conversation;
mod forged;
mod guards;
mod killed;
mod migration;
mod owed;
mod restored;
mod rows;
mod sim;
mod stories;
mod walk;
mod weak_store;

#[expect(dead_code, reason = "its `main`: here it is called with arguments")]
#[path = "../../examples/conversation_store/main.rs"]
mod conversation_store;
#[expect(dead_code, reason = "its `main`: here it is called with arguments")]
#[path = "../../examples/knowledge_base/main.rs"]
mod knowledge_base;
