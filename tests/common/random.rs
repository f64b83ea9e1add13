//! Seeded randomness (SplitMix64): the same numbers on every machine and in every run.

/// A stream of numbers that its seed determines.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// A 64-bit integer from where mistakes are likely: small numbers, powers of two and their
    /// neighbours, the limits of each width, and anything.
    pub fn integer(&mut self) -> u64 {
        match self.below(5) {
            0 => self.bits(),
            1 => self.below(20) as u64,
            2 => (self.below(20) as u64).wrapping_neg(),
            3 => (1u64 << self.below(64)).wrapping_add(self.below(3) as u64).wrapping_sub(1),
            _ => *self.pick(&[
                0,
                u64::MAX,
                i64::MIN as u64,
                i64::MAX as u64,
                i32::MIN as u32 as u64,
                i32::MIN as u64,
                i32::MAX as u64,
                u32::MAX as u64,
                0xffff_ffff_0000_0000,
                0x1_0000_0000,
            ]),
        }
    }
}
