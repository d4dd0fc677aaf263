//! The functions, with their spaces and minima.

use scarf_hpo::{Domain, Parameter, Params, Space};
use std::f64::consts::{E, PI};

pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) space: fn() -> Space,
    pub(crate) value: fn(&Params) -> f64,
    pub(crate) minimum: f64,
}

pub(crate) const FUNCTIONS: &[Function] = &[
    Function { name: "branin", space: branin_space, value: branin, minimum: 0.397_887_357_729_738_2 },
    Function {
        name: "hartmann6",
        space: || cube(6, 0.0, 1.0),
        value: hartmann6,
        minimum: -3.322_368_011_391_339,
    },
    Function { name: "ackley5", space: || cube(5, -15.0, 30.0), value: ackley5, minimum: 0.0 },
    Function { name: "mixed", space: mixed_space, value: mixed, minimum: 0.0 },
];

pub(crate) fn space(params: impl IntoIterator<Item = Parameter>) -> Space {
    Space::new(params.into_iter().collect()).expect("the space is sound")
}

pub(crate) fn cube(dimensions: usize, low: f64, high: f64) -> Space {
    space((0..dimensions).map(|i| Parameter::new(format!("x{i}"), Domain::linear(low, high))))
}

pub(crate) fn floats(params: &Params) -> Vec<f64> {
    params.values().map(|value| value.as_f64().expect("a number")).collect()
}

fn branin_space() -> Space {
    space([Parameter::new("x0", Domain::linear(-5.0, 10.0)), Parameter::new("x1", Domain::linear(0.0, 15.0))])
}

fn branin(params: &Params) -> f64 {
    let x = floats(params);
    let a = x[1] - 5.1 / (4.0 * PI * PI) * x[0] * x[0] + 5.0 / PI * x[0] - 6.0;
    a * a + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x[0].cos() + 10.0
}

fn hartmann6(params: &Params) -> f64 {
    const ALPHA: [f64; 4] = [1.0, 1.2, 3.0, 3.2];
    const A: [[f64; 6]; 4] = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ];
    const P: [[f64; 6]; 4] = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ];
    let x = floats(params);
    -(0..4)
        .map(|i| ALPHA[i] * (-(0..6).map(|j| A[i][j] * (x[j] - P[i][j]).powi(2)).sum::<f64>()).exp())
        .sum::<f64>()
}

fn ackley5(params: &Params) -> f64 {
    let x = floats(params);
    let n = x.len() as f64;
    let squares = x.iter().map(|x| x * x).sum::<f64>() / n;
    let cosines = x.iter().map(|x| (2.0 * PI * x).cos()).sum::<f64>() / n;
    -20.0 * (-0.2 * squares.sqrt()).exp() - cosines.exp() + 20.0 + E
}

fn mixed_space() -> Space {
    space([
        Parameter::new("lr", Domain::log(1e-5, 1e-1)),
        Parameter::new("batch", Domain::int_log(8, 256)),
        Parameter::new("layers", Domain::int(1, 8)),
        Parameter::new("optimizer", Domain::choice(["sgd", "adam", "rmsprop"])),
    ])
}

/// Like a training: the best learning rate hangs on the optimizer and the batch; 0 at best.
fn mixed(params: &Params) -> f64 {
    let lr = params["lr"].as_f64().expect("a number").log10();
    let batch = params["batch"].as_f64().expect("a number").log2() - 5.0;
    let layers = params["layers"].as_f64().expect("a number") - 5.0;
    let (centre, penalty) = match params["optimizer"].as_str().expect("a name") {
        "adam" => (-3.2, 0.0),
        "sgd" => (-1.8, 0.02),
        _ => (-3.7, 0.05),
    };
    0.1 * (lr - centre - 0.25 * batch).powi(2) + 0.03 * batch.powi(2) + 0.01 * layers.powi(2) + penalty
}
