//! `show stat` in CSV, mapped to the series of HAProxy's Prometheus endpoint.

use std::collections::BTreeMap;

use vocab::sample::MetricType;

use crate::error::SourceError;
use crate::snapshot::Snapshot;

const FRONTEND: u8 = 1;
const BACKEND: u8 = 2;
const SERVER: u8 = 4;
const ALL: u8 = FRONTEND | BACKEND | SERVER;
const PROXIES: u8 = FRONTEND | BACKEND;
const TARGETS: u8 = BACKEND | SERVER;

/// One row of the mapping: the metric's name behind `haproxy_<scope>_`, the column, the scopes, the factor.
type Column = (&'static str, &'static str, u8, f64);

const ONE: f64 = 1.0;
const MS: f64 = 0.001;

const COLUMNS: [Column; 61] = [
    ("current_queue", "qcur", TARGETS, ONE),
    ("max_queue", "qmax", TARGETS, ONE),
    ("current_sessions", "scur", ALL, ONE),
    ("max_sessions", "smax", ALL, ONE),
    ("limit_sessions", "slim", ALL, ONE),
    ("sessions_total", "stot", ALL, ONE),
    ("bytes_in_total", "bin", ALL, ONE),
    ("bytes_out_total", "bout", ALL, ONE),
    ("requests_denied_total", "dreq", PROXIES, ONE),
    ("responses_denied_total", "dresp", ALL, ONE),
    ("request_errors_total", "ereq", FRONTEND, ONE),
    ("connection_errors_total", "econ", TARGETS, ONE),
    ("response_errors_total", "eresp", TARGETS, ONE),
    ("retry_warnings_total", "wretr", TARGETS, ONE),
    ("redispatch_warnings_total", "wredis", TARGETS, ONE),
    ("weight", "weight", TARGETS, ONE),
    ("active_servers", "act", BACKEND, ONE),
    ("backup_servers", "bck", BACKEND, ONE),
    ("check_failures_total", "chkfail", SERVER, ONE),
    ("check_up_down_total", "chkdown", TARGETS, ONE),
    ("check_last_change_seconds", "lastchg", TARGETS, ONE),
    ("downtime_seconds_total", "downtime", TARGETS, ONE),
    ("queue_limit", "qlimit", SERVER, ONE),
    ("current_throttle", "throttle", SERVER, ONE),
    ("loadbalanced_total", "lbtot", TARGETS, ONE),
    ("limit_session_rate", "rate_lim", FRONTEND, ONE),
    ("max_session_rate", "rate_max", ALL, ONE),
    ("http_requests_rate_max", "req_rate_max", FRONTEND, ONE),
    ("http_requests_total", "req_tot", PROXIES, ONE),
    ("client_aborts_total", "cli_abrt", TARGETS, ONE),
    ("server_aborts_total", "srv_abrt", TARGETS, ONE),
    ("http_comp_bytes_in_total", "comp_in", PROXIES, ONE),
    ("http_comp_bytes_out_total", "comp_out", PROXIES, ONE),
    ("http_comp_bytes_bypassed_total", "comp_byp", PROXIES, ONE),
    ("http_comp_responses_total", "comp_rsp", PROXIES, ONE),
    ("last_session_seconds", "lastsess", TARGETS, ONE),
    ("queue_time_average_seconds", "qtime", TARGETS, MS),
    ("connect_time_average_seconds", "ctime", TARGETS, MS),
    ("response_time_average_seconds", "rtime", TARGETS, MS),
    ("total_time_average_seconds", "ttime", TARGETS, MS),
    ("connections_rate_max", "conn_rate_max", FRONTEND, ONE),
    ("connections_total", "conn_tot", FRONTEND, ONE),
    ("intercepted_requests_total", "intercepted", FRONTEND, ONE),
    ("denied_connections_total", "dcon", FRONTEND, ONE),
    ("denied_sessions_total", "dses", FRONTEND, ONE),
    ("failed_header_rewriting_total", "wrew", ALL, ONE),
    ("connection_attempts_total", "connect", TARGETS, ONE),
    ("connection_reuses_total", "reuse", TARGETS, ONE),
    ("http_cache_lookups_total", "cache_lookups", PROXIES, ONE),
    ("http_cache_hits_total", "cache_hits", PROXIES, ONE),
    ("idle_connections_current", "srv_icur", SERVER, ONE),
    ("idle_connections_limit", "src_ilim", SERVER, ONE),
    ("max_queue_time_seconds", "qtime_max", TARGETS, MS),
    ("max_connect_time_seconds", "ctime_max", TARGETS, MS),
    ("max_response_time_seconds", "rtime_max", TARGETS, MS),
    ("max_total_time_seconds", "ttime_max", TARGETS, MS),
    ("internal_errors_total", "eint", ALL, ONE),
    ("unsafe_idle_connections_current", "idle_conn_cur", SERVER, ONE),
    ("safe_idle_connections_current", "safe_conn_cur", SERVER, ONE),
    ("used_connections_current", "used_conn_cur", SERVER, ONE),
    ("need_connections_current", "need_conn_est", SERVER, ONE),
];
/// Shown for backends and servers, under the name of the column.
const UWEIGHT: Column = ("uweight", "uweight", TARGETS, ONE);

