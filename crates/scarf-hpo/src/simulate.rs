//! Searches over recorded trials, to compare samplers and pruners without training.

use crate::axis::{Axis, Kind, is_searched};
use crate::{Direction, History, Pruner, Sampler, Space, Trial, TrialState};

/// How a simulated search is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// How many trials; no more than were recorded.
    pub trials: u64,
    /// How many run at once.
    pub workers: usize,
    /// The search's seed.
    pub seed: u64,
}

/// What came of a simulated search.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    /// The trials as the search saw them, by number; pruned ones end where they were stopped.
    pub trials: Vec<Trial>,
    /// Seconds by the simulated clock.
    pub seconds: f64,
    /// Seconds of all trials together.
    pub busy: f64,
    /// The best objective and the simulated second it was known, each time it got better.
    pub best: Vec<(f64, f64)>,
}

/// A trial under way.
struct Running<'a> {
    recorded: &'a Trial,
    number: usize,
    begin: f64,
    /// How many of its intermediate values have been reported.
    reported: usize,
}

impl Running<'_> {
    /// When it next reports, or ends.
    fn next(&self) -> f64 {
        let steps = self.recorded.intermediate.len().max(1) as f64;
        let part = (self.reported as f64 + 1.0).min(steps) / steps;
        self.begin + part * self.recorded.seconds.unwrap_or(1.0)
    }
}

/// Searches `space` with `sampler` and `pruner`, where a trial is the recorded one nearest to what was suggested that
/// was not yet run: its curve is reported step by step over its seconds (1 where it has none). Only complete trials of
/// `recorded` count.
pub fn simulate(
    space: &Space,
    recorded: &[Trial],
    direction: Direction,
    sampler: &dyn Sampler,
    pruner: Option<&dyn Pruner>,
    setting: Setting,
) -> Simulation {
    let mut left: Vec<&Trial> =
        History::new(direction, recorded).complete().map(|(trial, _)| trial).collect();
    let most = (setting.trials as usize).min(left.len());
    let mut out = Simulation { trials: Vec::new(), seconds: 0.0, busy: 0.0, best: Vec::new() };
    let mut running: Vec<Running<'_>> = Vec::new();
    loop {
        while running.len() < setting.workers.max(1) && out.trials.len() < most {
            let number = out.trials.len();
            let wanted =
                sampler.suggest(space, History::new(direction, &out.trials), setting.seed, number as u64);
            let recorded = left.swap_remove(nearest(space, &left, &wanted));
            let mut trial = Trial::new(number as u64, recorded.params.clone());
            trial.state = TrialState::Running;
            out.trials.push(trial);
            running.push(Running { recorded, number, begin: out.seconds, reported: 0 });
        }
        let soonest = (0..running.len()).min_by(|&a, &b| running[a].next().total_cmp(&running[b].next()));
        let Some(soonest) = soonest else { return out };
        out.seconds = running[soonest].next();
        if step(&mut out, &mut running[soonest], direction, pruner) {
            out.busy += out.seconds - running[soonest].begin;
            running.remove(soonest);
        }
    }
}

/// Reports the next value of a trial; whether the trial ended with it.
fn step(
    out: &mut Simulation,
    run: &mut Running<'_>,
    direction: Direction,
    pruner: Option<&dyn Pruner>,
) -> bool {
    let report = run.recorded.intermediate.get(run.reported).copied();
    run.reported += 1;
    out.trials[run.number].intermediate.extend(report);
    let last = run.reported >= run.recorded.intermediate.len();
    let stops = |trials: &[Trial]| {
        report.is_some()
            && pruner.is_some_and(|pruner| pruner.prune(&trials[run.number], History::new(direction, trials)))
    };
    let stopped = !last && stops(&out.trials);
    if !last && !stopped {
        return false;
    }
    let seconds = out.seconds - run.begin;
    let trial = &mut out.trials[run.number];
    trial.seconds = Some(seconds);
    trial.metrics = if stopped { Default::default() } else { run.recorded.metrics.clone() };
    trial.state = if stopped { TrialState::Pruned } else { TrialState::Complete };
    trial.value = if stopped { report.map(|(_, value)| value) } else { run.recorded.value };
    let better = |value: &f64| out.best.last().is_none_or(|(best, _)| direction.better(*value, *best));
    if let Some(value) = trial.value.filter(|_| !stopped).filter(better) {
        out.best.push((value, out.seconds));
    }
    true
}

