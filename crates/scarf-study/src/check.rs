//! From a study as written to one that can be planned.

use crate::study::{Approach, Claim, Init, Metric, Objective, Study, Than, Tune};
use crate::tree::{get, merge, remove, to_json};
use crate::{
    ApproachFile, ClaimFile, Error, Given, InitFile, Names, Problem, Role, StudyFile, Tree, TuneFile,
};
use std::path::Path;
use toml::de::{DeTable, DeValue};

impl StudyFile {
    /// Checks this, the study file at `path` with this `text`: every name that is used is there, every search
    /// can be drawn from, nothing begins from itself.
    ///
    /// # Errors
    /// [`Error::Invalid`] with all that is wrong, each with its key and line.
    pub fn check(&self, path: &Path, text: &str, given: &Given) -> Result<Study, Error> {
        let mut check = Check { file: self, path, text, given, problems: Vec::new() };
        check.whole();
        let approaches: Vec<Approach> =
            self.approach.0.iter().filter_map(|(name, written)| check.approach(name, written)).collect();
        check.beginnings(&approaches);
        let claims =
            self.claims.iter().enumerate().filter_map(|(at, claim)| check.claim(at, claim)).collect();
        if !check.problems.is_empty() {
            return Err(Error::Invalid(check.problems));
        }
        Ok(Study {
            name: path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()),
            claim: self.claim.clone(),
            claims,
            reach: self.reach,
            expected: self.expected.clone(),
            minutes: self.minutes,
            price: self.price.clone(),
            private_images: self.private_images,
            approaches,
            text: text.into(),
        })
    }
}

struct Check<'a> {
    file: &'a StudyFile,
    path: &'a Path,
    text: &'a str,
    given: &'a Given,
    problems: Vec<Problem>,
}

impl<'a> Check<'a> {
    fn refuse(&mut self, key: &str, reason: impl Into<String>) {
        let line = line_of(self.text, key);
        self.problems.push(Problem { path: self.path.into(), line, key: key.into(), reason: reason.into() });
    }

    fn whole(&mut self) {
        let file = self.file;
        if file.claim.trim().is_empty() {
            self.refuse("claim", "a study claims something; say what it is to show");
        }
        self.seeds("seeds", &file.seeds);
        let original = file.price.original.as_ref().map(|machine| machine.dollars_per_hour);
        let prices = [("price", Some(file.price.dollars_per_hour)), ("price.original", original)];
        for (key, price) in prices.into_iter().filter_map(|(key, price)| Some((key, price?))) {
            if !price.is_finite() || price < 0.0 {
                let reason = format!("{price} is no price; write dollars, 0 or more");
                self.refuse(&format!("{key}.dollars_per_hour"), reason);
            }
        }
        if let Some(reach) = file.reach.filter(|reach| !(0.0..=1.0).contains(reach) || *reach == 0.0) {
            self.refuse("reach", format!("{reach} is no AP to be reached; write a number over 0, up to 1"));
        }
        if file.minutes.is_some_and(|minutes| !minutes.is_finite() || minutes <= 0.0) {
            self.refuse("minutes", "must be more than 0");
        }
        if !file.approach.0.iter().any(|(_, approach)| approach.role == Role::Row) {
            self.refuse("approach", "there is nothing to compare: write one [approach.NAME] at least");
        }
    }

    fn seeds(&mut self, key: &str, seeds: &[u64]) {
        if seeds.is_empty() {
            self.refuse(key, "one seed at least, as [0]");
        }
        for (index, seed) in seeds.iter().enumerate() {
            if seeds[..index].contains(seed) {
                self.refuse(key, format!("{seed} is there twice: the second run would be the first again"));
            }
            if i64::try_from(*seed).is_err() {
                self.refuse(key, format!("{seed} is too large; up to {} will do", i64::MAX));
            }
        }
    }

    /// The approach with all that it takes over; `None` (and why, among the problems) where that cannot be told.
    fn approach(&mut self, name: &str, written: &'a ApproachFile) -> Option<Approach> {
        let key = format!("approach.{name}");
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
            self.refuse(&key, "names are of letters, digits, _ and -");
        }
        let line = self.ancestry(name, written)?;
        let (data, recipe) = self.merged(&line);
        let init = line.iter().rev().find_map(|(_, each)| each.init.as_ref());
        let taken_over = |line: &[(String, &'a ApproachFile)]| {
            line.iter().rev().find_map(|(_, each)| each.seeds.as_ref()).unwrap_or(&self.file.seeds).clone()
        };
        let (mut seeds, base_seeds) = (taken_over(&line), taken_over(&line[..line.len() - 1]));
        if written.role == Role::Pretraining && written.seeds.is_none() {
            seeds.truncate(1);
        }
        if written.seeds.is_some() {
            self.seeds(&format!("{key}.seeds"), &seeds);
        }
        let tune = written.tune.as_ref().and_then(|tune| self.tune(&key, tune, &recipe));
        if written.tune.is_some() && written.role == Role::Pretraining {
            self.refuse(&format!("{key}.tune"), "what others begin from is not searched: it has no row");
        }
        if written.role == Role::Ablation {
            self.ablation(&key, written);
            if written.seeds.is_some() && !seeds.iter().any(|seed| base_seeds.contains(seed)) {
                let reason = format!(
                    "none of these is a seed of what it differs from, {base_seeds:?}: there would be no pair"
                );
                self.refuse(&format!("{key}.seeds"), reason);
            }
        }
        Some(Approach {
            name: name.into(),
            title: written.title.clone().unwrap_or_else(|| name.into()),
            note: written.note.clone(),
            role: written.role,
            of: written.of.clone(),
            seeds,
            data,
            recipe,
            init: self.init(&format!("{key}.init"), init),
            tune,
        })
    }

