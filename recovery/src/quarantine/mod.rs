//! Quarantine: what recovery could not place is kept here, with a report, and never deleted by itself.
//!
//! | entry | what it is |
//! |---|---|
//! | `txn-<number>/` | what a transaction holds that could not be placed; see [`CaseReport`] |
//! | `publish-<stage>-<slot>/` | what was to be published, of a transaction that was not committed |
//! | `<segment>.wal` | a damaged segment of the journal |
//! | `lost-<name>` | what stood in the place of a part of `.treewal` |
//! | `.purged-<number>` | what somebody has thrown away, and what a crash kept from going; swept |

mod case;
mod given_up;
mod purge;
mod report;
mod said;

pub(crate) use case::{Case, SNAPSHOT, take_stage};
pub(crate) use given_up::given_up;
pub use purge::{is_purged, purge, sweep_purged};
pub use report::{
    Attributes, BASE64, CaseReport, Entry, FORMAT, Found, Goal, Item, JSON, REPORT, Stamp, Text, read_report,
};
pub(crate) use said::{set_aside, set_aside_all};
