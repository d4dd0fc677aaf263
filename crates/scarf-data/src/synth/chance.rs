use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The draws that looks are made of.
pub(super) trait Chance {
    /// A number from `low` up to `high`, evenly.
    fn between(&mut self, low: f32, high: f32) -> f32;
    /// A whole number of `low..=high`.
    fn whole(&mut self, low: usize, high: usize) -> usize;
    /// True with probability `p`.
    fn happens(&mut self, p: f32) -> bool;
    /// A number from `low` up to `high`, small ones more often (the square of an even draw).
    fn rather_small(&mut self, low: f32, high: f32) -> f32;
}

impl Chance for ChaCha8Rng {
    fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.random::<f32>()
    }

    fn whole(&mut self, low: usize, high: usize) -> usize {
        // By 32 bits, so that the draw is the same where usize has 32 and where it has 64.
        low + self.random_range(0..=(high - low) as u32) as usize
    }

    fn happens(&mut self, p: f32) -> bool {
        self.random::<f32>() < p
    }

    fn rather_small(&mut self, low: f32, high: f32) -> f32 {
        let part = self.random::<f32>();
        low + (high - low) * part * part
    }
}
