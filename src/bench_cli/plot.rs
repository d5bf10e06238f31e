//! Plots as SVG: lines over one axis, with a grid to read values off.

use std::fmt::Write;

/// Size of the field.
const WIDE: f64 = 760.0;
const HIGH: f64 = 220.0;
/// Room for numbers around it.
const MARGIN: f64 = 60.0;
/// Colours of the first, second line.
const COLOURS: [&str; 2] = ["#1f6fb2", "#d1602b"];

/// A line of a plot.
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) points: Vec<(f64, f64)>,
}

/// What runs from left to right.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    /// Time since the start.
    Seconds,
    /// The share of all, every step a tenth of what the one before left out.
    Nines,
}

impl Axis {
    fn label(self, at: f64) -> String {
        match self {
            Axis::Seconds => format!("{at} s"),
            Axis::Nines => format!("{} %", 100.0 - 100.0 * 10f64.powf(-at)),
        }
    }
}

/// The plot, values from zero up.
pub(super) fn plot(lines: &[Line], axis: Axis) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let right = points().map(|point| point.0).fold(1.0, f64::max);
    let step_up = step(points().map(|point| point.1).fold(0.0, f64::max));
    let top = step_up * STEPS;
    let x = |at: f64| MARGIN + at / right * WIDE;
    let y = |value: f64| MARGIN / 2.0 + HIGH - value / top * HIGH;
    let mut svg = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        svg,
        "<svg width=\"{}\" height=\"{}\" font-size=\"11\" fill=\"#555\">",
        WIDE + 2.0 * MARGIN,
        HIGH + MARGIN
    );
    for value in (0..=STEPS as u32).map(|nth| step_up * f64::from(nth)) {
        let (y, right) = (y(value), MARGIN + WIDE);
        let _ = write!(svg, "<path d=\"M{MARGIN} {y:.1}H{right}\" stroke=\"#ddd\"/>");
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            MARGIN - 6.0,
            y + 4.0,
            number(value)
        );
    }
    let step_right = if axis == Axis::Nines { 1.0 } else { step(right).max(1.0) };
    for nth in 0..=(right / step_right) as u32 {
        let at = step_right * f64::from(nth);
        let below = MARGIN / 2.0 + HIGH + 16.0;
        let label = axis.label(at);
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{below}\" text-anchor=\"middle\">{label}</text>", x(at));
    }
    for ((line, colour), nth) in lines.iter().zip(COLOURS).zip(0u8..) {
        let path: Vec<String> =
            line.points.iter().map(|&(at, value)| format!("{:.1},{:.1}", x(at), y(value))).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
            path.join(" ")
        );
        let left = MARGIN + 150.0 * f64::from(nth);
        let _ = writeln!(svg, "<text x=\"{left}\" y=\"14\" fill=\"{colour}\">{}</text>", line.name);
    }
    svg + "</svg>\n"
}

/// Steps of a grid.
const STEPS: f64 = 5.0;

/// 1, 2 or 5 times a power of ten, so that a few steps reach `most`.
fn step(most: f64) -> f64 {
    let least = (most / STEPS).max(1e-6);
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].map(|times| times * power).into_iter().find(|step| *step >= least).unwrap_or(10.0 * power)
}

/// A number with as many digits as a grid needs.
fn number(value: f64) -> String {
    if value >= 1e6 {
        format!("{:.1} M", value / 1e6)
    } else if value >= 10.0 {
        format!("{value:.0}")
    } else {
        format!("{:.3}", value).trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_has_round_steps_that_reach_the_top() {
        for (most, expected) in [(4.9, 1.0), (9.0, 2.0), (0.021, 0.005), (49_000.0, 10_000.0), (300.0, 100.0)]
        {
            assert!((step(most) - expected).abs() < expected * 1e-9, "{most}: {}", step(most));
        }
        assert_eq!(number(0.005), "0.005");
        assert_eq!(number(1_500_000.0), "1.5 M");
    }

    #[test]
    fn the_highest_value_and_the_last_moment_lie_within_the_field() {
        let lines = [Line { name: "a", points: vec![(0.0, 0.0), (10.0, 50.0)] }];
        let svg = plot(&lines, Axis::Seconds);
        assert!(svg.contains("points=\"60.0,250.0 820.0,30.0\""), "{svg}");
    }
}
