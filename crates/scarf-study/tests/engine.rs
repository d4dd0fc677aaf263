//! The engine, with a stand-in for the program.

mod common;

use common::{Log, STUDY, folder, program, run, study};
use scarf_study::{Engine, Given, Kind, Record, Records, RunResult, State, Study, Weights, judge, list};
use std::fs;
use std::process::Command;
use std::time::Duration;

#[test]
fn every_run_leaves_a_record_and_a_failure_stops_nothing() {
    let out = tempfile::tempdir().unwrap();
    let study = study(STUDY, &Given::default()).unwrap();
    let mut log = Log::default();
    let records = run(&study, out.path(), &mut log).unwrap();
    assert_eq!(
        log.begun,
        [
            "1/12 scratch seed 0",
            "2/12 scratch seed 1",
            "3/12 pretrain seed 0",
            "4/12 finetune seed 0",
            "5/12 finetune seed 1",
            "6/12 tuned trial 1",
            "7/12 tuned trial 2",
            "8/12 tuned trial 3",
            "9/12 tuned seed 0",
            "10/12 tuned seed 1",
            "11/12 broken seed 0",
            "12/12 broken seed 1",
        ]
    );
    let failed: Vec<_> = records.iter().filter(|record| !record.is_ok()).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!((failed[0].approach.as_str(), failed[0].seed), ("broken", 1));
    assert!(
        failed[0].err.contains("3 | the loss is not a number | error: training cannot go on"),
        "{}",
        failed[0].err
    );
    let logged = fs::read_to_string(folder(out.path(), &failed[0].id).join("log.txt")).unwrap();
    assert!(logged.contains("the loss is not a number"), "{logged}");
    assert!(records.iter().filter(|record| record.kind == Kind::Trial).all(|record| record.test.is_none()));
}

#[test]
fn a_study_that_is_done_does_nothing_and_one_that_lost_its_records_adopts_its_results() {
    let out = tempfile::tempdir().unwrap();
    let study = study(STUDY, &Given::default()).unwrap();
    let first = run(&study, out.path(), &mut Log::default()).unwrap();
    let mut log = Log::default();
    assert_eq!(run(&study, out.path(), &mut log).unwrap(), first);
    assert_eq!(log.begun, [""; 0]);

    fs::remove_file(out.path().join("records.csv")).unwrap();
    let again = run(&study, out.path(), &mut log).unwrap();
    let (ok, before) = (again.iter().filter(|each| each.is_ok()), first.iter().filter(|each| each.is_ok()));
    assert!(ok.eq(before), "adopted records tell the same, when they began included");
    assert_eq!(log.lines.len(), 2, "only the run that failed was done again: {:?}", log.lines);
}

#[test]
fn the_search_ends_with_the_best_trials_settings() {
    let out = tempfile::tempdir().unwrap();
    let study = study(STUDY, &Given::default()).unwrap();
    let records = run(&study, out.path(), &mut Log::default()).unwrap();
    let of = |kind: Kind| records.iter().filter(move |each| each.approach == "tuned" && each.kind == kind);
    let best =
        of(Kind::Trial).max_by(|a, b| a.val.unwrap().ap50().total_cmp(&b.val.unwrap().ap50())).unwrap();
    assert_eq!(of(Kind::Final).count(), 2);
    assert!(of(Kind::Final).all(|each| each.params == best.params && each.trial.is_none()));
}

