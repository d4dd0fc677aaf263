use super::twister::Twister;

/// NumPy's legacy `numpy.random.RandomState`, as far as `permutation` goes: the Mersenne Twister
/// seeded by `init_genrand`, and the masked rejection of `random_interval`.
#[derive(Clone, Debug)]
pub struct NumpyRandom(Twister);

impl NumpyRandom {
    /// The generator after `numpy.random.seed(seed)`.
    pub fn new(seed: u32) -> Self {
        Self(Twister::of_seed(seed))
    }

    /// `numpy.random.permutation(count)`.
    pub fn permutation(&mut self, count: u32) -> Vec<usize> {
        let mut items: Vec<usize> = (0..count as usize).collect();
        for last in (1..count).rev() {
            items.swap(last as usize, self.up_to(last) as usize);
        }
        items
    }

    /// A whole number in `0..=last`; `last` is not 0.
    fn up_to(&mut self, last: u32) -> u32 {
        let mask = u32::MAX >> last.leading_zeros();
        loop {
            let number = self.0.next_u32() & mask;
            if number <= last {
                return number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `numpy.random.seed(123); numpy.random.permutation(10)`, and the head of `permutation(1800)`, in NumPy 2.
    #[test]
    fn agrees_with_numpy() {
        assert_eq!(NumpyRandom::new(123).permutation(10), [4, 0, 7, 5, 8, 3, 1, 6, 9, 2]);
        assert_eq!(NumpyRandom::new(123).permutation(1800)[..5], [708, 1323, 270, 756, 1566]);
        assert!(NumpyRandom::new(123).permutation(0).is_empty());
    }
}
