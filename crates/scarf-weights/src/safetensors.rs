//! Safetensors files.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::{Array, Weights, WeightsError};

impl Weights {
    /// Reads a safetensors file; every element becomes f32 exactly.
    ///
    /// # Errors
    /// If the file cannot be read, is no safetensors file, or has elements without an exact f32.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, WeightsError> {
        let path = path.as_ref();
        let bytes =
            std::fs::read(path).map_err(|source| WeightsError::Io { path: path.to_owned(), source })?;
        let format = |source| WeightsError::Format { path: path.to_owned(), source };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(format)?;
        let mut weights = Self::default();
        weights.metadata.extend(header.metadata().clone().unwrap_or_default());
        for (name, view) in SafeTensors::deserialize(&bytes).map_err(format)?.iter() {
            let values = floats(&view).ok_or_else(|| WeightsError::Type {
                path: path.to_owned(),
                name: name.to_owned(),
                dtype: format!("{:?}", view.dtype()),
            })?;
            weights.insert(name, Array { shape: view.shape().to_vec(), values });
        }
        Ok(weights)
    }

    /// Writes a safetensors file of f32, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), WeightsError> {
        let path = path.as_ref();
        let io = |source| WeightsError::Io { path: path.to_owned(), source };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(io)?;
        file.write_all(&self.to_bytes()).map_err(io)?;
        file.as_file().sync_all().map_err(io)?;
        file.persist(path).map_err(|error| io(error.error))?;
        Ok(())
    }

    /// The bytes of a safetensors file of f32.
    pub fn to_bytes(&self) -> Vec<u8> {
        let bytes: Vec<Vec<u8>> = self
            .arrays
            .values()
            .map(|array| array.values.iter().flat_map(|value| value.to_le_bytes()).collect())
            .collect();
        let views = self.arrays.iter().zip(&bytes).map(|((name, array), bytes)| {
            let view = TensorView::new(Dtype::F32, array.shape.clone(), bytes);
            (name, view.expect("`insert` has compared the shape with the values"))
        });
        let metadata: HashMap<_, _> = self.metadata.clone().into_iter().collect();
        let metadata = (!metadata.is_empty()).then_some(metadata);
        safetensors::serialize(views, metadata).expect("a map of f32 tensors is always a file")
    }
}

fn floats(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let bytes = view.data();
    let pairs = || bytes.chunks_exact(2).map(|pair| [pair[0], pair[1]]);
    Some(match view.dtype() {
        Dtype::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F16 => pairs().map(|pair| f16::from_le_bytes(pair).to_f32()).collect(),
        Dtype::BF16 => pairs().map(|pair| bf16::from_le_bytes(pair).to_f32()).collect(),
        Dtype::U8 => bytes.iter().map(|&byte| byte.into()).collect(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Weights {
        let mut weights = Weights::default().with_metadata("arch", "none");
        weights.insert("b.weight", Array { shape: vec![2, 1], values: vec![1.5, -0.0] });
        weights.insert("a", Array { shape: vec![], values: vec![f32::MIN_POSITIVE] });
        weights
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        sample().save(&path).unwrap();
        assert_eq!(Weights::open(&path).unwrap(), sample());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_cut_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.safetensors");
        let bytes = sample().to_bytes();
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let error = Weights::open(&path).unwrap_err();
            assert!(error.to_string().contains("cut.safetensors"), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Weights::open(&path), Err(WeightsError::Io { .. })));
    }

    #[test]
    fn types_without_an_exact_f32_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wide.safetensors");
        let bytes = 1.0f64.to_le_bytes();
        let view = TensorView::new(Dtype::F64, vec![1], &bytes).unwrap();
        std::fs::write(&path, safetensors::serialize([("wide", view)], None).unwrap()).unwrap();
        let error = Weights::open(&path).unwrap_err().to_string();
        assert!(error.contains("wide has elements of type F64"), "{error}");
    }

    #[test]
    fn half_precision_is_exact() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("half.safetensors");
        let bytes: Vec<u8> = [0x3555u16, 0xfbff, 0x0001].iter().flat_map(|b| b.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F16, vec![3], &bytes).unwrap();
        std::fs::write(&path, safetensors::serialize([("h", view)], None).unwrap()).unwrap();
        let weights = Weights::open(&path).unwrap();
        assert_eq!(weights.get("h").unwrap().values, [0.333_251_95, -65504.0, 2f32.powi(-24)]);
    }
}
