//! Batch normalisation multiplied into its convolution, and taken out again.
//!
//! Both know blocks by their names: `NAME.conv.{weight,bias}` and
//! `NAME.norm.{weight,bias,running_mean,running_var}`.

use crate::{Array, Weights, WeightsError};

impl Weights {
    /// Every `NAME.norm` multiplied into `NAME.conv`, which gets a bias: the weights of the same
    /// network without normalisation. Blocks without a norm stay.
    ///
    /// # Errors
    /// If a part of a block is missing, or has a length other than the convolution's channels.
    pub fn fold_norms(mut self, epsilon: f64) -> Result<Self, WeightsError> {
        for block in self.blocks(".norm.running_var") {
            let (scale, shift) = self.take_norm(&block, epsilon)?;
            let name = format!("{block}.conv.weight");
            let kernel = self.arrays.get_mut(&name).ok_or_else(|| missing(&name))?;
            let channels = kernel.shape.first().copied().unwrap_or(0);
            if channels != scale.len() || channels == 0 {
                let problem = format!("{} scales for {channels} channels", scale.len());
                return Err(WeightsError::Fold { name: block, problem });
            }
            let per_channel = kernel.values.len() / channels;
            for (index, weight) in kernel.values.iter_mut().enumerate() {
                *weight = (f64::from(*weight) * scale[index / per_channel]) as f32;
            }
            let bias = self.take_vector(&format!("{block}.conv.bias"), channels)?;
            let bias = bias.unwrap_or_else(|| vec![0.0; channels]);
            let terms = bias.iter().zip(&scale).zip(&shift);
            let values = terms.map(|((bias, scale), shift)| (bias * scale + shift) as f32).collect();
            self.insert(format!("{block}.conv.bias"), Array { shape: vec![channels], values });
        }
        Ok(self)
    }

    /// Every `NAME.conv.bias` turned into a `NAME.norm` that does the same: scale 1, shift the bias,
    /// mean 0, variance `1 - epsilon`. Where there is a norm, its mean takes the bias in.
    #[must_use]
    pub fn unfold_norms(mut self, epsilon: f64) -> Self {
        for block in self.blocks(".conv.bias") {
            let Some(bias) = self.arrays.remove(&format!("{block}.conv.bias")) else { continue };
            if let Some(mean) = self.arrays.get_mut(&format!("{block}.norm.running_mean")) {
                mean.values.iter_mut().zip(bias.values).for_each(|(mean, bias)| *mean -= bias);
                continue;
            }
            let constant =
                |value| Array { shape: bias.shape.clone(), values: vec![value; bias.values.len()] };
            self.insert(format!("{block}.norm.weight"), constant(1.0));
            self.insert(format!("{block}.norm.running_mean"), constant(0.0));
            self.insert(format!("{block}.norm.running_var"), constant((1.0 - epsilon) as f32));
            self.insert(format!("{block}.norm.bias"), bias);
        }
        self
    }

    /// The names before `suffix`.
    fn blocks(&self, suffix: &str) -> Vec<String> {
        self.names().filter_map(|name| name.strip_suffix(suffix)).map(str::to_owned).collect()
    }

    /// Takes a norm out: the scale and shift of each channel.
    fn take_norm(&mut self, block: &str, epsilon: f64) -> Result<(Vec<f64>, Vec<f64>), WeightsError> {
        let variance = self.arrays[&format!("{block}.norm.running_var")].values.len();
        let mut part = |part: &str| {
            let name = format!("{block}.norm.{part}");
            self.take_vector(&name, variance)?.ok_or_else(|| missing(&name))
        };
        let (weight, bias) = (part("weight")?, part("bias")?);
        let (mean, variance) = (part("running_mean")?, part("running_var")?);
        let scale: Vec<f64> = weight
            .iter()
            .zip(&variance)
            .map(|(weight, variance)| weight / (variance + epsilon).sqrt())
            .collect();
        let terms = bias.iter().zip(&mean).zip(&scale);
        let shift = terms.map(|((bias, mean), scale)| bias - mean * scale).collect();
        Ok((scale, shift))
    }

    /// Takes a vector out, if it is there and of this length.
    fn take_vector(&mut self, name: &str, length: usize) -> Result<Option<Vec<f64>>, WeightsError> {
        let Some(array) = self.arrays.remove(name) else { return Ok(None) };
        if array.values.len() != length {
            let problem = format!("{} numbers for {length} channels", array.values.len());
            return Err(WeightsError::Fold { name: name.to_owned(), problem });
        }
        Ok(Some(array.values.into_iter().map(f64::from).collect()))
    }
}

fn missing(name: &str) -> WeightsError {
    let problem = "missing, beside the other parts of its block".to_owned();
    WeightsError::Fold { name: name.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(values: &[f32]) -> Array {
        Array { shape: vec![values.len()], values: values.to_vec() }
    }

    fn block() -> Weights {
        let mut weights = Weights::default();
        weights.insert("a.conv.weight", Array { shape: vec![2, 1, 1, 2], values: vec![1., 2., 3., 4.] });
        weights.insert("a.norm.weight", vector(&[2.0, 1.0]));
        weights.insert("a.norm.bias", vector(&[0.5, 0.0]));
        weights.insert("a.norm.running_mean", vector(&[1.0, -1.0]));
        weights.insert("a.norm.running_var", vector(&[3.0, 0.0]));
        weights
    }

    #[test]
    fn a_norm_is_folded_as_by_hand() {
        // Scales 2 / sqrt(3 + 1) = 1 and 1 / sqrt(0 + 1) = 1; shifts .5 - 1 and 0 + 1.
        let folded = block().fold_norms(1.0).unwrap();
        assert_eq!(folded.get("a.conv.weight").unwrap().values, [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(folded.get("a.conv.bias").unwrap().values, [-0.5, 1.0]);
        assert_eq!(folded.len(), 2);
    }

    #[test]
    fn unfolding_and_folding_again_changes_nothing() {
        let folded = block().fold_norms(1e-3).unwrap();
        let again = folded.clone().unfold_norms(1e-3).fold_norms(1e-3).unwrap();
        assert_eq!(again.names().collect::<Vec<_>>(), folded.names().collect::<Vec<_>>());
        for name in folded.names() {
            let (a, b) = (folded.get(name).unwrap(), again.get(name).unwrap());
            let close = a.values.iter().zip(&b.values).all(|(a, b)| (a - b).abs() <= 1e-6 * a.abs());
            assert!(close, "{name}: {a:?} {b:?}");
        }
    }

    #[test]
    fn a_bias_before_a_norm_goes_into_its_mean() {
        let mut weights = block();
        weights.insert("a.conv.bias", vector(&[0.25, -1.0]));
        let absorbed = weights.clone().unfold_norms(1.0);
        assert!(absorbed.get("a.conv.bias").is_none());
        assert_eq!(absorbed.get("a.norm.running_mean").unwrap().values, [0.75, 0.0]);
        assert_eq!(absorbed.fold_norms(1.0).unwrap(), weights.fold_norms(1.0).unwrap());
    }

    #[test]
    fn a_block_with_a_missing_part_is_an_error_that_names_it() {
        for part in ["conv.weight", "norm.bias", "norm.running_mean"] {
            let mut weights = block();
            weights.remove(&format!("a.{part}"));
            let error = weights.fold_norms(1e-3).unwrap_err().to_string();
            assert!(error.starts_with(&format!("a.{part}")), "{error}");
        }
    }
}
