//! Line charts as SVG, made for paper: light, no scripts, a title for readers that do not see.

use std::fmt::Write;

use vocab::TimestampMs;

use super::input::Points;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 10.0;
/// Room for the legend.
const TOP: f64 = 28.0;
const BOTTOM: f64 = 24.0;
/// Most points drawn of a line; the page has fewer pixels.
const POINTS_MAX: usize = 1_000;

/// One line of a chart.
#[derive(Debug, Clone)]
pub(super) struct Line<'a> {
    /// What it is, for the legend; empty for none.
    pub(super) name: &'a str,
    /// Its points.
    pub(super) points: &'a Points,
    /// Whether a value holds until the next one.
    pub(super) steps: bool,
}

/// The chart of one or two lines over a time.
pub(super) fn svg(title: &str, lines: &[Line<'_>], from_ms: TimestampMs, to_ms: TimestampMs) -> String {
    let highest = lines.iter().flat_map(|l| l.points.iter().map(|p| p.1)).filter(|v| v.is_finite()).fold(0.0, f64::max);
    let (top, step) = nice_top(highest);
    let span = (to_ms - from_ms).max(1) as f64;
    let x = |t: TimestampMs| LEFT + ((t - from_ms) as f64 / span).clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT);
    let y = |v: f64| HEIGHT - BOTTOM - (v / top).clamp(0.0, 1.0) * (HEIGHT - TOP - BOTTOM);
    let mut out = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\"><title>{}</title>",
        escape(title)
    );
    let mut value = 0.0;
    while value <= top * 1.0001 {
        let at = y(value);
        push(
            &mut out,
            format_args!("<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>", WIDTH - RIGHT),
        );
        push(
            &mut out,
            format_args!(
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                at + 4.0,
                super::page::number(value)
            ),
        );
        value += step;
    }
    for (tick, anchor) in ticks(from_ms, to_ms) {
        let text = time_text(tick, to_ms - from_ms);
        push(
            &mut out,
            format_args!("<text x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{text}</text>", x(tick), HEIGHT - 6.0),
        );
    }
    for (line, class) in lines.iter().zip(["first", "second"]) {
        let path = path(line, x, y, to_ms);
        if !path.is_empty() {
            push(&mut out, format_args!("<path class=\"{class}\" d=\"{path}\"/>"));
        }
    }
    let mut legend_x = LEFT + 8.0;
    for (line, class) in lines.iter().zip(["first", "second"]).filter(|l| !l.0.name.is_empty()) {
        push(
            &mut out,
            format_args!("<line class=\"{class}\" x1=\"{legend_x}\" x2=\"{}\" y1=\"10\" y2=\"10\"/>", legend_x + 22.0),
        );
        push(&mut out, format_args!("<text x=\"{}\" y=\"14\">{}</text>", legend_x + 28.0, escape(line.name)));
        legend_x += 60.0 + 8.0 * line.name.chars().count() as f64;
    }
    out.push_str("</svg>");
    out
}

fn push(out: &mut String, piece: std::fmt::Arguments<'_>) {
    // Writing to a String does not fail.
    let _written = out.write_fmt(piece);
}

fn path(line: &Line<'_>, x: impl Fn(TimestampMs) -> f64, y: impl Fn(f64) -> f64, to_ms: TimestampMs) -> String {
    let every = (line.points.len() / POINTS_MAX).max(1);
    let mut out = String::new();
    let mut previous: Option<f64> = None;
    for (time, value) in line.points.iter().step_by(every) {
        if !value.is_finite() {
            previous = None;
            continue;
        }
        match previous {
            None => push(&mut out, format_args!("M{:.1} {:.1}", x(*time), y(*value))),
            Some(before) if line.steps => {
                push(&mut out, format_args!("L{:.1} {:.1}L{:.1} {:.1}", x(*time), y(before), x(*time), y(*value)))
            }
            Some(_) => push(&mut out, format_args!("L{:.1} {:.1}", x(*time), y(*value))),
        }
        previous = Some(*value);
    }
    if let (true, Some(last)) = (line.steps, previous) {
        push(&mut out, format_args!("L{:.1} {:.1}", x(to_ms), y(last)));
    }
    out
}

/// The top of the axis and the distance of its lines: 1, 2 or 5 times a power of ten.
fn nice_top(highest: f64) -> (f64, f64) {
    if highest <= 0.0 || !highest.is_finite() {
        return (1.0, 1.0);
    }
    let raw = highest / 4.0;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= raw).unwrap_or(10.0 * power);
    ((highest / step).ceil() * step, step)
}

fn ticks(from_ms: TimestampMs, to_ms: TimestampMs) -> [(TimestampMs, &'static str); 5] {
    let at = |quarter: i64| from_ms + (to_ms - from_ms) / 4 * quarter;
    [(from_ms, "start"), (at(1), "middle"), (at(2), "middle"), (at(3), "middle"), (to_ms, "end")]
}

fn time_text(time_ms: TimestampMs, span_ms: i64) -> String {
    let format = match span_ms {
        ..=1_800_000 => "%H:%M:%S",
        1_800_001..=172_800_000 => "%H:%M",
        _ => "%m-%d %H:%M",
    };
    jiff::Timestamp::from_millisecond(time_ms).map(|t| t.strftime(format).to_string()).unwrap_or_default()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_bounded_and_escaped() {
        let points: Points = (0..5000).map(|i| (i, f64::from(i as i32 % 7))).collect();
        let text = svg("<b>", &[Line { name: "a&b", points: &points, steps: true }], 0, 5000);
        assert!(text.starts_with("<svg") && text.ends_with("</svg>"));
        assert!(text.contains("&lt;b&gt;") && text.contains("a&amp;b") && !text.contains("<b>"));
        assert!(text.len() < 120_000 && !text.contains("NaN") && !text.contains("inf"));
        let empty = svg("t", &[Line { name: "", points: &vec![(0, f64::NAN)], steps: false }], 0, 0);
        assert!(!empty.contains("NaN"), "{empty}");
    }

    #[test]
    fn axes_end_at_round_numbers() {
        for (highest, expect) in [(0.0, (1.0, 1.0)), (8.0, (8.0, 2.0)), (812.0, (1000.0, 500.0)), (0.03, (0.03, 0.01))]
        {
            let (top, step) = nice_top(highest);
            assert!((top - expect.0).abs() < 1e-9 && (step - expect.1).abs() < 1e-9, "{highest}: {top} {step}");
        }
    }
}
