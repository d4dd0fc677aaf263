//! Images that lie on the device, where augmentation and resizing are done to a whole batch at once.
//!
//! Of a batch only some numbers an image go there: which image it is, and the [`View`] of it. Resizing is a product with
//! a matrix a side, for the triangle filter takes rows and columns apart; a window, a canvas and a mirror image are other
//! numbers in those matrices.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use image::RgbImage;
use scarf_core::{BBox, Size};
use scarf_data::ImageCache;
use scarf_data::augment::{Colors, Transform, View};

/// Decoded images on a device, a byte a level: one channel where all of them are gray, three otherwise.
#[derive(Debug)]
pub struct Resident {
    /// `[images, channels * height * width / 4]`: four levels a number, for not every device knows bytes. Images lie in
    /// the upper left corner of the largest height and width, zeros around them.
    packed: Tensor<2, Int>,
    shape: Shape,
    /// Of each image, as decoded.
    sizes: Vec<Size>,
}

/// What all images have room in; the width a multiple of 4.
#[derive(Clone, Copy, Debug)]
struct Shape {
    channels: usize,
    height: usize,
    width: usize,
}

impl Shape {
    fn of(images: &ImageCache) -> Self {
        let is_gray = |image: &RgbImage| image.pixels().all(|p| p.0[0] == p.0[1] && p.0[1] == p.0[2]);
        let all = || (0..images.len()).map(|index| images.get(index));
        let side = |side: fn(&RgbImage) -> u32| all().map(side).max().unwrap_or(0) as usize;
        Self {
            channels: if all().all(is_gray) { 1 } else { 3 },
            height: side(RgbImage::height),
            width: side(RgbImage::width).next_multiple_of(4),
        }
    }

    fn bytes(&self) -> usize {
        self.channels * self.height * self.width
    }
}

impl Resident {
    /// Brings images to a device (one without autodiff); none if they take more than `limit` bytes there.
    pub fn new(images: &ImageCache, limit: usize, device: &Device) -> Option<Self> {
        let shape = Shape::of(images);
        if images.is_empty() || shape.bytes() * images.len() > limit {
            return None;
        }
        let mut packed = Vec::with_capacity(images.len() * shape.bytes() / 4);
        let mut levels = vec![0u8; shape.bytes()];
        for image in (0..images.len()).map(|index| images.get(index)) {
            levels.fill(0);
            for (channel, plane) in levels.chunks_exact_mut(shape.height * shape.width).enumerate() {
                let rows = image.as_raw().chunks_exact(3 * image.width() as usize);
                for (row, into) in rows.zip(plane.chunks_exact_mut(shape.width)) {
                    row[channel..].iter().step_by(3).zip(into).for_each(|(&level, into)| *into = level);
                }
            }
            packed.extend(
                levels.chunks_exact(4).map(|four| i32::from_le_bytes([four[0], four[1], four[2], four[3]])),
            );
        }
        let packed = TensorData::new(packed, [images.len(), shape.bytes() / 4]);
        let sizes =
            (0..images.len()).map(|index| images.get(index)).map(|i| Size::new(i.width(), i.height()));
        Some(Self { packed: Tensor::from_data(packed, (device, DType::I32)), shape, sizes: sizes.collect() })
    }

    /// What the images take on the device.
    pub fn bytes(&self) -> usize {
        self.shape.bytes() * self.sizes.len()
    }

    /// Whether images of `size` with these steps can be made here: they must be one [`View`], and what is turned must
    /// be a square.
    pub fn can(steps: &[Transform], size: Size) -> bool {
        let turns = steps.iter().any(|step| matches!(step, Transform::Rotate90(_)));
        View::holds(steps) && (!turns || size.width == size.height)
    }

    /// The size of an image as it was decoded.
    pub(crate) fn size(&self, index: usize) -> Size {
        self.sizes[index]
    }

    /// Views of images, resized: `[views, 3, height, width]`, RGB in whole numbers of `0..=255`.
    ///
    /// What `scarf_data::images::resize` makes of the image after [`scarf_data::augment::apply`], but for rounding: a
    /// level more or less in a few pixels.
    ///
    /// # Panics
    /// If there are not as many views as indices, or where a view is transposed and `size` is no square.
    pub fn show(&self, indices: &[usize], views: &[View], size: Size) -> Tensor<4> {
        assert_eq!(indices.len(), views.len(), "a view of each image");
        let images = self.painted(indices, views);
        let [batch, channels, height, width] = images.dims();
        let (out_width, out_height) = (size.width as usize, size.height as usize);
        let [across, down] = [false, true].map(|rows| self.side(views, size, rows));
        let fill = |channel: usize| move |view: &View| f32::from(view.fill[channel]);
        let fill = Tensor::cat((0..3).map(|channel| self.numbers::<4>(views, fill(channel))).collect(), 1);

        let wide = images.reshape([batch, channels * height, width]).matmul(across.clone().swap_dims(1, 2));
        let wide = wide.reshape([batch, channels, height, out_width]);
        let rest = (across.sum_dim(2).neg() + 1.0).reshape([batch, 1, 1, out_width]);
        let wide = level(wide + rest * fill.clone());

        let columns = wide.swap_dims(1, 2).reshape([batch, height, 3 * out_width]);
        let image = down.clone().matmul(columns).reshape([batch, out_height, 3, out_width]).swap_dims(1, 2);
        let rest = (down.sum_dim(2).neg() + 1.0).reshape([batch, 1, out_height, 1]);
        let image = level(image + rest * fill);
        if !views.iter().any(|view| view.transposed) {
            return image;
        }
        assert_eq!(out_width, out_height, "what is turned is a square");
        let turned = self.numbers::<4>(views, |view| f32::from(u8::from(view.transposed)));
        let is_turned = turned.greater_elem(0.5).expand(image.dims());
        image.clone().mask_where(is_turned, image.swap_dims(2, 3))
    }

