//! What was measured, and the page that shows it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::target::Program;

/// The workloads, in the order in which the page shows them.
const SECTIONS: &[&str] = &["live", "history", "new series", "scrape", "query", "crash", "logs", "scaling"];

/// Figures by (section, measure) and program.
#[derive(Debug, Default)]
pub(crate) struct Figures(BTreeMap<(&'static str, String), BTreeMap<&'static str, Vec<f64>>>);

impl Figures {
    /// Notes one value of a measure.
    pub(crate) fn note(&mut self, section: &'static str, measure: &str, program: Program, value: f64) {
        let of_measure = self.0.entry((section, measure.to_owned())).or_default();
        of_measure.entry(program.name()).or_default().push(value);
    }

    /// The table of a Markdown page: medians with the smallest and largest, and our share of each peer's.
    pub(crate) fn table(&self) -> String {
        let peers = [Program::VictoriaMetrics, Program::Prometheus].map(Program::name);
        let mut text = String::from(
            "| workload | measure | tidewatch | victoria-metrics (Debian) | ratio | prometheus (Debian) | ratio |\n\
             |---|---|---|---|---|---|---|\n",
        );
        for section in SECTIONS {
            for ((_, measure), values) in self.0.iter().filter(|((s, _), _)| s == section) {
                let (ours, a) = shown(values.get("tidewatch"));
                let _ok = write!(text, "| {section} | {measure} | {ours} |");
                for peer in peers {
                    let (theirs, b) = shown(values.get(peer));
                    let ratio = if (a / b).is_finite() { format!("{:.2}", a / b) } else { "–".into() };
                    let _ok = write!(text, " {theirs} | {ratio} |");
                }
                text.push('\n');
            }
        }
        text
    }
}

/// The middle value; NaN of none.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn shown(values: Option<&Vec<f64>>) -> (String, f64) {
    let Some(values) = values else { return ("–".into(), f64::NAN) };
    let mut sorted = values.clone();
    let middle = median(&mut sorted);
    let [least, most] = [sorted.first(), sorted.last()].map(|v| rounded(*v.unwrap_or(&f64::NAN)));
    (format!("{} ({least}–{most})", rounded(middle)), middle)
}

/// Three digits are what such a measurement is good for.
fn rounded(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// The page around the table.
pub(crate) fn page(table: &str, repetitions: usize, what: &str) -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map_or("unknown", |l| l.trim_start_matches([' ', '\t', ':']));
    let cores = cpu.lines().filter(|l| l.starts_with("processor")).count();
    format!(
        "# Benchmarks\n\nWritten by `make bench`: release build, {cores} cores of {model}. {what} The programs run in turn; \
         median of {repetitions} with the smallest and the largest in brackets; a ratio is ours by theirs. CPU counts until the \
         program is idle again after the last request, so work left for later is counted. Machines differ and are shared: read the \
         ratios.\n\n{table}"
    )
}
