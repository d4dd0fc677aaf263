//! Claims, and what detections say of them.

mod common;

use common::{Log, STUDY, folder, run, study};
use scarf_study::{
    Ablation, Analysis, Comparisons, Given, How, Kind, Outcome, Photographs, Records, Study, Summary, judge,
    markdown, page,
};
use std::path::Path;

/// The study done and judged.
fn judged(out: &Path) -> (Study, Vec<Option<Outcome>>) {
    let study = study(STUDY, &Given::default()).unwrap();
    let plan = study.plan(&run(&study, out, &mut Log::default()).unwrap());
    judge(&study, &plan, out).unwrap();
    let outcomes = outcomes(&study, out);
    (study, outcomes)
}

fn outcomes(study: &Study, out: &Path) -> Vec<Option<Outcome>> {
    let plan = study.plan(&scarf_study::Records::read(&out.join("records.csv")).unwrap());
    let verdicts = Comparisons::read(out).unwrap().verdicts(study, &plan);
    verdicts.into_iter().map(|verdict| verdict.outcome).collect()
}

#[test]
fn claims_are_supported_contradicted_or_left_open() {
    let out = tempfile::tempdir().unwrap();
    let (study, outcomes) = judged(out.path());
    // The stand-in finds twice as much when it begins from a checkpoint; a search of three trials gains little, and
    // one run of what is broken has failed.
    assert_eq!(outcomes[0], Some(Outcome::Supported));
    assert!(matches!(outcomes[1], Some(Outcome::NotSettled | Outcome::Supported)), "{outcomes:?}");
    assert_eq!(outcomes[2..], [Some(Outcome::Contradicted), None]);
    let plan = study.plan(&scarf_study::Records::read(&out.path().join("records.csv")).unwrap());
    let verdict = &Comparisons::read(out.path()).unwrap().verdicts(&study, &plan)[0];
    assert!(
        verdict.reasons[0].starts_with("Fine-tuned against From scratch: AP +0."),
        "{:?}",
        verdict.reasons
    );
    assert!(verdict.reasons[0].contains("; seed by seed +0."), "{:?}", verdict.reasons);
}

#[test]
fn verdicts_outlive_the_detections_but_not_the_runs() {
    let out = tempfile::tempdir().unwrap();
    let (study, before) = judged(out.path());
    let records = scarf_study::Records::read(&out.path().join("records.csv")).unwrap();
    for record in records.iter() {
        let _ = std::fs::remove_dir_all(folder(out.path(), &record.id).join("predictions"));
    }
    let plan = study.plan(&records);
    judge(&study, &plan, out.path()).unwrap();
    assert_eq!(outcomes(&study, out.path()), before);
    let other = common::study(&STUDY.replace("epochs = 3", "epochs = 4"), &Given::default()).unwrap();
    let verdicts = Comparisons::read(out.path()).unwrap().verdicts(&other, &other.plan(&records));
    assert!(verdicts.iter().all(|verdict| verdict.outcome.is_none()), "of other runs nothing is said");
}

#[test]
fn seeds_that_are_added_later_are_compared_with_runs_whose_detections_are_gone() {
    let begun = study(&STUDY.replace("seeds = [0, 1]", "seeds = [0]"), &Given::default()).unwrap();
    let whole = study(STUDY, &Given::default()).unwrap();
    let in_one_go = tempfile::tempdir().unwrap();
    let (_, at_once) = judged(in_one_go.path());

    let out = tempfile::tempdir().unwrap();
    let records = run(&begun, out.path(), &mut Log::default()).unwrap();
    judge(&begun, &begun.plan(&records), out.path()).unwrap();
    for record in records.iter() {
        let _ = std::fs::remove_dir_all(folder(out.path(), &record.id).join("predictions"));
    }
    let records = run(&whole, out.path(), &mut Log::default()).unwrap();
    judge(&whole, &whole.plan(&records), out.path()).unwrap();
    assert_eq!(outcomes(&whole, out.path()), at_once);
    let comparisons = |out: &Path| std::fs::read_to_string(out.join("comparisons.json")).unwrap();
    assert_eq!(comparisons(out.path()), comparisons(in_one_go.path()), "to the last digit");
}

