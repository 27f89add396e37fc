//! Sentences, tables and charts of a report, in a language.

use minijinja::{Value, context};
use vocab::scaling::ScalingDecision;
use vocab::{Alert, AlertState, TimestampMs};

use super::chart::{Line, svg};
use super::input::{Delta, HostHealth, Points, ReportInput, ServiceLoad};
use super::words::Words;

/// Most rows of a table; more are counted.
const ROWS_MAX: usize = 200;
/// Services with a chart of their own; more are in the table only.
const CHARTED_MAX: usize = 12;
/// From here on a CPU or memory is worth a sentence.
const BUSY: f64 = 0.85;
/// From here on a disk is.
const FULL: f64 = 0.85;

/// A report as the templates see it.
#[derive(Debug, Clone)]
pub(super) struct Page {
    lang: &'static str,
    pub(super) title: String,
    pub(super) range: String,
    written: String,
    summary_title: String,
    summary: Vec<String>,
    sections: Vec<Section>,
    /// The finding in one sentence.
    pub(super) finding: String,
}

#[derive(Debug, Clone, Default)]
struct Section {
    title: String,
    lines: Vec<String>,
    charts: Vec<Chart>,
    table: Option<Table>,
    after: Vec<String>,
}

#[derive(Debug, Clone)]
struct Chart {
    caption: String,
    svg: String,
    text: String,
}

#[derive(Debug, Clone)]
struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Page {
    /// The page as templates read it.
    pub(super) fn value(&self) -> Value {
        let sections: Vec<Value> = self.sections.iter().map(Section::value).collect();
        context! {
            lang => self.lang,
            title => self.title.clone(),
            range => self.range.clone(),
            written => self.written.clone(),
            summary_title => self.summary_title.clone(),
            summary => self.summary.clone(),
            sections => sections,
        }
    }
}

impl Section {
    fn value(&self) -> Value {
        let chart = |c: &Chart| context! { caption => c.caption.clone(), svg => c.svg.clone(), text => c.text.clone() };
        let charts: Vec<Value> = self.charts.iter().map(chart).collect();
        let table = self.table.as_ref().map(|t| context! { head => t.head.clone(), rows => t.rows.clone() });
        context! {
            title => self.title.clone(),
            lines => self.lines.clone(),
            charts => charts,
            table => table,
            after => self.after.clone(),
        }
    }
}

/// Turns the input into sentences.
pub(super) fn page(input: &ReportInput, words: &Words) -> Page {
    let summary = summary(input, words);
    let finding = finding(input, &summary);
    let mut sections = vec![
        load(input, words),
        decisions(input, words),
        requests(input, words),
        alerts(input, words),
        tickets(input, words),
        logs(input, words),
        hosts(input, words),
        outlook(input, words),
    ];
    if !input.gaps.is_empty() {
        let item = |gap: &(String, String)| words.fill("gaps.item", &[("what", &gap.0), ("why", &gap.1)]);
        sections.push(Section {
            title: words.get("gaps").to_owned(),
            lines: input.gaps.iter().map(item).collect(),
            ..Section::default()
        });
    }
    Page {
        lang: words.language(),
        title: words.get("title").to_owned(),
        range: words.fill(
            "range",
            &[
                ("from", &time(input.from_ms)),
                ("to", &time(input.to_ms)),
                ("duration", &duration(input.to_ms - input.from_ms)),
            ],
        ),
        written: words.fill("written", &[("time", &time(input.created_at_ms)), ("version", env!("CARGO_PKG_VERSION"))]),
        summary_title: words.get("summary").to_owned(),
        summary,
        sections,
        finding,
    }
}

/// The sentence of the summary that matters most: failures first, then alerts, then what was served.
fn finding(input: &ReportInput, summary: &[String]) -> String {
    let failed = total(&input.services, |s| s.failed).unwrap_or(0.0) > 0.0;
    let index = if !failed && !input.alerts.is_empty() { 3 } else { 0 };
    summary.get(index).cloned().unwrap_or_default()
}

