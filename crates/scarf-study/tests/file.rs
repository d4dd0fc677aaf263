//! Study files: what they give, and what is said of bad ones.

mod common;

use common::{STUDY, study};
use scarf_study::{Given, Kind, Records};

#[test]
fn shrinking_lays_a_table_over_the_file() {
    let given = Given { shrink: true, ..Given::default() };
    let study = study(STUDY, &given).unwrap();
    let plan = study.plan(&Records::default());
    assert_eq!(plan.runs.len(), 6, "one seed each, one trial, its final, and pretraining");
    assert!(plan.runs.iter().all(|run| run.seed == 7));
    let epochs = |name: &str| study.approach(name).unwrap().recipe["train"]["epochs"].as_integer();
    assert_eq!((epochs("scratch"), epochs("pretrain")), (Some(1), Some(5)));
}

#[test]
fn the_trials_of_a_batch_do_not_wait_for_each_other() {
    let text =
        STUDY.replace("trials = 3, sampler = \"random\"", "trials = 5, parallel = 2, sampler = \"gp\"");
    let plan = study(&text, &Given::default()).unwrap().plan(&Records::default());
    let trials = || plan.of("tuned").filter(|run| run.kind == Kind::Trial);
    let known: Vec<bool> = trials().map(|run| run.settings.is_some()).collect();
    assert_eq!(known, [true, true, false, false, false]);
    let lr: Vec<_> = trials().take(2).map(|run| run.params["train.optimizer.sgd.lr"].clone()).collect();
    assert_ne!(lr[0], lr[1]);
}

#[test]
fn a_variation_takes_over_what_it_does_not_change() {
    let text = STUDY.replace(
        "of = \"scratch\"",
        "of = \"finetune\"\ninit = { random = true }\nunset = [\"recipe.train.optimizer\"]\nrecipe.train.optimizer.adam.lr = 1e-3",
    );
    let study = study(&text, &Given::default()).unwrap();
    let broken = study.approach("broken").unwrap();
    let recipe = "train = { epochs = 3, optimizer.adam.lr = 1e-3 }\nfake.fail_seed = 1";
    assert_eq!(broken.recipe, recipe.parse().unwrap());
    assert_eq!(broken.init, scarf_study::Init::Random);
}

/// What is said of the study file with `from` replaced by `to`.
fn said(from: &str, to: &str) -> String {
    assert!(STUDY.contains(from), "{from} is not in the study");
    match study(&STUDY.replacen(from, to, 1), &Given::default()) {
        Ok(_) => "nothing".into(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_error_names_file_key_and_line() {
    let cases = [
        ("seeds = [0, 1]", "seeds = []"),
        ("seeds = [0, 1]", "seeds = [3, 3]"),
        ("seeds = [0, 1]", "seeds = [0, 1]\nseed = 3"),
        ("claim = \"Beginning", "claim = \"\" # \""),
        ("dollars_per_hour = 3.6", "dollars_per_hour = -1.0"),
        ("of = \"finetune\"", "of = \"fine-tune\""),
        ("of = \"scratch\"", "of = \"broken\""),
        ("or_from = \"pretrain\"", "or_from = \"pretraining\""),
        ("weights = \"coco\", or_from = \"pretrain\"", "from = \"tuned\""),
        ("weights = \"coco\", or_from", "from = \"scratch\", or_from"),
        ("trials = 3", "trials = 0"),
        ("val/ap50", "test/ap50"),
        ("val/ap50", "val/map"),
        ("\"random\"", "\"rnadom\""),
        ("\"train.optimizer.sgd.lr\" =", "\"train.optimizer.adam.lr\" ="),
        ("log = [1e-3, 0.1]", "log = [0.0, 0.1]"),
        ("recipe.fake.fail_seed = 1", "recipe.fake.lr = inf"),
        ("recipe.fake.fail_seed = 1", "unset = [\"train.epochs\"]"),
        ("role = \"pretraining\"", "role = \"pretrained\""),
        ("role = \"pretraining\"", "role = \"ablation\""),
        ("of = \"finetune\"\ntune", "of = \"finetune\"\nrole = \"ablation\"\ntune"),
        ("of = \"scratch\"\n", "of = \"scratch\"\nrole = \"ablation\"\nseeds = [7, 8]\n"),
        ("of = \"scratch\"\n", "of = \"tuned\"\nrole = \"ablation\"\n"),
        ("better = \"tuned\"", "better = \"tuend\""),
        ("better = \"tuned\"", "better = \"pretrain\""),
        ("better = \"tuned\"", "better = []"),
        ("than = \"finetune\"", "than = \"tuned\""),
        ("than = \"finetune\"", "published = 37.5"),
        ("than = \"finetune\"", "published = 0.3\nthan = \"finetune\""),
        ("metric = \"ap50\"", "metric = \"ar100\""),
        ("dollars_per_hour = 36.0", "dollars_per_hour = -36.0"),
        ("minutes = 1.5", "minutes = 1.5\nreach = 20"),
    ];
    let all: Vec<String> = cases.iter().map(|(from, to)| format!("{to}\n{}\n", said(from, to))).collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn the_studies_of_the_project_are_right() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../studies");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "toml") {
            for shrink in [false, true] {
                let given = Given { shrink, ..Given::default() };
                let study = scarf_study::Study::read(&path, &given).unwrap_or_else(|error| panic!("{error}"));
                assert!(!study.plan(&Records::default()).runs.is_empty());
            }
            seen += 1;
        }
    }
    assert!(seen > 0);
}
