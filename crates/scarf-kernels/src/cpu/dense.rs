//! Convolutions with more than one channel per group, as matrix products.

use std::ops::Range;

use super::alone::{share_out, share_out_parts, threads};
use super::columns::Columns;
use super::gemm::{After, Output, Product, Right, Tile, product};
use super::left::{Left, Strided, pack_panels};
use super::rounded::Factors;
use super::scratch::{KEPT, with_packed, with_paired, with_scratch};
use super::simd::{Level, level};
use super::stem::{self, Stem};
use super::vector::Place;
use crate::cpu::shape::Shape;

/// Steps of a sum between two visits of the result: a packed panel of so many rows stays in the
/// first-level cache.
pub(super) const BLOCK: usize = 256;

/// Values of the result that a task works on at once: they stay in the second-level cache.
const TILE: usize = 96 * 1024;

/// Pixels whose weight gradients are summed before they join the others'.
const CHUNK: usize = 8192;

/// Columns of a result up to which the weights are read where they lie: to pack them pays only if they are then read often.
const FEW_COLUMNS: usize = 512;

/// Multiplications under which threads don't pay.
pub(super) const SERIAL: usize = 200_000;

/// `activation(conv(x, weight) * scale + bias)`, written to `out`: `[images, out_channels, out_pixels]`.
///
/// # Safety
///
/// `out` must be valid for that many values.
pub(crate) unsafe fn forward(x: &[f32], weight: &[f32], after: After, shape: &Shape, out: *mut f32) {
    let (channels, rows, taps) = (shape.group_channels(), shape.group_out(), shape.taps());
    let (level, depth) = (level(), channels * taps);
    let factors = Factors::of_thread(level);
    for group in 0..shape.groups {
        let left = Strided {
            values: weight,
            start: group * rows * depth,
            row: depth,
            outer: 0,
            inner: 1,
            inner_len: depth,
            pair_taps: 0,
            rows,
        };
        let x = &x[group * channels * shape.in_pixels()..];
        let output = Output {
            // SAFETY: the group's first channel lies inside the output.
            start: unsafe { out.add(group * rows * shape.out_pixels()) },
            row: shape.out_pixels(),
            image: shape.out_channels * shape.out_pixels(),
            width: shape.out_pixels(),
        };
        let after = after.rows(group * rows..(group + 1) * rows);
        if stem::pays(shape, factors) {
            with_packed(|buffer| {
                let weight = pack_whole(level, factors, &left, depth, buffer);
                // SAFETY: the output is the caller's promise; the level and the factors are this processor's.
                unsafe { stem::forward(level, &Stem { x, weight, after, shape, factors, output }) };
            });
        } else {
            let columns = Columns::new(x, shape.channels * shape.in_pixels(), shape);
            // SAFETY: the output's rows are the group's channels.
            unsafe { spread(left, &columns, shape, channels, output, after) };
        }
    }
}

/// The gradient of the input, written to `out`: `[images, channels, in_pixels]`.
///
/// # Safety
///
/// `out` must be valid for that many values.
pub(crate) unsafe fn input_gradient(gradient: &[f32], weight: &[f32], shape: &Shape, out: *mut f32) {
    let (channels, rows, taps) = (shape.group_channels(), shape.group_out(), shape.taps());
    let Some(turned) = shape.transposed() else {
        // SAFETY: the caller's promise.
        return unsafe { super::scatter::input_gradient(gradient, weight, shape, out) };
    };
    for group in 0..shape.groups {
        let left = Strided {
            values: weight,
            start: group * rows * channels * taps + taps - 1,
            row: taps,
            outer: channels * taps,
            inner: -1,
            inner_len: taps,
            pair_taps: 0,
            rows: channels,
        };
        let gradient = &gradient[group * rows * shape.out_pixels()..];
        let columns = Columns::new(gradient, shape.out_channels * shape.out_pixels(), &turned);
        let output = Output {
            // SAFETY: the group's first channel lies inside the output.
            start: unsafe { out.add(group * channels * shape.in_pixels()) },
            row: shape.in_pixels(),
            image: shape.channels * shape.in_pixels(),
            width: shape.in_pixels(),
        };
        // SAFETY: the output's rows are the group's channels.
        unsafe { spread(left, &columns, &turned, rows, output, After::default()) };
    }
}

