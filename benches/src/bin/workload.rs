//! Writes a workload as COCO files: `workload S|M|L FOLDER [SEED]` makes `gt.json` and `dt.json`.

use std::process::ExitCode;

use scarf_benches::{Scale, Workload};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let seed = args.get(2).map_or(Some(0), |seed| seed.parse().ok());
    let (Some(scale), Some(folder), Some(seed)) =
        (args.first().and_then(|name| Scale::named(name)), args.get(1), seed)
    else {
        eprintln!("usage: workload S|M|L FOLDER [SEED]");
        return ExitCode::FAILURE;
    };
    let workload = Workload::new(scale, seed);
    let folder = std::path::Path::new(folder);
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(folder.join("gt.json"), workload.gt_json()))
        .and_then(|()| std::fs::write(folder.join("dt.json"), workload.dt_json()));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}
