//! Change sets: how they come in, and how what they change is listed.

mod list;
mod name;
mod parse;
mod read;

pub(crate) use list::{Line, lines, summary};
pub(crate) use name::name;
pub(crate) use parse::parse;
pub(crate) use read::read;