/// Limits of a server that are not set, and counts of checks that it does not have: the Prometheus endpoint says NaN.
const UNSET_IS_NAN: [&str; 7] = ["slim", "qlimit", "throttle", "src_ilim", "chkfail", "chkdown", "downtime"];
const CODES: [(&str, &str); 6] = [
    ("1xx", "hrsp_1xx"),
    ("2xx", "hrsp_2xx"),
    ("3xx", "hrsp_3xx"),
    ("4xx", "hrsp_4xx"),
    ("5xx", "hrsp_5xx"),
    ("other", "hrsp_other"),
];
const PROXY_STATES: [&str; 2] = ["DOWN", "UP"];
const SERVER_STATES: [&str; 5] = ["DOWN", "UP", "MAINT", "DRAIN", "NOLB"];
const CHECK_STATES: [&str; 16] = [
    "HANA", "SOCKERR", "L4OK", "L4TOUT", "L4CON", "L6OK", "L6TOUT", "L6RSP", "L7TOUT", "L7RSP", "L7OK", "L7OKC",
    "L7STS", "PROCERR", "PROCTOUT", "PROCOK",
];

/// What the servers of a backend add up to.
#[derive(Default)]
struct Sums {
    states: BTreeMap<&'static str, u32>,
    checks: BTreeMap<&'static str, u32>,
}

/// Reads the answer of `show stat` into a round.
pub(super) fn collect(text: &str, round: &mut Snapshot) -> Result<(), SourceError> {
    let mut lines = text.lines().filter(|l| !l.trim().is_empty());
    let header = lines.next().and_then(|l| l.strip_prefix("# ")).filter(|h| h.starts_with("pxname,svname,"));
    let header = header.ok_or_else(|| {
        let start: String = text.chars().take(60).collect();
        SourceError::Malformed(format!(
            "no HAProxy statistics in CSV (want a first line \"# pxname,svname,…\"): {start:?}"
        ))
    })?;
    let names: Vec<&str> = header.split(',').collect();
    describe(round);
    let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
    for (number, line) in lines.enumerate() {
        let values = split(line).ok_or_else(|| {
            SourceError::Malformed(format!("line {}: a quoted value without its closing quote", number + 2))
        })?;
        let row: BTreeMap<&str, &str> = names.iter().copied().zip(values.iter().map(String::as_str)).collect();
        collect_row(&row, &mut sums, round);
    }
    Ok(())
}

fn describe(round: &mut Snapshot) {
    for (scope, bit) in [("frontend", FRONTEND), ("backend", BACKEND), ("server", SERVER)] {
        for (name, column, scopes, _) in COLUMNS.iter().chain([&UWEIGHT]) {
            if scopes & bit != 0 {
                let metric = format!("haproxy_{scope}_{name}");
                let metric_type = if name.ends_with("_total") { MetricType::Counter } else { MetricType::Gauge };
                round.family(&metric, metric_type, &format!("HAProxy statistics column {column}."));
            }
        }
        round.family(
            &format!("haproxy_{scope}_http_responses_total"),
            MetricType::Counter,
            "Total number of HTTP responses with this status class.",
        );
        round.family(&format!("haproxy_{scope}_status"), MetricType::Gauge, "Current status, per state label value.");
    }
}

