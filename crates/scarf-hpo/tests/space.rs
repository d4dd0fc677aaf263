//! How files write spaces and samplers, and what is refused.

use scarf_hpo::{AnySampler, Condition, Domain, Grid, Parameter, Space, Tpe, Value};

fn read(text: &str) -> Result<Space, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_string())
}

#[test]
fn every_form_is_read_and_written_back() {
    let text = r#"
        adapt = { static = 0.9, when = { optimizer = "adam" } }
        batch = { int_log = [8, 64] }
        decay = { linear = [0.0, 1.0] }
        epochs = 100
        layers = { int = [1, 8] }
        lr = { log = [1e-4, 1e-2] }
        momentum = { reverse_log = [0.0, 0.999], when = { optimizer = ["sgd", "rmsprop"] } }
        optimizer = { choice = ["sgd", "adam", "rmsprop"] }
        mix = { choice = [true, 2, 0.5, "x"] }
    "#;
    let space = read(text).unwrap();
    let domain = |name: &str| space.get(name).unwrap().domain.clone();
    assert_eq!(domain("batch"), Domain::int_log(8, 64));
    assert_eq!(domain("epochs"), Domain::Static(Value::Int(100)));
    assert_eq!(domain("lr"), Domain::log(1e-4, 1e-2));
    assert_eq!(domain("momentum"), Domain::reverse_log(0.0, 0.999));
    assert_eq!(
        domain("mix"),
        Domain::Choice(vec![true.into(), Value::Int(2), Value::Float(0.5), "x".into()])
    );
    assert_eq!(
        space.get("momentum").unwrap().when,
        Some(Condition { parent: "optimizer".into(), any_of: vec!["sgd".into(), "rmsprop".into()] })
    );
    let json = serde_json::to_string(&space).unwrap();
    assert_eq!(serde_json::from_str::<Space>(&json).unwrap(), space);
    // TOML writes plain values before tables, so only the order may change.
    let back = read(&toml::to_string(&space).unwrap()).unwrap();
    assert_eq!(back.params().len(), space.params().len());
    for param in space.params() {
        assert_eq!(back.get(&param.name), Some(param));
    }
}

