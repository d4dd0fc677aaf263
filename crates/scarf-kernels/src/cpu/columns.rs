//! The column matrix of a convolution ("im2col"), never stored whole: panels of it, as the matrix
//! product wants them, are packed straight from the images.

use std::ops::Range;

use super::alone::share_out_parts;
use super::rounded::{Factors, pair_rows};
use super::scratch::{Buffer, Scratch};
use super::simd::{Lanes, Level, versions};
use super::vector::Place;
use crate::cpu::shape::Shape;

/// The column matrix `[channels * taps, images * pixels]` of some channels of a batch of images.
pub(crate) struct Columns<'a> {
    x: &'a [f32],
    /// Values from image to image.
    image: usize,
    /// Values from channel to channel.
    plane: usize,
    height: usize,
    width: usize,
    out_height: usize,
    out_width: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    top: usize,
    left: usize,
    /// Whether `x` holds pairs of channels, as `bfloat16`: a row is one of pairs then, and counts as two.
    paired: bool,
}

/// A run of a row of the column matrix: zeros, values of the image, zeros.
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    to: usize,
    before: usize,
    len: usize,
    after: usize,
    from: usize,
}

impl<'a> Columns<'a> {
    /// The columns of the images in `x`, of which `x` starts at the first channel wanted;
    /// `image` is the distance from image to image.
    pub(crate) fn new(x: &'a [f32], image: usize, shape: &Shape) -> Self {
        let mut columns = Self {
            x,
            image,
            plane: shape.height * shape.width,
            height: shape.height,
            width: shape.width,
            out_height: shape.out_height,
            out_width: shape.out_width,
            kernel: shape.kernel,
            stride: shape.stride,
            dilation: shape.dilation,
            top: shape.top,
            left: shape.left,
            paired: false,
        };
        if shape.is_pointwise() {
            // One long row: nothing to cut at the ends of the short ones.
            (columns.height, columns.out_height) = (1, 1);
            (columns.width, columns.out_width) = (columns.plane, columns.plane);
        }
        columns
    }

    /// A plain matrix per image, `[rows, width]`.
    pub(crate) fn plain(x: &'a [f32], image: usize, width: usize) -> Self {
        Self {
            x,
            image,
            plane: width,
            height: 1,
            width,
            out_height: 1,
            out_width: width,
            kernel: [1, 1],
            stride: [1, 1],
            dilation: [1, 1],
            top: 0,
            left: 0,
            paired: false,
        }
    }

