use super::twister::Twister;

/// CPython 3's `random.Random`, as far as `shuffle` goes: the Mersenne Twister seeded by
/// `init_by_array`, and `Lib/random.py`'s `_randbelow_with_getrandbits`.
#[derive(Clone, Debug)]
pub struct PythonRandom(Twister);

impl PythonRandom {
    /// The generator after `random.seed(seed)`.
    pub fn new(seed: u32) -> Self {
        Self(Twister::of_key(seed))
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// A whole number in `0..end`: `random.randrange(end)`.
    ///
    /// # Panics
    /// Where `end` is 0.
    pub fn below(&mut self, end: u32) -> u32 {
        assert!(end > 0, "there is no number below 0");
        let bits = 32 - end.leading_zeros();
        loop {
            let number = self.next_u32() >> (32 - bits);
            if number < end {
                return number;
            }
        }
    }

    /// `random.shuffle(items)`.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.below(i as u32 + 1) as usize;
            items.swap(i, j);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `random.seed(100); [random.getrandbits(32) for _ in range(3)]` and, from the seed again,
    /// `x = list(range(10)); random.shuffle(x); x`, in CPython 3.11.
    #[test]
    fn agrees_with_cpython() {
        let mut random = PythonRandom::new(100);
        assert_eq!(
            [random.next_u32(), random.next_u32(), random.next_u32()],
            [625_644_691, 1_973_661_107, 1_953_896_601]
        );
        let mut items: Vec<u32> = (0..10).collect();
        PythonRandom::new(100).shuffle(&mut items);
        assert_eq!(items, [4, 0, 5, 9, 3, 1, 6, 8, 7, 2]);
        let mut random = PythonRandom::new(4_294_967_295);
        for _ in 0..2_000 {
            random.next_u32();
        }
        assert_eq!(random.below(1_000_000), 470_105);
    }
}
