use std::str::FromStr;

use burn::module::Module;
use burn::tensor::{Device, Gradients, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::{AnyBackbone, Backbone, BackboneConfig, Extent, Normalization};
use scarf_core::{Detection, Size};
use scarf_kernels::by_image;
use serde::{Deserialize, Serialize};

use crate::{
    AnyHead, AnyNeck, ConfigError, Head, HeadConfig, InitHead, InitNeck, Losses, Neck, NeckConfig, Precision,
    Targets,
};

/// A recipe of a [`Backbone`].
pub trait InitBackbone {
    /// What it makes.
    type Backbone: Backbone;

    /// The backbone, its weights drawn from `rng`.
    ///
    /// # Errors
    /// Where the settings describe none.
    fn init(&self, device: &Device, rng: &mut ChaCha8Rng) -> Result<Self::Backbone, ConfigError>;

    /// What its weights want done to the pixels.
    fn normalization(&self) -> Normalization;
}

impl InitBackbone for BackboneConfig {
    type Backbone = AnyBackbone;

    fn init(&self, device: &Device, rng: &mut ChaCha8Rng) -> Result<AnyBackbone, ConfigError> {
        Ok(self.init(device, rng)?)
    }

    fn normalization(&self) -> Normalization {
        self.normalization()
    }
}

/// A detector as data: the three parts, and the size of the images that it is fed.
///
/// Generic, so that a part of one's own goes the same way as those of the enums.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectorConfig<B = BackboneConfig, N = NeckConfig, H = HeadConfig> {
    /// Side of the square, in pixels, that every image is resized to.
    pub size: u32,
    /// What is done to the pixels; where left out, what the backbone's published weights want.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalization: Option<Normalization>,
    /// Pixels to features.
    pub backbone: B,
    /// Features to features.
    pub neck: N,
    /// Features to detections.
    pub head: H,
}

/// From TOML. Who reads recipes this way has the readers of all parts from here, and compiles none of them again.
impl FromStr for DetectorConfig {
    type Err = toml::de::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        toml::from_str(text)
    }
}

impl<B: InitBackbone, N: InitNeck, H: InitHead> DetectorConfig<B, N, H> {
    /// The detector for this many classes, its weights drawn from `rng`, part after part.
    ///
    /// # Errors
    /// Where the parts do not fit each other.
    pub fn init(
        &self,
        classes: usize,
        device: &Device,
        rng: &mut ChaCha8Rng,
    ) -> Result<DetectorOf<B, N, H>, ConfigError> {
        if !(16..=4096).contains(&self.size) {
            return Err(ConfigError::Range {
                key: "model.size",
                given: self.size.to_string(),
                needed: "images of 16 to 4096 pixels a side are needed",
            });
        }
        let normalization = self.normalization();
        let finite = normalization.mean.iter().chain(&normalization.std).all(|value| value.is_finite());
        if !finite || normalization.std.iter().any(|&std| std <= 0.0) {
            return Err(ConfigError::Range {
                key: "model.normalization",
                given: format!("{normalization:?}"),
                needed: "finite means, and spreads above 0, are needed",
            });
        }
        let backbone = self.backbone.init(device, rng)?;
        self.neck.check_size(&backbone.levels(), self.size as usize)?;
        let neck = self.neck.init(&backbone.levels(), device, rng)?;
        let head = self.head.init(&neck.levels(), classes, device, rng)?;
        Ok(Detector { backbone, neck, head, normalization, precision: Precision::Float32 })
    }

    /// Whether images of this many pixels a side leave every layer something to see: others than the recipe's own `size`,
    /// such as those of test-time augmentation.
    ///
    /// # Errors
    /// Where a kernel does not fit into the map before it.
    pub fn check_size(&self, detector: &DetectorOf<B, N, H>, side: u32) -> Result<(), ConfigError> {
        self.neck.check_size(&detector.backbone.levels(), side as usize)
    }