    /// The same of some images, whose channels are rounded and paired beforehand, once for all taps. Rows go through two
    /// channels at once then, tap by tap: the first tap of either, the second of either.
    pub(crate) fn paired<'b>(
        &self,
        level: Level,
        factors: Factors,
        images: Range<usize>,
        channels: usize,
        buffer: &'b mut Buffer,
    ) -> Columns<'b>
    where
        'a: 'b,
    {
        debug_assert!(factors == Factors::Amx && channels.is_multiple_of(2));
        let (pairs, plane) = (channels / 2, self.plane);
        let len = images.len() * pairs * plane;
        let place = Place::new(buffer.take(len).as_mut_ptr());
        share_out_parts(images.len() * pairs, 1 + 16_384 / plane, |some| {
            for pair in some {
                let first = (images.start + pair / pairs) * self.image + pair % pairs * 2 * plane;
                let both = &self.x[first..][..2 * plane];
                // SAFETY: each task has its own planes of the buffer; the factors are this processor's.
                unsafe { pair_planes(level, factors, both, place.get().add(pair * plane)) };
            }
        });
        // SAFETY: all of it was written.
        let x = unsafe { std::slice::from_raw_parts(place.get(), len) };
        Columns { x, image: pairs * plane, paired: true, ..*self }
    }

    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// The pieces of one tap's row over the pixels, for the first channel.
    #[inline(always)]
    fn pieces(&self, pixels: &Range<usize>, tap: usize, pieces: &mut Vec<Piece>) {
        pieces.clear();
        let (ky, kx) = (tap / self.kernel[1], tap % self.kernel[1]);
        let (down, right) = (ky * self.dilation[0], kx * self.dilation[1]);
        let stride = self.stride[1];
        // The output columns whose source lies inside the row.
        let first = self.left.saturating_sub(right).div_ceil(stride);
        let end = (self.width + self.left).saturating_sub(right).div_ceil(stride);
        let per_image = self.out_height * self.out_width;
        let (mut image, mut rest) = (pixels.start / per_image, pixels.start % per_image);
        let mut at = pixels.start;
        while at < pixels.end {
            let (oy, ox) = (rest / self.out_width, rest % self.out_width);
            let len = (self.out_width - ox).min(pixels.end - at);
            let low = first.clamp(ox, ox + len);
            let high = end.clamp(low, ox + len);
            let y = (oy * self.stride[0] + down).wrapping_sub(self.top);
            let to = at - pixels.start;
            let piece = if y < self.height && low < high {
                let from = image * self.image + y * self.width + low * stride + right - self.left;
                Piece { to, before: low - ox, len: high - low, after: ox + len - high, from }
            } else {
                Piece { to, before: len, len: 0, after: 0, from: 0 }
            };
            match pieces.last_mut() {
                Some(last)
                    if stride == 1
                        && last.after == 0
                        && piece.before == 0
                        && last.from + last.len == piece.from =>
                {
                    last.len += piece.len;
                    last.after = piece.after;
                }
                _ => pieces.push(piece),
            }
            at += len;
            rest += len;
            if rest == per_image {
                (image, rest) = (image + 1, 0);
            }
        }
    }

    /// Writes a row of a channel.
    #[inline(always)]
    unsafe fn fill<V: Lanes>(&self, pieces: &[Piece], channel: usize, to: *mut f32) {
        for piece in pieces {
            // SAFETY: `to` has room for the row; the piece was cut to lie inside the image.
            unsafe {
                let mut to = to.add(piece.to);
                zeros(to, piece.before);
                to = to.add(piece.before);
                if piece.len > 0 {
                    let from = piece.from + channel * self.plane;
                    debug_assert!(from + (piece.len - 1) * self.stride[1] < self.x.len());
                    let from = self.x.as_ptr().add(from);
                    copy::<V>(from, self.stride[1], to, piece.len);
                }
                zeros(to.add(piece.len), piece.after);
            }
        }
    }

    /// Whether the matrix's rows lie in the images as they are: those of a convolution of one tap and a stride of one.
    #[inline(always)]
    fn lies_there(&self) -> bool {
        [self.height, self.out_height, self.kernel[0], self.kernel[1]] == [1; 4]
            && [self.width, self.out_width] == [self.plane; 2]
            && self.stride[1] == 1
            && [self.top, self.left] == [0; 2]
    }

    /// Where the matrix's rows lie for a range of pixels, and how far apart, if they do so as they are, in one image.
    /// Lanes beyond the pixels hold what lies there.
    #[inline(always)]
    pub(crate) fn there(
        &self,
        pixels: &Range<usize>,
        rows: &Range<usize>,
        lanes: usize,
    ) -> Option<(*const f32, usize)> {
        let (image, pixel) = (pixels.start / self.plane, pixels.start % self.plane);
        if !self.lies_there() || pixel + pixels.len() > self.plane {
            return None;
        }
        let start = image * self.image + rows.start * self.plane + pixel;
        let end = start + (rows.len() - 1) * self.plane;
        assert!(end + pixels.len() <= self.x.len());
        let read = self.x.get(start..end + lanes)?;
        Some((read.as_ptr(), self.plane))
    }

    /// Packs `[rows, lanes]` of the matrix for a range of pixels, as what a product multiplies; both ends of `rows` must be
    /// multiples of the taps, of pairs of twice as many.
    ///
    /// # Safety
    ///
    /// The processor must know `V`.
    #[inline(always)]
    pub(crate) unsafe fn pack<V: Lanes>(
        &self,
        pixels: Range<usize>,
        rows: Range<usize>,
        lanes: usize,
        factors: Factors,
        scratch: &mut Scratch,
    ) -> *const f32 {
        // Rows of the matrix for each channel, or pair of them.
        let taps = self.taps();
        let each = if self.paired { 2 * taps } else { taps };
        let panel = scratch.right.take(factors.room(rows.len()) * lanes).as_mut_ptr();
        if V::PAIRS && !self.paired && self.lies_there() {
            // Image by image.
            let mut pixel = pixels.start;
            while pixel < pixels.end {
                let len = (self.plane - pixel % self.plane).min(pixels.end - pixel);
                let start = pixel / self.plane * self.image + rows.start * self.plane + pixel % self.plane;
                let read = &self.x[start..][..(rows.len() - 1) * self.plane + len];
                // SAFETY: the panel has that many rows, and those of the image lie there.
                unsafe {
                    let to = panel.add(pixel - pixels.start);
                    pair_rows::<V>(read.as_ptr(), self.plane, rows.len(), len, to, lanes);
                }
                pixel += len;
            }
            // SAFETY: as above.
            unsafe { factors.fill_up(panel, rows.len(), lanes) };
            return panel;
        }
        if lanes.is_multiple_of(V::N)
            && let Some((from, stride)) = self.there(&pixels, &rows, lanes)
        {
            // SAFETY: the panel has that many rows, and those of the image lie there.
            unsafe {
                copy_rows::<V>(from, stride, rows.len(), lanes, panel);
                factors.prepare::<V>(panel, rows.len(), lanes);
            }
            return panel;
        }
        for tap in 0..taps {
            self.pieces(&pixels, tap, &mut scratch.pieces);
            for (index, channel) in (rows.start / each..rows.end / each).enumerate() {
                // SAFETY: the panel has `rows` rows of `lanes` values.
                unsafe {
                    let to = panel.add((index * taps + tap) * lanes);
                    self.fill::<V>(&scratch.pieces, channel, to);
                }
            }
        }
        // SAFETY: the panel has that many rows.
        unsafe {
            match self.paired {
                true => factors.fill_up(panel, rows.len(), lanes),
                false => factors.prepare::<V>(panel, rows.len(), lanes),
            }
        }
        panel
    }

    /// Packs `[pixels, lanes]` of the transposed matrix for a range of its columns, as what a product multiplies.
    ///
    /// # Safety
    ///
    /// The processor must know `V`.
    #[inline(always)]
    pub(crate) unsafe fn pack_transposed<V: Lanes>(
        &self,
        columns: Range<usize>,
        pixels: Range<usize>,
        lanes: usize,
        factors: Factors,
        scratch: &mut Scratch,
    ) -> *const f32 {
        let taps = self.taps();
        let steps = factors.room(pixels.len()).next_multiple_of(if V::PAIRS { 16 } else { 8 });
        let panel = scratch.right.take(steps * lanes).as_mut_ptr();
        let rows = scratch.rows.take(8 * steps).as_mut_ptr();
        scratch.of_taps.resize_with(scratch.of_taps.len().max(taps), Vec::new);
        for group in columns.clone().step_by(8) {
            for column in group..(group + 8).min(columns.end) {
                let pieces = &mut scratch.of_taps[column % taps];
                if column < columns.start + taps {
                    self.pieces(&pixels, column % taps, pieces);
                }
                // SAFETY: there are 8 rows of `steps` values.
                unsafe {
                    let to = rows.add((column - group) * steps);
                    self.fill::<V>(pieces, column / taps, to);
                    if V::PAIRS {
                        zeros(to.add(pixels.len()), steps - pixels.len());
                    }
                }
            }
            // SAFETY: the blocks lie inside their buffers, whose lengths are multiples of 8, and of 16 where a row of pairs
            // is two steps.
            unsafe {
                let to = panel.add(group - columns.start);
                if V::PAIRS {
                    for step in (0..steps).step_by(16) {
                        V::transpose_pairs(rows.add(step), steps, to.add(step / 2 * lanes), lanes);
                    }
                } else {
                    for step in (0..steps).step_by(8) {
                        V::transpose8(rows.add(step), steps, to.add(step * lanes), lanes);
                    }
                }
            }
        }
        if !V::PAIRS {
            // SAFETY: the panel has that many rows.
            unsafe { factors.prepare::<V>(panel, pixels.len(), lanes) };
        }
        panel
    }
}