#[test]
fn a_search_can_be_for_a_loss_on_the_validation_images() {
    let out = tempfile::tempdir().unwrap();
    let text =
        STUDY.replace("objective = \"val/ap50\"", "objective = \"val/loss\", direction = \"minimize\"");
    let study = study(&text, &Given::default()).unwrap();
    let engine = Engine::new(&study, program(), out.path(), &Given::default()).unwrap();
    let records = engine.run(false, &mut Log::default()).unwrap();
    let tuned = |kind| records.iter().filter(move |each| each.approach == "tuned" && each.kind == kind);
    let by_loss = tuned(Kind::Trial).min_by(|a, b| a.objective.partial_cmp(&b.objective).unwrap()).unwrap();
    assert!(tuned(Kind::Trial).all(|trial| trial.objective.is_some_and(|loss| loss < 1.25)));
    assert!(tuned(Kind::Final).all(|last| last.objective.is_none() && last.params == by_loss.params));
    assert_eq!(Records::read(&out.path().join("records.csv")).unwrap(), records);

    let typo = text.replace("val/loss", "val/los");
    let study = common::study(&typo, &Given::default()).unwrap();
    let out = tempfile::tempdir().unwrap();
    let engine = Engine::new(&study, program(), out.path(), &Given::default()).unwrap();
    let records = engine.run(false, &mut Log::default()).unwrap();
    let trial = records.iter().find(|each| each.kind == Kind::Trial).unwrap();
    assert!(trial.err.starts_with("metrics.jsonl: no epoch has val/los; there are epoch,"), "{}", trial.err);
}

#[test]
fn another_objective_is_asked_of_the_trials_that_were_run() {
    let out = tempfile::tempdir().unwrap();
    let trials = |objective: &str| -> Vec<Record> {
        let text = STUDY.replace("objective = \"val/ap50\"", objective);
        let study = study(&text, &Given::default()).unwrap();
        let records = common::run(&study, out.path(), &mut Log::default()).unwrap();
        records.iter().filter(|record| record.kind == Kind::Trial).cloned().collect()
    };
    assert!(trials("objective = \"val/ap50\"").iter().all(|trial| trial.objective.is_none()));
    let by_loss = trials("objective = \"val/loss\", direction = \"minimize\"");
    assert_eq!(
        by_loss.iter().filter(|trial| trial.metric == "val/loss" && trial.objective.is_some()).count(),
        3
    );
    let by_another = trials("objective = \"val/giou\", direction = \"minimize\"");
    assert!(by_another.iter().all(|trial| trial.err.contains("no epoch has val/giou")), "{by_another:?}");
}

