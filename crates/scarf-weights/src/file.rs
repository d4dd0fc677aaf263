//! Files of weights, known by their contents.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::stored::{Contents, Found};
use crate::{Element, Weights, WeightsError, mxnet, pytorch, safetensors, tensorflow, zip};

/// The formats that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A header of JSON and the bytes of every tensor.
    Safetensors,
    /// `torch.save` since PyTorch 1.6.
    Pytorch,
    /// `torch.save` before PyTorch 1.6, which wrote most of torchvision's older files.
    PytorchLegacy,
    /// MXNet's and GluonCV's `.params`.
    Mxnet,
    /// TensorFlow's frozen graph, a `.pb` whose constants are the weights.
    Tensorflow,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Safetensors => "safetensors",
            Self::Pytorch => "PyTorch",
            Self::PytorchLegacy => "PyTorch (before 1.6)",
            Self::Mxnet => "MXNet",
            Self::Tensorflow => "TensorFlow",
        })
    }
}

impl Format {
    /// The format of a file by its first bytes, or what else it seems to be.
    fn of(bytes: &[u8]) -> Result<Self, &'static str> {
        // The length of a header is any eight bytes; no other file has a brace behind them.
        if bytes.get(8) == Some(&b'{') {
            return Ok(Self::Safetensors);
        }
        let known: [(&[u8], Self); 3] = [
            (&mxnet::MAGIC.to_le_bytes(), Self::Mxnet),
            (pytorch::LEGACY, Self::PytorchLegacy),
            (zip::MAGIC, Self::Pytorch),
        ];
        if let Some((_, format)) = known.iter().find(|(magic, _)| bytes.starts_with(magic)) {
            return Ok(*format);
        }
        if tensorflow::begins(bytes) {
            return Ok(Self::Tensorflow);
        }
        let others: [(&[u8], &str); 6] = [
            (b"\x1f\x8b", "an archive that gzip compressed: unpack it first"),
            (b"\x80", "a pickle that torch.save did not write"),
            (b"\x89HDF", "an HDF5 file, such as Keras writes"),
            (b"version https://git-lfs", "a pointer of Git LFS: the file itself was not downloaded"),
            (b"<", "an HTML or XML page: perhaps a download that failed"),
            (b"", "not a file of weights"),
        ];
        let is_tar = bytes.get(257..262) == Some(b"ustar");
        let other = others.iter().find(|(magic, _)| bytes.starts_with(magic)).map_or("", |(_, kind)| kind);
        Err(match bytes {
            [] => "an empty file",
            _ if is_tar => "a tar archive, as PyTorch wrote before 0.2: save it again with a newer one",
            _ => other,
        })
    }

    fn read(self, bytes: &[u8]) -> Found<Contents<'_>> {
        match self {
            Self::Safetensors => safetensors::read(bytes),
            Self::Pytorch => pytorch::read_zip(bytes),
            Self::PytorchLegacy => pytorch::read_legacy(bytes),
            Self::Mxnet => mxnet::read(bytes),
            Self::Tensorflow => tensorflow::read(bytes),
        }
    }
}

/// What a file holds, tensor by tensor, without their elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The format of the file.
    pub format: Format,
    /// Text beside the tensors: of a safetensors header, or of a checkpoint.
    pub metadata: BTreeMap<String, String>,
    /// The tensors, in order of name.
    pub tensors: Vec<Listed>,
}

/// A tensor of a [`Listing`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// How its elements are stored.
    pub element: Element,
    /// Its extents.
    pub shape: Vec<usize>,
}

impl Listing {
    /// Reads what a file of any [`Format`] holds.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, WeightsError> {
        with_contents(path.as_ref(), |format, contents, _| {
            let listed = |(name, tensor): (String, crate::stored::Stored<'_>)| Listed {
                name,
                element: tensor.element,
                shape: tensor.shape,
            };
            let tensors = contents.tensors.into_iter().map(listed).collect();
            Ok(Self { format, metadata: contents.metadata, tensors })
        })
    }
}

impl Weights {
    /// Reads a file of any [`Format`], known by its contents and not its name. Every element
    /// becomes the nearest f32; those of half precision, and bytes, are exact.
    ///
    /// Of a checkpoint (`{"model": ...}`, `{"state_dict": ...}`) the model is read. Nothing that a
    /// pickle asks for is run.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged, of another format, or has tensors of elements that
    /// are no plain numbers.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, WeightsError> {
        with_contents(path.as_ref(), |_, contents, length| contents.weights(length))
    }
}

fn with_contents<T>(
    path: &Path,
    make: impl FnOnce(Format, Contents<'_>, usize) -> Found<T>,
) -> Result<T, WeightsError> {
    let bytes = std::fs::read(path).map_err(|source| WeightsError::Io { path: path.to_owned(), source })?;
    let format = Format::of(&bytes).map_err(|kind| WeightsError::Unknown { path: path.to_owned(), kind })?;
    let made = format.read(&bytes).and_then(|contents| make(format, contents, bytes.len()));
    made.map_err(|problem| WeightsError::Format { path: path.to_owned(), format, problem })
}
