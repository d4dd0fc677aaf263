//! The options of a search: the keys of a search's file, one option each.

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use scarf_study::{Objective, Search, Tree};
use serde::Deserialize;

/// A value of TOML.
type Value = toml::Value;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The program with gaps, as 'prog --lr {lr}'; also {params}, {trial}, {seed} and {out}, a folder of the trial's
    /// own. No shell reads it.
    #[arg(long, value_name = "COMMAND", help_heading = "A command")]
    command: Option<String>,
    /// The regular expression that finds the objective in what the program prints, as 'loss=([0-9.]+)'. A group
    /// called step tells the step.
    #[arg(long, value_name = "REGEX", help_heading = "A command")]
    metric: Option<String>,
    /// Another metric, to be recorded, as 'acc=acc: ([0-9.]+)'.
    #[arg(long, value_name = "NAME=REGEX", help_heading = "A command")]
    also: Vec<String>,
    /// Which of the values that were printed counts: last or best.
    #[arg(long, help_heading = "A command")]
    take: Option<String>,
    /// A hyperparameter in TOML, as 'lr = { log = [1e-4, 1e-1] }', 'depth = { int = [1, 8] }',
    /// 'opt = { choice = ["sgd", "adam"] }'.
    #[arg(long, value_name = "TOML", help_heading = "A command")]
    param: Vec<String>,

    /// What is optimised of a study's runs: val/ap50, or any other metric that they record, as train/loss.
    #[arg(long, value_name = "METRIC", help_heading = "The search")]
    objective: Option<String>,
    /// minimize or maximize.
    #[arg(long, help_heading = "The search")]
    direction: Option<String>,
    /// random, sobol, grid, tpe, gp or cma_es; with options as '{ tpe = { startup = 20 } }'.
    #[arg(long, help_heading = "The search")]
    sampler: Option<String>,
    /// The sampler's seed.
    #[arg(long, help_heading = "The search")]
    seed: Option<i64>,
    /// Stops trials that do not promise: median, asha, hyperband or patience; with options likewise. None, where the
    /// study or file has one: none.
    #[arg(long, help_heading = "The search")]
    pruner: Option<String>,
    /// Builds upon an earlier search that is over: its journal, or the folder of it. Up to five.
    #[arg(long, value_name = "JOURNAL", help_heading = "The search")]
    warm_start: Vec<String>,
    /// What the earlier searches were of: identical (the same data and program: their objectives count as they are) or
    /// transfer (they tell which choices are better than others).
    #[arg(long, value_name = "KIND", requires = "warm_start", help_heading = "The search")]
    warm_kind: Option<String>,
    /// What an hour of one trial costs, in US dollars.
    #[arg(long, value_name = "DOLLARS", help_heading = "The search")]
    dollars_per_hour: Option<f64>,

    /// Ends the search after so many trials; a grid ends with its last combination, if that comes first.
    #[arg(long, value_name = "N", help_heading = "The end")]
    trials: Option<i64>,
    /// Ends it after so many seconds of this call.
    #[arg(long, value_name = "SECONDS", help_heading = "The end")]
    max_seconds: Option<f64>,
    /// Ends it once the trials have cost so much.
    #[arg(long, value_name = "DOLLARS", help_heading = "The end")]
    max_dollars: Option<f64>,
    /// Ends it once the objective is this good.
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, help_heading = "The end")]
    target: Option<f64>,
    /// Ends it after so many trials without a better one.
    #[arg(long, value_name = "N", help_heading = "The end")]
    not_improving: Option<i64>,
    /// Ends it once the next trial can be expected to gain less than this share of the best objective, as 0.01.
    #[arg(long, value_name = "SHARE", help_heading = "The end")]
    converged: Option<f64>,
}

impl Options {
    /// What was given, as the tree of a search's file.
    pub(crate) fn tree(&self) -> Result<Tree> {
        let mut tree = self.common()?;
        if self.objective.is_some() {
            bail!("--objective is for studies; a command's objective is what --metric finds");
        }
        let texts = [("command", &self.command), ("metric", &self.metric), ("take", &self.take)];
        tree.extend(texts.into_iter().filter_map(|(key, text)| Some((key.into(), text.clone()?.into()))));
        let mut also = Tree::new();
        for each in &self.also {
            let (name, regex) =
                each.split_once('=').with_context(|| format!("--also {each}: NAME=REGEX is right"))?;
            also.insert(name.into(), regex.into());
        }
        let mut space = Tree::new();
        for each in &self.param {
            let param: Tree = each.parse().map_err(|error| anyhow!("--param '{each}': {error}"))?;
            space.extend(param);
        }
        for (key, table) in [("also", also), ("space", space)] {
            if !table.is_empty() {
                tree.insert(key.into(), table.into());
            }
        }
        Ok(tree)
    }

