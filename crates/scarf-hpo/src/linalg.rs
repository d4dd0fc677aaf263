//! The little dense linear algebra that the samplers need, on row-major squares.

/// The inner product, in eight sums that the compiler turns into vectors.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (heads_a, tail_a) = a.as_chunks::<LANES>();
    let (heads_b, tail_b) = b.as_chunks::<LANES>();
    for (a, b) in heads_a.iter().zip(heads_b) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + tail_a.iter().zip(tail_b).map(|(a, b)| a * b).sum::<f64>()
}

/// A lower triangle, `n` rows of `n`; what is above the diagonal is zero.
#[derive(Debug, Clone)]
pub(crate) struct Lower {
    pub(crate) n: usize,
    cells: Vec<f64>,
}

impl Lower {
    /// The Cholesky factor of the symmetric `n` x `n` matrix whose lower triangle `matrix` holds; `None` where it
    /// is not positive definite.
    pub(crate) fn cholesky(mut matrix: Vec<f64>, n: usize) -> Option<Self> {
        for i in 0..n {
            let (above, row) = matrix.split_at_mut(i * n);
            for j in 0..i {
                let other = &above[j * n..j * n + j + 1];
                row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
            }
            let rest = row[i] - dot(&row[..i], &row[..i]);
            if rest.is_nan() || rest <= 0.0 {
                return None;
            }
            row[i] = rest.sqrt();
            row[i + 1..n].fill(0.0);
        }
        Some(Self { n, cells: matrix })
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.cells[i * self.n..i * self.n + i + 1]
    }

    /// ln of the determinant of this triangle.
    pub(crate) fn ln_det(&self) -> f64 {
        (0..self.n).map(|i| self.row(i)[i].ln()).sum()
    }

    /// Solves L x = b in place.
    pub(crate) fn solve(&self, b: &mut [f64]) {
        for i in 0..self.n {
            let row = self.row(i);
            b[i] = (b[i] - dot(&row[..i], &b[..i])) / row[i];
        }
    }

    /// Solves L^T x = b in place.
    pub(crate) fn solve_transposed(&self, b: &mut [f64]) {
        for i in (0..self.n).rev() {
            let row = self.row(i);
            b[i] /= row[i];
            let x = b[i];
            b[..i].iter_mut().zip(row).for_each(|(b, l)| *b -= l * x);
        }
    }

    /// The inverse of L L^T, symmetric, `n` rows of `n`; its lower triangle is filled.
    pub(crate) fn inverse_of_product(&self) -> Vec<f64> {
        let n = self.n;
        // The columns of L^-1 as rows: row j holds them from place j on.
        let mut columns = vec![0.0; n * n];
        for j in 0..n {
            let column = &mut columns[j * n..(j + 1) * n];
            column[j] = 1.0 / self.row(j)[j];
            for i in j + 1..n {
                let row = self.row(i);
                column[i] = -dot(&row[j..i], &column[j..i]) / row[i];
            }
        }
        let mut inverse = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                inverse[i * n + j] = dot(&columns[i * n + i..(i + 1) * n], &columns[j * n + i..(j + 1) * n]);
            }
        }
        inverse
    }
}

/// Eigenvectors (as rows) and eigenvalues of a symmetric matrix of `n` rows of `n`, by Jacobi's rotations; `None`
/// where they do not converge.
pub(crate) fn symmetric_eigen(matrix: &[f64], n: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    let mut a = matrix.to_vec();
    let mut vectors = vec![0.0; n * n];
    (0..n).for_each(|i| vectors[i * n + i] = 1.0);
    let size = dot(&a, &a);
    for _ in 0..60 {
        let off: f64 = (0..n).flat_map(|i| (0..i).map(move |j| i * n + j)).map(|at| a[at] * a[at]).sum();
        if off.is_nan() {
            return None;
        }
        if off <= 1e-30 * size {
            return Some((vectors, (0..n).map(|i| a[i * n + i]).collect()));
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, n, p, q);
            }
        }
    }
    None
}

/// Rotates the plane of axes `p` and `q` so that their covariance vanishes.
fn rotate(a: &mut [f64], vectors: &mut [f64], n: usize, p: usize, q: usize) {
    let cross = a[p * n + q];
    if cross == 0.0 {
        return;
    }
    let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * cross);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for k in 0..n {
        let (x, y) = (a[k * n + p], a[k * n + q]);
        (a[k * n + p], a[k * n + q]) = (c * x - s * y, s * x + c * y);
    }
    for k in 0..n {
        let (x, y) = (a[p * n + k], a[q * n + k]);
        (a[p * n + k], a[q * n + k]) = (c * x - s * y, s * x + c * y);
        let (x, y) = (vectors[p * n + k], vectors[q * n + k]);
        (vectors[p * n + k], vectors[q * n + k]) = (c * x - s * y, s * x + c * y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_solves_and_inverts() {
        let matrix = vec![4.0, 0.0, 0.0, 2.0, 5.0, 0.0, 1.0, 3.0, 6.0];
        let lower = Lower::cholesky(matrix, 3).unwrap();
        // numpy.linalg.inv([[4, 2, 1], [2, 5, 3], [1, 3, 6]]), lower triangle; its determinant is 67.
        let expected = [21.0, 0.0, 0.0, -9.0, 23.0, 0.0, 1.0, -10.0, 16.0].map(|x: f64| x / 67.0);
        let inverse = lower.inverse_of_product();
        for i in 0..3 {
            for j in 0..=i {
                approx::assert_abs_diff_eq!(inverse[i * 3 + j], expected[i * 3 + j], epsilon = 1e-12);
            }
        }
        approx::assert_abs_diff_eq!(2.0 * lower.ln_det(), 67_f64.ln(), epsilon = 1e-12);
        let mut x = vec![1.0, 0.0, 0.0];
        lower.solve(&mut x);
        lower.solve_transposed(&mut x);
        approx::assert_abs_diff_eq!(x[1], -9.0 / 67.0, epsilon = 1e-12);
        assert!(Lower::cholesky(vec![1.0, 0.0, 2.0, 1.0], 2).is_none());
    }

    #[test]
    fn rotations_find_the_eigenvectors() {
        let matrix = [2.0, 1.0, 0.5, 1.0, 3.0, -1.0, 0.5, -1.0, 1.0];
        let (vectors, values) = symmetric_eigen(&matrix, 3).unwrap();
        for (vector, value) in vectors.chunks(3).zip(&values) {
            for i in 0..3 {
                approx::assert_abs_diff_eq!(
                    dot(&matrix[i * 3..i * 3 + 3], vector),
                    value * vector[i],
                    epsilon = 1e-12
                );
            }
        }
        approx::assert_abs_diff_eq!(values.iter().sum::<f64>(), 6.0, epsilon = 1e-12);
    }
}
