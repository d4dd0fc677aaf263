use crate::Evaluator;
use crate::images::{ImageLabels, iou};

/// How detections and objects are paired for a confusion matrix, whatever their classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairingRule {
    /// Ultralytics': of all pairs above the IoU, each detection keeps its best object, then each
    /// object its best detection. Who loses an object gets no second choice.
    Ultralytics,
    /// Best score first, each detection takes the free object that it overlaps most.
    BestScoreFirst,
}

/// What a confusion matrix is asked; the default is Ultralytics'.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConfusionParams {
    /// Detections scored above this are looked at.
    pub score: f64,
    /// Pairs need an IoU above this.
    pub iou: f64,
    /// Who is paired with whom.
    pub rule: PairingRule,
}

impl Default for ConfusionParams {
    fn default() -> Self {
        Self { score: 0.25, iou: 0.45, rule: PairingRule::Ultralytics }
    }
}

/// Which class was found where which class is. The class after the last is the background.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    counts: Vec<usize>,
}

impl Confusion {
    /// How often `found` was said of an object of class `truth`; `None`, the background, stands for
    /// an object that was missed or a detection of nothing.
    pub fn count(&self, found: Option<usize>, truth: Option<usize>) -> usize {
        self.counts.get(self.at(found, truth)).copied().unwrap_or(0)
    }

    /// How many classes there are, the background not among them.
    pub fn classes(&self) -> usize {
        self.classes
    }

    fn at(&self, found: Option<usize>, truth: Option<usize>) -> usize {
        found.unwrap_or(self.classes) * (self.classes + 1) + truth.unwrap_or(self.classes)
    }

    fn add(&mut self, found: Option<usize>, truth: Option<usize>) {
        let at = self.at(found, truth);
        self.counts[at] += 1;
    }
}

impl Evaluator {
    /// The confusion matrix of all images. Crowds and ignored objects are left out, `max_dets` is not applied.
    pub fn confusion(&self, params: ConfusionParams) -> Confusion {
        let classes = self.store.classes;
        let mut confusion = Confusion { classes, counts: vec![0; (classes + 1) * (classes + 1)] };
        for mut image in ImageLabels::all(&self.store) {
            image.truths.retain(|t| !t.ignore);
            image.found.retain(|f| f.found.score > params.score);
            let mut paired = vec![false; image.truths.len()];
            for (found, truth) in image.found.iter().zip(pair(&image, params)) {
                let class = truth.map(|t| image.truths[t].class as usize);
                confusion.add(Some(found.class as usize), class);
                if let Some(truth) = truth {
                    paired[truth] = true;
                }
            }
            for (truth, _) in image.truths.iter().zip(paired).filter(|(_, paired)| !paired) {
                confusion.add(None, Some(truth.class as usize));
            }
        }
        confusion
    }
}

/// For each detection of an image the object it is paired with.
fn pair(image: &ImageLabels<'_>, params: ConfusionParams) -> Vec<Option<usize>> {
    let best = |found: usize, free: &dyn Fn(usize) -> bool| {
        let ious = (0..image.truths.len())
            .filter(|&t| free(t))
            .map(|t| (t, iou(image.found[found].found, image.truths[t])));
        ious.filter(|pair| pair.1 > params.iou).reduce(|best, pair| if pair.1 > best.1 { pair } else { best })
    };
    let mut holder: Vec<Option<(usize, f64)>> = vec![None; image.truths.len()];
    for found in 0..image.found.len() {
        let anyone = params.rule == PairingRule::Ultralytics;
        if let Some((truth, iou)) = best(found, &|t| anyone || holder[t].is_none())
            && holder[truth].is_none_or(|(_, held)| iou > held)
        {
            holder[truth] = Some((found, iou));
        }
    }
    let mut pairs = vec![None; image.found.len()];
    for (truth, held) in holder.iter().enumerate() {
        if let Some((found, _)) = held {
            pairs[*found] = Some(truth);
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use scarf_core::BBox;

    use super::*;
    use crate::{CocoParams, GroundTruth, Prediction};

    #[test]
    fn the_two_rules_part_where_a_detection_loses_its_object() {
        let at = |x: f64| BBox::from_xywh(x, 0.0, 10.0, 10.0);
        let found = |x, class, score| Prediction { bbox: at(x), class, score };
        let mut evaluator = Evaluator::new(2, CocoParams::default());
        let truths = [GroundTruth::new(at(0.0), 0), GroundTruth::new(at(4.0), 1)];
        // the first overlaps both (IoU 2/3), the second is exactly on the first object
        let claims = [found(2.0, 1, 0.9), found(0.0, 0, 0.8), found(90.0, 1, 0.7), found(4.0, 1, 0.1)];
        evaluator.add_image(&truths, &claims).unwrap();
        let ultralytics = evaluator.confusion(ConfusionParams::default());
        let counts = |c: &Confusion| {
            [(Some(0), Some(0)), (Some(1), Some(0)), (Some(1), None), (None, Some(0)), (None, Some(1))]
                .map(|(found, truth)| c.count(found, truth))
        };
        assert_eq!(counts(&ultralytics), [1, 0, 2, 0, 1]);
        let by_score = ConfusionParams { rule: PairingRule::BestScoreFirst, ..ConfusionParams::default() };
        // the second now finds its object taken, and the other one too far off
        let by_score = evaluator.confusion(by_score);
        assert_eq!(counts(&by_score), [0, 1, 1, 0, 1]);
        assert_eq!((by_score.count(Some(0), None), by_score.classes()), (1, 2));
    }
}
