//! The trials that a journal's records tell of.

use super::record::{LEASE, SECONDS, as_number, external, is_number, op, state_of};
use crate::{Trial, TrialState};
use serde_json::{Map, Value as Json};

/// Who works on a trial, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) worker: String,
    /// Milliseconds since 1970.
    pub(super) until: u64,
}

#[derive(Debug)]
pub(super) struct Study {
    pub(super) name: String,
    pub(super) directions: Vec<u64>,
    /// By number.
    pub(super) trials: Vec<Trial>,
    /// Who has each trial.
    pub(super) leases: Vec<Option<Lease>>,
    /// The trials' ids in the file.
    ids: Vec<usize>,
}

/// What the records told so far.
#[derive(Debug, Default)]
pub(super) struct Replay {
    studies: Vec<Option<Study>>,
    /// Search and number of each trial of the file, by its id.
    places: Vec<(usize, usize)>,
}

impl Replay {
    /// The search called `name` and its id.
    pub(super) fn study(&self, name: &str) -> Option<(u64, &Study)> {
        let mut studies = self.studies.iter().zip(0..).filter_map(|(study, id)| Some((id, study.as_ref()?)));
        studies.find(|(_, study)| study.name == name)
    }

    /// The search with this id.
    pub(super) fn by_id(&self, study: u64) -> Option<&Study> {
        self.studies.get(study as usize)?.as_ref()
    }

    /// The id that the next search will have.
    pub(super) fn next_study(&self) -> u64 {
        self.studies.len() as u64
    }

    /// The id in the file of trial `number`.
    pub(super) fn id(&self, study: u64, number: u64) -> Option<usize> {
        self.by_id(study)?.ids.get(number as usize).copied()
    }

    /// Takes in one record; operations on what is not there, or is finished, have no effect, as in Optuna.
    pub(super) fn apply(&mut self, record: &Map<String, Json>) -> Result<(), String> {
        let code = record.get("op_code").and_then(Json::as_u64).ok_or("no op_code")?;
        let field = |name: &str| record.get(name).ok_or(format!("no {name}"));
        let id = |name: &str| field(name)?.as_u64().ok_or(format!("{name} is not an id"));
        match code {
            op::CREATE_STUDY => {
                let name = field("study_name")?.as_str().ok_or("study_name is not a text")?;
                let directions = field("directions")?.as_array().ok_or("directions is not a list")?;
                if self.study(name).is_none() {
                    let directions = directions.iter().filter_map(Json::as_u64).collect();
                    let (trials, leases, ids) = (Vec::new(), Vec::new(), Vec::new());
                    self.studies.push(Some(Study { name: name.into(), directions, trials, leases, ids }));
                }
            }
            op::DELETE_STUDY => {
                if let Some(study) = self.studies.get_mut(id("study_id")? as usize) {
                    *study = None;
                }
            }
            op::CREATE_TRIAL => self.create(id("study_id")?, record),
            op::SET_TRIAL_PARAM..=op::SET_TRIAL_SYSTEM_ATTR => {
                let place = self.places.get(id("trial_id")? as usize).copied();
                let entry = place.and_then(|(study, number)| {
                    let study = self.studies[study].as_mut()?;
                    Some(Entry { trial: &mut study.trials[number], lease: &mut study.leases[number] })
                });
                if let Some(mut entry) = entry.filter(|entry| !entry.trial.state.is_finished()) {
                    entry.apply(code, record)?;
                }
            }
            // Attributes of searches are not ours, nor are codes that come later.
            _ => {}
        }
        Ok(())
    }

    fn create(&mut self, study: u64, record: &Map<String, Json>) {
        let Some(owner) = self.studies.get_mut(study as usize).and_then(Option::as_mut) else { return };
        let number = owner.trials.len();
        let (mut trial, mut lease) = (Trial::new(number as u64, Default::default()), None);
        trial.state =
            record.get("state").and_then(Json::as_u64).and_then(state_of).unwrap_or(TrialState::Running);
        let mut entry = Entry { trial: &mut trial, lease: &mut lease };
        let object = |name: &str| record.get(name).and_then(Json::as_object).into_iter().flatten();
        for (name, internal) in object("params") {
            let distributions = record.get("distributions").and_then(|all| all.get(name));
            entry.set_param(name, internal, distributions.unwrap_or(&Json::Null));
        }
        let single = record.get("values").and_then(|values| values.get(0)).or(record.get("value"));
        entry.trial.value = single.filter(|value| !value.is_null()).map(as_number);
        for (step, value) in object("intermediate_values") {
            entry.report(step.parse().unwrap_or(0), as_number(value));
        }
        object("user_attrs").for_each(|(name, value)| entry.set_user_attr(name, value));
        object("system_attrs").for_each(|(name, value)| entry.set_system_attr(name, value));
        owner.ids.push(self.places.len());
        owner.trials.push(trial);
        owner.leases.push(lease);
        self.places.push((study as usize, number));
    }
}

/// One trial while a record changes it.
struct Entry<'a> {
    trial: &'a mut Trial,
    lease: &'a mut Option<Lease>,
}

impl Entry<'_> {
    fn apply(&mut self, code: u64, record: &Map<String, Json>) -> Result<(), String> {
        let field = |name: &str| record.get(name).ok_or(format!("no {name}"));
        let object = |name: &str| field(name)?.as_object().ok_or(format!("{name} is not an object"));
        match code {
            op::SET_TRIAL_PARAM => {
                let name = field("param_name")?.as_str().ok_or("param_name is not a text")?;
                self.set_param(name, field("param_value_internal")?, field("distribution")?);
            }
            op::SET_TRIAL_STATE_VALUES => {
                let state = field("state")?.as_u64().and_then(state_of).ok_or("state is not one")?;
                if let Some(value) = field("values")?.get(0) {
                    self.trial.value = Some(as_number(value));
                }
                self.trial.state = state;
            }
            op::SET_TRIAL_INTERMEDIATE_VALUE => {
                let step = field("step")?.as_u64().ok_or("step is not a whole number from 0")?;
                self.report(step, as_number(field("intermediate_value")?));
            }
            op::SET_TRIAL_USER_ATTR => {
                object("user_attr")?.iter().for_each(|(name, value)| self.set_user_attr(name, value));
            }
            _ => object("system_attr")?.iter().for_each(|(name, value)| self.set_system_attr(name, value)),
        }
        Ok(())
    }

    fn set_param(&mut self, name: &str, internal: &Json, distribution: &Json) {
        let value = distribution.as_str().and_then(|text| external(text, as_number(internal)));
        if let Some(value) = value {
            self.trial.params.insert(name.into(), value);
        }
    }

    /// Sets the value at `step`; steps stay in order.
    fn report(&mut self, step: u64, value: f64) {
        match self.trial.intermediate.binary_search_by_key(&step, |(at, _)| *at) {
            Ok(place) => self.trial.intermediate[place].1 = value,
            Err(place) => self.trial.intermediate.insert(place, (step, value)),
        }
    }

    fn set_user_attr(&mut self, name: &str, value: &Json) {
        match is_number(value).then(|| as_number(value)) {
            Some(seconds) if name == SECONDS => self.trial.seconds = Some(seconds),
            Some(metric) => drop(self.trial.metrics.insert(name.into(), metric)),
            None => {}
        }
    }

    fn set_system_attr(&mut self, name: &str, value: &Json) {
        if name == LEASE {
            let worker = value["worker"].as_str().unwrap_or_default().to_string();
            *self.lease = Some(Lease { worker, until: value["until"].as_u64().unwrap_or(0) });
        }
    }
}
