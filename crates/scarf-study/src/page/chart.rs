//! Charts as SVG: lines, and points with error bars. Colours come from the page's style by class, so that one
//! drawing serves light, dark and paper.

use std::fmt::Write;
use std::ops::Range;

/// Something drawn into a chart.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// Which of the page's colours: 0 to 7, then around again.
    pub(crate) colour: usize,
    /// What a pointer on it is told.
    pub(crate) label: String,
    /// Points in order of x.
    pub(crate) points: Vec<(f64, f64)>,
    /// From where to where an error bar reaches on each point.
    pub(crate) bar: Option<(f64, f64)>,
    /// How it is drawn.
    pub(crate) mark: Mark,
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// A line.
    Line,
    /// A thin, pale line.
    Faint,
    /// A dashed line of steps, without a colour of its own.
    Front,
    /// A dot on each point.
    Dots,
    /// The same, with a ring around it.
    Ringed,
    /// A dot with its label beside it.
    Named,
    /// The same, with a ring around the dot.
    NamedRinged,
}

/// An axis.
#[derive(Debug, Clone, Default)]
pub(crate) struct Axis {
    /// What it measures.
    pub(crate) title: String,
    /// Whether it is logarithmic.
    pub(crate) log: bool,
    /// Whether it begins at 0.
    pub(crate) from_zero: bool,
    /// Whether its ticks are dollars.
    pub(crate) dollars: bool,
    /// What its ticks are called, where they are the whole numbers from 1.
    pub(crate) names: Vec<String>,
}

/// Width and height of a chart. Text has one size on paper: a chart that is shown small is drawn small.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format(pub(super) f64, pub(super) f64);

/// One of several, side by side.
pub(crate) const SMALL: Format = Format(350.0, 225.0);
/// One alone.
pub(crate) const LARGE: Format = Format(600.0, 330.0);

/// About the width of a label's letters.
const LETTER: f64 = 8.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 44.0;
/// Between a label and the edge.
const MARGIN: f64 = 4.0;

/// A chart of these series; an empty text where there is nothing to draw.
pub(crate) fn chart(title: &str, format: Format, x: &Axis, y: &Axis, series: &[Series]) -> String {
    let Format(width, height) = format;
    let points = || series.iter().flat_map(|each| each.points.iter().map(move |point| (point, each.bar)));
    let Some(across) = Span::of(x, points().map(|(point, _)| point.0), (LEFT, width - RIGHT)) else {
        return String::new();
    };
    let heights = points().flat_map(|(point, bar)| {
        let (low, high) = bar.unwrap_or((point.1, point.1));
        [point.1, low, high]
    });
    let Some(up) = Span::of(y, heights, (height - BOTTOM, TOP)) else { return String::new() };
    let mut svg = format!(
        r#"<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{}">"#,
        escape(title)
    );
    frame(&mut svg, format, x, y, &across, &up);
    for each in series {
        draw(&mut svg, each, &across, &up);
    }
    labels(&mut svg, series, &across, &up);
    svg + "</svg>"
}