fn summary(input: &ReportInput, words: &Words) -> Vec<String> {
    let names: Vec<&str> = input.services.iter().filter(|s| s.requests.is_some()).map(|s| s.service.as_str()).collect();
    let names = names.join(", ");
    let requests = match (total(&input.services, |s| s.requests), total(&input.services, |s| s.failed)) {
        (Some(all), Some(failed)) => words
            .fill("summary.requests", &[("requests", &number(all)), ("services", &names), ("failed", &number(failed))]),
        (Some(all), None) => words.fill("summary.failed_unknown", &[("requests", &number(all)), ("services", &names)]),
        _ => words.get("summary.requests_unknown").to_owned(),
    };
    let busiest =
        input.services.iter().filter_map(|s| Some((s, bounds(&s.rps)?))).max_by(|a, b| a.1.1.total_cmp(&b.1.1));
    let load = match busiest {
        Some((service, (low, high))) => {
            words.fill("summary.load", &[("service", &service.service), ("low", &number(low)), ("high", &number(high))])
        }
        None => words.get("summary.load_unknown").to_owned(),
    };
    let replicas = input.decisions.iter().flat_map(|d| [d.from, d.to]);
    let scaling = match (replicas.clone().min(), replicas.max()) {
        (Some(low), Some(high)) => words.fill(
            "summary.scaling",
            &[("count", &input.decisions.len().to_string()), ("low", &low.to_string()), ("high", &high.to_string())],
        ),
        _ => words.get("summary.scaling_none").to_owned(),
    };
    let open = input.alerts.iter().filter(|a| is_open(a, input.to_ms)).count();
    let alerts = if input.alerts.is_empty() {
        words.get("summary.alerts_none").to_owned()
    } else {
        words.fill(
            "summary.alerts",
            &[
                ("fired", &input.alerts.len().to_string()),
                ("open", &open.to_string()),
                ("tickets", &input.tickets.len().to_string()),
            ],
        )
    };
    let highest = |pick: &dyn Fn(&HostHealth) -> Option<f64>| {
        let value =
            input.hosts.iter().filter_map(pick).fold(None, |best: Option<f64>, v| Some(best.map_or(v, |b| b.max(v))));
        share(value, words)
    };
    let health = words.fill(
        "summary.health",
        &[
            ("cpu", &highest(&|h| h.cpu_max)),
            ("memory", &highest(&|h| h.memory_max)),
            ("disk", &highest(&|h| h.disks.first().map(|d| d.used))),
        ],
    );
    vec![requests, load, scaling, alerts, health]
}

fn load(input: &ReportInput, words: &Words) -> Section {
    let mut section = Section { title: words.get("load").to_owned(), ..Section::default() };
    for service in input.services.iter().filter(|s| !s.rps.is_empty()).take(CHARTED_MAX) {
        let of = |what: &str| words.fill("load.of", &[("what", what), ("service", &service.service)]);
        let caption = of(words.get("load.rps"));
        section.charts.push(Chart {
            svg: svg(&caption, &[Line { name: "", points: &service.rps, steps: false }], input.from_ms, input.to_ms),
            text: span_text(&service.rps, words),
            caption,
        });
        let wanted = wanted(&input.decisions, service, input.from_ms);
        if wanted.is_empty() && service.active.is_empty() {
            continue;
        }
        let lines = [
            Line { name: words.get("load.active"), points: &service.active, steps: true },
            Line { name: words.get("load.wanted"), points: &wanted, steps: true },
        ];
        let lines: Vec<Line<'_>> = lines.into_iter().filter(|l| !l.points.is_empty()).collect();
        let caption = of(words.get("load.replicas"));
        let seen = if service.active.is_empty() { &wanted } else { &service.active };
        section.charts.push(Chart {
            svg: svg(&caption, &lines, input.from_ms, input.to_ms),
            text: span_text(seen, words),
            caption,
        });
    }
    if section.charts.is_empty() {
        section.lines.push(words.get("load.none").to_owned());
    }
    section
}

/// Replicas wanted over time, from the decisions; nothing when there are none.
fn wanted(decisions: &[ScalingDecision], service: &ServiceLoad, from_ms: TimestampMs) -> Points {
    let mut points = Points::new();
    for decision in decisions.iter().filter(|d| d.service == service.service && d.acted_at_ms.is_some()) {
        if points.is_empty() {
            points.push((from_ms, f64::from(decision.from)));
        }
        points.push((decision.acted_at_ms.unwrap_or(decision.time_ms), f64::from(decision.to)));
    }
    points
}

fn decisions(input: &ReportInput, words: &Words) -> Section {
    let rows = input
        .decisions
        .iter()
        .map(|d| {
            let state = words.get(&format!("decision.{}", d.state.as_str())).to_owned();
            let result = if d.result.is_empty() { state } else { format!("{state}: {}", d.result) };
            vec![time(d.time_ms), d.service.clone(), format!("{} → {}", d.from, d.to), d.reason.clone(), result]
        })
        .collect();
    let head = ["decisions.time", "decisions.service", "decisions.change", "decisions.reason", "decisions.result"];
    tabled(words, "decisions", "decisions.none", &head, rows)
}

