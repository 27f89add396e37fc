//! How a replay is shown: a table for terminals, a page with a plot.

use std::fmt::Write;

use super::world::Outcome;

/// Points of a line in the plot: more would not be seen.
const POINTS: usize = 1200;
/// Size of the plot, in pixels.
const WIDTH: f64 = 1200.0;
const HEIGHT: f64 = 360.0;
/// Colours of the lines, told apart by colour-blind eyes too.
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#999999"];

const HEADINGS: [&str; 6] = ["", "replica-hours", "bad requests", "bad minutes", "actions", "reversals"];

fn row(outcome: &Outcome) -> [String; 6] {
    [
        outcome.name.clone(),
        format!("{:.1}", outcome.replica_hours),
        format!("{:.3} %", 100.0 * outcome.bad_share),
        outcome.violations.to_string(),
        outcome.actions.to_string(),
        outcome.reversals.to_string(),
    ]
}

/// Aligned columns.
pub fn table(outcomes: &[Outcome]) -> String {
    let rows: Vec<[String; 6]> = std::iter::once(HEADINGS.map(str::to_owned)).chain(outcomes.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let pad = " ".repeat(width(column) - cell.chars().count());
            if column == 0 { format!("{cell}{pad}") } else { format!("{pad}{cell}") }
        });
        let line: Vec<String> = cells.collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A page of its own, without anything from elsewhere: the table, and replicas over time beside the load.
pub fn html(title: &str, outcomes: &[Outcome]) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>body{{font:15px system-ui;\
         margin:2em;max-width:1240px}}table{{border-collapse:collapse;margin:1em 0}}td,th{{padding:.3em .9em;text-align:\
         right;border-bottom:1px solid #ddd}}td:first-child{{text-align:left}}svg{{width:100%;height:auto}}</style>\
         <h1>{title}</h1><table><tr>",
        title = escape(title)
    );
    for heading in HEADINGS {
        let _ = write!(page, "<th>{heading}</th>");
    }
    for (index, outcome) in outcomes.iter().enumerate() {
        let _ = write!(page, "</tr><tr style=\"color:{}\">", colour(index));
        for cell in row(outcome) {
            let _ = write!(page, "<td>{}</td>", escape(&cell));
        }
    }
    page.push_str("</tr></table>");
    let most = outcomes.iter().flat_map(|o| o.wanted.iter().copied()).max().unwrap_or(1).max(1);
    page.push_str(&plot(
        "Replicas",
        f64::from(most),
        outcomes
            .iter()
            .enumerate()
            .map(|(index, outcome)| (colour(index), outcome.wanted.iter().map(|w| f64::from(*w)).collect())),
    ));
    if let Some(first) = outcomes.first() {
        let top = first.loads.iter().copied().fold(1e-9, f64::max);
        page.push_str(&plot("Load", top, std::iter::once(("#333333", first.loads.clone()))));
    }
    page.push_str("</html>\n");
    page
}

fn colour(index: usize) -> &'static str {
    COLOURS[index % COLOURS.len()]
}

fn plot<'a>(name: &str, top: f64, lines: impl Iterator<Item = (&'a str, Vec<f64>)>) -> String {
    let mut svg = format!(
        "<h2>{name}, up to {top:.0}</h2><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{name}\"><rect \
         width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fafafa\"/>"
    );
    for (colour, values) in lines {
        let piece = values.len().div_ceil(POINTS).max(1);
        let pieces = values.chunks(piece);
        let count = pieces.len().max(2) as f64 - 1.0;
        let _ = write!(svg, "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"");
        for (index, values) in pieces.enumerate() {
            // The highest of a piece: peaks are what matters.
            let highest = values.iter().copied().fold(0.0, f64::max);
            let _ = write!(svg, "{:.1},{:.1} ", WIDTH * index as f64 / count, HEIGHT * (1.0 - highest / top));
        }
        svg.push_str("\"/>");
    }
    svg.push_str("</svg>");
    svg
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
