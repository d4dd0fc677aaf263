//! RoIAlign against torchvision's (numbers by `python crates/scarf-kernels/tests/data/roi_align.py`),
//! and the kernel against its fallback.

mod common;

use burn::tensor::{Device, Tensor, TensorData};
use common::{assert_close, numbers, values};
use proptest::prelude::*;
use scarf_kernels::{Region, RoiAlign, roi_align};

fn floats(value: &serde_json::Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

fn lengths<const N: usize>(value: &serde_json::Value) -> [usize; N] {
    floats(value).iter().map(|&len| len as usize).collect::<Vec<_>>().try_into().unwrap()
}

fn regions(rows: &[f32]) -> Vec<Region> {
    let region = |row: &[f32]| Region { image: row[0] as usize, bbox: [row[1], row[2], row[3], row[4]] };
    rows.chunks_exact(5).map(region).collect()
}

#[test]
fn values_and_gradients_are_torchvisions() {
    let file: serde_json::Value = serde_json::from_str(include_str!("data/roi_align.json")).unwrap();
    for case in file["cases"].as_array().unwrap() {
        let options = RoiAlign {
            size: lengths(&case["size"]),
            scale: case["scale"].as_f64().unwrap() as f32,
            samples: case["samples"].as_u64().unwrap() as usize,
        };
        let rows: Vec<f32> = case["regions"].as_array().unwrap().iter().flat_map(floats).collect();
        let data = TensorData::new(floats(&case["x"]), lengths::<4>(&case["dims"]));
        let x = Tensor::<4>::from_data(data, &Device::flex().autodiff()).require_grad();
        let output = roi_align(x.clone(), &regions(&rows), options);
        let weights = TensorData::new(floats(&case["weights"]), output.dims());
        let gradients = (output.clone() * Tensor::from_data(weights, &x.device())).sum().backward();
        assert_close("output", &values(output), &floats(&case["output"]), 1e-5, 1);
        assert_close("gradient", &values(x.grad(&gradients).unwrap()), &floats(&case["gradient"]), 1e-5, 1);
    }
}

/// In `f64` burn's own operations do the work.
fn in_f64(x: &[f32], dims: [usize; 4], regions: &[Region], options: RoiAlign) -> Vec<f32> {
    let x = Tensor::<4>::from_data(TensorData::new(x.to_vec(), dims), &Device::flex());
    let output = roi_align(x.cast(burn::tensor::DType::F64), regions, options);
    output.into_data().convert::<f32>().try_into_vec().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn the_kernel_is_its_fallback(
        (images, channels) in (1..4usize, prop_oneof![1..4usize, 30..70usize]),
        [height, width] in [1..12usize, 1..12usize],
        boxes in prop::collection::vec((0..4usize, [-30.0..120.0f32, -30.0..120.0f32, 0.0..90.0f32, 0.0..90.0f32]), 1..5),
        size in [1..5usize, 1..5usize],
        samples in 1..4usize,
    ) {
        let (options, dims) = (RoiAlign { size, scale: 0.125, samples }, [images, channels, height, width]);
        let regions: Vec<Region> = boxes
            .iter()
            .map(|&(image, [x, y, w, h])| Region { image: image % dims[0], bbox: [x, y, x + w, y + h] })
            .collect();
        let x = numbers(dims.iter().product(), 5);
        let tensor = Tensor::<4>::from_data(TensorData::new(x.clone(), dims), &Device::flex());
        let ours = values(roi_align(tensor.clone(), &regions, options));
        assert_close(&format!("{regions:?}"), &ours, &in_f64(&x, dims, &regions, options), 1e-5, 1);
        // What is read is linear in `x`: whatever the bins are weighed with, its gradient times an `x` is what is read of that.
        let differentiated = tensor.autodiff().require_grad();
        let output = roi_align(differentiated.clone(), &regions, options);
        let weights = numbers(ours.len(), 7);
        let weighed = Tensor::<4>::from_data(TensorData::new(weights.clone(), output.dims()), &output.device());
        let gradient = values(differentiated.grad(&(output * weighed.clone()).sum().backward()).unwrap());
        let output = roi_align(differentiated.clone().cast(burn::tensor::DType::F64), &regions, options);
        let weighed = weighed.cast(burn::tensor::DType::F64);
        let other = values(differentiated.grad(&(output * weighed).sum().backward()).unwrap());
        assert_close(&format!("gradient of {regions:?}"), &gradient, &other, 1e-4, 1);
        let other = numbers(x.len(), 9);
        let tensor = Tensor::<4>::from_data(TensorData::new(other.clone(), dims), &Device::flex());
        let read = values(roi_align(tensor, &regions, options));
        let product = |a: &[f32], b: &[f32]| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let (handed_back, read) = (product(&gradient, &other), product(&weights, &read));
        prop_assert!((handed_back - read).abs() < 1e-3 * (1.0 + read.abs()), "{handed_back}, not {read}");
    }
}

#[test]
fn no_region_is_no_error() {
    let x = Tensor::<4>::zeros([1, 2, 3, 3], &Device::flex());
    let output = roi_align(x, &[], RoiAlign { size: [7, 7], scale: 0.5, samples: 2 });
    assert_eq!(output.dims(), [0, 2, 7, 7]);
}