    /// A number a view, `[views, 1, ..]`.
    fn numbers<const D: usize>(&self, views: &[View], number: impl Fn(&View) -> f32) -> Tensor<D> {
        let mut shape = [1; D];
        shape[0] = views.len();
        let numbers = views.iter().map(number).collect::<Vec<_>>();
        Tensor::from_data(TensorData::new(numbers, shape), &self.packed.device())
    }

    /// Images as they were decoded, in other colors: `[views, channels, height, width]`.
    fn painted(&self, indices: &[usize], views: &[View]) -> Tensor<4> {
        let Shape { channels, height, width } = self.shape;
        let chosen: Vec<i32> = indices.iter().map(|&index| index as i32).collect();
        let device = self.packed.device();
        let chosen =
            Tensor::<1, Int>::from_data(TensorData::new(chosen, [indices.len()]), (&device, DType::I32));
        let packed = self.packed.clone().select(0, chosen);
        let byte =
            |at: i32| packed.clone().bitwise_right_shift_scalar(8 * at).bitwise_and_scalar(255).float();
        let levels: Tensor<3> = Tensor::stack((0..4).map(byte).collect(), 2);
        let mut images = levels.reshape([indices.len(), channels, height, width]);

        let any = |is: fn(&Colors) -> bool| views.iter().any(|view| is(&view.colors));
        let factor = |of: fn(&Colors) -> Option<f32>, none: f32| {
            self.numbers::<4>(views, move |view| of(&view.colors).unwrap_or(none))
        };
        if any(|c| c.brightness.is_some()) {
            images = floor(images * factor(|c| c.brightness, 1.0));
        }
        if any(|c| c.contrast.is_some() && c.contrast_first) {
            images =
                self.contrasted(images, indices, factor(|c| c.contrast.filter(|_| c.contrast_first), 1.0));
        }
        if channels == 3 && any(|c| c.saturation.is_some()) {
            let by = factor(|c| c.saturation, 1.0);
            images = floor(images.clone() * by.clone() + luma(images) * (by.neg() + 1.0));
        }
        if channels == 3 && any(|c| c.hue.is_some()) {
            images = turned_hue(images, factor(|c| c.hue, 0.0));
        }
        if any(|c| c.contrast.is_some() && !c.contrast_first) {
            images =
                self.contrasted(images, indices, factor(|c| c.contrast.filter(|_| !c.contrast_first), 1.0));
        }
        if channels == 3 && any(|c| c.channels != [0, 1, 2]) {
            let one_hot = |view: &View| {
                let row = |from: usize| (0..3).map(move |channel| if channel == from { 1.0f32 } else { 0.0 });
                view.colors.channels.map(row).into_iter().flatten().collect::<Vec<_>>()
            };
            let order: Vec<f32> = views.iter().flat_map(one_hot).collect();
            let order = Tensor::<3>::from_data(TensorData::new(order, [views.len(), 3, 3]), &device);
            let mixed = order.matmul(images.reshape([views.len(), 3, height * width]));
            images = mixed.reshape([views.len(), 3, height, width]);
        }
        images
    }

    /// Farther from the mean gray of each image, or nearer to it, by a factor.
    fn contrasted(&self, images: Tensor<4>, indices: &[usize], by: Tensor<4>) -> Tensor<4> {
        let area = |&index: &usize| self.sizes[index].width as f32 * self.sizes[index].height as f32;
        let areas: Vec<f32> = indices.iter().map(area).collect();
        let areas =
            Tensor::<4>::from_data(TensorData::new(areas, [indices.len(), 1, 1, 1]), &images.device());
        // What lies around an image is black so far, and adds nothing.
        let mean = luma(images.clone()).sum_dim(3).sum_dim(2) / areas;
        floor(images * by.clone() + mean * (by.neg() + 1.0))
    }

