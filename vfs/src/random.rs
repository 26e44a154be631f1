//! Random numbers for names and identities.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A random number. The standard library keys its hash tables from the system's random source; one round of its keyed
/// hash over nothing gives 64 bits that no other process can guess, and different ones each time.
#[must_use]
pub fn random() -> u64 {
    #[cfg(feature = "sim")]
    if let Some(drawn) = crate::sim::drawn() {
        return drawn;
    }
    RandomState::new().build_hasher().finish()
}