fn requests(input: &ReportInput, words: &Words) -> Section {
    let count = |delta: Delta| delta.map_or_else(|| words.get("unknown").to_owned(), number);
    let rows = input
        .services
        .iter()
        .filter(|s| s.requests.is_some())
        .map(|s| {
            let counts = [s.requests, s.failed, s.connection_errors, s.response_errors, s.retries, s.redispatches];
            std::iter::once(s.service.clone()).chain(counts.map(count)).collect()
        })
        .collect();
    let head = [
        "requests.service",
        "requests.total",
        "requests.failed",
        "requests.connection_errors",
        "requests.response_errors",
        "requests.retries",
        "requests.redispatches",
    ];
    let mut section = tabled(words, "requests", "requests.none", &head, rows);
    if section.table.is_some() {
        section.after.push(words.get("requests.note").to_owned());
    }
    section
}

fn alerts(input: &ReportInput, words: &Words) -> Section {
    let rows = input
        .alerts
        .iter()
        .map(|a| {
            let until = match a.resolved_at_ms {
                Some(at) => time(at),
                None => words.get("alerts.still").to_owned(),
            };
            let said =
                ["summary", "description", "message"].iter().find_map(|name| a.annotations.get(name)).unwrap_or("");
            vec![
                time(a.fired_at_ms.unwrap_or(a.active_at_ms)),
                until,
                a.rule.clone(),
                a.labels.get("severity").unwrap_or("").to_owned(),
                a.labels.without(&["alertname", "severity"]).to_string(),
                said.to_owned(),
            ]
        })
        .collect();
    let head = ["alerts.since", "alerts.until", "alerts.name", "alerts.severity", "alerts.labels", "alerts.summary"];
    tabled(words, "alerts", "alerts.none", &head, rows)
}

fn tickets(input: &ReportInput, words: &Words) -> Section {
    let rows = input
        .tickets
        .iter()
        .map(|t| {
            vec![
                format!("#{}", t.id),
                time(t.opened_at_ms),
                words.get(&format!("ticket.{}", t.state.as_str())).to_owned(),
                t.title.clone(),
                t.timeline.last().map(|e| e.text.clone()).unwrap_or_default(),
            ]
        })
        .collect();
    let head = ["tickets.number", "tickets.opened", "tickets.state", "tickets.title", "tickets.last"];
    tabled(words, "tickets", "tickets.none", &head, rows)
}

fn logs(input: &ReportInput, words: &Words) -> Section {
    let rows = input
        .patterns
        .iter()
        .map(|p| {
            let new = if p.is_new { words.get("yes") } else { "" };
            vec![number(p.count as f64), new.to_owned(), p.service.clone(), p.template.clone()]
        })
        .collect();
    let head = ["logs.count", "logs.new", "logs.service", "logs.pattern"];
    let mut section = tabled(words, "logs", "logs.none", &head, rows);
    match input.log_records {
        Some((0, _)) => {}
        Some((records, errors)) => {
            if section.table.is_none() {
                section.lines.clear();
            }
            let counts = [("records", number(records as f64)), ("errors", number(errors as f64))];
            let counts: Vec<(&str, &str)> = counts.iter().map(|c| (c.0, c.1.as_str())).collect();
            section.lines.insert(0, words.fill("logs.counts", &counts));
        }
        None => section.lines = vec![words.get("logs.counts_unknown").to_owned()],
    }
    section
}

fn hosts(input: &ReportInput, words: &Words) -> Section {
    let mut sentences = Vec::new();
    let mut rows = Vec::new();
    for host in &input.hosts {
        let name = if host.host.is_empty() { words.get("this_machine") } else { &host.host };
        let disk = host.disks.first();
        let before = sentences.len();
        if host.cpu_max.is_some_and(|v| v >= BUSY) {
            sentences.push(words.fill("hosts.cpu_high", &[("host", name), ("value", &share(host.cpu_max, words))]));
        }
        if host.memory_max.is_some_and(|v| v >= BUSY) {
            sentences
                .push(words.fill("hosts.memory_high", &[("host", name), ("value", &share(host.memory_max, words))]));
        }
        for disk in host.disks.iter().filter(|d| d.used >= FULL) {
            let values = [("host", name), ("mount", disk.mount.as_str()), ("value", &share(Some(disk.used), words))];
            sentences.push(words.fill("hosts.disk_high", &values));
        }
        if sentences.len() == before {
            sentences.push(words.fill("hosts.good", &[("host", name)]));
        }
        let disk = disk
            .map_or_else(|| words.get("unknown").to_owned(), |d| format!("{} {}", d.mount, share(Some(d.used), words)));
        rows.push(vec![
            name.to_owned(),
            share(host.cpu_mean, words),
            share(host.cpu_max, words),
            share(host.memory_max, words),
            disk,
        ]);
    }
    let head = ["hosts.host", "hosts.cpu_mean", "hosts.cpu_max", "hosts.memory", "hosts.disk"];
    let mut section = tabled(words, "hosts", "hosts.none", &head, rows);
    sentences.truncate(ROWS_MAX);
    section.lines.extend(sentences);
    section
}

