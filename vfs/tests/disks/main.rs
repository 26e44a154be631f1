//! The disks against the operating system, with the standard library as the oracle.

#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "the standard library is the oracle here")]

mod copy;
mod fault;
mod layer;
mod mapping;
mod power;
mod real_contents;
mod real_metadata;
mod real_names;
mod real_xattrs;
mod record;
mod remove;
mod scratch;
