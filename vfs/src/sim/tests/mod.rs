//! The model proven: what each sync promises, what a crash may leave, and that the verbs are those of the real disk.

mod both_names;
mod crash;
mod files;
mod hands;
mod metadata;
mod names;
mod random;
mod real;
mod syncs;
mod tools;
