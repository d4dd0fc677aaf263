//! The study's own tuning jobs, on the data of SCARF_STUDY.

#[path = "../examples/finding.rs"]
#[allow(dead_code)]
mod finding;

#[test]
fn the_learning_rate_explains_type_1_and_noise_type_2() {
    let Some(folder) = std::env::var_os("SCARF_STUDY") else {
        eprintln!("not run: SCARF_STUDY, the folder with hpo_type1.csv and hpo_type2.csv, is not set");
        return;
    };
    let report = finding::report(folder.as_ref()).unwrap();
    println!("{report}");
    for line in [
        "correlation of the objective with log learning_rate: 0.94",
        "correlation of the objective with momentum: 0.10",
        "correlation of the objective with weight_decay: 0.18",
        "learning_rate is at its upper bound, 0.01, in 6 of 20 jobs",
        "best of the first 10 jobs, drawn at random: 0.680; best of all: 0.694",
        "correlation of the objective with log adam-learning-rate: 0.13",
        "best of the first 10 jobs, drawn at random: 2.192; best of all: 2.192",
        "of 12 jobs with a rate of 2e-4 to 4.4e-4: mean",
        "standard deviation 0.034",
    ] {
        assert!(report.contains(line), "{line:?} is not in\n{report}");
    }
}
