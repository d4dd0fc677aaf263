use crate::CocoParams;

/// Up to 64 questions, each an IoU threshold in an area range, answered at once: one bit each.
///
/// A detection's fate at one question never depends on another question, so sets of questions are
/// machine words and matching is bit arithmetic. COCO's 10 thresholds in 4 ranges take 40 bits.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    /// For each bit its `(threshold, area)`, indices into the parameters.
    pub(crate) questions: Vec<(usize, usize)>,
    /// Thresholds, ascending, with the bits of those up to and with it.
    steps: Vec<(f64, u64)>,
    /// `(min, max, bits)` of each area range.
    areas: Vec<(f64, f64, u64)>,
    /// The index of each of `areas` in the parameters.
    pub(crate) area_indices: Vec<usize>,
}

impl Grid {
    /// All questions of the parameters, 64 to a grid.
    pub(crate) fn all(params: &CocoParams) -> Vec<Grid> {
        let questions: Vec<(usize, usize)> = (0..params.areas.len())
            .flat_map(|a| (0..params.iou_thresholds.len()).map(move |t| (t, a)))
            .collect();
        questions.chunks(64).map(|chunk| Grid::of(chunk, params)).collect()
    }

    fn of(questions: &[(usize, usize)], params: &CocoParams) -> Grid {
        let bits = |wanted: &dyn Fn(usize, usize) -> bool| {
            questions
                .iter()
                .enumerate()
                .filter(|(_, q)| wanted(q.0, q.1))
                .fold(0, |m, (bit, _)| m | 1u64 << bit)
        };
        let mut thresholds: Vec<usize> = questions.iter().map(|q| q.0).collect();
        // pycocotools: a match needs an IoU of min(threshold, 1 - 1e-10)
        let least = |t: usize| params.iou_thresholds[t].min(1.0 - 1e-10);
        thresholds.sort_by(|&a, &b| least(a).total_cmp(&least(b)).then(a.cmp(&b)));
        thresholds.dedup();
        let mut met = 0;
        let steps = thresholds
            .into_iter()
            .map(|threshold| {
                met |= bits(&|t, _| t == threshold);
                (least(threshold), met)
            })
            .collect();
        let mut area_indices: Vec<usize> = questions.iter().map(|q| q.1).collect();
        area_indices.dedup();
        let areas = area_indices
            .iter()
            .map(|&area| (params.areas[area].min, params.areas[area].max, bits(&|_, a| a == area)))
            .collect();
        Grid { questions: questions.to_vec(), steps, areas, area_indices }
    }

    /// The lowest IoU that answers any question.
    pub(crate) fn least(&self) -> f64 {
        self.steps.first().map_or(f64::INFINITY, |s| s.0)
    }

    /// The questions whose threshold this IoU meets.
    pub(crate) fn met(&self, iou: f64) -> u64 {
        let steps = self.steps.iter().take_while(|s| iou >= s.0).count();
        if steps == 0 { 0 } else { self.steps[steps - 1].1 }
    }

    /// The questions whose area range holds this area.
    pub(crate) fn within(&self, area: f64) -> u64 {
        self.areas.iter().fold(0, |m, &(min, max, bits)| if area < min || area > max { m } else { m | bits })
    }

    /// The bits of each area range, in the order of `area_indices`.
    pub(crate) fn area_bits(&self) -> impl Iterator<Item = u64> + '_ {
        self.areas.iter().map(|a| a.2)
    }

    /// All questions.
    pub(crate) fn mask(&self) -> u64 {
        self.areas.iter().fold(0, |m, a| m | a.2)
    }
}

/// The indices of the set bits, lowest first.
pub(crate) fn bits(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        if mask == 0 {
            return None;
        }
        let bit = mask.trailing_zeros() as usize;
        mask &= mask - 1;
        Some(bit)
    })
}
