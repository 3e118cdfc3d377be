//! Chance that a seed decides: the same seed does the same things in the same order.

/// A sequence of numbers (xorshift64*). Nothing secret comes from it.
#[derive(Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The sequence of a seed, and of a part of what that seed decides.
    pub(crate) fn new(seed: u64, part: u64) -> Self {
        // Neighbouring seeds have nothing in common after this (SplitMix64).
        let mut bits =
            seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ part.wrapping_mul(0xd134_2543_de82_ef95);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Self((bits ^ (bits >> 31)) | 1)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.bits() >> 33).unwrap() % end.max(1)
    }

    /// Whether something happens that does so `parts` times in a hundred.
    pub(crate) fn percent(&mut self, parts: usize) -> bool {
        self.below(100) < parts
    }
}