/// Eight trials in batches of two, of 6 epochs: what trails the best third of those of earlier batches at epoch 2 stops
/// there, with one job or three, told once or in two parts, and the search goes on by what is known of it.
#[test]
fn a_search_stops_trials_that_do_not_promise_whoever_ends_first() {
    let text = STUDY.replace(
        "trials = 3, sampler = \"random\", objective",
        "trials = 8, parallel = 2, sampler = \"random\", pruner.asha = { min = 2, reduction = 3 }, objective",
    );
    let text = text
        .replace("epochs = 3", "epochs = 6")
        .replace("[approach.scratch]", "[recipe.fake]\nmillis = 20\n[approach.scratch]");
    let study = study(&text, &Given::default()).unwrap();
    let trials = |records: &Records| {
        let mut trials: Vec<Record> =
            records.iter().filter(|record| record.kind == Kind::Trial).cloned().collect();
        trials.sort_by_key(|record| record.trial);
        let told = |each: Record| Record { dollars: 0.0, started: String::new(), seconds: 0.0, ..each };
        trials.into_iter().map(told).collect::<Vec<_>>()
    };
    let out = tempfile::tempdir().unwrap();
    let engine = Engine::new(&study, program(), out.path(), &Given::default()).unwrap();
    let records = engine.run(false, &mut Log::default()).unwrap();
    assert_eq!(Records::read(&out.path().join("records.csv")).unwrap(), records);
    let alone = trials(&records);
    assert_eq!(alone.len(), 8);

    // By hand: AP50 at epoch 2 is the end's times the root of a third, and so is the order.
    let lr = |record: &Record| record.params["train.optimizer.sgd.lr"].parse::<f64>().unwrap();
    let off = |record: &Record| (lr(record).log10() + 2.0).abs();
    let mut stopped = 0;
    for (number, trial) in alone.iter().enumerate() {
        let rivals = &alone[..number / 2 * 2];
        let going_on = ((rivals.len() + 1) / 3).max(1);
        let loses = rivals.iter().filter(|rival| off(rival) < off(trial)).count() >= going_on;
        assert_eq!(trial.pruned, loses, "trial {number}");
        assert_eq!(trial.epochs, Some(if loses { 2 } else { 6 }), "trial {number}");
        assert_eq!(trial.val.is_none(), loses);
        if loses {
            let ap50 = 2.0 * (0.36 - 0.08 * off(trial)) * (2.0f64 / 6.0).sqrt();
            assert!((trial.objective.unwrap() - ap50).abs() < 1e-9, "trial {number}");
            stopped += 1;
        }
    }
    assert!((2..=6).contains(&stopped), "{stopped} of 8 were stopped");
    let last = records.iter().find(|each| each.approach == "tuned" && each.kind == Kind::Final).unwrap();
    let best = alone.iter().filter(|each| !each.pruned).min_by(|a, b| off(a).total_cmp(&off(b))).unwrap();
    assert_eq!(last.params, best.params);
    let told = list(&study, &study.plan(&records), &records);
    assert_eq!(told.matches("stopped early").count(), stopped, "{told}");

    let beside = tempfile::tempdir().unwrap();
    let engine = Engine::new(&study, program(), beside.path(), &Given::default()).unwrap().with_jobs(3);
    assert_eq!(trials(&engine.run(false, &mut Log::default()).unwrap()), alone);

    // Its record lost, and a process of it that went on: what is there is judged again, once that has ended, to the same
    // end; what only a training that goes on needs is removed; and the time is what its epochs took.
    let mut fewer = records.clone();
    let lost = alone.iter().rfind(|each| each.pruned).unwrap();
    fewer.retain(|record| record.id != lost.id);
    fewer.write(&out.path().join("records.csv")).unwrap();
    let folder = folder(out.path(), &lost.id);
    fs::create_dir_all(folder.join("checkpoint")).unwrap();
    let lock =
        fs::File::options().create(true).truncate(false).write(true).open(folder.join(".lock")).unwrap();
    lock.lock().unwrap();
    let engine = Engine::new(&study, program(), out.path(), &Given::default()).unwrap();
    let again = std::thread::scope(|scope| {
        let again = scope.spawn(|| engine.run(false, &mut Log::default()).unwrap());
        std::thread::sleep(Duration::from_millis(400));
        assert!(!again.is_finished() && folder.join("checkpoint").exists());
        drop(lock);
        again.join().unwrap()
    });
    assert_eq!(trials(&again), alone);
    assert!(!folder.join("checkpoint").exists());
    assert!(
        again.get(&lost.id).unwrap().seconds >= 4.0,
        "two epochs that took two seconds each, by the program"
    );

    // Without the pruner what was stopped is done again.
    let whole = text.replace("pruner.asha = { min = 2, reduction = 3 }, ", "");
    let study = common::study(&whole, &Given::default()).unwrap();
    let engine = Engine::new(&study, program(), out.path(), &Given::default()).unwrap();
    let whole = trials(&engine.run(false, &mut Log::default()).unwrap());
    assert!(whole.iter().all(|trial| !trial.pruned && trial.epochs == Some(6)));
}

/// Where nothing may get worse, nothing is trained to its end, and the approach says why it has no row.
#[test]
fn a_search_may_stop_all() {
    let out = tempfile::tempdir().unwrap();
    let text = STUDY.replace(
        "objective = \"val/ap50\"",
        "objective = \"val/ap50\", direction = \"minimize\", pruner.patience = { steps = 1 }",
    );
    let study = study(&text, &Given::default()).unwrap();
    let records = run(&study, out.path(), &mut Log::default()).unwrap();
    let trials = records.iter().filter(|each| each.kind == Kind::Trial);
    assert_eq!(trials.filter(|each| each.pruned).count(), 3);
    let plan = study.plan(&records);
    let blocked = State::Blocked("none of 3 trials was trained to its end".into());
    assert_eq!(plan.of("tuned").filter(|run| run.state == blocked).count(), 2);
}

