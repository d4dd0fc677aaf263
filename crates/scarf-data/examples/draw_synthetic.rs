//! Draws a synthetic set into a folder, and says how long an image takes on one core:
//! `cargo run -p scarf-data --example draw_synthetic -- DIR [hot_strip|plate] [images per class] [seed]`

use std::path::Path;
use std::time::Instant;

use scarf_data::synth::{Domain, SyntheticSteel};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |at: usize| arguments.get(at).map(String::as_str);
    let folder = argument(0).ok_or("expected a folder to draw into")?;
    let domain = match argument(1).unwrap_or("hot_strip") {
        "hot_strip" => Domain::HotStrip,
        "plate" => Domain::Plate,
        other => return Err(format!("unknown domain `{other}`; expected hot_strip or plate").into()),
    };
    let images_per_class = argument(2).unwrap_or("60").parse()?;
    let seed = argument(3).unwrap_or("0").parse()?;
    let synthetic = SyntheticSteel { seed, images_per_class, domain, ..Default::default() };
    for (class, name) in domain.classes().names().iter().enumerate() {
        let start = Instant::now();
        let boxes: usize = (0..20).map(|number| synthetic.draw(class, number).1.len()).sum();
        let milliseconds = start.elapsed().as_secs_f64() * 1000.0 / 20.0;
        println!("{name}: {milliseconds:.2} ms and {:.1} boxes an image", boxes as f64 / 20.0);
    }
    synthetic.ensure(Path::new(folder))?;
    println!("{}", serde_json::to_string_pretty(&synthetic.load(Path::new(folder))?.stats()?)?);
    Ok(())
}
