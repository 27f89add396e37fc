//! `make bench`: Tidewatch and its peers on the same data in one run, taken in turn; medians of five with their spread.

mod target;
mod wire;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use target::{Program, Target};

const REPETITIONS: usize = 5;
const NUM_HOSTS: usize = 200;
const PER_HOST: usize = 100;
const NUM_TIMES: u64 = 60;
const STEP_MS: i64 = 15_000;
/// Series per request, as an agent would send them.
const PER_REQUEST: usize = 2_000;
const LOG_LINES: usize = 200_000;
const QUERY_REPETITIONS: usize = 15;

/// (name, PromQL, whether it is a range query over all the data).
const QUERIES: &[(&str, &str, bool)] = &[
    ("one series", r#"bench_level_0{host="host-00007",index="0"}"#, false),
    ("one host's series", r#"{host="host-00007"}"#, false),
    ("sum by (host) of rate, 16 k series", "sum by (host) (rate({__name__=~\"bench_requests_.*\"}[5m]))", false),
    ("sum of rate over all the time, 2 k series", "sum(rate(bench_requests_1_total[5m]))", true),
    ("quantile_over_time, 200 series", r#"quantile_over_time(0.9, bench_level_0{index="0"}[10m])"#, true),
    ("topk", "topk(5, bench_requests_2_total)", false),
    ("count of everything", r#"count({job="bench"})"#, false),
];

type Figures = BTreeMap<(String, &'static str), Vec<f64>>;

#[tokio::main]
#[allow(clippy::print_stdout, reason = "the table is what this command is for")]
async fn main() -> Result<()> {
    tests::install_crypto();
    let mut figures = Figures::new();
    for repetition in 0..REPETITIONS {
        for program in [Program::Tidewatch, Program::VictoriaMetrics, Program::Prometheus] {
            metrics(program, &mut figures).await?;
            eprintln_progress(repetition, program.name());
        }
        logs(&mut figures).await?;
        eprintln_progress(repetition, "logs");
    }
    let table = table(&figures);
    println!("{table}");
    let docs: PathBuf = tests::workspace_root().join("docs/benchmarks.md");
    std::fs::write(&docs, page(&table))?;
    println!("written to docs/benchmarks.md");
    Ok(())
}

#[allow(clippy::print_stderr, reason = "progress of a long command")]
fn eprintln_progress(repetition: usize, what: &str) {
    eprintln!("{} of {REPETITIONS}: {what}", repetition + 1);
}

fn note(figures: &mut Figures, what: &str, who: &'static str, value: f64) {
    figures.entry((what.to_owned(), who)).or_default().push(value);
}

#[allow(clippy::disallowed_methods, reason = "measures real time")]
async fn metrics(program: Program, figures: &mut Figures) -> Result<()> {
    let dir = tests::scratch()?;
    let started = Instant::now();
    let mut target = Target::start(program, dir.path()).await?;
    note(figures, "start until ready, s", program.name(), started.elapsed().as_secs_f64());
    let series = wire::data_set(NUM_HOSTS, PER_HOST);
    let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let first_ms = now_ms - STEP_MS * i64::try_from(NUM_TIMES)?;
    let before = target.cost()?;
    let mut waited = 0.0;
    for n in 0..NUM_TIMES {
        for part in series.chunks(PER_REQUEST) {
            let body = wire::remote_write(part, n, first_ms + STEP_MS * i64::try_from(n)?)?;
            let headers = [
                ("content-type", "application/x-protobuf"),
                ("content-encoding", "snappy"),
                ("x-prometheus-remote-write-version", "0.1.0"),
            ];
            let sent = Instant::now();
            target.post("/api/v1/write", &headers, body).await?;
            waited += sent.elapsed().as_secs_f64();
        }
    }
    let after = target.cost()?;
    let millions = series.len() as f64 * NUM_TIMES as f64 / 1e6;
    let who = program.name();
    note(figures, "remote write: CPU s per million samples", who, (after.cpu_seconds - before.cpu_seconds) / millions);
    note(figures, "remote write: thousand samples/s (one sender)", who, millions * 1e3 / waited);
    note(figures, "anonymous memory after it, MiB", who, after.anon_mib);
    target.crash()?;
    let started = Instant::now();
    target = Target::start(program, dir.path()).await?;
    note(figures, "start after kill -9 until ready, s", who, started.elapsed().as_secs_f64());
    let (start, end) = (first_ms as f64 / 1e3, now_ms as f64 / 1e3);
    for (name, query, range) in QUERIES {
        let mut times = Vec::new();
        for _ in 0..QUERY_REPETITIONS {
            let asked = Instant::now();
            let (start, end, at) = (start.to_string(), end.to_string(), (end - 20.0).to_string());
            let mut params = vec![("query", *query)];
            params.extend(program.query_params());
            let path = if *range {
                params.extend([("start", start.as_str()), ("end", end.as_str()), ("step", "30")]);
                "/api/v1/query_range"
            } else {
                params.push(("time", &at));
                "/api/v1/query"
            };
            target.get(path, &params).await?;
            times.push(asked.elapsed().as_secs_f64() * 1e3);
        }
        note(figures, &format!("query p50, ms: {name}"), who, median(&mut times));
    }
    if let Some(bytes) = target.settle().await? {
        note(figures, "bytes per sample on disk, merged", who, bytes as f64 / (millions * 1e6));
    }
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "measures real time")]
async fn logs(figures: &mut Figures) -> Result<()> {
    let dir = tests::scratch()?;
    let target = Target::start(Program::Tidewatch, dir.path()).await?;
    let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let before = target.cost()?;
    let began = Instant::now();
    let mut bytes = 0usize;
    for chunk in 0..LOG_LINES / 1000 {
        let mut body = String::new();
        for line in 0..1000 {
            let n = chunk * 1000 + line;
            let needle = if n == LOG_LINES / 2 { " needle-7f3a9c" } else { "" };
            let _ok = writeln!(
                body,
                "{{\"time_ms\":{},\"service\":\"shop{}\",\"severity\":\"{}\",\"body\":\"request {n} from 10.0.{}.{} took {} ms status {}{needle}\"}}",
                now_ms - 600_000 + n as i64,
                n % 8,
                if n % 50 == 0 { "error" } else { "info" },
                n % 250,
                n % 199,
                n % 977,
                if n % 50 == 0 { 500 } else { 200 },
            );
        }
        bytes += body.len();
        target.post("/api/v1/logs", &[("content-type", "application/x-ndjson")], body.into_bytes()).await?;
    }
    target.post("/api/v1/admin/flush", &[("content-type", "application/json")], b"{}".to_vec()).await?;
    let seconds = began.elapsed().as_secs_f64();
    let cost = target.cost()?;
    note(figures, "logs: thousand lines/s until in splits", "tidewatch", LOG_LINES as f64 / seconds / 1e3);
    note(
        figures,
        "logs: CPU s per 100 MB",
        "tidewatch",
        (cost.cpu_seconds - before.cpu_seconds) / (bytes as f64 / 1e8),
    );
    let range = [("from_ms", (now_ms - 3_600_000).to_string()), ("to_ms", (now_ms + 3_600_000).to_string())];
    for (name, query) in
        [("rare token", "needle-7f3a9c"), ("newest errors", "severity>=error"), ("phrase", "\"status 500\"")]
    {
        let mut times = Vec::new();
        for _ in 0..QUERY_REPETITIONS {
            let asked = Instant::now();
            let params = [("q", query), ("limit", "100"), (range[0].0, &range[0].1), (range[1].0, &range[1].1)];
            target.get("/api/v1/logs/search", &params).await?;
            times.push(asked.elapsed().as_secs_f64() * 1e3);
        }
        note(figures, &format!("log search p50, ms: {name}"), "tidewatch", median(&mut times));
    }
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn shown(values: Option<&Vec<f64>>) -> (String, f64) {
    let Some(values) = values else { return ("–".into(), f64::NAN) };
    let mut sorted = values.clone();
    let middle = median(&mut sorted);
    let text =
        format!("{middle:.3} ({:.3}–{:.3})", sorted.first().unwrap_or(&f64::NAN), sorted.last().unwrap_or(&f64::NAN));
    (text, middle)
}

fn table(figures: &Figures) -> String {
    let mut names: Vec<&String> = figures.keys().map(|k| &k.0).collect();
    names.dedup();
    let peers = [Program::VictoriaMetrics, Program::Prometheus].map(Program::name);
    let mut text = String::from(
        "| measure | tidewatch | victoria-metrics (Debian) | ratio | prometheus (Debian) | ratio |\n|---|---|---|---|---|---|\n",
    );
    for name in names {
        let (ours, a) = shown(figures.get(&(name.clone(), "tidewatch")));
        let _ok = write!(text, "| {name} | {ours} |");
        for peer in peers {
            let (theirs, b) = shown(figures.get(&(name.clone(), peer)));
            let ratio = if (a / b).is_finite() { format!("{:.2}", a / b) } else { "–".into() };
            let _ok = write!(text, " {theirs} | {ratio} |");
        }
        text.push('\n');
    }
    text
}

fn page(table: &str) -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map_or("unknown", |l| l.trim_start_matches([' ', '\t', ':']));
    let cores = cpu.lines().filter(|l| l.starts_with("processor")).count();
    format!(
        "# Benchmarks\n\nWritten by `make bench`: release build; {cores} cores of {model}; {} series × {NUM_TIMES} samples by remote write, \
         {LOG_LINES} log lines; programs taken in turn, median of {REPETITIONS} with the smallest and largest in brackets. \
         Machines differ and are shared: read the ratios.\n\n{table}",
        NUM_HOSTS * PER_HOST
    )
}
