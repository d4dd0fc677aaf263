//! One ask and tell of each sampler with so many trials behind it, in a space of five numbers and in a mixed one.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use scarf_hpo::{
    AnySampler, Direction, Domain, History, Parameter, Params, Random, Sampler, Space, Tpe, Trial, Value,
};
use std::hint::black_box;

fn cube() -> Space {
    Space::new((0..5).map(|i| Parameter::new(format!("x{i}"), Domain::linear(0.0, 1.0))).collect()).unwrap()
}

fn mixed() -> Space {
    Space::new(vec![
        Parameter::new("lr", Domain::log(1e-5, 1e-1)),
        Parameter::new("decay", Domain::log(1e-6, 1e-2)),
        Parameter::new("batch", Domain::int_log(8, 256)),
        Parameter::new("layers", Domain::int(1, 8)),
        Parameter::new("optimizer", Domain::choice(["sgd", "adam", "rmsprop"])),
    ])
    .unwrap()
}

fn value(params: &Params) -> f64 {
    params.values().filter_map(Value::as_f64).map(|x| (x - 0.3).powi(2)).sum()
}

fn trials(space: &Space, count: u64) -> Vec<Trial> {
    let trial = |number| {
        let params = Random {}.suggest(space, History::empty(Direction::Minimize), 1, number);
        let value = value(&params);
        Trial::new(number, params).complete(value)
    };
    (0..count).map(trial).collect()
}

fn ask_and_tell(c: &mut Criterion) {
    let named = AnySampler::NAMES.iter().map(|name| (*name, AnySampler::from_name(name).unwrap()));
    for (name, sampler) in named.chain([("tpe_univariate", Tpe::univariate().into())]) {
        let mut group = c.benchmark_group(name);
        group.sample_size(10);
        for (what, space) in [("cube", cube()), ("mixed", mixed())] {
            for count in [100, 1000] {
                let mut past = trials(&space, count);
                group.bench_function(BenchmarkId::new(what, count), |b| {
                    b.iter(|| {
                        let history = History::new(Direction::Minimize, black_box(&past));
                        let params = sampler.suggest(&space, history, 1, count);
                        assert!(space.contains(&params));
                        let value = value(&params);
                        past.push(Trial::new(count, params).complete(value));
                        past.pop()
                    });
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, ask_and_tell);
criterion_main!(benches);
