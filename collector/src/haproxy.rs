//! HAProxy by its Prometheus endpoint, by its stats page in CSV, or by its runtime socket: three ways to the same series, which
//! have the names of HAProxy's own Prometheus endpoint.

mod csv;
mod socket;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vocab::EntityKind;
use vocab::labels::METRIC_NAME;
use vocab::{Labels, LabelsBuilder, TimestampMs};

use crate::config::{HaproxyConfig, HaproxyEndpoint, HttpConfig};
use crate::error::SourceError;
use crate::exposition::Format;
use crate::fetch::{Fetcher, Request, format_of};
use crate::self_source;
use crate::shared::Shared;
use crate::snapshot::{Snapshot, SnapshotWriter};
use crate::ticker::Ticker;

/// The job of its series.
const JOB: &str = "haproxy";
/// Longest a round may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer: thousands of servers have about 600 bytes of CSV, or 15 kB of metrics, each.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Reads one HAProxy until the source is stopped.
pub(crate) async fn run(shared: Arc<Shared>, config: HaproxyConfig, stop: CancellationToken) {
    let name = format!("haproxy/{}", config.name);
    let entry = shared.sources.open(&name, "metrics", &reading(&config.endpoint));
    let mut writer = SnapshotWriter::default();
    let mut fetcher = None;
    let mut ticker = Ticker::new(&shared.clock, &stop, Duration::ZERO, config.interval);
    while ticker.tick().await {
        let now_ms = shared.clock.now_ms();
        let result = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            result = read(&shared, &config, &mut fetcher) => result,
        };
        let up = if result.is_ok() { 1.0 } else { 0.0 };
        let mut problem = result.as_ref().err().map(ToString::to_string);
        // As with a failed scrape, the series of an instance that does not answer end, and `up` says why.
        let mut round = result.unwrap_or_default();
        round = stamp(&shared, &config, round, now_ms);
        round.push("up", &[], up);
        match writer.write(&shared, round, now_ms).await {
            Ok(count) if problem.is_none() => entry.delivered(count, now_ms),
            Ok(_) => {}
            Err(error) => problem = Some(SourceError::from(error).to_string()),
        }
        if let Some(problem) = problem {
            shared.metrics.source_failed(&name);
            if entry.failed(&problem) {
                tracing::warn!(source = %name, problem = %problem, "HAProxy not read");
            }
        }
    }
    writer.finish(&shared).await;
    shared.sources.close(&name, &entry);
}

fn reading(endpoint: &HaproxyEndpoint) -> String {
    match endpoint {
        HaproxyEndpoint::Prometheus(url) | HaproxyEndpoint::Csv(url) => url.clone(),
        HaproxyEndpoint::Unix(path) => path.display().to_string(),
        HaproxyEndpoint::Tcp(address) => address.clone(),
    }
}

/// One round, without labels of the instance.
async fn read(shared: &Shared, config: &HaproxyConfig, fetcher: &mut Option<Fetcher>) -> Result<Snapshot, SourceError> {
    let timeout = TIMEOUT.min(config.interval);
    let mut round = Snapshot::new([]);
    match &config.endpoint {
        HaproxyEndpoint::Prometheus(url) | HaproxyEndpoint::Csv(url) => {
            let fetcher = match fetcher {
                Some(fetcher) => fetcher,
                slot => slot.insert(Fetcher::new(&HttpConfig::default())?),
            };
            let is_csv = matches!(config.endpoint, HaproxyEndpoint::Csv(_));
            let accept = if is_csv { "text/plain" } else { "text/plain;version=0.0.4" };
            let request = Request { url, accept, timeout, body_bytes_max: ANSWER_BYTES_MAX };
            let fetched = fetcher.fetch(&shared.clock, request).await?;
            let text = String::from_utf8_lossy(&fetched.body);
            if is_csv {
                csv::collect(&text, &mut round)?;
            } else {
                let format = format_of(&fetched.content_type, Some(Format::Prometheus))?;
                self_source::collect(&text, format, &mut round)?;
            }
        }
        HaproxyEndpoint::Unix(_) | HaproxyEndpoint::Tcp(_) => {
            let text = tokio::select! {
                text = socket::ask(&config.endpoint, "show stat\n", ANSWER_BYTES_MAX) => text?,
                () = shared.clock.sleep(timeout) => {
                    return Err(SourceError::Malformed(format!("{} did not answer in time", reading(&config.endpoint))));
                }
            };
            csv::collect(&text, &mut round)?;
        }
    }
    Ok(round)
}

/// Adds the instance's labels and, on series of backends and servers, the service that the backend's name means.
fn stamp(shared: &Shared, config: &HaproxyConfig, round: Snapshot, now_ms: TimestampMs) -> Snapshot {
    let cluster = config.cluster.clone().unwrap_or_else(|| shared.default_cluster());
    let mut base: Vec<(&str, &str)> = vec![("job", JOB), ("instance", &config.name), ("cluster", &cluster)];
    base.extend(config.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    let mut stamped = Snapshot::new(base.iter().copied());
    stamped.metadata = round.metadata;
    let mut backends = Backends::default();
    for (labels, value) in round.samples {
        let mut builder = LabelsBuilder::from(&labels);
        if let Some((_, service)) = backends.service_of(shared, &labels.with("cluster", &cluster)) {
            builder.set("service", &service);
        }
        for (name, text) in &base {
            if labels.get(name).is_none() {
                builder.set(name, text);
            }
        }
        stamped.samples.push((builder.build(), value));
    }
    backends.see(shared, now_ms);
    stamped
}

/// The services behind the backends that one HAProxy shows.
#[derive(Debug, Default)]
pub(crate) struct Backends {
    /// Backend → (cluster, service); an empty service when the name means none.
    known: BTreeMap<String, (String, String)>,
}

impl Backends {
    /// Cluster and service of a series of a backend or server; `None` for other series and for backends of no service.
    pub(crate) fn service_of(&mut self, shared: &Shared, labels: &Labels) -> Option<(String, String)> {
        let metric = labels.get(METRIC_NAME)?;
        if !metric.starts_with("haproxy_backend_") && !metric.starts_with("haproxy_server_") {
            return None;
        }
        let proxy = labels.get("proxy")?;
        if !self.known.contains_key(proxy) {
            let mut sources =
                BTreeMap::from([("proxy".to_owned(), proxy.to_owned()), ("job".to_owned(), JOB.to_owned())]);
            if let Some(cluster) = labels.get("cluster") {
                sources.insert("cluster".to_owned(), cluster.to_owned());
            }
            let identity = shared.resolve(&sources);
            self.known.insert(proxy.to_owned(), (identity.cluster, identity.service));
        }
        self.known.get(proxy).filter(|known| !known.1.is_empty()).cloned()
    }

    /// Notes that the backends and their services are still there.
    pub(crate) fn see(&self, shared: &Shared, now_ms: TimestampMs) {
        for (proxy, (cluster, service)) in self.known.iter().filter(|(_, (_, service))| !service.is_empty()) {
            shared.entities.see_replica((cluster, service, ""), &BTreeMap::new(), now_ms);
            let labels = BTreeMap::from([("kind".to_owned(), "haproxy".to_owned())]);
            shared.entities.see((EntityKind::Balancer, cluster, proxy), service, labels, now_ms);
        }
    }
}

#[cfg(test)]
mod tests;
