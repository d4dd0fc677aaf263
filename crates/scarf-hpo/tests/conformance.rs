//! What every sampler keeps to, whichever it is.

use proptest::prelude::*;
use scarf_hpo::{
    AnySampler, Direction, Domain, History, Parameter, Params, Sampler, Space, Tpe, Trial, TrialState, Value,
};
use std::collections::BTreeSet;

fn samplers() -> Vec<(String, AnySampler)> {
    let named = AnySampler::NAMES.iter().map(|name| (name.to_string(), AnySampler::from_name(name).unwrap()));
    named.chain([("tpe univariate".to_string(), AnySampler::Tpe(Tpe::univariate()))]).collect()
}

fn space(params: impl IntoIterator<Item = Parameter>) -> Space {
    Space::new(params.into_iter().collect()).unwrap()
}

/// One of each domain, single points, and two levels of conditions.
fn everything() -> Space {
    space([
        Parameter::new("lr", Domain::log(1e-5, 1e-1)),
        Parameter::new("decay", Domain::linear(-1.0, 2.0)),
        Parameter::new("momentum", Domain::reverse_log(0.0, 0.999)).when("optimizer", "sgd"),
        Parameter::new("optimizer", Domain::choice(["sgd", "adam", "rmsprop"])),
        Parameter::new("nesterov", Domain::choice([true, false])).when("optimizer", "sgd"),
        Parameter::new("dampening", Domain::linear(0.0, 1.0)).when("nesterov", false),
        Parameter::new("batch", Domain::int_log(8, 64)),
        Parameter::new("layers", Domain::int(-2, 3)),
        Parameter::new("epochs", Domain::Static(Value::Int(100))),
        Parameter::new("point", Domain::linear(0.5, 0.5)),
        Parameter::new("one", Domain::int_log(4, 4)),
        Parameter::new("only", Domain::choice(["this"])),
    ])
}

/// A smooth objective of whatever is there.
fn objective(params: &Params) -> f64 {
    let part =
        |name: &str, at: f64| params.get(name).and_then(Value::as_f64).map_or(0.3, |x| (x - at).powi(2));
    part("decay", 0.4)
        + part("layers", 1.0)
        + part("momentum", 0.9)
        + params["lr"].as_f64().unwrap().ln().abs()
}

/// `n` trials chosen by `sampler`, some of them pruned, failed, running or pending.
fn searched(sampler: &dyn Sampler, space: &Space, n: u64, seed: u64) -> Vec<Trial> {
    let mut trials: Vec<Trial> = Vec::new();
    for number in 0..n {
        let params = sampler.suggest(space, History::new(Direction::Maximize, &trials), seed, number);
        assert_eq!(space.mismatches(&params), []);
        trials.push(ended(Trial::new(number, params)));
    }
    trials
}

fn ended(mut trial: Trial) -> Trial {
    let value = -objective(&trial.params);
    trial.intermediate = vec![(1, value - 1.0), (2, value)];
    trial.state = match trial.number % 10 {
        3 => TrialState::Pruned,
        5 => TrialState::Failed,
        7 => TrialState::Running,
        8 => TrialState::Pending,
        _ => return trial.complete(value),
    };
    trial
}

#[test]
fn suggestions_lie_in_the_space_from_an_empty_history_on() {
    for (name, sampler) in samplers() {
        let space = everything();
        let trials = searched(&sampler, &space, 40, 3);
        for trial in &trials {
            assert_eq!(space.mismatches(&trial.params), [], "{name}, trial {}", trial.number);
            assert_eq!(trial.params["epochs"], Value::Int(100), "{name}");
            assert_eq!(
                trial.params.contains_key("momentum"),
                trial.params["optimizer"] == "sgd".into(),
                "{name}"
            );
        }
        let branches: BTreeSet<usize> = trials.iter().map(|trial| trial.params.len()).collect();
        assert!(branches.len() > 1 || name == "grid", "{name} only tried {branches:?}");
    }
}

#[test]
fn equal_arguments_give_equal_suggestions_in_whatever_order_the_history_is() {
    for (name, sampler) in samplers() {
        let space = everything();
        let mut trials = searched(&sampler, &space, 30, 11);
        let suggest = |trials: &[Trial], seed, number| {
            sampler.suggest(&space, History::new(Direction::Maximize, trials), seed, number)
        };
        let first = suggest(&trials, 11, 30);
        assert_eq!(first, suggest(&trials, 11, 30), "{name}");
        trials.reverse();
        assert_eq!(first, suggest(&trials, 11, 30), "{name} minds the order");
        if name != "grid" {
            assert_ne!(first, suggest(&trials, 12, 30), "{name} minds no seed");
        }
        assert_ne!(first, suggest(&trials, 11, 31), "{name} minds no number");
    }
}