    /// An ablation is one thing done otherwise than in something that is trained and compared itself.
    fn ablation(&mut self, key: &str, written: &ApproachFile) {
        let base = written.of.as_ref().and_then(|name| self.file.approach.get(name));
        if base.is_none_or(|base| base.role == Role::Pretraining) {
            let reason = "an ablation is a variation: name the approach with a row, or the ablation, that it differs from";
            self.refuse(&format!("{key}.of"), reason);
        }
        if base.is_some_and(|base| base.tune.is_some()) {
            let reason = "that is searched, and what a search finds is not taken over: the two would differ in more than \
                          what is written here. Write the hyperparameters into an approach without a search";
            self.refuse(&format!("{key}.of"), reason);
        }
        if written.tune.is_some() {
            self.refuse(
                &format!("{key}.tune"),
                "an ablation is not searched: it differs in what is written here alone",
            );
        }
    }

    /// `written` and what it is a variation of, the most distant first.
    fn ancestry(&mut self, name: &str, written: &'a ApproachFile) -> Option<Vec<(String, &'a ApproachFile)>> {
        let file = self.file;
        let mut line = vec![(name.to_string(), written)];
        while let Some(parent) = &line.last()?.1.of {
            let key = format!("approach.{}.of", line.last()?.0);
            if line.iter().any(|(each, _)| each == parent) {
                self.refuse(&key, format!("{parent} is a variation of itself by this"));
                return None;
            }
            let Some(next) = file.approach.get(parent) else {
                let known: Vec<&str> = file.approach.0.iter().map(|(each, _)| each.as_str()).collect();
                self.refuse(&key, format!("there is no approach {parent}; there are {}", known.join(", ")));
                return None;
            };
            line.push((parent.clone(), next));
        }
        line.reverse();
        Some(line)
    }

    fn merged(&mut self, line: &[(String, &ApproachFile)]) -> (Tree, Tree) {
        let mut whole = Tree::new();
        whole.insert("data".into(), self.file.data.clone().into());
        whole.insert("recipe".into(), self.file.recipe.clone().into());
        for (name, each) in line {
            for key in &each.unset {
                if !remove(&mut whole, key) {
                    let reason = format!("there is no {key} to leave out; keys begin with recipe. or data.");
                    self.refuse(&format!("approach.{name}.unset"), reason);
                }
            }
            let mut own = Tree::new();
            own.insert("data".into(), each.data.clone().into());
            own.insert("recipe".into(), each.recipe.clone().into());
            merge(&mut whole, &own);
        }
        if let Err(key) = to_json(&whole) {
            let reason = format!("the number at {key} is not finite");
            self.refuse(&format!("approach.{}", line.last().map_or("", |(name, _)| name)), reason);
        }
        let mut take = |key: &str| match whole.remove(key) {
            Some(toml::Value::Table(tree)) => tree,
            _ => Tree::new(),
        };
        (take("data"), take("recipe"))
    }

    fn init(&mut self, key: &str, written: Option<&InitFile>) -> Init {
        let Some(written) = written else { return Init::Random };
        match written {
            InitFile { random: true, from: None, weights: None, or_from: None } => Init::Random,
            InitFile { random: false, from: Some(from), weights: None, or_from: None } => {
                Init::Approach(from.clone())
            }
            InitFile { random: false, from: None, weights: Some(weights), or_from } => {
                let there = weights.names().iter().all(|name| self.given.has_weights(name));
                match or_from {
                    Some(from) if !there => Init::Approach(from.clone()),
                    _ => Init::Weights(weights.names().to_vec()),
                }
            }
            _ => {
                let forms = "write { from = \"approach\" }, { weights = \"name\" }, { weights = \"name\", \
                             or_from = \"approach\" } or { random = true }";
                self.refuse(key, forms);
                Init::Random
            }
        }
    }

