//! Checks `global` and `scrape_configs`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use vocab::Problems;
use vocab::duration::parse_duration;

use super::checked::{
    FileSdConfig, HttpConfig, ScrapeConfig, ScrapeLimits, Secret, StaticGroup, TextOrFile, TlsConfig,
};
use super::raw::{RawAuthorization, RawBasicAuth, RawGlobal, RawScrapeConfig};
use crate::exposition::{Format, HistogramChoice};
use crate::relabel;

/// Interval when nothing else is said: what Prometheus' shipped configuration uses.
pub(super) const INTERVAL_DEFAULT: Duration = Duration::from_secs(15);
/// Prometheus' default.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Prometheus' default.
const FILE_SD_REFRESH_DEFAULT: Duration = Duration::from_secs(300);
/// Dropped targets of a job that are remembered when nothing is said; the view promises "the first few hundred".
const DROPPED_TARGETS_KEPT_DEFAULT: u64 = 300;
/// What is asked for when nothing is said, best first: Prometheus's list.
const PROTOCOLS_DEFAULT: [&str; 4] =
    ["OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText1.0.0", "PrometheusText0.0.4"];
/// The protocol of native histograms, asked for first where they are wanted and nothing is said.
const PROTOBUF: &str = "PrometheusProto";

/// Checked defaults of all jobs.
pub(super) struct Global {
    interval: Duration,
    timeout: Option<Duration>,
    limits: ScrapeLimits,
    protocols: Option<Vec<String>>,
    native_histograms: Option<bool>,
    classic_too: bool,
}

pub(super) fn unknown_keys(path: &str, keys: &[String], problems: &mut Problems) {
    for key in keys {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let hint =
            if key.ends_with("_sd_configs") { " (discovery is by static_configs and file_sd_configs)" } else { "" };
        problems.add(full, format!("unknown key `{key}`{hint}"));
    }
}

/// Reads a duration above zero; `None` when the key is absent or wrong.
pub(super) fn duration(text: Option<&String>, path: &str, problems: &mut Problems) -> Option<Duration> {
    match parse_duration(text?) {
        Ok(duration) if duration.is_zero() => {
            problems.add(path, "must be longer than 0s");
            None
        }
        Ok(duration) => Some(duration),
        Err(message) => {
            problems.add(path, message);
            None
        }
    }
}

pub(super) fn check_global(raw: &RawGlobal, problems: &mut Problems) -> Global {
    unknown_keys("global", &raw.unknown, problems);
    let interval = duration(raw.scrape_interval.as_ref(), "global.scrape_interval", problems);
    let timeout = duration(raw.scrape_timeout.as_ref(), "global.scrape_timeout", problems);
    let interval = interval.unwrap_or(INTERVAL_DEFAULT);
    if timeout.is_some_and(|t| t > interval) {
        problems.add("global.scrape_timeout", "must not be longer than global.scrape_interval");
    }
    check_validation_scheme(raw.metric_name_validation_scheme.as_deref(), "global", problems);
    if let Some(protocols) = &raw.scrape_protocols {
        check_protocols(protocols, "global", problems);
    }
    Global {
        interval,
        timeout,
        limits: ScrapeLimits {
            body_bytes: bytes(raw.body_size_limit.as_ref(), "global.body_size_limit", problems),
            samples: raw.sample_limit.unwrap_or(0),
            targets: raw.target_limit.unwrap_or(0),
            labels: raw.label_limit.unwrap_or(0),
            label_name_bytes: raw.label_name_length_limit.unwrap_or(0),
            label_value_bytes: raw.label_value_length_limit.unwrap_or(0),
            dropped_targets_kept: raw.keep_dropped_targets.unwrap_or(DROPPED_TARGETS_KEPT_DEFAULT),
        },
        protocols: raw.scrape_protocols.clone(),
        native_histograms: raw.scrape_native_histograms,
        classic_too: raw.always_scrape_classic_histograms.unwrap_or(false),
    }
}

