//! The largest numbers of each row, found where the numbers are.

use burn::tensor::{Bool, DType, Tensor, TensorData};

/// Parts that the range of a row's numbers is cut into at a time.
const SECTIONS: usize = 16;

/// How often it is cut: the last parts are 2⁻⁴⁰ of the whole range.
const CUTS: usize = 10;

/// Numbers of a row that are counted one after the other.
const BLOCK: usize = 128;

/// Marks with 1 the `counts[row]` largest candidates of each row of `values`, and all others with 0.
///
/// `values` is `[rows, columns]`, and so is what comes out, which has no gradient; `candidates` has as many in the same
/// order. The earlier of equals comes first. A row of fewer candidates has them all.
///
/// On burn's CPU backend the numbers are sorted. Elsewhere nothing is read back, so that the device need not wait for the
/// host: each row is cut into sections, and the one that holds the last of the largest again, until what is left are
/// equals (or nearer to each other than 2⁻⁴⁰ of the row's range, among which the earlier comes first, too).
///
/// # Panics
///
/// If there are not as many candidates as values, or as many counts as rows.
pub fn largest(values: Tensor<2>, candidates: &[bool], counts: &[usize]) -> Tensor<2> {
    let [rows, columns] = values.dims();
    assert_eq!(candidates.len(), rows * columns, "candidates of {rows} rows of {columns}");
    assert_eq!(counts.len(), rows, "counts of {rows} rows");
    let values = values.detach();
    if rows * columns == 0 {
        return values;
    }
    #[cfg(feature = "flex")]
    if crate::flex::takes(&values) {
        return by_sorting(values, candidates, counts);
    }
    by_sections(values, candidates, counts)
}

#[cfg(feature = "flex")]
fn by_sorting(values: Tensor<2>, candidates: &[bool], counts: &[usize]) -> Tensor<2> {
    let (dims, device) = (values.dims(), values.device());
    let values: Vec<f32> = values.into_data().try_into_vec().expect("f32, as checked before");
    let mut marks = vec![0.0; values.len()];
    let rows = values.chunks_exact(dims[1]).zip(candidates.chunks_exact(dims[1]));
    for (((row, candidates), marks), &count) in rows.zip(marks.chunks_exact_mut(dims[1])).zip(counts) {
        let mut best: Vec<usize> = (0..row.len()).filter(|&at| candidates[at]).collect();
        if count < best.len() {
            best.select_nth_unstable_by(count, |&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
            best.truncate(count);
        }
        best.into_iter().for_each(|at| marks[at] = 1.0);
    }
    Tensor::from_data(TensorData::new(marks, dims), &device)
}

fn by_sections(values: Tensor<2>, candidates: &[bool], counts: &[usize]) -> Tensor<2> {
    let ([rows, columns], device) = (values.dims(), values.device());
    let values = values.cast(DType::F32);
    let no_candidate: Vec<bool> = candidates.iter().map(|&candidate| !candidate).collect();
    let no_candidate = Tensor::<2, Bool>::from_data(TensorData::new(no_candidate, [rows, columns]), &device);
    let there = candidates.chunks_exact(columns).map(|row| row.iter().filter(|&&one| one).count());
    let wanted: Vec<f32> = there.zip(counts).map(|(there, &count)| count.min(there) as f32).collect();
    let wanted = Tensor::<2>::from_data(TensorData::new(wanted, [rows, 1]), &device);
    let parts: Vec<f32> = (1..SECTIONS).map(|at| at as f32 / SECTIONS as f32).collect();
    let parts = Tensor::<2>::from_data(TensorData::new(parts, [1, SECTIONS - 1]), &device);

    // More than `low` are at least as many as are wanted, more than `high` are fewer, or none is wanted.
    let mut low = values.clone().min_dim(1) - 1.0;
    let mut high = values.clone().max_dim(1);
    let values = values.mask_fill(no_candidate, f32::MIN);
    for _ in 0..CUTS {
        let cuts = low.clone() + (high.clone() - low.clone()) * parts.clone();
        let above = values.clone().unsqueeze_dim::<3>(2).greater(cuts.clone().unsqueeze_dim(1));
        let above: Tensor<2> = above.float().sum_dim(1).squeeze_dim(1);
        let enough = above.greater_equal(wanted.clone()).int().sum_dim(1);
        // The ends as they are: a sum of what rounding made of the difference may miss them.
        let cuts = Tensor::cat(vec![low, cuts, high], 1);
        low = cuts.clone().gather(1, enough.clone());
        high = cuts.gather(1, enough + 1);
    }
    let above = values.clone().greater(high).float();
    let equal = values.greater(low).float() - above.clone();
    let open = wanted - above.clone().sum_dim(1);
    let first = running_count(equal.clone()).lower_equal(open).float();
    above + equal * first
}

/// How many of the marks of a row are there up to each place, itself among them.
fn running_count(marks: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = marks.dims();
    let blocks = columns.div_ceil(BLOCK);
    // Block by block: on a GPU a running sum reads all before it for each place.
    let missing = Tensor::zeros([rows, blocks * BLOCK - columns], &marks.device());
    let within = Tensor::cat(vec![marks, missing], 1).reshape([rows, blocks, BLOCK]).cumsum(2);
    let each = within.clone().slice([0..rows, 0..blocks, BLOCK - 1..BLOCK]);
    let before = each.clone().cumsum(1) - each;
    (within + before).reshape([rows, blocks * BLOCK]).slice([0..rows, 0..columns])
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn marks(
        f: fn(Tensor<2>, &[bool], &[usize]) -> Tensor<2>,
        values: &[f32],
        columns: usize,
        candidates: &[bool],
        counts: &[usize],
    ) -> Vec<f32> {
        let values = TensorData::new(values.to_vec(), [values.len() / columns, columns]);
        let values = Tensor::from_data(values, &Device::flex());
        f(values, candidates, counts).into_data().try_into_vec().unwrap()
    }

    #[test]
    fn the_earlier_of_equals() {
        let values = [1.0, 3.0, 2.0, 3.0, 3.0, 9.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5];
        let candidates = [true, true, true, true, true, false, true, true, true, true, true, true];
        for (counts, expected) in [
            ([2, 3], [0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]),
            ([4, 0], [0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
            ([9, 6], [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ] {
            for f in [by_sorting, by_sections] {
                assert_eq!(marks(f, &values, 6, &candidates, &counts), expected, "{counts:?}");
            }
        }
        assert_eq!(marks(by_sections, &values, 6, &[false; 12], &[3, 3]), [0.0; 12]);
    }

    /// Numbers as a loss has them, next to nothing and large, many alike.
    #[test]
    fn sections_are_sorting() {
        for seed in 0..40u64 {
            let (rows, columns) = (3, 1 + (seed as usize * 97) % 1500);
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 40) as f32 / (1 << 24) as f32
            };
            let values: Vec<f32> = (0..rows * columns)
                .map(|_| match seed % 3 {
                    0 => (next() * 20.0).floor(),
                    1 => -(next() + 1e-4).ln(),
                    _ => (next() - 0.5) * 8.0,
                })
                .collect();
            let candidates: Vec<bool> = values.iter().map(|_| next() < 0.9).collect();
            let counts: Vec<usize> = (0..rows).map(|_| (next() * 1.2 * columns as f32) as usize).collect();
            let [sorted, cut] =
                [by_sorting, by_sections].map(|f| marks(f, &values, columns, &candidates, &counts));
            assert_eq!(sorted, cut, "seed {seed}");
        }
    }
}
