//! The simulation's only source of chance: everything follows from one root seed and a name.
//!
//! In: a seed and words that say what the numbers are for. Out: the same numbers on every machine and in every build.
//! Never: the system's randomness, a hash that a library may change.

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, and good enough to choose faults with.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A stream of its own for each purpose, so that one more draw here does not shift all draws there.
    pub fn of(seed: u64, purpose: &str, number: u64) -> Self {
        let mut state = fnv(purpose.as_bytes()) ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        state ^= number.wrapping_mul(0xd6e8_feb8_6659_fd93);
        let mut random = Random(state);
        random.next();
        random
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Both ends included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// True in so many of a thousand cases.
    pub fn chance(&mut self, per_thousand: u64) -> bool {
        self.next() % 1000 < per_thousand
    }

    pub fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[(self.next() % choices.len() as u64) as usize].clone()
    }
}

/// The 64-bit FNV-1a hash.
pub fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_published_ones() {
        // First outputs of SplitMix64 from state 1234567, as published with the algorithm.
        let mut random = Random(1_234_567);
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
        assert_eq!(fnv(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn purposes_and_numbers_have_streams_of_their_own() {
        let first = |purpose, number| Random::of(7, purpose, number).next();
        assert_eq!(first("a", 1), first("a", 1));
        assert_ne!(first("a", 1), first("a", 2));
        assert_ne!(first("a", 1), first("b", 1));
    }
}