fn collect_row(row: &BTreeMap<&str, &str>, sums: &mut BTreeMap<String, Sums>, round: &mut Snapshot) {
    let get = |column: &str| row.get(column).copied().unwrap_or("");
    let (proxy, server) = (get("pxname"), get("svname"));
    let (scope, bit) = match get("type") {
        "0" => ("frontend", FRONTEND),
        "1" => ("backend", BACKEND),
        "2" => ("server", SERVER),
        // Listeners: the Prometheus endpoint leaves them out too, unless asked.
        _ => return,
    };
    let mut labels = vec![("proxy", proxy)];
    if bit == SERVER {
        labels.push(("server", server));
    }
    for (name, column, scopes, factor) in COLUMNS.iter().chain([&UWEIGHT]) {
        if scopes & bit == 0 {
            continue;
        }
        let value = match get(column).parse::<f64>() {
            Ok(value) => value * factor,
            Err(_) if bit == SERVER && UNSET_IS_NAN.contains(column) => f64::NAN,
            Err(_) => continue,
        };
        round.push(&format!("haproxy_{scope}_{name}"), &labels, value);
    }
    for (code, column) in CODES {
        if let Ok(value) = get(column).parse() {
            push_with(round, &format!("haproxy_{scope}_http_responses_total"), &labels, ("code", code), value);
        }
    }
    let status = get("status");
    if bit == SERVER {
        server_states(row, status, &labels, sums.entry(proxy.to_owned()).or_default(), round);
    } else {
        let is_up = status == "OPEN" || status.starts_with("UP");
        for state in PROXY_STATES {
            let value = f64::from(u8::from(is_up == (state == "UP")));
            push_with(round, &format!("haproxy_{scope}_status"), &labels, ("state", state), value);
        }
        // Servers stand before their backend.
        if bit == BACKEND {
            backend_sums(&labels, &sums.remove(proxy).unwrap_or_default(), round);
        }
    }
}

fn server_states(
    row: &BTreeMap<&str, &str>,
    status: &str,
    labels: &[(&str, &str)],
    sums: &mut Sums,
    round: &mut Snapshot,
) {
    let get = |column: &str| row.get(column).copied().unwrap_or("");
    // `UP 1/3`, `DOWN 1/2`, `MAINT (via …)`; without a check a server counts as up.
    let word = status.split(' ').next().unwrap_or("");
    let state = if status == "no check" { Some("UP") } else { SERVER_STATES.into_iter().find(|s| *s == word) };
    for known in SERVER_STATES {
        let value = f64::from(u8::from(state == Some(known)));
        push_with(round, "haproxy_server_status", labels, ("state", known), value);
    }
    if let Some(state) = state {
        *sums.states.entry(state).or_default() += 1;
    }
    // A `*` marks a check that is running; its last result still stands.
    let check = get("check_status").trim_start_matches("* ");
    if check.is_empty() {
        return;
    }
    for known in CHECK_STATES {
        let value = f64::from(u8::from(check == known));
        push_with(round, "haproxy_server_check_status", labels, ("state", known), value);
        if check == known {
            *sums.checks.entry(known).or_default() += 1;
        }
    }
    round.push("haproxy_server_check_code", labels, get("check_code").parse().unwrap_or(0.0));
    let duration_ms: f64 = get("check_duration").parse().unwrap_or(0.0);
    round.push("haproxy_server_check_duration_seconds", labels, duration_ms * MS);
}

fn backend_sums(labels: &[(&str, &str)], sums: &Sums, round: &mut Snapshot) {
    for state in SERVER_STATES {
        let count = f64::from(sums.states.get(state).copied().unwrap_or(0));
        // The second is the first's older name.
        for metric in ["haproxy_backend_agg_server_status", "haproxy_backend_agg_server_check_status"] {
            push_with(round, metric, labels, ("state", state), count);
        }
    }
    for state in CHECK_STATES {
        let count = f64::from(sums.checks.get(state).copied().unwrap_or(0));
        push_with(round, "haproxy_backend_agg_check_status", labels, ("state", state), count);
    }
}

fn push_with(round: &mut Snapshot, metric: &str, labels: &[(&str, &str)], extra: (&str, &str), value: f64) {
    let mut all = labels.to_vec();
    all.push(extra);
    round.push(metric, &all, value);
}

/// Splits a line at commas; values may be quoted, with doubled quotes inside.
fn split(line: &str) -> Option<Vec<String>> {
    let mut values = Vec::with_capacity(128);
    let mut value = String::new();
    let mut chars = line.chars().peekable();
    let mut is_quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                chars.next();
                value.push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => values.push(std::mem::take(&mut value)),
            _ => value.push(c),
        }
    }
    values.push(value);
    (!is_quoted).then_some(values)
}
