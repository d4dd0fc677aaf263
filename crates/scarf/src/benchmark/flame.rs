//! Where the time of a step goes: by phase, and by operation.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use scarf_kernels::Operation;
use serde::Serialize;

/// Operations that are shown with their shapes.
const SHAPES: usize = 12;

/// A clock that is told where one phase of a step ends.
pub(super) struct Clock {
    /// Waited for at the end of each phase; without one, work that is still queued counts for the next.
    device: Option<Device>,
    last: Instant,
    phases: Vec<(&'static str, Duration)>,
}

impl Clock {
    pub(super) fn start(device: Option<&Device>) -> Self {
        Self { device: device.cloned(), last: Instant::now(), phases: Vec::new() }
    }

    /// Whether anyone asks for phases.
    pub(super) fn runs(&self) -> bool {
        self.device.is_some()
    }

    /// What was done since the last mark, or the start, was this.
    pub(super) fn mark(&mut self, phase: &'static str) {
        if let Some(device) = &self.device {
            device.sync().expect("a device that computes");
        }
        let now = Instant::now();
        let took = now - self.last;
        self.last = now;
        match self.phases.iter_mut().find(|(name, _)| *name == phase) {
            Some((_, time)) => *time += took,
            None => self.phases.push((phase, took)),
        }
    }

    /// What is not counted by any phase ends here.
    pub(super) fn skip(&mut self) {
        self.last = Instant::now();
    }
}

/// Milliseconds of a step.
#[derive(Debug, Serialize)]
pub(super) struct Flame {
    phases: Vec<(&'static str, f64)>,
    operations: Vec<Row>,
    /// What the kernels of scarf-kernels did not do: other operations of tensors, matching, suppression.
    rest: f64,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    shape: String,
    calls: f64,
    ms: f64,
}

impl Flame {
    /// Of so many steps.
    pub(super) fn new(clock: &Clock, operations: Vec<Operation>, steps: usize) -> Self {
        let steps = steps as f64;
        let ms = |time: Duration| time.as_secs_f64() * 1e3 / steps;
        let phases: Vec<_> = clock.phases.iter().map(|&(name, time)| (name, ms(time))).collect();
        let counted: Duration = operations.iter().map(|operation| operation.time).sum();
        let rest = phases.iter().map(|(_, ms)| ms).sum::<f64>() - ms(counted);
        let row = |operation: Operation| Row {
            calls: operation.calls as f64 / steps,
            ms: ms(operation.time),
            name: operation.name,
            shape: operation.shape,
        };
        Self { phases, operations: operations.into_iter().map(row).collect(), rest }
    }

    pub(super) fn table(&self) -> String {
        let total: f64 = self.phases.iter().map(|(_, ms)| ms).sum();
        let line = |what: &str, calls: f64, ms: f64| {
            format!("  {what:<60} {calls:>6.0} {ms:>9.2} {:>6.1} %\n", 100.0 * ms / total)
        };
        let mut text = format!("\n  {:<60} {:>6} {:>9} {:>8}\n", "phase", "calls", "ms", "share");
        text.extend(self.phases.iter().map(|&(name, ms)| line(name, 1.0, ms)));
        text.push_str("\n  operation\n");
        let mut sums: HashMap<&str, (f64, f64)> = HashMap::new();
        for row in &self.operations {
            let sum = sums.entry(&row.name).or_default();
            *sum = (sum.0 + row.calls, sum.1 + row.ms);
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_by(|a, b| b.1.1.total_cmp(&a.1.1).then_with(|| a.0.cmp(b.0)));
        text.extend(sums.into_iter().map(|(name, (calls, ms))| line(name, calls, ms)));
        text.push_str(&line("everything else", 1.0, self.rest));
        text.push_str("\n  the costliest, with their shapes\n");
        let costliest = self.operations.iter().take(SHAPES);
        text.extend(costliest.map(|row| line(&format!("{} {}", row.name, row.shape), row.calls, row.ms)));
        text
    }
}
