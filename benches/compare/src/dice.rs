//! Random numbers that are the same on each run.

/// xorshift64, after Marsaglia, "Xorshift RNGs", 2003.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Fisher and Yates; the bias of the remainder does not matter for a dozen things.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            let other = usize::try_from(self.roll() % (last as u64 + 1)).unwrap_or(0);
            things.swap(last, other);
        }
    }

    /// Bytes that no compression makes smaller; their number is rounded down to eight.
    pub fn bytes(&mut self, bytes: usize) -> Vec<u8> {
        (0..bytes / 8).flat_map(|_| self.roll().to_le_bytes()).collect()
    }
}
