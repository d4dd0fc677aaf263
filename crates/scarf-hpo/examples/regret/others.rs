//! More functions, on which the samplers' own numbers were chosen, so that they are not fitted to the four that are
//! compared.

use crate::functions::{Function, cube, floats, space};
use scarf_hpo::{Domain, Parameter, Params, Space};
use std::f64::consts::PI;

pub(crate) const OTHERS: &[Function] = &[
    Function { name: "rosenbrock4", space: || cube(4, -5.0, 10.0), value: rosenbrock, minimum: 0.0 },
    Function { name: "levy6", space: || cube(6, -10.0, 10.0), value: levy, minimum: 0.0 },
    Function { name: "rastrigin3", space: || cube(3, -3.0, 7.0), value: rastrigin, minimum: 0.0 },
    Function {
        name: "styblinski5",
        space: || cube(5, -5.0, 5.0),
        value: styblinski,
        minimum: 5.0 * -39.166_165_703_771_42,
    },
    Function { name: "ellipsoid8", space: || cube(8, 0.0, 1.0), value: ellipsoid, minimum: 0.0 },
    Function { name: "conditional", space: conditional_space, value: conditional, minimum: 0.0 },
    Function { name: "detector", space: detector_space, value: detector, minimum: 0.0 },
];

fn rosenbrock(params: &Params) -> f64 {
    floats(params).windows(2).map(|x| 100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2)).sum()
}

fn levy(params: &Params) -> f64 {
    let w: Vec<f64> = floats(params).into_iter().map(|x| 1.0 + (x - 1.0) / 4.0).collect();
    let last = w[w.len() - 1];
    let middle: f64 = w[..w.len() - 1]
        .iter()
        .map(|w| (w - 1.0).powi(2) * (1.0 + 10.0 * (PI * w + 1.0).sin().powi(2)))
        .sum();
    (PI * w[0]).sin().powi(2) + middle + (last - 1.0).powi(2) * (1.0 + (2.0 * PI * last).sin().powi(2))
}

fn rastrigin(params: &Params) -> f64 {
    floats(params).iter().map(|x| x * x + 10.0 * (1.0 - (2.0 * PI * x).cos())).sum()
}

fn styblinski(params: &Params) -> f64 {
    floats(params).iter().map(|x| 0.5 * (x.powi(4) - 16.0 * x * x + 5.0 * x)).sum()
}

/// Axes from one to a hundred times as steep, the minimum off the centre.
fn ellipsoid(params: &Params) -> f64 {
    let steep = |i: usize| 100_f64.powf(i as f64 / 7.0);
    floats(params).iter().enumerate().map(|(i, x)| steep(i) * (x - 0.2 - 0.08 * i as f64).powi(2)).sum()
}

fn conditional_space() -> Space {
    space([
        Parameter::new("lr", Domain::log(1e-5, 1.0)),
        Parameter::new("optimizer", Domain::choice(["sgd", "adam"])),
        Parameter::new("momentum", Domain::reverse_log(0.0, 0.999)).when("optimizer", "sgd"),
        Parameter::new("beta", Domain::linear(0.8, 0.999)).when("optimizer", "adam"),
        Parameter::new("dropout", Domain::linear(0.0, 0.6)),
        Parameter::new("width", Domain::int_log(16, 512)),
    ])
}

/// The best learning rate of SGD hangs on the momentum; Adam is good sooner, SGD in the end.
fn conditional(params: &Params) -> f64 {
    let number = |name: &str| params[name].as_f64().expect("a number");
    let lr = number("lr").log10();
    let own = if params["optimizer"].as_str() == Some("sgd") {
        let momentum = -(1.0 - number("momentum")).log10();
        0.08 * (lr + 0.5 + momentum).powi(2) + 0.05 * (momentum - 1.0).powi(2)
    } else {
        0.03 + 0.04 * (lr + 3.0).powi(2) + 0.5 * (number("beta") - 0.9).powi(2)
    };
    own + 0.2 * (number("dropout") - 0.15).powi(2) + 0.01 * (number("width").log2() - 7.0).powi(2)
}

fn detector_space() -> Space {
    space([
        Parameter::new("lr", Domain::log(1e-5, 1e-1)),
        Parameter::new("decay", Domain::log(1e-6, 1e-1)),
        Parameter::new("batch", Domain::int_log(4, 64)),
        Parameter::new("warmup", Domain::int(0, 5)),
        Parameter::new("optimizer", Domain::choice(["sgd", "adamw", "lion"])),
        Parameter::new("augmentation", Domain::choice(["none", "flip", "crop", "mosaic"])),
    ])
}

/// One less the AP of a detector: far too great a rate breaks the training, far too small a one learns nothing.
fn detector(params: &Params) -> f64 {
    let number = |name: &str| params[name].as_f64().expect("a number");
    let (centre, lost) = match params["optimizer"].as_str().expect("a name") {
        "sgd" => (-2.0, 0.015),
        "adamw" => (-3.5, 0.0),
        _ => (-4.2, 0.02),
    };
    let unaugmented = match params["augmentation"].as_str().expect("a name") {
        "none" => 0.06,
        "flip" => 0.02,
        "crop" => 0.0,
        _ => 0.01,
    };
    let batch = number("batch").log2() - 4.0;
    let off = number("lr").log10() - centre - 0.2 * batch;
    let rate = if off > 0.0 {
        0.9 * (1.0 - (-0.5 * off * off).exp())
    } else {
        0.8 * (1.0 - (-0.15 * off * off).exp())
    };
    rate + lost
        + unaugmented
        + 0.008 * (number("decay").log10() + 3.0).powi(2)
        + 0.01 * batch * batch
        + 0.002 * (number("warmup") - 2.0).powi(2)
}