#[test]
fn a_json_map_keeps_its_order() {
    let space: Space = serde_json::from_str(r#"{"z": 1, "a": {"int": [1, 2]}, "m": "sgd"}"#).unwrap();
    let names: Vec<&str> = space.params().iter().map(|param| param.name.as_str()).collect();
    assert_eq!(names, ["z", "a", "m"]);
}

#[test]
fn what_cannot_be_searched_is_refused_with_key_and_reason() {
    for (text, reason) in [
        ("lr = { log = [0.0, 1.0] }", "lr: a log range needs 0 < low, not 0"),
        ("lr = { log = [1.0, 0.1] }", "lr: the range [1, 0.1] is empty; write [low, high]"),
        ("lr = { linear = [0.0, inf] }", "lr: the bounds 0 and inf must be finite"),
        ("m = { reverse_log = [0.0, 1.0] }", "m: a reverse_log range lies in 0 <= x < 1, not [0, 1]"),
        ("n = { int_log = [0, 8] }", "n: an int_log range needs 1 <= low, not 0; use int"),
        ("n = { int = [8, 1] }", "n: the range [8, 1] is empty"),
        ("n = { int = [0, 9007199254740993] }", "n: the range [0, 9007199254740993] goes beyond 2^53"),
        ("o = { choice = [] }", "o: a choice needs at least one value"),
        ("o = { choice = [\"a\", \"b\", \"a\"] }", "o: the choice a is given twice"),
        ("o = { choice = [nan] }", "o: NaN is not a finite number"),
        ("o = {}", "o: no domain; write one of linear, log"),
        ("o = { log = [1.0, 2.0], int = [1, 2] }", "o: more than one domain"),
        ("o = { uniform = [1.0, 2.0] }", "o: unknown field `uniform`, expected one of `linear`"),
        (
            "o = { int = [1, 2], constraint = \"o < p\" }",
            "o: constraints between parameters are not searched",
        ),
        ("constraints = [\"o < p\"]", "constraints: constraints between parameters are not searched"),
        ("o = { int = [1, 2], when = { p = 1 } }", "o: its condition names p, which is not a parameter"),
        ("o = { int = [1, 2], when = { o = 1 } }", "o: its condition depends on itself"),
        (
            "o = { int = [1, 2], when = { p = 3 } }\np = { int = [1, 2] }",
            "o: its condition never holds: p is never 3",
        ),
        (
            "o = { int = [1, 2], when = { p = 0.5 } }\np = { linear = [0.0, 1.0] }",
            "o: its condition names p, which is continuous",
        ),
        ("o = { int = [1, 2], when = {} }", "o: when = { parent = value } names one parent, not 0"),
    ] {
        let error = read(text).expect_err(text);
        assert!(error.contains(reason), "{text}\nsays {error}\nnot  {reason}");
    }
}

#[test]
fn all_errors_are_told_at_once() {
    let errors = Space::check(&[
        Parameter::new("a", Domain::log(-1.0, 1.0)),
        Parameter::new("b", Domain::int(2, 1)),
        Parameter::new("b", Domain::int(1, 2)),
        Parameter::new("c", Domain::int(1, 2)).when("d", 1),
        Parameter::new("d", Domain::int(1, 2)).when("c", 1),
    ]);
    let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
    assert_eq!(keys, ["a", "b", "b", "c", "d"]);
}

#[test]
fn a_choice_from_the_space_is_told_from_others() {
    let space =
        read("lr = { log = [1e-4, 1e-2] }\no = { choice = [1, 2] }\nm = { int = [0, 9], when = { o = 1 } }")
            .unwrap();
    let params = |pairs: &[(&str, Value)]| {
        pairs.iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
    };
    let (lr, one, two) = (Value::Float(1e-3), Value::Int(1), Value::Int(2));
    assert!(space.contains(&params(&[("lr", lr.clone()), ("o", two.clone())])));
    assert!(space.contains(&params(&[("lr", lr.clone()), ("o", one.clone()), ("m", two.clone())])));
    for (wrong, key) in [
        (params(&[("lr", lr.clone()), ("o", one.clone())]), "m"),
        (params(&[("lr", lr.clone()), ("o", two.clone()), ("m", one.clone())]), "m"),
        (params(&[("lr", Value::Float(1.0)), ("o", two.clone())]), "lr"),
        (params(&[("lr", lr.clone()), ("o", two.clone()), ("x", one.clone())]), "x"),
    ] {
        let errors = space.mismatches(&wrong);
        assert_eq!(errors.iter().map(|error| error.key.as_str()).collect::<Vec<_>>(), [key]);
    }
}

#[test]
fn a_sampler_is_a_name_or_a_table() {
    #[derive(serde::Deserialize)]
    struct File {
        sampler: AnySampler,
    }
    let read = |text: &str| {
        toml::from_str::<File>(text).map(|file| file.sampler).map_err(|e| e.message().to_string())
    };
    assert_eq!(read("sampler = \"tpe\"").unwrap(), AnySampler::Tpe(Tpe::default()));
    assert_eq!(
        read("sampler = { tpe = { multivariate = false } }").unwrap(),
        AnySampler::Tpe(Tpe::univariate())
    );
    assert_eq!(read("sampler = { grid = { levels = 3 } }").unwrap(), AnySampler::Grid(Grid { levels: 3 }));
    assert!(read("sampler = \"tp\"").unwrap_err().contains("unknown variant `tp`, expected one of `random`"));
    assert!(read("sampler = { tpe = { gamma = 1 } }").unwrap_err().contains("unknown field `gamma`"));
    for name in AnySampler::NAMES {
        let sampler = AnySampler::from_name(name).unwrap();
        let json = serde_json::to_string(&sampler).unwrap();
        assert_eq!(serde_json::from_str::<AnySampler>(&json).unwrap(), sampler);
    }
}
