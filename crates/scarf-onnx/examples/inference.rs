//! How fast SSDLite on MobileNet v2 detects, and what other programs need to do the same:
//! `inference WEIGHTS FOLDER [RUNS]`.
//!
//! Reads `ssdlite_mobilenet_v2_coco.safetensors` and its reference's two photographs from the folder WEIGHTS.
//! Writes `raw.onnx` and `nms.onnx`, and of batches of 1 and 8 photographs the pixels (`images1.f32`) and the best
//! scores (`scores1.f32`) to FOLDER. Prints medians in milliseconds as JSON: of the network alone, and of detections.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use scarf_backbones::{Allow, ModuleWeights, Weights};
use scarf_core::Classes;
use scarf_heads::{AnyHead, DetectorConfig};
use scarf_onnx::{ExportOptions, export};

const NAME: &str = "ssdlite_mobilenet_v2_coco";
const RECIPE: &str = "
    size = 300
    backbone.mobilenet_v2 = { flavor = 'tensorflow', norm = 'none' }
    neck.ssd_extras = { channels = [512, 256, 256, 128], norm = 'none', lite = true }
    head.ssd = { kernel = 1, lite = true, norm = 'none', scores = 'sigmoid', postprocess = { iou = 0.6 } }";

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [weights, folder, rest @ ..] = &args[..] else {
        return Err("inference WEIGHTS FOLDER [RUNS]".into());
    };
    let runs = rest.first().map_or(Ok(21), |runs| runs.parse::<usize>())?.max(1);
    scarf_kernels::keep_freed_memory();
    scarf_kernels::on_workers(|| measure(Path::new(weights), Path::new(folder), runs))
}

fn measure(weights: &Path, folder: &Path, runs: usize) -> Result<(), Box<dyn Error + Send + Sync>> {
    let config: DetectorConfig = RECIPE.parse()?;
    let device = Device::default();
    let detector = config.init(90, &device, &mut ChaCha8Rng::seed_from_u64(0))?;
    let file = config.adapt(Weights::open(weights.join(format!("{NAME}.safetensors")))?)?;
    let detector = file.load_into(detector, &Allow::default().unexpected("")?)?.0;
    let classes = Classes::new((1..=90).map(|label| format!("label {label}")))?;
    std::fs::create_dir_all(folder)?;
    for nms in [false, true] {
        let graph = export(&detector, &config, &classes, &ExportOptions { nms, half: false })?;
        std::fs::write(folder.join(if nms { "nms.onnx" } else { "raw.onnx" }), graph.to_bytes())?;
    }
    let reference = Weights::open(weights.join(format!("reference/{NAME}.ref.safetensors")))?;
    let pictures = reference.get("image_u8_nhwc").ok_or("the reference has no picture")?;
    let pictures = TensorData::new(pictures.values.clone(), pictures.shape.clone());
    let pictures = Tensor::<4>::from_data(pictures, &device).permute([0, 3, 1, 2]);
    let AnyHead::Ssd(head) = &detector.head else { return Err("another head".into()) };
    for batch in [1, 8] {
        let images = pictures.clone().repeat_dim(0, 4).narrow(0, 0, batch);
        let images = Tensor::<4>::from_data(images.into_data(), &device);
        write(&folder.join(format!("images{batch}.f32")), images.clone().into_data().try_into_vec()?)?;
        let network = median(runs, || {
            scarf_kernels::by_image(images.clone(), |images| {
                let said = head.predict(detector.features(images), config.image());
                vec![(said.logits.into_data(), said.deltas.into_data())]
            })
        });
        let mut found = Vec::new();
        let detections = median(runs, || found = detector.detect(images.clone()));
        let scores = found.iter().flatten().map(|detection| detection.score).collect();
        write(&folder.join(format!("scores{batch}.f32")), scores)?;
        println!("{{\"batch\": {batch}, \"network_ms\": {network:.3}, \"detect_ms\": {detections:.3}}}");
    }
    Ok(())
}

fn write(path: &Path, numbers: Vec<f32>) -> std::io::Result<()> {
    std::fs::write(path, numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())
}

/// The median time in milliseconds, after two runs that do not count.
fn median<T>(runs: usize, mut run: impl FnMut() -> T) -> f64 {
    let mut times: Vec<f64> = (0..runs + 2)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(run());
            start.elapsed().as_secs_f64() * 1e3
        })
        .skip(2)
        .collect();
    times.sort_by(f64::total_cmp);
    times[runs / 2]
}