#[test]
fn runs_on_other_images_are_not_compared() {
    let out = tempfile::tempdir().unwrap();
    let study = study(STUDY, &Given::default()).unwrap();
    let records = run(&study, out.path(), &mut Log::default()).unwrap();
    for record in records.iter().filter(|record| record.approach == "scratch") {
        let truth = folder(out.path(), &record.id).join("predictions/test.truth.json");
        let text = std::fs::read_to_string(&truth).unwrap();
        // As many images, one of them another.
        std::fs::write(&truth, text.replacen("60", "61", 1)).unwrap();
    }
    judge(&study, &study.plan(&records), out.path()).unwrap();
    let verdicts = Comparisons::read(out.path()).unwrap().verdicts(&study, &study.plan(&records));
    assert_eq!(verdicts[0].outcome, None);
    assert!(verdicts[0].reasons[0].ends_with("of their detections or of the same images"), "{verdicts:?}");
    assert_eq!(verdicts[2].outcome, Some(Outcome::Contradicted), "against a number they are judged");
}

/// The test images of seed 1 are others than those of other seeds, as of another fold: they lack the last.
fn other_images_for_seed_one(out: &Path, records: &Records) {
    for record in records.iter().filter(|record| record.kind == Kind::Final && record.seed == 1) {
        let predictions = folder(out, &record.id).join("predictions");
        for file in ["test.truth.json", "test.coco.json"] {
            let path = predictions.join(file);
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
            let without_last = |list: &mut serde_json::Value| drop(list.as_array_mut().unwrap().pop());
            match &mut json {
                list @ serde_json::Value::Array(_) => without_last(list),
                truth => ["images", "annotations"].iter().for_each(|key| without_last(&mut truth[*key])),
            }
            std::fs::write(&path, json.to_string()).unwrap();
        }
    }
}

/// As five folds of 1,003 images: seeds have test images of their own, and not as many.
#[test]
fn folds_that_differ_in_size_are_judged() {
    let out = tempfile::tempdir().unwrap();
    let study = study(STUDY, &Given::default()).unwrap();
    let records = run(&study, out.path(), &mut Log::default()).unwrap();
    other_images_for_seed_one(out.path(), &records);
    let plan = study.plan(&records);
    judge(&study, &plan, out.path()).unwrap();
    let outcomes = outcomes(&study, out.path());
    assert_eq!((outcomes[0], outcomes[2]), (Some(Outcome::Supported), Some(Outcome::Contradicted)));
    let text = std::fs::read_to_string(out.path().join("comparisons.json")).unwrap();
    let all: Vec<scarf_study::Compared> = serde_json::from_str(&text).unwrap();
    for each in &all {
        let mean = each.by_seed.iter().map(|(_, by)| by).sum::<f64>() / 2.0;
        assert!((each.difference - mean).abs() < 1e-12 && each.by_seed.len() == 2, "{each:?}");
        assert!(each.interval.0 <= mean && mean <= each.interval.1 && each.images == 40, "{each:?}");
    }
    assert_eq!(all.len(), 4);
}

/// Its mean would have one fold twice.
#[test]
fn an_approach_that_was_tested_on_a_fold_more_often_is_not_compared() {
    let out = tempfile::tempdir().unwrap();
    let text = STUDY.replace("title = \"From scratch\"", "title = \"From scratch\"\nseeds = [0, 1, 2]");
    let study = study(&text, &Given::default()).unwrap();
    let records = run(&study, out.path(), &mut Log::default()).unwrap();
    other_images_for_seed_one(out.path(), &records);
    judge(&study, &study.plan(&records), out.path()).unwrap();
    assert_eq!(outcomes(&study, out.path())[0], None);
}

#[test]
fn one_seed_says_that_spread_is_unknown() {
    let out = tempfile::tempdir().unwrap();
    let study = study(&STUDY.replace("seeds = [0, 1]", "seeds = [0]"), &Given::default()).unwrap();
    let records = run(&study, out.path(), &mut Log::default()).unwrap();
    let plan = study.plan(&records);
    judge(&study, &plan, out.path()).unwrap();
    let verdicts = Comparisons::read(out.path()).unwrap().verdicts(&study, &plan);
    assert!(verdicts[0].reasons[0].ends_with("one seed: run-to-run spread is unknown"), "{verdicts:?}");
}