fn outlook(input: &ReportInput, words: &Words) -> Section {
    let mut lines = Vec::new();
    for service in &input.services {
        let Some(outlook) = service.outlook else { continue };
        lines.push(words.fill(
            "outlook.load",
            &[
                ("service", &service.service),
                ("duration", &duration(outlook.ahead_ms)),
                ("mean", &number(outlook.mean)),
                ("upper", &number(outlook.upper)),
            ],
        ));
        if let Some(share) = highest_share(service) {
            let replicas = |load: f64| number((load / share).ceil().max(1.0));
            lines.push(words.fill(
                "outlook.replicas",
                &[
                    ("service", &service.service),
                    ("share", &number(share)),
                    ("replicas", &replicas(outlook.mean)),
                    ("upper_replicas", &replicas(outlook.upper)),
                ],
            ));
        }
    }
    for host in &input.hosts {
        let name = if host.host.is_empty() { words.get("this_machine") } else { &host.host };
        for (disk, full_in_ms) in host.disks.iter().filter_map(|d| Some((d, d.full_in_ms?))) {
            let values = [("host", name), ("mount", disk.mount.as_str()), ("duration", &duration(full_in_ms))];
            lines.push(words.fill("outlook.disk", &values));
        }
    }
    if lines.is_empty() {
        lines.push(words.get("outlook.none").to_owned());
    }
    Section { title: words.get("outlook").to_owned(), lines, ..Section::default() }
}

/// The load per active server at the moment of the highest load; `None` when either is unknown.
fn highest_share(service: &ServiceLoad) -> Option<f64> {
    let (at, load) = service.rps.iter().filter(|p| p.1.is_finite()).max_by(|a, b| a.1.total_cmp(&b.1))?;
    let active = service.active.iter().rev().find(|p| p.0 <= *at)?.1;
    (active >= 1.0 && *load > 0.0).then(|| load / active)
}

fn tabled(words: &Words, title: &str, none: &str, head: &[&str], mut rows: Vec<Vec<String>>) -> Section {
    let mut section = Section { title: words.get(title).to_owned(), ..Section::default() };
    if rows.is_empty() {
        section.lines.push(words.get(none).to_owned());
        return section;
    }
    if rows.len() > ROWS_MAX {
        section.after.push(words.fill("more_rows", &[("count", &(rows.len() - ROWS_MAX).to_string())]));
        rows.truncate(ROWS_MAX);
    }
    let head = head.iter().map(|key| words.get(key).to_owned()).collect();
    section.table = Some(Table { head, rows });
    section
}

fn is_open(alert: &Alert, to_ms: TimestampMs) -> bool {
    alert.state == AlertState::Firing || alert.resolved_at_ms.is_some_and(|at| at > to_ms)
}

fn total(services: &[ServiceLoad], pick: impl Fn(&ServiceLoad) -> Delta) -> Delta {
    services
        .iter()
        .filter(|s| s.requests.is_some())
        .map(pick)
        .try_fold(0.0, |sum, v| Some(sum + v?))
        .filter(|_| services.iter().any(|s| s.requests.is_some()))
}

fn bounds(points: &Points) -> Option<(f64, f64)> {
    let finite = points.iter().map(|p| p.1).filter(|v| v.is_finite());
    finite.fold(None, |span, v| Some(span.map_or((v, v), |(low, high): (f64, f64)| (low.min(v), high.max(v)))))
}

fn span_text(points: &Points, words: &Words) -> String {
    bounds(points)
        .map_or_else(|| words.get("none").to_owned(), |(low, high)| format!("{} – {}", number(low), number(high)))
}

fn share(value: Option<f64>, words: &Words) -> String {
    value.map_or_else(|| words.get("unknown").to_owned(), |v| format!("{:.0} %", v * 100.0))
}

/// A number for people: whole from 100 on, else three significant digits; thousands set apart.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let text = match value.abs() {
        0.0 => return "0".to_owned(),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |d| ("-", d));
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{fraction}")
}

fn time(ms: TimestampMs) -> String {
    let whole = ms.div_euclid(1000) * 1000;
    jiff::Timestamp::from_millisecond(whole).map(|t| t.strftime("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default()
}

/// The two largest units: `3d 4h`, `4m 12s`.
fn duration(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (size, unit) in units {
        if rest >= size && parts.len() < 2 {
            parts.push(format!("{}{unit}", rest / size));
        }
        rest %= size;
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}
