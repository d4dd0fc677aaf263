/// The Mersenne Twister MT19937 of Matsumoto and Nishimura (1998).
#[derive(Clone, Debug)]
pub(super) struct Twister {
    state: [u32; Self::N],
    next: usize,
}

impl Twister {
    const N: usize = 624;
    const M: usize = 397;

    /// The generator after the reference's `init_genrand(seed)`.
    pub(super) fn of_seed(seed: u32) -> Self {
        let mut state = [seed; Self::N];
        for i in 1..Self::N {
            let previous = state[i - 1] ^ (state[i - 1] >> 30);
            state[i] = previous.wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        Self { state, next: Self::N }
    }

    /// The generator after the reference's `init_by_array([seed])`.
    pub(super) fn of_key(seed: u32) -> Self {
        let mut state = Self::of_seed(19_650_218).state;
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
    pub(super) fn next_u32(&mut self) -> u32 {
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
}
