//! NMS and IoU on raw files, for comparison with other programs: `boxes COUNT FOLDER [RUNS]` writes
//! `boxes.f32` and `scores.f32`, runs NMS at IoU .5, writes `kept.u64` and prints milliseconds.

use std::process::ExitCode;
use std::time::Instant;

use scarf_core::{BBox, nms_into, pairwise_iou};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| args.get(at).map(|arg| arg.parse::<usize>());
    let (Some(Ok(count)), Some(folder), runs @ (None | Some(Ok(_)))) = (number(0), args.get(1), number(2))
    else {
        eprintln!("usage: boxes COUNT FOLDER [RUNS]");
        return ExitCode::FAILURE;
    };
    let runs = runs.and_then(Result::ok).unwrap_or(5).max(1);
    let (rows, scores) = scarf_benches::boxes(count, 20, 0);
    let boxes: Vec<BBox<f32>> = rows.iter().map(|&[x1, y1, x2, y2]| BBox::new(x1, y1, x2, y2)).collect();
    let mut kept = Vec::new();
    let nms = median(runs, || nms_into(&boxes, &scores, 0.5, &mut kept));
    let mut line = format!("{{\"nms_ms\": {nms:.4}, \"kept\": {}", kept.len());
    if count <= 10_000 {
        let mut matrix = vec![0.0f32; count * count];
        let single = median(runs, || pairwise_iou(&boxes, &boxes, &mut matrix).expect("count x count"));
        let wide: Vec<BBox<f64>> = boxes.iter().map(BBox::to_f64).collect();
        let mut matrix = vec![0.0f64; count * count];
        let double = median(runs, || pairwise_iou(&wide, &wide, &mut matrix).expect("count x count"));
        line += &format!(", \"iou_f32_ms\": {single:.3}, \"iou_f64_ms\": {double:.3}");
    }
    println!("{line}}}");
    let bytes = |numbers: &[f32]| numbers.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let flat: Vec<f32> = rows.concat();
    let kept: Vec<u8> = kept.iter().flat_map(|&k| (k as u64).to_le_bytes()).collect();
    let folder = std::path::Path::new(folder);
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(folder.join("boxes.f32"), bytes(&flat)))
        .and_then(|()| std::fs::write(folder.join("scores.f32"), bytes(&scores)))
        .and_then(|()| std::fs::write(folder.join("kept.u64"), kept));
    if let Err(error) = written {
        eprintln!("{}: {error}", folder.display());
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The median time of a number of runs, in milliseconds.
fn median(runs: usize, mut run: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[runs / 2]
}
