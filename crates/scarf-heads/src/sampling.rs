use rand::{Rng, RngExt};

use crate::matcher::Match;

/// Which boxes of an image teach, chosen evenly at random (torchvision's `BalancedPositiveNegativeSampler`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sampler {
    /// Boxes an image.
    pub(crate) count: usize,
    /// How many of them may answer for an object, as a part of all, in 0..=1; background fills up.
    pub(crate) positive: f32,
}

impl Sampler {
    /// The chosen boxes, in their order.
    pub(crate) fn choose(&self, matches: &[Match], rng: &mut dyn Rng) -> Vec<usize> {
        let of = |wanted: fn(&Match) -> bool| {
            matches.iter().enumerate().filter(|(_, m)| wanted(m)).map(|(at, _)| at).collect::<Vec<_>>()
        };
        let positives = of(|m| matches!(m, Match::Object(_)));
        let negatives = of(|m| matches!(m, Match::Background));
        let most = (self.count as f64 * f64::from(self.positive)) as usize;
        let mut chosen = some(positives, most, rng);
        chosen.extend(some(negatives, self.count - chosen.len().min(self.count), rng));
        chosen.sort_unstable();
        chosen
    }
}

/// At most `count` of `from`. A generator of zeros takes the first ones.
fn some(mut from: Vec<usize>, count: usize, rng: &mut dyn Rng) -> Vec<usize> {
    if count < from.len() {
        for at in 0..count {
            let with = rng.random_range(at..from.len());
            from.swap(at, with);
        }
        from.truncate(count);
    }
    from
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn objects_up_to_their_part_and_background_for_the_rest() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let matches: Vec<Match> = (0..100)
            .map(|at| match at % 5 {
                0 => Match::Object(0),
                1 => Match::Between,
                _ => Match::Background,
            })
            .collect();
        let sampler = Sampler { count: 32, positive: 0.25 };
        let chosen = sampler.choose(&matches, &mut rng);
        let objects = |chosen: &[usize]| chosen.iter().filter(|&at| at % 5 == 0).count();
        assert_eq!((chosen.len(), objects(&chosen)), (32, 8));
        assert!(chosen.iter().all(|at| at % 5 != 1) && chosen.is_sorted());
        assert_ne!(chosen, sampler.choose(&matches, &mut rng));
        let few = [Match::Object(0), Match::Background, Match::Between];
        assert_eq!(sampler.choose(&few, &mut rng), [0, 1]);
        let all = Sampler { count: 200, positive: 0.5 }.choose(&matches, &mut rng);
        assert_eq!(all.len(), 80);
    }
}