    fn tune(&mut self, key: &str, written: &TuneFile, recipe: &Tree) -> Option<Tune> {
        let key = format!("{key}.tune");
        if written.trials == 0 {
            self.refuse(&format!("{key}.trials"), "a search has one trial at least");
        }
        if written.parallel == 0 {
            self.refuse(&format!("{key}.parallel"), "one trial at a time is the least");
        }
        if written.space.is_empty() {
            self.refuse(&format!("{key}.space"), "there is nothing to search");
        }
        for param in written.space.params() {
            let table = param.name.rsplit_once('.').map(|(table, _)| table);
            if table.is_some_and(|table| !get(recipe, table).is_some_and(toml::Value::is_table)) {
                let table = table.unwrap_or_default();
                let reason = format!("{}: the recipe has no table {table}", param.name);
                self.refuse(&format!("{key}.space"), reason);
            }
        }
        let objective = Objective::parse(&written.objective)
            .map_err(|reason| self.refuse(&format!("{key}.objective"), reason))
            .ok()?;
        Some(Tune {
            trials: written.trials,
            parallel: written.parallel.max(1),
            sampler: written.sampler.clone(),
            seed: written.seed,
            objective,
            direction: written.direction,
            space: written.space.clone(),
            pruner: written.pruner.clone(),
        })
    }

    /// A claim whose approaches are all there; `None` (and why, among the problems) where one is not.
    fn claim(&mut self, at: usize, written: &ClaimFile) -> Option<Claim> {
        let key = |name: &str| format!("claims[{at}].{name}");
        if written.text.trim().is_empty() {
            self.refuse(&key("text"), "say in words what is claimed");
        }
        let better = self.compared(&key("better"), &written.better);
        let than = match (&written.than, written.published) {
            (Some(names), None) => self.compared(&key("than"), names).map(Than::Approaches),
            (None, Some(number)) if (0.0..=1.0).contains(&number) => Some(Than::Number(number)),
            (None, Some(number)) => {
                self.refuse(&key("published"), format!("{number} is no AP; write one from 0 to 1"));
                None
            }
            _ => {
                let forms = "write than = \"approach\", or published = a number, and not both";
                self.refuse(&key("than"), forms);
                None
            }
        };
        let metric = Metric::parse(&written.metric);
        let metric = metric.map_err(|reason| self.refuse(&key("metric"), reason)).ok();
        let (better, than) = (better?, than?);
        if let Than::Approaches(others) = &than
            && let Some(same) = better.iter().find(|each| others.contains(each))
        {
            self.refuse(&key("than"), format!("{same} cannot be better than itself"));
        }
        Some(Claim { text: written.text.clone(), better, than, metric: metric? })
    }

    /// The names of approaches that have rows.
    fn compared(&mut self, key: &str, names: &Names) -> Option<Vec<String>> {
        let rows = self.file.approach.0.iter().filter(|(_, each)| each.role == Role::Row);
        let rows: Vec<&str> = rows.map(|(name, _)| name.as_str()).collect();
        let missing = names.names().iter().find(|name| !rows.contains(&name.as_str()));
        if let Some(name) = missing {
            let reason =
                format!("there is no approach {name} that is compared; there are {}", rows.join(", "));
            self.refuse(key, reason);
            return None;
        }
        if names.names().is_empty() {
            self.refuse(key, "name one approach at least");
            return None;
        }
        Some(names.names().to_vec())
    }

    /// Every approach that another begins from is there, and none begins from itself.
    fn beginnings(&mut self, approaches: &[Approach]) {
        for approach in approaches {
            let key = format!("approach.{}.init", approach.name);
            let mut at = approach;
            let mut steps = 0;
            while let Init::Approach(from) = &at.init {
                let Some(next) = approaches.iter().find(|each| each.name == *from) else {
                    if steps == 0 && self.file.approach.get(from).is_none() {
                        let known: Vec<&str> = approaches.iter().map(|each| each.name.as_str()).collect();
                        self.refuse(
                            &key,
                            format!("there is no approach {from}; there are {}", known.join(", ")),
                        );
                    }
                    break;
                };
                at = next;
                steps += 1;
                if at.name == approach.name || steps > approaches.len() {
                    self.refuse(&key, "training would begin from itself");
                    break;
                }
            }
        }
    }
}

/// The line of a dotted key, as `claims[0].than`, in a TOML text, or of the nearest table around it; from 1.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let key = key.replace('[', ".").replace(']', "");
    let mut parts = key.split('.');
    let (name, value) = entry(document.get_ref(), parts.next()?)?;
    let (mut found, mut at) = (name, value);
    for part in parts {
        let next = match at {
            DeValue::Table(table) => entry(table, part),
            DeValue::Array(items) => part
                .parse()
                .ok()
                .and_then(|index: usize| items.get(index))
                .map(|item| (item.span().start, item.get_ref())),
            _ => None,
        };
        let Some(next) = next else { break };
        (found, at) = next;
    }
    Some(text[..found].matches('\n').count() + 1)
}

/// Where the key of an entry begins, and its value.
fn entry<'a, 'i>(table: &'a DeTable<'i>, key: &str) -> Option<(usize, &'a DeValue<'i>)> {
    let found = table.iter().find(|(name, _)| name.get_ref().as_ref() == key);
    found.map(|(name, value)| (name.span().start, value.get_ref()))
}
