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
    let n = members.len() as f64;
    let mut best = (total * total / n * (1.0 + 1e-12) + 1e-300, None);
    let dims = rows[members[0]].len();
    for axis in 0..dims {
        let mut order: Vec<(f64, f64)> =
            members.iter().map(|&member| (rows[member][axis], y[member])).collect();
        order.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let mut left = 0.0;
        for (count, pair) in (1..).zip(order.windows(2)) {
            left += pair[0].1;
            if pair[0].0 < pair[1].0 && count >= LEAST && order.len() - count >= LEAST {
                let right = total - left;
                let score = left * left / count as f64 + right * right / (n - count as f64);
                if score > best.0 {
                    best = (score, Some((axis, 0.5 * (pair[0].0 + pair[1].0))));
                }
            }
        }
    }
    best.1
}