pub(super) fn check_jobs(raw: &[RawScrapeConfig], global: &Global, problems: &mut Problems) -> Vec<ScrapeConfig> {
    let mut names = BTreeSet::new();
    let mut jobs = Vec::with_capacity(raw.len());
    for (index, job) in raw.iter().enumerate() {
        let path = format!("scrape_configs[{index}]");
        match job.job_name.as_deref() {
            None | Some("") => problems.add(&path, "job_name is missing"),
            Some(name) if !names.insert(name) => {
                problems.add(format!("{path}.job_name"), format!("job {name:?} stands twice; names must differ"));
            }
            Some(_) => {}
        }
        jobs.push(check_job(job, global, &path, problems));
    }
    jobs
}

fn check_job(raw: &RawScrapeConfig, global: &Global, path: &str, problems: &mut Problems) -> ScrapeConfig {
    unknown_keys(path, &raw.unknown, problems);
    let at = |key: &str| format!("{path}.{key}");
    let interval = duration(raw.scrape_interval.as_ref(), &at("scrape_interval"), problems).unwrap_or(global.interval);
    let own_timeout = duration(raw.scrape_timeout.as_ref(), &at("scrape_timeout"), problems);
    if own_timeout.is_some_and(|t| t > interval) {
        problems.add(at("scrape_timeout"), "must not be longer than the job's scrape_interval");
    }
    let timeout = own_timeout.unwrap_or_else(|| global.timeout.unwrap_or(TIMEOUT_DEFAULT).min(interval));
    let scheme = raw.scheme.clone().unwrap_or_else(|| "http".to_owned());
    if scheme != "http" && scheme != "https" {
        problems.add(at("scheme"), format!("unknown scheme {scheme:?}: want http or https"));
    }
    check_validation_scheme(raw.metric_name_validation_scheme.as_deref(), path, problems);
    let protocols = raw.scrape_protocols.as_ref().or(global.protocols.as_ref());
    if let Some(own) = &raw.scrape_protocols {
        check_protocols(own, path, problems);
    }
    let fallback = raw.fallback_scrape_protocol.as_deref().and_then(|name| match protocol(name) {
        Some((_, format)) => Some(format),
        None => {
            problems.add(at("fallback_scrape_protocol"), unknown_protocol(name));
            None
        }
    });
    let native_histograms = raw.scrape_native_histograms.or(global.native_histograms);
    let histograms = HistogramChoice {
        // A target that answers in protobuf unasked has native histograms to say.
        native: native_histograms.unwrap_or(true),
        classic_too: raw
            .always_scrape_classic_histograms
            .or(raw.scrape_classic_histograms)
            .unwrap_or(global.classic_too),
    };
    let defaults = &global.limits;
    let own_body = bytes(raw.body_size_limit.as_ref(), &at("body_size_limit"), problems);
    let limits = ScrapeLimits {
        body_bytes: if raw.body_size_limit.is_some() { own_body } else { defaults.body_bytes },
        samples: raw.sample_limit.unwrap_or(defaults.samples),
        targets: raw.target_limit.unwrap_or(defaults.targets),
        labels: raw.label_limit.unwrap_or(defaults.labels),
        label_name_bytes: raw.label_name_length_limit.unwrap_or(defaults.label_name_bytes),
        label_value_bytes: raw.label_value_length_limit.unwrap_or(defaults.label_value_bytes),
        dropped_targets_kept: raw.keep_dropped_targets.unwrap_or(defaults.dropped_targets_kept),
    };
    let relabel_steps = raw.relabel_configs.as_deref().unwrap_or_default();
    let metric_steps = raw.metric_relabel_configs.as_deref().unwrap_or_default();
    ScrapeConfig {
        job_name: raw.job_name.clone().unwrap_or_default(),
        interval,
        timeout,
        metrics_path: raw.metrics_path.clone().unwrap_or_else(|| "/metrics".to_owned()),
        scheme,
        params: raw.params.clone().unwrap_or_default(),
        honor_labels: raw.honor_labels.unwrap_or(false),
        honor_timestamps: raw.honor_timestamps.unwrap_or(true),
        track_timestamps_staleness: raw.track_timestamps_staleness.unwrap_or(false),
        limits,
        accept: accept_header(protocols, native_histograms == Some(true)),
        histograms,
        fallback,
        static_groups: check_static(raw, path, problems),
        file_sd: check_file_sd(raw, path, problems),
        relabel: relabel::check_steps(relabel_steps, &at("relabel_configs"), problems),
        metric_relabel: relabel::check_steps(metric_steps, &at("metric_relabel_configs"), problems),
        http: check_http(raw, path, problems),
    }
}

