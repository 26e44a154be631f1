//! The format of the journal, read a second time: by a decoder in another language that was written from
//! docs/format.md alone. It and the reader must say the same of journals of every released format, which lie in
//! `fixtures/`, of fresh ones, and of damaged ones.

#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "tests look at files from outside")]

mod damaged;
mod fixtures;
mod fresh;
mod make;
mod pack;
mod python;
mod told;