    /// Lays what was given over the search of a study.
    pub(crate) fn apply(&self, search: &mut Search) -> Result<()> {
        let only_commands =
            self.command.is_some() || self.metric.is_some() || self.take.is_some() || !self.param.is_empty();
        if only_commands || !self.also.is_empty() {
            bail!(
                "--command, --metric, --also, --take and --param are for commands; a study says these itself"
            );
        }
        if let Some(objective) = &self.objective {
            if objective.starts_with("test/") {
                bail!("--objective {objective}: test images are for the end");
            }
            if objective.starts_with("val/") {
                Objective::parse(objective).map_err(|wrong| anyhow!("--objective: {wrong}"))?;
            }
            if self.direction.is_none() && *objective != search.objective {
                bail!(
                    "--objective {objective}: say --direction, too; the study's is that of {}",
                    search.objective
                );
            }
            search.objective.clone_from(objective);
        }
        let mut warm_start = None;
        for (key, value) in self.common()? {
            let wrong = |error: toml::de::Error| anyhow!("{key}: {}", error.message());
            match key.as_str() {
                "direction" => search.direction = Deserialize::deserialize(value).map_err(wrong)?,
                "sampler" => search.sampler = Deserialize::deserialize(value).map_err(wrong)?,
                "seed" => search.seed = Deserialize::deserialize(value).map_err(wrong)?,
                "warm_start" => warm_start = Some(Deserialize::deserialize(value).map_err(wrong)?),
                "pruner" => search.pruner = Some(Deserialize::deserialize(value).map_err(wrong)?),
                "dollars_per_hour" => {
                    search.dollars_per_hour = Deserialize::deserialize(value).map_err(wrong)?
                }
                // The file's number of trials stays, where no other is given.
                _ => {
                    let trials = search.stop.trials;
                    search.stop = Deserialize::deserialize(value).map_err(wrong)?;
                    search.stop.trials = search.stop.trials.or(trials);
                }
            }
        }
        // Last, for it must fit the objective.
        warm_start.map_or(Ok(()), |from| search.build_upon(from)).map_err(Into::into)
    }

    /// Whether no trial is to be stopped, whatever a study or file says.
    pub(crate) fn stops_nobody(&self) -> bool {
        self.pruner.as_deref() == Some("none")
    }

    /// What studies and commands have in common.
    fn common(&self) -> Result<Tree> {
        let mut tree = Tree::new();
        let mut put = |key: &str, value: Option<Value>| {
            tree.extend(value.map(|value| (key.to_string(), value)));
        };
        put("direction", self.direction.clone().map(Value::from));
        put("sampler", self.sampler.as_deref().map(named));
        put("seed", self.seed.map(Value::from));
        if !self.warm_start.is_empty() {
            let from = self.warm_start.clone().into();
            let kind = self.warm_kind.clone().map(|kind| ("kind".to_string(), Value::from(kind)));
            let tree = Tree::from_iter(kind.into_iter().chain([("from".to_string(), from)]));
            put("warm_start", Some(tree.into()));
        }
        put("pruner", self.pruner.as_deref().filter(|_| !self.stops_nobody()).map(named));
        put("dollars_per_hour", self.dollars_per_hour.map(Value::from));
        let stop = self.stop();
        put("stop", (!stop.is_empty()).then(|| stop.into()));
        Ok(tree)
    }

    fn stop(&self) -> Tree {
        let all = [
            ("trials", self.trials.map(Value::from)),
            ("seconds", self.max_seconds.map(Value::from)),
            ("dollars", self.max_dollars.map(Value::from)),
            ("target", self.target.map(Value::from)),
            ("not_improving", self.not_improving.map(Value::from)),
            ("converged", self.converged.map(Value::from)),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key.into(), value?))).collect()
    }
}

/// A name, or a table in TOML.
fn named(text: &str) -> Value {
    let tree = format!("x = {text}").parse::<Tree>().ok();
    tree.and_then(|mut tree| tree.remove("x")).unwrap_or_else(|| text.into())
}
