//! The configuration file: Prometheus's top level with our sections beside it, put together from the rooms' own shapes.
//!
//! Every mistake is reported at once, each with file and line. A key that is not supported is refused by name.

mod retention;
mod sections;
mod storage;
mod tenants;

use std::path::{Path, PathBuf};
use std::time::Duration;

use analyzer::config::AnalyzerConfig;
use autoscaler::config::AutoscalerConfig;
use collector::config::CollectorConfig;
use vocab::limits::LimitsTable;
use vocab::{Labels, Problem, Problems};

use crate::yaml::Document;

pub use retention::Retention;
pub use storage::StorageConfig;

/// Most rule files that the patterns of `rule_files` may match.
const RULE_FILES_MAX: usize = 1_000;

/// Interval of rule groups that state none: short enough to see a ramp, long enough to cost little.
const EVALUATION_INTERVAL: Duration = Duration::from_secs(15);

/// Everything that can be reloaded.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file; `None` when there is none.
    pub file: Option<PathBuf>,
    /// Its text with secrets left out, for the status page.
    pub shown: String,
    /// Added where data leaves the process.
    pub external_labels: Labels,
    /// How long data is kept and how it is written.
    pub storage: StorageConfig,
    /// What tenants may do.
    pub tenants: LimitsTable,
    /// What is collected.
    pub collector: CollectorConfig,
    /// What is judged.
    pub analyzer: AnalyzerConfig,
    /// What is scaled.
    pub autoscaler: AutoscalerConfig,
}

/// Sections that Prometheus has and this program does not; named, so that nobody thinks that they work.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("remote_write", "sending samples on is not supported"),
    ("remote_read", "reading from another server is not supported"),
    ("tracing", "sending traces is not supported"),
    ("runtime", "there is no Go runtime to configure"),
    ("scrape_config_files", "write the jobs into scrape_configs"),
];

const COLLECTOR: &[&str] = &["global", "scrape_configs", "sources", "host", "haproxy", "logs", "syslog", "otlp"];
const ANALYZER: &[&str] = &["alerting", "analysis"];
const AUTOSCALER: &[&str] = &[
    "autoscaling",
    "process",
    "swarm",
    "kubernetes",
    "marathon",
    "nomad",
    "webhook",
    "metrics_api",
    "balancers",
    "scaling",
];
const ROOT: &[&str] = &["cluster", "services", "rule_files", "storage", "tenants"];

/// Loads the configuration; without a file every built-in source is on.
///
/// # Errors
/// All mistakes at once.
pub fn load(file: Option<&Path>) -> Result<Config, Problems> {
    let Some(path) = file else {
        let document = Document::parse("", BUILT_IN)?;
        return build(&document, None, String::new());
    };
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| Problems {
        list: vec![Problem {
            file: name.clone(),
            line: 0,
            path: String::new(),
            message: format!("cannot be read: {error}"),
        }],
    })?;
    let document = Document::parse(&name, &text)?;
    let shown = storage::without_secrets(&text);
    build(&document, Some(path.to_path_buf()), shown)
}

/// What is in force without a file.
const BUILT_IN: &str = "sources: {host: , containers: , self: , system_logs: }\n";

fn build(document: &Document, file: Option<PathBuf>, shown: String) -> Result<Config, Problems> {
    let mut problems = Problems::default();
    let mut elsewhere = Problems::default();
    sections::check_names(document, &mut problems);
    let base = file.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).to_path_buf();
    let resolver = sections::resolver(document, &mut problems);
    let cluster = resolver.default_cluster.clone();

    let raw: collector::config::RawCollector = sections::pick(document, COLLECTOR, &mut problems);
    let global = raw.global.clone().unwrap_or_default();
    let external_labels = Labels::from_pairs(global.external_labels.clone().unwrap_or_default());
    let mut collector = collector::config::check(&raw, resolver, &mut problems);
    collector.resolve_paths(&base);
    let evaluation_interval =
        sections::interval(global.evaluation_interval.as_deref(), "global.evaluation_interval", &mut problems);

    let rule_files = sections::rule_files(document, &base, &mut problems, &mut elsewhere);
    let raw: sections::RawAnalyzer = sections::pick(document, ANALYZER, &mut problems);
    let analyzer = AnalyzerConfig {
        default_rules: file.is_none(),
        rule_files,
        evaluation_interval: evaluation_interval.unwrap_or(EVALUATION_INTERVAL),
        external_labels: external_labels.clone(),
        external_url: String::new(),
        alertmanagers: analyzer::config::check_alerting(&raw.alerting, &mut problems),
        analysis: analyzer::config::check_analysis(&raw.analysis, &mut problems),
    };

    let raw: autoscaler::config::RawAutoscaler = sections::pick(document, AUTOSCALER, &mut problems);
    let autoscaler = autoscaler::config::check(&raw, &cluster, &mut problems);
    let storage = storage::check(document, &base, &mut problems);
    let tenants = tenants::check(document, &mut problems);

    problems.locate(&document.file, |path| document.line_of(path));
    problems.list.append(&mut elsewhere.list);
    problems.into_result(Config { file, shown, external_labels, storage, tenants, collector, analyzer, autoscaler })
}

#[cfg(test)]
mod tests;