/// The best rate, and one further from it, in place of the file's; each against what it is of, on validation images.
const ABLATIONS: &str = r#"
[approach.best_rate]
title = "A rate of .01"
role = "ablation"
of = "scratch"
recipe.train.optimizer.sgd.lr = 0.01

[approach.low_rate]
title = "A rate of .0001"
role = "ablation"
of = "best_rate"
recipe.train.optimizer.sgd.lr = 1e-4
seeds = [1]

[shrink]"#;

#[test]
fn ablations_are_judged_on_the_validation_images_alone() {
    let out = tempfile::tempdir().unwrap();
    let study = study(&STUDY.replace("[shrink]", ABLATIONS), &Given::default()).unwrap();
    let records = run(&study, out.path(), &mut Log::default()).unwrap();
    let plan = study.plan(&records);
    judge(&study, &plan, out.path()).unwrap();
    let runs: Vec<_> = records.iter().filter(|record| record.kind == Kind::Ablation).collect();
    assert_eq!(runs.len(), 3, "two seeds, and one of them");
    assert!(runs.iter().all(|record| record.val.is_some() && record.test.is_none()));
    assert!(!folder(out.path(), &runs[0].id).join("predictions/test.coco.json").exists());

    let summary = Summary::new(&study, &plan, &records, out.path()).unwrap();
    assert_eq!(summary.rows.len(), 4, "no row of the table");
    let [best, low] = &summary.ablations[..] else { panic!("{:?}", summary.ablations) };
    // .08 a power of ten: log10(.03) is .477 from the best rate, 1e-4 two.
    let by = |each: &Ablation| each.val.unwrap()[0].mean - each.base.unwrap()[0].mean;
    assert!((by(best) - 0.08 * 0.477_12).abs() < 1e-5 && (by(low) + 0.16).abs() < 1e-5, "{best:?} {low:?}");
    assert_eq!((best.of.as_str(), low.of.as_str()), ("From scratch", "A rate of .01"));
    assert_eq!((best.verdict().as_str(), low.verdict().as_str()), ("better", "worse (one seed)"));
    let compared = best.compared.as_ref().unwrap();
    assert_eq!((compared.images, compared.by_seed.len()), (40, 2));
    let text = markdown(&summary);
    assert!(text.contains("| A rate of .01 | From scratch (0.147) | 0.185 | 0.370 | +0."), "{text}");
    let page = page(&study, &plan, &records, &How::default(), out.path(), Photographs::Shown).unwrap();
    assert!(page.contains("<section id=\"ablations\""));
}

/// The stand-in's detections by hand: each image has one object and one detection, which is right at every IoU
/// threshold it can be (IoU 59 / 61 = .967, up to .95) or 25 pixels off more (IoU 25 / 95), an error of place.
#[test]
fn an_analysis_counts_what_the_stand_in_did() {
    let out = tempfile::tempdir().unwrap();
    let (_, _) = judged(out.path());
    let records = scarf_study::Records::read(&out.path().join("records.csv")).unwrap();
    let scratch = records.iter().find(|record| record.approach == "scratch" && record.seed == 0).unwrap();
    let analysis = Analysis::read(&folder(out.path(), &scratch.id)).unwrap();
    // It reaches .18 - .08 * |log10(.03) + 2| - .02 = .1218, so finds what has less luck than .2437 of 40.
    let right = (1..=40).filter(|id| (f64::from(*id) * 0.618_034).fract() < 0.243_66).count();
    let location = analysis.errors.iter().find(|error| error.kind == "location").unwrap();
    assert_eq!((analysis.images, location.count), (40, 40 - right));
    assert_eq!(analysis.classes.iter().map(|class| class.objects).sum::<usize>(), 40);
    let (low, high) = analysis.intervals[0].unwrap();
    let ap = analysis.classes.iter().filter_map(|class| class.ap).sum::<f64>() / 3.0;
    assert!(low < ap && ap < high, "{low} {ap} {high}");
}