fn frame(svg: &mut String, Format(width, height): Format, x: &Axis, y: &Axis, across: &Span, up: &Span) {
    let (bottom, right) = (height - BOTTOM, width - RIGHT);
    for (value, text) in up.ticks(y) {
        let at = up.at(value);
        let _ = write!(svg, r#"<path class="grid" d="M{LEFT} {at:.1}H{right}"/>"#);
        let _ = write!(
            svg,
            r#"<text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{text}</text>"#,
            LEFT - 7.0,
            at + 4.0
        );
    }
    for (value, text) in across.ticks(x) {
        let at = across.at(value);
        let _ = write!(svg, r#"<path class="grid" d="M{at:.1} {TOP}V{bottom}"/>"#);
        let _ = write!(
            svg,
            r#"<text class="tick" x="{at:.1}" y="{:.1}" text-anchor="middle">{text}</text>"#,
            bottom + 17.0
        );
    }
    let _ = write!(svg, r#"<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>"#);
    let middle = (LEFT + right) / 2.0;
    let _ = write!(
        svg,
        r#"<text class="name" x="{middle:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
        height - 7.0,
        escape(&x.title)
    );
    let _ = write!(svg, r#"<text class="name" x="6" y="12">{}</text>"#, escape(&y.title));
}

fn draw(svg: &mut String, series: &Series, across: &Span, up: &Span) {
    let at: Vec<(f64, f64)> = series
        .points
        .iter()
        .filter(|(x, y)| across.takes(*x) && up.takes(*y))
        .map(|(x, y)| (across.at(*x), up.at(*y)))
        .collect();
    let _ = write!(svg, r#"<g class="c{}"><title>{}</title>"#, series.colour % 8, escape(&series.label));
    match series.mark {
        Mark::Line | Mark::Faint => {
            let class = if series.mark == Mark::Line { "line" } else { "faint" };
            let path: Vec<String> = at.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
            if at.len() == 1 {
                let _ = write!(svg, r#"<circle class="dot" cx="{:.1}" cy="{:.1}" r="3"/>"#, at[0].0, at[0].1);
            } else if !at.is_empty() {
                let _ = write!(svg, r#"<path class="{class}" d="M{}"/>"#, path.join("L"));
            }
        }
        Mark::Front => {
            let mut path = String::new();
            for (index, (x, y)) in at.iter().enumerate() {
                let _ =
                    if index == 0 { write!(path, "M{x:.1} {y:.1}") } else { write!(path, "H{x:.1}V{y:.1}") };
            }
            let _ = write!(svg, r#"<path class="front" d="{path}H{:.1}"/>"#, across.to);
        }
        Mark::Dots | Mark::Ringed | Mark::Named | Mark::NamedRinged => {
            for (x, y) in &at {
                dot(svg, series, (*x, *y), up);
            }
        }
    }
    svg.push_str("</g>");
}

fn dot(svg: &mut String, series: &Series, (x, y): (f64, f64), up: &Span) {
    if let Some((low, high)) = series.bar {
        let (low, high) = (up.at(low), up.at(high));
        let (left, right) = (x - 4.0, x + 4.0);
        let _ = write!(
            svg,
            r#"<path class="bar" d="M{x:.1} {low:.1}V{high:.1}M{left:.1} {low:.1}H{right:.1}M{left:.1} {high:.1}H{right:.1}"/>"#
        );
    }
    if matches!(series.mark, Mark::Ringed | Mark::NamedRinged) {
        let _ = write!(svg, r#"<circle class="ring" cx="{x:.1}" cy="{y:.1}" r="8"/>"#);
    }
    let _ = write!(svg, r#"<circle class="dot" cx="{x:.1}" cy="{y:.1}" r="4.5"/>"#);
}

/// The labels of points that have one: to the side where there is room, or over the point, and under one another where they
/// would meet.
fn labels(svg: &mut String, series: &[Series], across: &Span, up: &Span) {
    let mut placed: Vec<(Range<f64>, f64)> = Vec::new();
    for each in series.iter().filter(|each| matches!(each.mark, Mark::Named | Mark::NamedRinged)) {
        let Some(&(x, y)) = each.points.first().filter(|(x, y)| across.takes(*x) && up.takes(*y)) else {
            continue;
        };
        let (x, mut y) = (across.at(x), up.at(y) - 8.0);
        let width = LETTER * each.label.chars().count() as f64;
        let text = beside(x, width, across);
        while placed
            .iter()
            .any(|(other, line)| other.start < text.end && text.start < other.end && (line - y).abs() < 15.0)
        {
            y += 15.0;
        }
        // Letters are not that wide: a text ends, begins or lies where its point is.
        let (at, anchor) = if text.end < x {
            (text.end, "end")
        } else if text.start > x {
            (text.start, "start")
        } else {
            ((text.start + text.end) / 2.0, "middle")
        };
        placed.push((text, y));
        let label = escape(&each.label);
        let _ = write!(
            svg,
            r#"<text class="label" x="{at:.1}" y="{y:.1}" text-anchor="{anchor}">{label}</text>"#
        );
    }
}

/// Where a label of that width goes that belongs to `x`.
fn beside(x: f64, width: f64, across: &Span) -> Range<f64> {
    let (first, last) = (MARGIN, across.to + RIGHT - MARGIN);
    let [left, right] = [x - 10.0 - width, x + 10.0];
    let fits = |start: &f64| *start >= first && start + width <= last;
    let sides = if x > (across.from + across.to) * 0.55 { [left, right] } else { [right, left] };
    let over = (x - width / 2.0).min(last - width).max(first);
    let start = sides.into_iter().find(fits).unwrap_or(over);
    start..start + width
}

/// A range of values and where it lies on the drawing.
struct Span {
    low: f64,
    high: f64,
    log: bool,
    from: f64,
    to: f64,
}

impl Span {
    fn of(axis: &Axis, values: impl Iterator<Item = f64>, (from, to): (f64, f64)) -> Option<Self> {
        let usable = values.filter(|value| value.is_finite() && (!axis.log || *value > 0.0));
        let value = |value: f64| if axis.log { value.log10() } else { value };
        let (low, high) = usable
            .map(value)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), each| (low.min(each), high.max(each)));
        if low > high {
            return None;
        }
        let low = if axis.from_zero && !axis.log { low.min(0.0) } else { low };
        let margin = match high {
            _ if high > low => (high - low) * 0.06,
            _ if axis.log || high == 0.0 => 0.5,
            alone => 0.5 * alone.abs(),
        };
        let below = if axis.from_zero && !axis.log && low == 0.0 { 0.0 } else { margin };
        Some(Self { low: low - below, high: high + margin, log: axis.log, from, to })
    }

    fn takes(&self, value: f64) -> bool {
        value.is_finite() && (!self.log || value > 0.0)
    }

    fn at(&self, value: f64) -> f64 {
        let value = if self.log { value.log10() } else { value };
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Values worth a line, and their texts: 1, 2 or 5 times a power of ten.
    fn ticks(&self, axis: &Axis) -> Vec<(f64, String)> {
        if !axis.names.is_empty() {
            let named = axis.names.iter().zip(1..).map(|(name, place)| (f64::from(place), escape(name)));
            return named.filter(|(place, _)| (self.low..=self.high).contains(place)).collect();
        }
        let values = if self.log { self.log_ticks() } else { self.even_ticks(6.0) };
        let mut texts: Vec<String> = values.iter().map(|value| tick(*value, axis.dollars)).collect();
        // Dollars have two figures, unless those don't tell one line from the next.
        if axis.dollars && texts.windows(2).any(|pair| pair[0] == pair[1]) {
            let step = values.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
            let places = (-step.log10().floor()).clamp(2.0, 9.0) as usize;
            texts = values.iter().map(|value| format!("${value:.places$}")).collect();
        }
        values.into_iter().zip(texts).collect()
    }

    fn even_ticks(&self, most: f64) -> Vec<f64> {
        let rough = (self.high - self.low) / most;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|each| each * power)
            .find(|step| *step >= rough)
            .unwrap_or(rough);
        let (first, last) = ((self.low / step).ceil() as i64, (self.high / step).floor() as i64);
        (first..=last).map(|index| index as f64 * step).collect()
    }

    fn log_ticks(&self) -> Vec<f64> {
        let decades = (self.low.floor() as i32)..=(self.high.ceil() as i32);
        let within = |value: &f64| (self.low..=self.high).contains(&value.log10());
        let factors: &[f64] = if self.high - self.low > 2.0 {
            &[1.0]
        } else if self.high - self.low > 0.9 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0]
        };
        decades
            .flat_map(|decade| factors.iter().map(move |factor| factor * 10f64.powi(decade)))
            .filter(within)
            .collect()
    }
}

/// A number as short as can be.
pub(super) fn tick(value: f64, dollars: bool) -> String {
    if dollars {
        return if value == 0.0 { "$0".into() } else { crate::text::money(value) };
    }
    // Steps are multiples of powers of ten: what is past ten digits is rounding.
    let rounded: f64 = format!("{value:.9e}").parse().unwrap_or(value);
    if rounded != 0.0 && !(1e-3..1e6).contains(&rounded.abs()) {
        format!("{rounded:e}")
    } else {
        format!("{rounded}")
    }
}

/// Text for HTML and SVG.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: Vec<(f64, f64)>) -> Series {
        Series { colour: 0, label: "a <b>".into(), points, bar: Some((0.0, 0.1)), mark: Mark::Dots }
    }

    #[test]
    fn ticks_are_round() {
        let texts = |axis: Axis, values: [f64; 2]| -> Vec<String> {
            let span = Span::of(&axis, values.into_iter(), (0.0, 1.0)).unwrap();
            span.ticks(&axis).into_iter().map(|(_, text)| text).collect()
        };
        assert_eq!(texts(Axis::default(), [0.0, 0.5]), ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]);
        assert_eq!(
            texts(Axis { log: true, ..Axis::default() }, [1e-4, 1e-1]),
            ["1e-4", "0.001", "0.01", "0.1"]
        );
        assert_eq!(
            texts(Axis { dollars: true, ..Axis::default() }, [0.0, 0.04]),
            ["$0", "$0.010", "$0.020", "$0.030", "$0.040"]
        );
        assert_eq!(
            texts(Axis { dollars: true, ..Axis::default() }, [0.005, 0.005]),
            ["$0.0030", "$0.0040", "$0.0050", "$0.0060", "$0.0070"]
        );
        assert_eq!(
            texts(Axis { dollars: true, ..Axis::default() }, [0.1428, 0.1453]),
            ["$0.1430", "$0.1435", "$0.1440", "$0.1445", "$0.1450"]
        );
    }

    #[test]
    fn labels_stay_inside() {
        let across = Span { low: 0.0, high: 1.0, log: false, from: 50.0, to: 570.0 };
        assert_eq!(beside(100.0, 200.0, &across), 110.0..310.0, "to the right");
        assert_eq!(beside(500.0, 200.0, &across), 290.0..490.0, "to the left");
        assert_eq!(
            beside(300.0, 285.0, &across),
            5.0..290.0,
            "to the left, for there is no room to the right"
        );
        assert_eq!(beside(300.0, 320.0, &across), 140.0..460.0, "over it");
        assert_eq!(beside(200.0, 500.0, &across), 4.0..504.0, "over it, from the edge");
    }

    #[test]
    fn nothing_to_draw_is_nothing_and_one_point_or_no_number_does_no_harm() {
        let axis = Axis::default();
        assert_eq!(chart("t", SMALL, &axis, &axis, &[]), "");
        assert_eq!(chart("t", SMALL, &axis, &axis, &[series(vec![(f64::NAN, 1.0)])]), "");
        let svg = chart("t", SMALL, &axis, &axis, &[series(vec![(1.0, 0.0), (2.0, f64::INFINITY)])]);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(svg.contains("a &lt;b&gt;"), "{svg}");
    }
}
