/// CPython 3's `random.Random`, as far as `shuffle` goes: the Mersenne Twister MT19937 of Matsumoto
/// and Nishimura (1998), seeded by `init_by_array`, and `Lib/random.py`'s `_randbelow_with_getrandbits`.
#[derive(Clone, Debug)]
pub struct PythonRandom {
    state: [u32; Self::N],
    next: usize,
}

impl PythonRandom {
    const N: usize = 624;
    const M: usize = 397;

    /// The generator after `random.seed(seed)`.
    pub fn new(seed: u32) -> Self {
        let mut state = Self::init(19_650_218);
        let (mut i, n) = (1, Self::N);
        // The key has one word, so that the reference's index into it is always 0.
        for _ in 0..n {
            let previous = state[i - 1] ^ (state[i - 1] >> 30);
            state[i] = (state[i] ^ previous.wrapping_mul(1_664_525)).wrapping_add(seed);
            Self::step(&mut state, &mut i);
        }
        for _ in 0..n - 1 {
            let previous = state[i - 1] ^ (state[i - 1] >> 30);
            state[i] = (state[i] ^ previous.wrapping_mul(1_566_083_941)).wrapping_sub(i as u32);
            Self::step(&mut state, &mut i);
        }
        state[0] = 0x8000_0000;
        Self { state, next: n }
    }

    fn init(seed: u32) -> [u32; Self::N] {
        let mut state = [seed; Self::N];
        for i in 1..Self::N {
            let previous = state[i - 1] ^ (state[i - 1] >> 30);
            state[i] = previous.wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        state
    }

    fn step(state: &mut [u32; Self::N], i: &mut usize) {
        *i += 1;
        if *i >= Self::N {
            state[0] = state[Self::N - 1];
            *i = 1;
        }
    }

    fn twist(&mut self) {
        for i in 0..Self::N {
            let joined = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % Self::N] & 0x7fff_ffff);
            let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + Self::M) % Self::N] ^ (joined >> 1) ^ odd;
        }
        self.next = 0;
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.next >= Self::N {
            self.twist();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
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
