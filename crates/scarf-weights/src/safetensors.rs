//! Safetensors files.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use ::safetensors::tensor::TensorView;
use ::safetensors::{Dtype, SafeTensors};
use half::f16;

use crate::stored::{Contents, Found, Stored};
use crate::{Array, Element, Weights, WeightsError};

/// Reads a whole file.
pub(crate) fn read(bytes: &[u8]) -> Found<Contents<'_>> {
    let problem = |error: ::safetensors::SafeTensorError| error.to_string();
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(problem)?;
    let mut contents = Contents::default();
    contents.metadata.extend(header.metadata().clone().unwrap_or_default());
    for (name, view) in SafeTensors::deserialize(bytes).map_err(problem)?.iter() {
        let element = element(view.dtype())
            .ok_or_else(|| format!("{name} has elements of type {:?}, which is not read", view.dtype()))?;
        contents.add(name.to_owned(), Stored::dense(element, view.shape().to_vec(), view.data())?)?;
    }
    Ok(contents)
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::F32 => Element::F32,
        Dtype::F64 => Element::F64,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::BF16,
        Dtype::BOOL => Element::Bool,
        Dtype::U8 => Element::U8,
        Dtype::I8 => Element::I8,
        Dtype::I16 => Element::I16,
        Dtype::I32 => Element::I32,
        Dtype::I64 => Element::I64,
        _ => return None,
    })
}

/// How elements are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// All as they are.
    #[default]
    F32,
    /// Arrays of two axes or more in half precision, vectors (biases, normalisation) as they are.
    F16,
}

impl Precision {
    /// The bytes of an array, and their type.
    fn bytes(self, name: &str, array: &Array) -> Result<(Dtype, Vec<u8>), WeightsError> {
        if self == Self::F32 || array.shape.len() < 2 {
            return Ok((Dtype::F32, array.values.iter().flat_map(|value| value.to_le_bytes()).collect()));
        }
        let half = |&value: &f32| {
            let half = f16::from_f32(value);
            if half.is_infinite() && value.is_finite() {
                return Err(WeightsError::Range { name: name.to_owned(), value });
            }
            Ok(half.to_le_bytes())
        };
        let halves = array.values.iter().map(half).collect::<Result<Vec<_>, _>>()?;
        Ok((Dtype::F16, halves.into_flattened()))
    }
}

impl Weights {
    /// Writes a safetensors file of f32, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), WeightsError> {
        self.save_as(path, Precision::F32)
    }

    /// Writes a safetensors file, whole or not at all.
    ///
    /// # Errors
    /// If the file cannot be written, or a number is too large for half precision.
    pub fn save_as(&self, path: impl AsRef<Path>, precision: Precision) -> Result<(), WeightsError> {
        let path = path.as_ref();
        let bytes = self.to_bytes(precision)?;
        let io = |source| WeightsError::Io { path: path.to_owned(), source };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut builder = tempfile::Builder::new();
        // Temporary files are for their owner's eyes alone, which is wrong for what this becomes.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
        let mut file = builder.tempfile_in(folder.unwrap_or(Path::new("."))).map_err(io)?;
        file.write_all(&bytes).map_err(io)?;
        file.as_file().sync_all().map_err(io)?;
        file.persist(path).map_err(|error| io(error.error))?;
        Ok(())
    }

    /// The bytes of a safetensors file.
    ///
    /// # Errors
    /// If a number is too large for half precision, or the texts of the metadata for a header (100 MB).
    pub fn to_bytes(&self, precision: Precision) -> Result<Vec<u8>, WeightsError> {
        let stored = self.arrays.iter().map(|(name, array)| precision.bytes(name, array));
        let stored = stored.collect::<Result<Vec<_>, _>>()?;
        let views = self.arrays.iter().zip(&stored).map(|((name, array), (dtype, bytes))| {
            let view = TensorView::new(*dtype, array.shape.clone(), bytes);
            (name, view.expect("`insert` has compared the shape with the values"))
        });
        let metadata: HashMap<_, _> = self.metadata.clone().into_iter().collect();
        let metadata = (!metadata.is_empty()).then_some(metadata);
        ::safetensors::serialize(views, metadata).map_err(|error| WeightsError::Write(error.to_string()))
    }
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
        let bytes = sample().to_bytes(Precision::F32).unwrap();
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let error = Weights::open(&path).unwrap_err();
            assert!(error.to_string().contains("cut.safetensors"), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Weights::open(&path), Err(WeightsError::Io { .. })));
    }

    #[test]
    fn doubles_become_the_nearest_singles_and_odd_types_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wide.safetensors");
        let view = TensorView::new(Dtype::F64, vec![1], &[0x9a, 0x99, 0x99, 0x99, 0x99, 0x99, 0xb9, 0x3f]);
        std::fs::write(&path, ::safetensors::serialize([("wide", view.unwrap())], None).unwrap()).unwrap();
        assert_eq!(Weights::open(&path).unwrap().get("wide").unwrap().values, [0.1]);
        let view = TensorView::new(Dtype::F8_E4M3, vec![1], &[0]).unwrap();
        std::fs::write(&path, ::safetensors::serialize([("tiny", view)], None).unwrap()).unwrap();
        let error = Weights::open(&path).unwrap_err().to_string();
        assert!(error.contains("tiny has elements of type F8_E4M3"), "{error}");
    }

    #[test]
    fn half_precision_keeps_vectors_and_refuses_what_it_cannot_hold() {
        let mut weights = Weights::default();
        weights.insert("kernel", Array { shape: vec![2, 1], values: vec![0.1, -2.0] });
        weights.insert("bias", Array { shape: vec![1], values: vec![0.1] });
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("half.safetensors");
        weights.save_as(&path, Precision::F16).unwrap();
        let read = Weights::open(&path).unwrap();
        assert_eq!(read.get("kernel").unwrap().values, [0.099_975_586, -2.0]);
        assert_eq!(read.get("bias").unwrap().values, [0.1]);
        weights.insert("large", Array { shape: vec![1, 1], values: vec![70_000.0] });
        let error = weights.to_bytes(Precision::F16).unwrap_err().to_string();
        assert_eq!(error, "large has the value 70000, and half precision ends at 65504");
    }

    #[test]
    fn half_precision_is_exact() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("half.safetensors");
        let bytes: Vec<u8> = [0x3555u16, 0xfbff, 0x0001].iter().flat_map(|b| b.to_le_bytes()).collect();
        let view = TensorView::new(Dtype::F16, vec![3], &bytes).unwrap();
        std::fs::write(&path, ::safetensors::serialize([("h", view)], None).unwrap()).unwrap();
        let weights = Weights::open(&path).unwrap();
        assert_eq!(weights.get("h").unwrap().values, [0.333_251_95, -65504.0, 2f32.powi(-24)]);
    }
}