/// Computes a product of weights and columns, spread over the threads.
unsafe fn spread(
    left: Strided,
    columns: &Columns,
    shape: &Shape,
    channels: usize,
    output: Output,
    after: After,
) {
    let (level, taps, rows) = (level(), shape.taps(), left.rows);
    let factors = Factors::of_thread(level);
    let (depth, pixels) = (channels * taps, shape.images * output.width);
    // Rows that lie whole pages apart would push each other out of the first-level cache.
    let lies_well = left.inner == 1 && left.inner_len == depth && !left.row.is_multiple_of(1024);
    let there = factors == Factors::Single && pixels <= FEW_COLUMNS && lies_well;
    // What AMX multiplies takes longer to lay out for each tap than to multiply.
    let paired = factors == Factors::Amx && taps > 1 && channels.is_multiple_of(2) && shape.in_pixels() > 0;
    let (units, each) = if paired { (channels / 2, 2 * taps) } else { (channels, taps) };
    with_packed(|buffer| {
        let left = if there {
            Left::There(left)
        } else {
            let left = Strided { pair_taps: if paired { taps } else { 0 }, ..left };
            Left::Packed(pack_whole(level, factors, &left, depth, buffer), depth)
        };
        let run = |columns: &Columns, images: Range<usize>| {
            let product_here = Product {
                left,
                right: Right::Columns(columns),
                output: Output { start: output.start.wrapping_add(images.start * output.image), ..output },
                block: even_block(units, each, factors),
                factors,
                after,
            };
            let tiles = tiles(level, factors, rows, images.len() * output.width, depth);
            // SAFETY: tiles don't overlap, and cover the output that the caller vouches for.
            share_out(tiles.len(), |index| unsafe {
                with_scratch(|scratch| product(level, &product_here, &tiles[index], scratch));
            });
        };
        if !paired {
            run(columns, 0..shape.images);
            return;
        }
        // Evenly, as many images at a time as the buffer that is kept has room for.
        let some = (KEPT / (units * shape.in_pixels())).max(1);
        let some = shape.images.div_ceil(shape.images.div_ceil(some)).max(1);
        with_paired(|buffer| {
            for first in (0..shape.images).step_by(some) {
                let images = first..(first + some).min(shape.images);
                run(&columns.paired(level, factors, images.clone(), channels, buffer), images);
            }
        });
    });
}

/// Packs a whole left matrix, spread over the threads.
pub(super) fn pack_whole<'a>(
    level: Level,
    factors: Factors,
    left: &Strided,
    depth: usize,
    buffer: &'a mut super::scratch::Buffer,
) -> &'a [f32] {
    let (_, height, _) = level.tile(factors);
    let room = factors.left(depth);
    let len = left.rows.div_ceil(height) * height * room;
    let packed = &mut buffer.take(len)[..len];
    // About 32,000 values a task.
    let panels = (32_768 / (room * height)).max(1);
    let each = if len < 65_536 { len } else { panels * height * room };
    let place = Place::new(packed.as_mut_ptr());
    share_out_parts(len, each, |part| {
        let first = part.start / room;
        // SAFETY: each task has its own part of the packed values; the level is this processor's.
        unsafe {
            let part = std::slice::from_raw_parts_mut(place.get().add(part.start), part.len());
            pack_panels(level, factors, left, first, depth, part);
        }
    });
    packed
}

/// The block length near [`BLOCK`] that cuts the channels evenly, in whole channels and units of the factors.
pub(super) fn even_block(channels: usize, taps: usize, factors: Factors) -> usize {
    let blocks = (channels * taps).div_ceil(BLOCK).min(channels);
    // So many channels are whole units: each has as many factors of two as its taps.
    let unit = (factors.unit() >> taps.trailing_zeros()).max(1);
    channels.div_ceil(blocks).next_multiple_of(unit) * taps
}

/// Cuts a result into tasks, about as many for each thread and of about one size.
fn tiles(level: Level, factors: Factors, rows: usize, columns: usize, depth: usize) -> Vec<Tile> {
    let (lanes, height, strip) = level.tile(factors);
    let threads = if rows * columns * depth < SERIAL { 1 } else { threads() };
    let (panels, vectors) = (rows.div_ceil(height), columns.div_ceil(lanes));
    let strips = (vectors / strip).max(1);
    // Rows are shared out where there are few columns: each task packs its columns anew, which some panels of rows pay for.
    let mut parts = 1;
    if threads > 1 && strips < 6 * threads {
        parts = (panels / 4).clamp(1, 2 * threads);
        if parts > threads {
            parts -= parts % threads;
        }
    }
    let wanted = match (threads, parts) {
        (1, _) => 1,
        (_, 1) => 3 * threads,
        _ => (2 * threads).div_ceil(parts),
    };
    let near = (rows.div_ceil(parts) * columns).div_ceil(TILE);
    let mut across = near.max(wanted).min(strips);
    while across * parts % threads != 0 && across < strips {
        across += 1;
    }
    let mut tiles = Vec::with_capacity(across * parts);
    for left in 0..across {
        for top in 0..parts {
            tiles.push(Tile {
                rows: share(top, parts, rows, height),
                columns: share(left, across, columns, lanes),
                sum: 0..depth,
            });
        }
    }
    tiles
}