    /// The weights of the source pixels of a side in the pixels that come out, `[views, out, side]`: of rows or of
    /// columns. Their sum is 1 where only the image is seen, and less by what of the fill is.
    fn side(&self, views: &[View], size: Size, rows: bool) -> Tensor<3> {
        let out = if rows { size.height } else { size.width } as usize;
        let sides: Vec<Side> = views.iter().map(|view| Side::of(view, rows)).collect();
        let device = self.packed.device();
        let number = |of: fn(&Side) -> f32| {
            let numbers = sides.iter().map(of).collect::<Vec<_>>();
            Tensor::<3>::from_data(TensorData::new(numbers, [views.len(), 1, 1]), &device)
        };
        let middles = |len: usize| Tensor::<1, Int>::arange(0..len as i64, &device).float().add_scalar(0.5);
        let len = if rows { self.shape.height } else { self.shape.width };
        let source = middles(len).reshape([1, 1, len]);

        let scale = number(|side| side.len) / out as f32;
        let center = middles(out).reshape([1, out, 1]) * scale.clone();
        // Where the source's pixels lie in the window, from the end that comes out first.
        let place = source.clone() * number(Side::direction) + number(Side::begin);
        let weight = ((place - center).abs() / scale.clamp_min(1.0)).neg().add_scalar(1.0).clamp_min(0.0);
        let seen = source.clone().greater(number(|side| side.seen[0])).float()
            * source.lower(number(|side| side.seen[1])).float();
        let sums: Vec<f32> = sides.iter().flat_map(|side| side.sums(out)).collect();
        weight * seen / Tensor::<3>::from_data(TensorData::new(sums, [views.len(), out, 1]), &device)
    }
}

/// A side of a view's window, in pixels of the source.
struct Side {
    start: f32,
    len: f32,
    /// From and to where the image is seen.
    seen: [f32; 2],
    mirrored: bool,
}

impl Side {
    fn of(view: &View, rows: bool) -> Self {
        let ends = |b: &BBox<f64>| if rows { [b.y1, b.y2] } else { [b.x1, b.x2] }.map(|end| end as f32);
        let [start, end] = ends(&view.window);
        // Source rows come out as columns where they change places.
        let mirrored = view.mirrored[usize::from(rows != view.transposed)];
        Self { start, len: end - start, seen: ends(&view.visible), mirrored }
    }

    /// The window's pixels from the end that comes out first: `direction * source + begin`.
    fn direction(&self) -> f32 {
        if self.mirrored { -1.0 } else { 1.0 }
    }

    fn begin(&self) -> f32 {
        if self.mirrored { self.start + self.len } else { -self.start }
    }

    /// The sum of the triangle filter's weights over the window, for each pixel that comes out (Pillow's
    /// `libImaging/Resample.c`, as `scarf_data::images::resize`).
    fn sums(&self, out: usize) -> impl Iterator<Item = f32> {
        let (len, scale) = (f64::from(self.len), f64::from(self.len) / out as f64);
        let reach = scale.max(1.0);
        (0..out).map(move |at| {
            let center = (at as f64 + 0.5) * scale;
            let first = (center - reach + 0.5).max(0.0) as usize;
            let end = (center + reach + 0.5).min(len) as usize;
            let weight = |source: usize| (1.0 - ((source as f64 - center + 0.5) / reach).abs()).max(0.0);
            (first..end).map(weight).sum::<f64>() as f32
        })
    }
}

/// Levels rounded to the nearest.
fn level(levels: Tensor<4>) -> Tensor<4> {
    floor(levels.add_scalar(0.5))
}

/// Levels cut to `0..=255` and rounded down.
fn floor(levels: Tensor<4>) -> Tensor<4> {
    levels.clamp(0.0, 255.0).floor()
}

/// The gray of a color (ITU-R BT.601), rounded down; of one channel, that.
fn luma(images: Tensor<4>) -> Tensor<4> {
    if images.dims()[1] == 1 {
        return images;
    }
    let [red, green, blue] = channels(images);
    // Half more, so that no division is a hair under a whole number.
    ((red * 299.0 + green * 587.0 + blue * 114.0 + 0.5) / 1000.0).floor()
}

fn channels(images: Tensor<4>) -> [Tensor<4>; 3] {
    [0, 1, 2].map(|channel| images.clone().narrow(1, channel, 1))
}

/// Every color so many turns further on the color circle.
fn turned_hue(images: Tensor<4>, by: Tensor<4>) -> Tensor<4> {
    let [red, green, blue] = channels(images.clone());
    let (high, low) = (images.clone().max_dim(1), images.min_dim(1));
    let range = high.clone() - low.clone();
    let spread = range.clone().clamp_min(1.0);
    let towards = |first: &Tensor<4>, second: &Tensor<4>, from: f32| {
        (first.clone() - second.clone()) / spread.clone() + from
    };
    // In sixths of the circle from red.
    let hue = towards(&red, &green, 4.0)
        .mask_where(green.clone().equal(high.clone()), towards(&blue, &red, 2.0))
        .mask_where(red.clone().equal(high), towards(&green, &blue, 0.0));
    let around = |sixths: Tensor<4>| sixths.clone() - (sixths / 6.0).floor() * 6.0;
    let hue = around(hue + by * 6.0);
    let channel = |turn: f32| {
        let distance = around(hue.clone() - turn);
        let distance = distance.clone().min_pair(distance.neg() + 6.0);
        level(low.clone() + range.clone() * (distance.neg() + 2.0).clamp(0.0, 1.0))
    };
    Tensor::cat(vec![channel(0.0), channel(2.0), channel(4.0)], 1)
}