    /// What is done to its images' pixels: the recipe's own, or the backbone's.
    pub fn normalization(&self) -> Normalization {
        self.normalization.unwrap_or_else(|| self.backbone.normalization())
    }

    /// The size of the images that it is fed.
    pub fn image(&self) -> Size {
        Size::new(self.size, self.size)
    }
}

/// What three recipes make together.
pub type DetectorOf<B, N, H> =
    Detector<<B as InitBackbone>::Backbone, <N as InitNeck>::Neck, <H as InitHead>::Head>;

/// Backbone, neck and head, and the normalisation of pixels before them.
#[derive(Module, Debug)]
pub struct Detector<B = AnyBackbone, N = AnyNeck, H = AnyHead> {
    /// Pixels to features.
    pub backbone: B,
    /// Features to features.
    pub neck: N,
    /// Features to detections.
    pub head: H,
    #[module(skip)]
    normalization: Normalization,
    #[module(skip)]
    precision: Precision,
}

impl<B: Backbone, N: Neck, H: Head> Detector<B, N, H> {
    /// What training minimises. `images` `[batch, 3, height, width]`, RGB in `0..=255`; one
    /// [`Targets`] an image, in pixels of it.
    /// What is chosen at random is chosen by `rng`.
    pub fn loss(&self, images: Tensor<4>, targets: &[Targets], rng: &mut dyn Rng) -> Losses {
        let size = size_of(&images);
        self.precision.run(|| self.head.loss(self.features(images), targets, size, rng))
    }

    /// The gradients of a sum of what [`loss`](Self::loss) gave, in the same precision.
    pub fn backward(&self, loss: Tensor<1>) -> Gradients {
        self.precision.run(|| loss.backward())
    }

    /// What there is on each image, best score first, in pixels of it. `images` as for [`loss`](Self::loss); on a CPU they
    /// are looked at one by one, threads sharing them.
    pub fn detect(&self, images: Tensor<4>) -> Vec<Vec<Detection>> {
        let size = size_of(&images);
        by_image(images, |images| self.precision.run(|| self.head.detect(self.features(images), size)))
    }

    /// [`loss`](Self::loss) and [`detect`](Self::detect) of the same images, for one look at them.
    pub fn examine(
        &self,
        images: Tensor<4>,
        targets: &[Targets],
        rng: &mut dyn Rng,
    ) -> (Losses, Vec<Vec<Detection>>) {
        let size = size_of(&images);
        self.precision.run(|| {
            let features = self.features(images);
            (self.head.loss(features.clone(), targets, size, rng), self.head.detect(features, size))
        })
    }

    /// What is done to the pixels first.
    pub fn normalization(&self) -> Normalization {
        self.normalization
    }

    /// The same detector, its features computed in `precision` from now on; one that is new computes them in `f32`.
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// Rows and columns of each level that the head sees, finest first, for an image of that size.
    pub fn maps(&self, image: Size) -> Vec<[usize; 2]> {
        maps(&self.backbone, &self.neck, image)
    }

    /// What the head sees of `images`, as for [`loss`](Self::loss).
    pub fn features(&self, images: Tensor<4>) -> scarf_backbones::Pyramid {
        let images = self.normalization.apply(images);
        let dtype = self.precision.of_maps(&images.device());
        self.precision.run(|| self.neck.forward(self.backbone.forward(images.cast(dtype))))
    }
}

fn size_of(images: &Tensor<4>) -> Size {
    let [_, _, height, width] = images.dims();
    Size::new(width as u32, height as u32)
}

/// [`Detector::maps`] of its two parts, in no time: nothing is computed but sizes.
pub fn maps(backbone: &impl Backbone, neck: &impl Neck, image: Size) -> Vec<[usize; 2]> {
    let image = Extent([1, 3, image.height as usize, image.width as usize]);
    let maps = neck.forward(backbone.forward(image)).0;
    maps.iter().map(|&Extent([_, _, rows, columns])| [rows, columns]).collect()
}