/// One of `count` shares of `0..len`, which are as even as whole multiples of `unit` allow.
pub(super) fn share(index: usize, count: usize, len: usize, unit: usize) -> Range<usize> {
    let units = len.div_ceil(unit);
    let end = |index: usize| (units * index / count * unit).min(len);
    end(index)..end(index + 1)
}

/// The gradient of the weights, `[out_channels, channels / groups, kernel]`.
///
/// The pixels of all images are summed in chunks whose number hangs on the sizes alone.
pub(crate) fn weight_gradient(x: &[f32], gradient: &[f32], shape: &Shape) -> Vec<f32> {
    let (channels, rows, taps) = (shape.group_channels(), shape.group_out(), shape.taps());
    let (columns, pixels) = (channels * taps, shape.images * shape.out_pixels());
    let mut total = Vec::with_capacity(shape.groups * rows * columns);
    for group in 0..shape.groups {
        let left = Strided {
            values: &gradient[group * rows * shape.out_pixels()..],
            start: 0,
            row: shape.out_pixels(),
            outer: shape.out_channels * shape.out_pixels(),
            inner: 1,
            inner_len: shape.out_pixels(),
            pair_taps: 0,
            rows,
        };
        let x = &x[group * channels * shape.in_pixels()..];
        let right = Columns::new(x, shape.channels * shape.in_pixels(), shape);
        let chunks = pixels.div_ceil(CHUNK).min((8 << 20) / (rows * columns)).max(1);
        let factors = Factors::of_thread(level());
        let chunk = pixels.div_ceil(chunks).next_multiple_of(factors.unit().max(8));
        let parts = summed_pixels(left, &right, columns, pixels, chunk);
        let (first, others) = parts.split_at(rows * columns);
        let begin = total.len();
        total.extend_from_slice(first);
        for part in others.chunks_exact(rows * columns) {
            for (sum, value) in total[begin..].iter_mut().zip(part) {
                *sum += value;
            }
        }
    }
    total
}

/// The product `gradient * columns^T` of each chunk of the pixels.
fn summed_pixels(left: Strided, right: &Columns, columns: usize, pixels: usize, chunk: usize) -> Vec<f32> {
    let (level, rows) = (level(), left.rows);
    let factors = Factors::of_thread(level);
    let (lanes, height, vectors) = level.tile(factors);
    let chunks = pixels.div_ceil(chunk);
    let mut parts: Vec<f32> = Vec::with_capacity(chunks * rows * columns);
    let serial = rows * columns * pixels < SERIAL || threads() == 1;
    let strips = columns.div_ceil(lanes * vectors);
    let across = if serial { 1 } else { (2 * threads()).div_ceil(chunks).min(strips) };
    let wide = columns.div_ceil(across).next_multiple_of(lanes);
    let mut tiles = Vec::new();
    for begin in (0..pixels).step_by(chunk) {
        for start in (0..columns).step_by(wide) {
            let columns = start..(start + wide).min(columns);
            tiles.push(Tile { rows: 0..rows, columns, sum: begin..(begin + chunk).min(pixels) });
        }
    }
    let start = Output { start: parts.as_mut_ptr(), row: columns, image: 0, width: columns };
    with_packed(|buffer| {
        // Packed once where several tasks read it, or block by block by each.
        let left = match across > 1 && rows.next_multiple_of(height) * factors.left(pixels) <= KEPT / 2 {
            true => Left::Packed(pack_whole(level, factors, &left, pixels, buffer), pixels),
            false => Left::Strided(left),
        };
        share_out(tiles.len(), |index| {
            let tile = &tiles[index];
            // SAFETY: each tile has its own part of the buffer, which has room for all chunks.
            unsafe {
                let begin = tile.sum.start / chunk * rows * columns;
                let output = Output { start: { start }.start.add(begin), ..start };
                let product_here = Product {
                    left,
                    right: Right::Transposed(right),
                    output,
                    block: BLOCK,
                    factors,
                    after: After::default(),
                };
                with_scratch(|scratch| product(level, &product_here, tile, scratch));
            }
        });
    });
    // SAFETY: the tiles covered every value.
    unsafe { parts.set_len(chunks * rows * columns) };
    parts
}
