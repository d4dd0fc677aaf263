//! A random forest over the unit cube, whose trees are sets of boxes.

use rand::{Rng, RngExt};

/// A leaf: where it lies in the cube, and what it says.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub(super) bounds: Vec<(f64, f64)>,
    pub(super) value: f64,
}

/// Least rows to a leaf.
const LEAST: usize = 2;

/// The leaves of a tree grown on a bootstrap sample of the rows: they fill the cube.
pub(super) fn tree(rows: &[Vec<f64>], y: &[f64], rng: &mut impl Rng) -> Vec<Leaf> {
    let dims = rows.first().map_or(0, Vec::len);
    let sample: Vec<usize> = rows.iter().map(|_| rng.random_range(0..rows.len())).collect();
    let mut leaves = Vec::new();
    let mut open = vec![(sample, vec![(0.0, 1.0); dims])];
    while let Some((members, bounds)) = open.pop() {
        let Some((axis, at)) = split(rows, y, &members) else {
            let value = members.iter().map(|&member| y[member]).sum::<f64>() / members.len() as f64;
            leaves.push(Leaf { bounds, value });
            continue;
        };
        let (low, high): (Vec<usize>, Vec<usize>) =
            members.into_iter().partition(|&member| rows[member][axis] < at);
        let (mut below, mut above) = (bounds.clone(), bounds);
        below[axis].1 = at;
        above[axis].0 = at;
        open.push((low, below));
        open.push((high, above));
    }
    leaves
}

/// The cut that leaves the least variance; `None` where none helps.
fn split(rows: &[Vec<f64>], y: &[f64], members: &[usize]) -> Option<(usize, f64)> {
    let total: f64 = members.iter().map(|&member| y[member]).sum();
    let uncut = total * total / members.len() as f64 * (1.0 + 1e-12) + 1e-300;
    let cuts = (0..rows[members[0]].len()).filter_map(|axis| {
        let column = members.iter().map(|&member| (rows[member][axis], y[member])).collect();
        let (score, at) = cut(column, total)?;
        (score > uncut).then_some((score, axis, at))
    });
    cuts.max_by(|(a, ..), (b, ..)| a.total_cmp(b)).map(|(_, axis, at)| (axis, at))
}

/// The best cut of one axis, of pairs (place, value) that sum up to `total`: its score and place.
fn cut(mut column: Vec<(f64, f64)>, total: f64) -> Option<(f64, f64)> {
    column.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let (n, mut left, mut best) = (column.len(), 0.0, None);
    for (count, pair) in (1..).zip(column.windows(2)) {
        left += pair[0].1;
        if pair[0].0 < pair[1].0 && count >= LEAST && n - count >= LEAST {
            let right = total - left;
            let score = left * left / count as f64 + right * right / (n - count) as f64;
            if best.is_none_or(|(most, _)| score > most) {
                // Between neighbouring numbers there is none: the middle may be rounded to the lower one.
                let middle = 0.5 * (pair[0].0 + pair[1].0);
                best = Some((score, if middle > pair[0].0 { middle } else { pair[1].0 }));
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn neighbouring_numbers_are_cut_apart() {
        let near = [0.7, 0.7f64.next_up(), 0.7f64.next_up().next_up()];
        let rows: Vec<Vec<f64>> = (0..12).map(|row| vec![near[row % 3]]).collect();
        let y: Vec<f64> = (0..12).map(|row| (row % 3) as f64).collect();
        for seed in 0..20 {
            let leaves = tree(&rows, &y, &mut ChaCha8Rng::seed_from_u64(seed));
            assert!(leaves.len() <= 3, "seed {seed}: {} leaves", leaves.len());
        }
    }
}