fn check_static(raw: &RawScrapeConfig, path: &str, problems: &mut Problems) -> Vec<StaticGroup> {
    let mut groups = Vec::new();
    for (index, group) in raw.static_configs.iter().flatten().enumerate() {
        let at = format!("{path}.static_configs[{index}]");
        unknown_keys(&at, &group.unknown, problems);
        let targets = group.targets.clone().unwrap_or_default();
        for (target_index, target) in targets.iter().enumerate() {
            if target.contains("://") || target.contains('/') {
                problems.add(
                    format!("{at}.targets[{target_index}]"),
                    format!(
                        "{target:?} is not a valid target: want host:port (scheme and metrics_path are keys of the job)"
                    ),
                );
            }
        }
        groups.push(StaticGroup { targets, labels: group.labels.clone().unwrap_or_default() });
    }
    groups
}

fn check_file_sd(raw: &RawScrapeConfig, path: &str, problems: &mut Problems) -> Vec<FileSdConfig> {
    let mut all = Vec::new();
    for (index, config) in raw.file_sd_configs.iter().flatten().enumerate() {
        let at = format!("{path}.file_sd_configs[{index}]");
        unknown_keys(&at, &config.unknown, problems);
        let files = config.files.clone().unwrap_or_default();
        if files.is_empty() {
            problems.add(&at, "files is missing");
        }
        for (file_index, file) in files.iter().enumerate() {
            let at = format!("{at}.files[{file_index}]");
            if ![".json", ".yml", ".yaml"].iter().any(|end| file.ends_with(end)) {
                problems.add(&at, format!("{file:?}: want a name that ends in .json, .yml or .yaml"));
            }
            if let Err(error) = glob::Pattern::new(file) {
                problems.add(&at, format!("{file:?} is not a valid pattern: {error}"));
            }
        }
        let interval = duration(config.refresh_interval.as_ref(), &format!("{at}.refresh_interval"), problems);
        all.push(FileSdConfig { files, refresh_interval: interval.unwrap_or(FILE_SD_REFRESH_DEFAULT) });
    }
    all
}

fn check_http(raw: &RawScrapeConfig, path: &str, problems: &mut Problems) -> HttpConfig {
    let mut given = Vec::new();
    if let Some(basic) = &raw.basic_auth {
        given.push(check_basic(basic, &format!("{path}.basic_auth"), problems));
    }
    if let Some(authorization) = &raw.authorization {
        given.push(check_authorization(authorization, &format!("{path}.authorization"), problems));
    }
    for (text, is_file) in [(&raw.bearer_token, false), (&raw.bearer_token_file, true)] {
        if let Some(text) = text {
            let credentials =
                if is_file { TextOrFile::File(PathBuf::from(text)) } else { TextOrFile::Text(text.clone()) };
            given.push(Secret::Scheme { scheme: "Bearer".to_owned(), credentials });
        }
    }
    if given.len() > 1 {
        problems.add(path, "at most one of basic_auth, authorization, bearer_token and bearer_token_file may be given");
    }
    let tls = raw.tls_config.clone().unwrap_or_default();
    unknown_keys(&format!("{path}.tls_config"), &tls.unknown, problems);
    HttpConfig {
        authorization: given.into_iter().next().unwrap_or_default(),
        tls: TlsConfig {
            ca_file: tls.ca_file.map(PathBuf::from),
            insecure_skip_verify: tls.insecure_skip_verify.unwrap_or(false),
        },
        follow_redirects: raw.follow_redirects.unwrap_or(true),
        http2: raw.enable_http2.unwrap_or(true),
        compression: raw.enable_compression.unwrap_or(true),
    }
}

fn text_or_file(
    text: Option<&String>,
    file: Option<&String>,
    (path, key): (&str, &str),
    problems: &mut Problems,
) -> TextOrFile {
    match (text, file) {
        (Some(_), Some(_)) => {
            problems.add(path, format!("at most one of {key} and {key}_file may be given"));
            TextOrFile::Text(String::new())
        }
        (_, Some(file)) => TextOrFile::File(PathBuf::from(file)),
        (text, None) => TextOrFile::Text(text.cloned().unwrap_or_default()),
    }
}