versions! {
    /// Pairs two planes, one after the other, pixel by pixel.
    ///
    /// # Safety
    ///
    /// There must be room for a plane; the factors must be pairs, and this processor's.
    unsafe fn pair_planes(factors: Factors, both: &[f32], to: *mut f32) = pair_planes_in,
    of factors
}

#[inline(always)]
unsafe fn pair_planes_in<V: Lanes>(_: Factors, both: &[f32], to: *mut f32) {
    let (first, second) = both.split_at(both.len() / 2);
    // SAFETY: the caller's promise.
    unsafe { V::pair(first.as_ptr(), Some(second.as_ptr()), first.len(), to) };
}

/// Copies rows of `lanes` values that lie `stride` apart.
///
/// # Safety
///
/// Both must be there, `lanes` a multiple of the vector's and at most as many as a tile has.
#[inline(always)]
unsafe fn copy_rows<V: Lanes>(from: *const f32, stride: usize, rows: usize, lanes: usize, to: *mut f32) {
    for row in 0..rows {
        // SAFETY: the caller's promise.
        unsafe {
            let (from, to) = (from.add(row * stride), to.add(row * lanes));
            for vector in 0..V::NV {
                if vector * V::N < lanes {
                    V::load(from.add(vector * V::N)).store(to.add(vector * V::N));
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn zeros(to: *mut f32, len: usize) {
    for index in 0..len {
        // SAFETY: the caller has room for `len` values.
        unsafe { *to.add(index) = 0.0 };
    }
}

/// Copies `len` values that lie `stride` apart.
#[inline(always)]
pub(crate) unsafe fn copy<V: Lanes>(from: *const f32, stride: usize, to: *mut f32, len: usize) {
    // SAFETY: the caller vouches for both ends.
    unsafe {
        let mut at = 0;
        match stride {
            1 => {
                while at + V::N <= len {
                    V::load(from.add(at)).store(to.add(at));
                    at += V::N;
                }
                if at < len {
                    V::load_part(from.add(at), len - at).store_part(to.add(at), len - at);
                }
            }
            2 => {
                // One value beyond the last that is wanted is read, so the last ones go singly.
                while at + V::N < len {
                    V::load_even(from.add(2 * at)).store(to.add(at));
                    at += V::N;
                }
                for index in at..len {
                    *to.add(index) = *from.add(2 * index);
                }
            }
            _ => {
                for index in 0..len {
                    *to.add(index) = *from.add(stride * index);
                }
            }
        }
    }
}
