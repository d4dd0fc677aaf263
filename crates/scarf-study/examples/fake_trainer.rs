//! A program that is tuned by its log: it prints a loss for each step, which is least at `--lr 0.01`. The tests of
//! searches run it.
//!
//! `fake_trainer LR [--steps N] [--millis N] [--out DIR] [--fail] [--silent]`

use std::time::Duration;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let after =
        |name: &str| arguments.iter().position(|each| each == name).and_then(|at| arguments.get(at + 1));
    let number =
        |name: &str, otherwise: u64| after(name).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let lr: f64 = arguments.get(1).and_then(|text| text.parse().ok()).expect("a learning rate");
    if arguments.iter().any(|each| each == "--fail") {
        eprintln!("there is no such file");
        std::process::exit(2);
    }
    for step in 1..=number("--steps", 4) {
        std::thread::sleep(Duration::from_millis(number("--millis", 0)));
        let loss = (lr.log10() + 2.0).powi(2) + 1.0 / step as f64;
        if !arguments.iter().any(|each| each == "--silent") {
            println!("step {step} loss={loss} accuracy={}", 1.0 / (1.0 + loss));
        }
    }
    if let Some(folder) = after("--out") {
        std::fs::write(format!("{folder}/model.bin"), lr.to_string()).expect("a folder to write into");
    }
}
