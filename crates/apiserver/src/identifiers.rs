//! Random identifiers: the one place of this crate that asks for randomness.
//!
//! In: nothing, or a seed (simulations must replay). Out: uids, suffixes of generated names, audit ids, spreads of timeouts.
//! Never: a secret; keys come from `rcgen`.

use std::sync::{Mutex, PoisonError};

use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};

/// Where one server's identifiers come from.
#[derive(Debug, Default)]
pub(crate) struct Identifiers {
    /// None: the system's randomness.
    seeded: Option<Mutex<StdRng>>,
}

impl Identifiers {
    /// The same identifiers in the same order for the same seed.
    pub(crate) fn of_seed(seed: u64) -> Self {
        Identifiers { seeded: Some(Mutex::new(StdRng::seed_from_u64(seed))) }
    }

    #[allow(clippy::disallowed_methods)] // The named adapter of this crate for randomness.
    fn draw<T>(&self, draw: impl FnOnce(&mut dyn RngCore) -> T) -> T {
        match &self.seeded {
            Some(seeded) => draw(&mut *seeded.lock().unwrap_or_else(PoisonError::into_inner)),
            None => draw(&mut rand::rng()),
        }
    }

    /// A random UUID for `metadata.uid` and `Audit-Id`.
    pub(crate) fn uid(&self) -> String {
        let bytes = self.draw(|random| random.random::<[u8; 16]>());
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }

    /// Five indices into the alphabet of generated names.
    pub(crate) fn suffix(&self) -> [u8; 5] {
        self.draw(|random| std::array::from_fn(|_| random.random_range(0..27)))
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&self, low: u64, high: u64) -> u64 {
        self.draw(|random| random.random_range(low..=high))
    }
}
