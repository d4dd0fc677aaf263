//! COCO's twelve numbers of two files: `evaluate gt.json dt.json [threads] [--json]`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [gt, dt, rest @ ..] = &args[..] else {
        eprintln!("usage: evaluate GT.json DT.json [THREADS]");
        return ExitCode::FAILURE;
    };
    let threads = rest.first().and_then(|n| n.parse().ok()).unwrap_or(1);
    let start = Instant::now();
    match scarf_metrics::json::CocoSet::load(Path::new(gt), Path::new(dt), Default::default(), threads) {
        Ok(set) => {
            let loaded = start.elapsed();
            let report = set.evaluator.evaluate_on(threads);
            let done = start.elapsed() - loaded;
            set.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
            if rest.iter().any(|arg| arg == "--json") {
                let stats = report.stats().map(|v| v.unwrap_or(-1.0));
                println!("{{\"stats\": {stats:?}}}");
            } else {
                print!("{report}");
                eprintln!("{:.4} s to load, {:.4} s to evaluate", loaded.as_secs_f64(), done.as_secs_f64());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