fn check_basic(raw: &RawBasicAuth, path: &str, problems: &mut Problems) -> Secret {
    unknown_keys(path, &raw.unknown, problems);
    Secret::Basic {
        username: text_or_file(raw.username.as_ref(), raw.username_file.as_ref(), (path, "username"), problems),
        password: text_or_file(raw.password.as_ref(), raw.password_file.as_ref(), (path, "password"), problems),
    }
}

fn check_authorization(raw: &RawAuthorization, path: &str, problems: &mut Problems) -> Secret {
    unknown_keys(path, &raw.unknown, problems);
    let scheme = raw.kind.clone().unwrap_or_else(|| "Bearer".to_owned());
    if scheme.eq_ignore_ascii_case("basic") {
        problems.add(format!("{path}.type"), "cannot be Basic: use basic_auth");
    }
    let (text, file) = (raw.credentials.as_ref(), raw.credentials_file.as_ref());
    Secret::Scheme { scheme, credentials: text_or_file(text, file, (path, "credentials"), problems) }
}

fn check_validation_scheme(name: Option<&str>, path: &str, problems: &mut Problems) {
    if let Some(name) = name.filter(|n| *n != "utf8") {
        problems.add(
            format!("{path}.metric_name_validation_scheme"),
            format!("{name:?} is not supported: names are always validated as utf8"),
        );
    }
}

/// `Accept` entry and format of one of Prometheus' protocol names.
fn protocol(name: &str) -> Option<(&'static str, Format)> {
    Some(match name {
        "OpenMetricsText1.0.0" => {
            ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8", Format::OpenMetrics)
        }
        "OpenMetricsText0.0.1" => ("application/openmetrics-text;version=0.0.1", Format::OpenMetrics),
        "PrometheusText1.0.0" => ("text/plain;version=1.0.0;escaping=allow-utf-8", Format::Prometheus),
        "PrometheusText0.0.4" => ("text/plain;version=0.0.4", Format::Prometheus),
        PROTOBUF => (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
            Format::Protobuf,
        ),
        _ => return None,
    })
}

fn unknown_protocol(name: &str) -> String {
    format!(
        "unknown protocol {name:?}: want PrometheusProto, OpenMetricsText1.0.0, OpenMetricsText0.0.1, PrometheusText1.0.0 or PrometheusText0.0.4"
    )
}

fn check_protocols(names: &[String], path: &str, problems: &mut Problems) {
    let at = format!("{path}.scrape_protocols");
    if names.is_empty() {
        problems.add(&at, "names no protocol");
    }
    for (index, name) in names.iter().enumerate() {
        if protocol(name).is_none() {
            problems.add(&at, unknown_protocol(name));
        }
        if names[..index].contains(name) {
            problems.add(&at, format!("protocol {name:?} stands twice"));
        }
    }
}

/// The `Accept` header: what is wanted with falling weights, and at last anything.
fn accept_header(protocols: Option<&Vec<String>>, native_histograms: bool) -> String {
    let names: Vec<&str> = match protocols {
        Some(names) => names.iter().map(String::as_str).collect(),
        None => native_histograms.then_some(PROTOBUF).into_iter().chain(PROTOCOLS_DEFAULT).collect(),
    };
    let wanted: Vec<&str> = names.iter().filter_map(|n| protocol(n)).map(|p| p.0).collect();
    let mut header = String::new();
    for (index, entry) in wanted.iter().enumerate() {
        header.push_str(&format!("{entry};q=0.{},", wanted.len() + 1 - index));
    }
    header.push_str("*/*;q=0.1");
    header
}

/// Reads a size such as `10MB`, `512KiB` or `0`; units are powers of 1024, as in Prometheus.
fn bytes(text: Option<&String>, path: &str, problems: &mut Problems) -> u64 {
    let Some(text) = text else { return 0 };
    let digits = text.bytes().take_while(|c| c.is_ascii_digit() || *c == b'.').count();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim_start_matches(' ') {
        "" | "B" => 1,
        "KB" | "KiB" => 1 << 10,
        "MB" | "MiB" => 1 << 20,
        "GB" | "GiB" => 1 << 30,
        "TB" | "TiB" => 1 << 40,
        _ => 0,
    };
    match number.parse::<f64>() {
        Ok(number) if factor > 0 => (number * factor as f64) as u64,
        _ => {
            problems.add(path, format!("invalid size {text:?}: want a number with B, KB, MB or GB, such as 10MB"));
            0
        }
    }
}