#[test]
fn workers_that_ask_at_once_get_different_trials() {
    for (name, sampler) in samplers() {
        let space = space([
            Parameter::new("x", Domain::linear(0.0, 1.0)),
            Parameter::new("y", Domain::linear(0.0, 1.0)),
        ]);
        let mut trials: Vec<Trial> = Vec::new();
        for number in 0..20 {
            let params = sampler.suggest(&space, History::new(Direction::Minimize, &trials), 1, number);
            let value = params["x"].as_f64().unwrap();
            trials.push(Trial::new(number, params).complete(value));
        }
        for number in 20..28 {
            let params = sampler.suggest(&space, History::new(Direction::Minimize, &trials), 1, number);
            assert!(
                trials.iter().all(|trial| trial.params != params || name == "grid"),
                "{name} repeats {params:?}"
            );
            let mut trial = Trial::new(number, params);
            trial.state = if number % 2 == 0 { TrialState::Running } else { TrialState::Pending };
            trials.push(trial);
        }
    }
}

#[test]
fn a_thousand_trials_are_no_trouble() {
    let space = everything();
    let random = AnySampler::from_name("random").unwrap();
    let trials = searched(&random, &space, 1000, 5);
    for (name, sampler) in samplers() {
        let params = sampler.suggest(&space, History::new(Direction::Maximize, &trials), 5, 1000);
        assert_eq!(space.mismatches(&params), [], "{name}");
    }
}

#[test]
fn degenerate_histories_are_no_trouble() {
    let space = everything();
    let with = |value: f64| {
        let trials = searched(&AnySampler::from_name("sobol").unwrap(), &space, 30, 5).into_iter();
        trials.map(|trial| trial.complete(value)).collect::<Vec<_>>()
    };
    let mut same = with(1.0);
    let params = same[0].params.clone();
    same.iter_mut().for_each(|trial| trial.params = params.clone());
    let mut foreign = with(1.0);
    for trial in &mut foreign {
        trial.params =
            [("lr".to_string(), Value::Text("much".into())), ("other".to_string(), Value::Int(1))].into();
    }
    let mut huge = with(0.0);
    huge[3].value = Some(1e300);
    huge[4].value = Some(-1e300);
    for (name, sampler) in samplers() {
        for (what, trials) in [
            ("constant objective", &with(1.0)),
            ("all NaN", &with(f64::NAN)),
            ("infinite", &with(f64::INFINITY)),
            ("equal trials", &same),
            ("trials of another space", &foreign),
            ("huge objectives", &huge),
        ] {
            let params = sampler.suggest(&space, History::new(Direction::Minimize, trials), 5, 30);
            assert_eq!(space.mismatches(&params), [], "{name}: {what}");
        }
        let nothing = space_of_constants();
        assert_eq!(sampler.suggest(&nothing, History::empty(Direction::Minimize), 0, 0).len(), 2, "{name}");
        assert!(
            sampler.suggest(&Space::default(), History::empty(Direction::Minimize), 0, 0).is_empty(),
            "{name}"
        );
    }
}

fn space_of_constants() -> Space {
    space([Parameter::new("a", Domain::Static(1.5.into())), Parameter::new("b", Domain::int(3, 3))])
}

fn any_domain() -> impl Strategy<Value = Domain> {
    prop_oneof![
        (-1e6..1e6_f64, 0.0..1e6_f64).prop_map(|(low, width)| Domain::linear(low, low + width)),
        (-10.0..5.0_f64, 0.0..5.0_f64)
            .prop_map(|(low, width)| Domain::log(10_f64.powf(low), 10_f64.powf(low + width))),
        (0.0..0.99_f64, 0.0..1.0_f64)
            .prop_map(|(low, part)| Domain::reverse_log(low, low + (0.9999 - low) * part)),
        (-1000..1000_i64, 0..1000_i64).prop_map(|(low, width)| Domain::int(low, low + width)),
        (1..1000_i64, 0..1000_i64).prop_map(|(low, width)| Domain::int_log(low, low + width)),
        (1..6_usize).prop_map(|n| Domain::choice((0..n).map(|i| format!("c{i}")))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_space_is_searched_within_its_bounds(
        domains in prop::collection::vec(any_domain(), 1..5), seed in any::<u64>(), maximize in any::<bool>()
    ) {
        let space = space(domains.into_iter().enumerate().map(|(i, domain)| Parameter::new(format!("p{i}"), domain)));
        let direction = if maximize { Direction::Maximize } else { Direction::Minimize };
        for (name, sampler) in samplers() {
            let mut trials: Vec<Trial> = Vec::new();
            for number in 0..16 {
                let params = sampler.suggest(&space, History::new(direction, &trials), seed, number);
                prop_assert!(space.contains(&params), "{}: {:?}", name, params);
                let value = params.values().filter_map(Value::as_f64).sum();
                trials.push(Trial::new(number, params).complete(value));
            }
        }
    }

    #[test]
    fn a_value_goes_to_the_unit_interval_and_back(domain in any_domain(), unit in 0.0..=1.0_f64) {
        let value = domain.at(unit);
        prop_assert!(domain.contains(&value));
        let back = domain.at(domain.unit(&value).unwrap());
        match (value.as_f64(), back.as_f64()) {
            (Some(a), Some(b)) => prop_assert!((a - b).abs() <= 1e-9 * a.abs().max(1.0), "{} {}", a, b),
            _ => prop_assert_eq!(value, back),
        }
    }
}