/// Of a sampler that draws alone all settings are known from the start, and looked at before the first run.
#[test]
fn trials_that_may_be_stopped_wait_for_those_before_their_batch() {
    let text = STUDY.replace(
        "sampler = \"random\", objective",
        "parallel = 2, sampler = \"random\", pruner = \"asha\", objective",
    );
    let plan = study(&text, &Given::default()).unwrap().plan(&Records::default());
    let trials: Vec<_> = plan.runs.iter().filter(|run| run.kind == Kind::Trial).collect();
    assert!(trials.iter().all(|run| run.settings.is_some()));
    // What they begin from comes first for the first batch.
    assert!(matches!(&trials[0].state, State::Waiting(what) if what == "pretrain seed 0"));
    let given = Given { weights: Some(Weights::Named(vec!["coco".into()])), ..Given::default() };
    let plan = study(&text, &given).unwrap().plan(&Records::default());
    let states: Vec<_> =
        plan.runs.iter().filter(|run| run.kind == Kind::Trial).map(|run| &run.state).collect();
    let waits = State::Waiting("the trials before it".into());
    assert_eq!(states, [&State::Ready, &State::Ready, &waits]);
}

#[test]
fn a_grid_is_not_walked_twice() {
    let text = STUDY
        .replace("{ log = [1e-3, 0.1] }", "{ choice = [0.03, 0.05] }")
        .replace("trials = 3, sampler = \"random\"", "trials = 5, sampler = \"grid\"");
    let plan = study(&text, &Given::default()).unwrap().plan(&Records::default());
    let trials: Vec<_> = plan.runs.iter().filter(|run| run.kind == Kind::Trial).collect();
    assert_eq!(trials.len(), 2);
    assert_ne!(trials[0].params, trials[1].params);
}

#[test]
fn several_runs_at_once_end_as_one_after_another_and_share_the_price() {
    let study = study(STUDY, &Given::default()).unwrap();
    let ended = |jobs: usize| {
        let out = tempfile::tempdir().unwrap();
        let engine = Engine::new(&study, program(), out.path(), &Given::default()).unwrap().with_jobs(jobs);
        let mut log = Log::default();
        let mut records: Vec<_> = engine.run(false, &mut log).unwrap().iter().cloned().collect();
        assert_eq!(Records::read(&out.path().join("records.csv")).unwrap().iter().count(), records.len());
        records.sort_by(|a, b| a.id.cmp(&b.id));
        let dollars: f64 = records.iter().map(|record| record.dollars).sum();
        let told = |each: Record| Record { dollars: 0.0, started: String::new(), seconds: 0.0, ..each };
        log.epochs.sort_unstable();
        (records.into_iter().map(told).collect::<Vec<_>>(), log.epochs, dollars)
    };
    let (alone, together) = (ended(1), ended(3));
    assert_eq!((alone.0, alone.1), (together.0, together.1));
    assert!(together.2 < 0.95 * alone.2, "{} is not much less than {}", together.2, alone.2);
}

