//! TIDE's errors of two COCO files: `tide gt.json dt.json`.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [gt, dt] = &args[..] else {
        eprintln!("usage: tide GT.json DT.json");
        return ExitCode::FAILURE;
    };
    match scarf_metrics::json::CocoSet::load(Path::new(gt), Path::new(dt), Default::default(), 1) {
        Ok(set) => {
            let report = set.evaluator.tide();
            println!("AP50 {:.4}", 100.0 * report.ap50.unwrap_or(-1.0));
            for (kind, count, cost) in report.errors {
                println!("{:<12} {count:>8} {:>8.4}", format!("{kind:?}"), 100.0 * cost);
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
