//! The reader. [`Reader`] goes from segment to segment ([`slot`]), walks through the frames of each ([`walk`]), whose
//! bytes come through a [`window`], and says how the log ends ([`ending`]).

pub(crate) mod contents;
pub(crate) mod ending;
mod helpers;
mod how;
pub(crate) mod look;
pub(crate) mod onward;
pub(crate) mod report;
mod scan;
pub(crate) mod slot;
mod unbegun;
pub(crate) mod walk;
pub(crate) mod window;

pub use how::{SCAN_THREADS_MAX, ScanOptions, Source};
pub use report::{Excerpt, Finding, Proof, Scan, SegmentInfo, Tail};
pub use scan::Reader;