#[test]
fn a_run_that_was_killed_goes_on_where_it_was_and_ends_the_same() {
    let text = STUDY.replace("epochs = 3", "epochs = 12").replace("[data]", "[data]\n").replace(
        "[approach.scratch]",
        "[recipe.fake]\nmillis = 30\n[approach.scratch]\nseeds = [0]\n[approach.other]\nof = \"scratch\"",
    );
    let study = study(&text, &Given::default()).unwrap();
    let only = |out: &std::path::Path| {
        let plan = study.plan(&scarf_study::Records::default());
        folder(out, plan.runs[0].id().unwrap())
    };
    let (whole, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let settings = |out: &std::path::Path| {
        // The engine writes settings at the door; a device that does not exist keeps it from going on.
        let nowhere = scarf_study::Program { path: out.join("nowhere"), device: None, threads: None };
        let error =
            Engine::new(&study, nowhere, out, &Given::default()).unwrap().run(false, &mut Log::default());
        assert!(error.unwrap_err().to_string().contains("cannot be started"));
        only(out).join("settings.json")
    };
    let start = |out: &std::path::Path| {
        let file = settings(out);
        Command::new(program().path)
            .arg("run")
            .arg("--settings")
            .arg(file)
            .arg("--out")
            .arg(only(out))
            .spawn()
            .unwrap()
    };
    assert!(start(whole.path()).wait().unwrap().success());
    let mut child = start(killed.path());
    let metrics = only(killed.path()).join("metrics.jsonl");
    while fs::read_to_string(&metrics).unwrap_or_default().lines().count() < 4 {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(RunResult::read(&only(killed.path())).is_err());
    assert!(start(killed.path()).wait().unwrap().success());
    assert_eq!(RunResult::read(&only(killed.path())), RunResult::read(&only(whole.path())));
    assert_eq!(fs::read(&metrics).unwrap(), fs::read(only(whole.path()).join("metrics.jsonl")).unwrap());
}

#[test]
fn what_was_made_with_other_labels_is_not_gone_on_with() {
    let (out, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let given = Given { data: Some(data.path().into()), ..Given::default() };
    let one = study(&STUDY.replace("seeds = [0, 1]", "seeds = [0]"), &given).unwrap();
    let two = study(STUDY, &given).unwrap();
    let run = |study: &Study, given: &Given| {
        Engine::new(study, program(), out.path(), given)?.run(false, &mut Log::default())
    };
    let label = |text: &str| fs::write(data.path().join("labels"), text).unwrap();
    label("as they were");
    let first = run(&one, &given).unwrap();
    assert_eq!(run(&one, &given).unwrap(), first);
    label("mended");
    for study in [&one, &two] {
        let error = run(study, &given).unwrap_err().to_string();
        assert!(error.starts_with("scratch seed 0 was made with other images, labels or lists"), "{error}");
    }
    assert_eq!(run(&one, &Given::default()).unwrap(), first, "who only looks needs no data");
    label("as they were");
    assert!(run(&two, &given).unwrap().iter().count() > first.iter().count());
}

#[test]
fn what_was_published_grows_once_the_networks_that_it_lacks_are_there_again() {
    let out = tempfile::tempdir().unwrap();
    let begun = study(&STUDY.replace("seeds = [0, 1]", "seeds = [0]"), &Given::default()).unwrap();
    let mut records = run(&begun, out.path(), &mut Log::default()).unwrap();
    let kept = ["result.json", "metrics.jsonl", "analysis.json", "resamples"];
    for record in records.iter() {
        for entry in fs::read_dir(folder(out.path(), &record.id)).unwrap().map(Result::unwrap) {
            if !kept.iter().any(|name| entry.file_name() == *name) {
                let _ = fs::remove_file(entry.path());
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
    let whole = study(STUDY, &Given::default()).unwrap();
    let error = run(&whole, out.path(), &mut Log::default()).unwrap_err().to_string();
    let pretrained = records.iter().find(|record| record.kind == Kind::Pretraining).unwrap().id.clone();
    let told = "finetune seed 1 begins from pretrain seed 0, of which there are scores but no network here: delete the line";
    assert!(error.starts_with(told) && error.contains(&pretrained), "{error}");

    records.retain(|record| record.id != pretrained);
    records.write(&out.path().join("records.csv")).unwrap();
    let mut log = Log::default();
    run(&whole, out.path(), &mut log).unwrap();
    let approaches: Vec<&str> = log.begun.iter().map(|line| line.split_once(' ').unwrap().1).collect();
    let new = ["scratch seed 1", "pretrain seed 0", "finetune seed 1", "tuned seed 1", "broken seed 1"];
    assert_eq!(approaches, new, "and nothing else");
    assert_eq!(log.epochs.iter().filter(|epoch| **epoch == 5).count(), 1, "it was trained: {:?}", log.epochs);
}

#[test]
fn what_was_said_of_a_run_goes_when_it_is_made_anew() {
    let out = tempfile::tempdir().unwrap();
    let study = study(STUDY, &Given::default()).unwrap();
    let mut records = run(&study, out.path(), &mut Log::default()).unwrap();
    judge(&study, &study.plan(&records), out.path()).unwrap();
    let comparisons = out.path().join("comparisons.json");
    let before = fs::read_to_string(&comparisons).unwrap();
    let scratch = records.iter().find(|record| record.approach == "scratch").unwrap().id.clone();
    let there = |name: &str| folder(out.path(), &scratch).join(name).exists();
    assert!(there("analysis.json") && there("resamples/test.json") && before.contains(&scratch));

    fs::remove_file(folder(out.path(), &scratch).join("result.json")).unwrap();
    records.retain(|record| record.id != scratch);
    records.write(&out.path().join("records.csv")).unwrap();
    let records = run(&study, out.path(), &mut Log::default()).unwrap();
    assert!(!there("analysis.json") && !there("resamples"));
    assert!(!fs::read_to_string(&comparisons).unwrap().contains(&scratch));
    judge(&study, &study.plan(&records), out.path()).unwrap();
    assert_eq!(fs::read_to_string(&comparisons).unwrap(), before, "it does the same again");
}

#[test]
fn settings_that_the_program_refuses_are_found_before_the_first_run() {
    let out = tempfile::tempdir().unwrap();
    let text = STUDY.replace("recipe.fake.fail_seed = 1", "recipe.modle.size = 1");
    let error = run(&study(&text, &Given::default()).unwrap(), out.path(), &mut Log::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the settings of broken seed 0 are refused:\nerror: recipe.modle: no such key; there are train and fake"
    );
    assert!(!out.path().join("records.csv").exists());
}

#[test]
fn weights_take_the_place_of_pretraining_where_they_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let given = Given { weights: Some(Weights::Folder(folder.path().into())), ..Given::default() };
    let plan = |given: &Given| study(STUDY, given).unwrap().plan(&scarf_study::Records::default());
    assert!(
        plan(&given).runs.iter().any(|run| run.kind == Kind::Pretraining),
        "there is no coco.safetensors"
    );
    fs::write(folder.path().join("coco.safetensors"), "").unwrap();
    assert!(plan(&given).runs.iter().all(|run| run.kind != Kind::Pretraining));
    let named = Given { weights: Some(Weights::Named(vec!["coco".into()])), ..Given::default() };
    assert_eq!(plan(&given), plan(&named), "ids hang on the weights' name, not on where they are");

    let without = STUDY.replace(", or_from = \"pretrain\"", "");
    let out = tempfile::tempdir().unwrap();
    let error =
        run(&study(&without, &Given::default()).unwrap(), out.path(), &mut Log::default()).unwrap_err();
    let told = "approach finetune begins from the weights coco, which come from outside: give the folder that \
                holds them by --weights DIR";
    assert_eq!(error.to_string(), told);
}

#[test]
fn what_begins_from_a_failure_is_not_tried() {
    let out = tempfile::tempdir().unwrap();
    let text = STUDY.replace("recipe.train.epochs = 5", "recipe.fake.fail_seed = 0");
    let study = study(&text, &Given::default()).unwrap();
    let records = run(&study, out.path(), &mut Log::default()).unwrap();
    let plan = study.plan(&records);
    let states: Vec<_> = plan.of("finetune").chain(plan.of("tuned")).map(|run| run.state.clone()).collect();
    assert_eq!(states.len(), 7);
    let blocked = |why: &str| State::Blocked(why.into());
    assert_eq!(states[..5], [(); 5].map(|()| blocked("pretrain seed 0 failed")));
    assert_eq!(states[5..], [(); 2].map(|()| blocked("none of 3 trials was trained to its end")));
    assert!(plan.next().is_none());
}

#[test]
fn two_studies_do_not_run_in_one_folder() {
    let out = tempfile::tempdir().unwrap();
    let lock = fs::File::create(out.path().join(".lock")).unwrap();
    lock.lock().unwrap();
    let error = run(&study(STUDY, &Given::default()).unwrap(), out.path(), &mut Log::default()).unwrap_err();
    assert!(error.to_string().contains("another study is running"), "{error}");
}

#[test]
fn a_failure_is_tried_again_when_asked_for() {
    let out = tempfile::tempdir().unwrap();
    let study = study(STUDY, &Given::default()).unwrap();
    let engine = Engine::new(&study, program(), out.path(), &Given::default()).unwrap();
    engine.run(false, &mut Log::default()).unwrap();
    let mut log = Log::default();
    let records = engine.run(true, &mut log).unwrap();
    assert_eq!(log.begun, ["12/12 broken seed 1"]);
    assert_eq!(records.iter().count(), 12);
}