/// The place in `left` of the trial nearest to `wanted`: in the unit cube, choices equal or one apart.
fn nearest(space: &Space, left: &[&Trial], wanted: &crate::Params) -> usize {
    let axes: Vec<Axis> = space.params().iter().filter(|param| is_searched(param)).map(Axis::new).collect();
    let distance = |trial: &Trial| -> f64 {
        let along = |axis: &Axis<'_>| {
            let place = |params: &crate::Params| params.get(axis.name).and_then(|value| axis.encode(value));
            match (place(wanted), place(&trial.params)) {
                (None, None) => 0.0,
                (Some(a), Some(b)) if matches!(axis.kind, Kind::Choice(_)) => f64::from(a != b),
                (Some(a), Some(b)) => (a - b) * (a - b),
                _ => 1.0,
            }
        };
        axes.iter().map(along).sum()
    };
    (0..left.len()).min_by(|&a, &b| distance(left[a]).total_cmp(&distance(left[b]))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Asha, Domain, MedianRule, Parameter, Random, Tpe};

    /// 200 recorded trials of 9 epochs and 90 s, that approach (x - 0.3)^2 from above.
    fn recorded(space: &Space) -> Vec<Trial> {
        let trial = |number: u64| {
            let params = crate::Sobol {}.suggest(space, History::empty(Direction::Minimize), 4, number);
            let end = (params["x"].as_f64().unwrap() - 0.3).powi(2);
            let mut trial = Trial::new(number, params).complete(end);
            trial.intermediate = (1..=9).map(|epoch| (epoch, end + 1.0 / epoch as f64 - 1.0 / 9.0)).collect();
            trial.seconds = Some(90.0);
            trial
        };
        (0..200).map(trial).collect()
    }

    #[test]
    fn a_search_without_a_pruner_takes_what_its_trials_took() {
        let space = Space::new(vec![Parameter::new("x", Domain::linear(0.0, 1.0))]).unwrap();
        let recorded = recorded(&space);
        let setting = Setting { trials: 40, workers: 4, seed: 1 };
        let run = simulate(&space, &recorded, Direction::Minimize, &Random {}, None, setting);
        assert_eq!((run.trials.len(), run.seconds.round(), run.busy.round()), (40, 900.0, 3600.0));
        let mut seen: Vec<f64> = run.trials.iter().map(|trial| trial.params["x"].as_f64().unwrap()).collect();
        seen.sort_by(f64::total_cmp);
        seen.dedup();
        assert_eq!(seen.len(), 40, "a recorded trial runs once");
        assert!(run.best.windows(2).all(|pair| pair[1].0 < pair[0].0 && pair[1].1 >= pair[0].1));
        assert_eq!(run, simulate(&space, &recorded, Direction::Minimize, &Random {}, None, setting));
    }

    #[test]
    fn pruners_save_time_and_tpe_finds_more_than_chance() {
        let space = Space::new(vec![Parameter::new("x", Domain::linear(0.0, 1.0))]).unwrap();
        let recorded = recorded(&space);
        let search = |sampler: &dyn Sampler, pruner: Option<&dyn Pruner>, seed| {
            let setting = Setting { trials: 40, workers: 1, seed };
            simulate(&space, &recorded, Direction::Minimize, sampler, pruner, setting)
        };
        let (median, asha) = (MedianRule::default(), Asha::default());
        for pruner in [&median as &dyn Pruner, &asha] {
            let run = search(&Random {}, Some(pruner), 1);
            assert!(run.seconds < 0.8 * 3600.0, "{}", run.seconds);
            assert!(run.best.last().unwrap().0 < 0.01);
        }
        let end = |sampler: &dyn Sampler| {
            (0..9).map(|seed| search(sampler, None, seed).best.last().unwrap().0).sum::<f64>()
        };
        assert!(end(&Tpe::default()) < end(&Random {}));
    }

    #[test]
    fn no_more_is_run_than_was_recorded() {
        let space = Space::new(vec![Parameter::new("x", Domain::linear(0.0, 1.0))]).unwrap();
        let setting = Setting { trials: 999, workers: 3, seed: 1 };
        let run = simulate(&space, &recorded(&space), Direction::Minimize, &Random {}, None, setting);
        assert_eq!(run.trials.len(), 200);
        assert!(simulate(&space, &[], Direction::Minimize, &Random {}, None, setting).trials.is_empty());
    }
}
