//! Random identifiers: the one place of this crate that asks for randomness.
//!
//! In: nothing. Out: uids, suffixes of generated names, audit ids, spreads of timeouts. Never: a secret; keys come from `rcgen`.

use rand::{Rng, rngs::ThreadRng};

#[allow(clippy::disallowed_methods)] // The named adapter of this crate for randomness.
fn random() -> ThreadRng {
    rand::rng()
}

/// A random UUID for `metadata.uid` and `Audit-Id`.
pub(crate) fn uid() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Five indices into the alphabet of generated names.
pub(crate) fn suffix() -> [u8; 5] {
    let mut random = random();
    std::array::from_fn(|_| random.random_range(0..27))
}

/// A number from `low` to `high`, both included.
pub(crate) fn between(low: u64, high: u64) -> u64 {
    random().random_range(low..=high)
}
