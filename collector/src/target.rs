//! One scrape target: the labels and the URL that discovery and relabelling lead to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use vocab::duration::{format_duration, parse_duration};
use vocab::ports::views::{TargetHealth, TargetStatus};
use vocab::sample::MetricMetadata;
use vocab::{Labels, LabelsBuilder};

use crate::config::ScrapeConfig;
use crate::relabel;

/// What becomes of one discovered address.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is scraped.
    Active(Box<Target>),
    /// Relabelling dropped it.
    Dropped(BTreeMap<String, String>),
    /// It cannot be scraped, for this reason.
    Invalid(String),
}

/// A target.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Target {
    pub(crate) discovered: BTreeMap<String, String>,
    /// Labels of its series.
    pub(crate) labels: Labels,
    pub(crate) url: String,
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
}

impl Target {
    /// Sets the labels that Prometheus sets, relabels, and builds the URL.
    pub(crate) fn build(config: &ScrapeConfig, address: &str, group: &BTreeMap<String, String>) -> Outcome {
        let mut discovered = group.clone();
        discovered.insert("__address__".to_owned(), address.to_owned());
        let mut default = |name: &str, value: String| {
            discovered.entry(name.to_owned()).or_insert(value);
        };
        default("job", config.job_name.clone());
        default("__scrape_interval__", format_duration(config.interval));
        default("__scrape_timeout__", format_duration(config.timeout));
        default("__metrics_path__", config.metrics_path.clone());
        default("__scheme__", config.scheme.clone());
        for (name, values) in &config.params {
            if let Some(first) = values.first() {
                default(&format!("__param_{name}"), first.clone());
            }
        }
        let mut labels = LabelsBuilder::default();
        for (name, value) in &discovered {
            labels.set(name, value);
        }
        if !relabel::apply(&mut labels, &config.relabel) {
            return Outcome::Dropped(discovered);
        }
        match Self::finish(config, labels, &discovered) {
            Ok(target) => Outcome::Active(Box::new(target)),
            Err(message) => Outcome::Invalid(message),
        }
    }

    fn finish(
        config: &ScrapeConfig,
        mut labels: LabelsBuilder,
        discovered: &BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let get = |labels: &LabelsBuilder, name: &str| labels.get(name).unwrap_or("").to_owned();
        let address = get(&labels, "__address__");
        if address.is_empty() || address.contains('/') {
            return Err(format!("{address:?} is not a valid address: want host:port"));
        }
        let interval = parse_duration(&get(&labels, "__scrape_interval__"))?;
        let timeout = parse_duration(&get(&labels, "__scrape_timeout__"))?;
        if interval.is_zero() || timeout.is_zero() || timeout > interval {
            return Err(
                "scrape interval and timeout must be above 0s and the timeout no longer than the interval".into()
            );
        }
        let path = get(&labels, "__metrics_path__");
        let slash = if path.starts_with('/') { "" } else { "/" };
        let mut url = url::Url::parse(&format!("{}://{address}{slash}{path}", get(&labels, "__scheme__")))
            .map_err(|e| format!("{address:?} is not a valid address: {e}"))?;
        set_params(&mut url, config, &labels);
        if labels.get("instance").is_none() {
            labels.set("instance", &address);
        }
        let all = labels.build();
        let labels = all.retain(|name| !name.starts_with("__"));
        Ok(Self { discovered: discovered.clone(), labels, url: url.to_string(), interval, timeout })
    }

    /// A number that spreads targets over their interval, the same after every restart.
    pub(crate) fn hash(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64_with_seed(self.url.as_bytes(), self.labels.stable_hash())
    }
}

/// The job's parameters; the first value of each can be relabelled, and relabelling can add some.
fn set_params(url: &mut url::Url, config: &ScrapeConfig, labels: &LabelsBuilder) {
    let mut params = config.params.clone();
    for (name, value) in labels.pairs() {
        let Some(param) = name.strip_prefix("__param_") else { continue };
        let values = params.entry(param.to_owned()).or_default();
        match values.first_mut() {
            Some(first) => first.clone_from(value),
            None => values.push(value.clone()),
        }
    }
    if params.is_empty() {
        return;
    }
    let mut query = url.query_pairs_mut();
    for (name, values) in &params {
        for value in values {
            query.append_pair(name, value);
        }
    }
}

/// A target's state as others see it; its loop writes it.
#[derive(Debug)]
pub(crate) struct TargetState {
    pub(crate) status: Mutex<TargetStatus>,
    /// Metadata as the target last exposed it, by metric.
    pub(crate) metadata: Mutex<BTreeMap<String, MetricMetadata>>,
}

impl TargetState {
    pub(crate) fn new(job: &str, target: &Target) -> Arc<Self> {
        let status = TargetStatus {
            scrape_pool: job.to_owned(),
            discovered_labels: target.discovered.clone(),
            labels: target.labels.clone(),
            scrape_url: target.url.clone(),
            global_url: target.url.clone(),
            health: TargetHealth::Unknown,
            interval_seconds: target.interval.as_secs_f64(),
            timeout_seconds: target.timeout.as_secs_f64(),
            ..TargetStatus::default()
        };
        Arc::new(Self { status: Mutex::new(status), metadata: Mutex::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocab::Problems;

    fn job(yaml: &str) -> ScrapeConfig {
        let raw = serde_saphyr::from_str(yaml).expect(yaml);
        let mut problems = Problems::default();
        let config = crate::config::check(&raw, Default::default(), &mut problems);
        assert!(problems.is_empty(), "{problems}");
        config.scrape_configs.into_iter().next().expect("one job")
    }

    #[test]
    fn labels_url_and_times_follow_relabelling() {
        let config =
            job("scrape_configs: [{job_name: j, metrics_path: /m, params: {module: [a, b]}, relabel_configs: [\
             {source_labels: [env], target_label: __param_module}, \
             {source_labels: [__address__], regex: '(.*):.*', target_label: host}, \
             {target_label: __scrape_interval__, replacement: 30s}, \
             {source_labels: [__address__], regex: drop.*, action: drop}]}]");
        let group = BTreeMap::from([("env".to_owned(), "x y".to_owned())]);
        let Outcome::Active(target) = Target::build(&config, "h:1", &group) else { panic!("active") };
        assert_eq!(target.url, "http://h:1/m?module=x+y&module=b");
        assert_eq!(target.interval, Duration::from_secs(30));
        assert_eq!(
            target.labels,
            Labels::from_pairs([("env", "x y"), ("host", "h"), ("instance", "h:1"), ("job", "j")])
        );
        assert!(matches!(Target::build(&config, "drop:1", &group), Outcome::Dropped(_)));
        assert!(matches!(Target::build(&config, "h/x", &group), Outcome::Invalid(_)));
    }
}
