//! Metrics of this machine, read from procfs and sysfs, with node_exporter's names and labels.
//!
//! Each collector reads one or a few files under a root that is a parameter, so that recorded trees test them. A collector
//! that fails is shown by `node_scrape_collector_success` and takes nothing from the others.

mod cpu;
mod disk;
mod filesystem;
mod memory;
mod network;
mod system;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use vocab::sample::MetricType;

use crate::config::HostConfig;
use crate::error::SourceError;
use crate::shared::Shared;
use crate::snapshot::{Snapshot, SnapshotWriter};
use crate::ticker::Ticker;

/// The source's name.
pub(crate) const NAME: &str = "host";
/// The job of its series, as node_exporter is usually called.
pub(crate) const JOB: &str = "node";

/// Where the kernel's files are.
#[derive(Debug, Clone)]
pub(crate) struct Roots {
    procfs: PathBuf,
    sysfs: PathBuf,
    now_seconds: f64,
}

impl Roots {
    fn proc(&self, file: &str) -> Result<String, SourceError> {
        read(&self.procfs.join(file))
    }

    fn sys(&self, file: &str) -> Result<String, SourceError> {
        read(&self.sysfs.join(file))
    }
}

fn read(path: &Path) -> Result<String, SourceError> {
    std::fs::read_to_string(path).map_err(|e| SourceError::read(path, e))
}

type Collect = fn(&Roots, &mut Snapshot) -> Result<(), SourceError>;

const COLLECTORS: [(&str, Collect); 15] = [
    ("cpu", cpu::cpu),
    ("diskstats", disk::diskstats),
    ("filefd", system::filefd),
    ("filesystem", filesystem::filesystem),
    ("loadavg", system::loadavg),
    ("meminfo", memory::meminfo),
    ("netclass", network::netclass),
    ("netdev", network::netdev),
    ("netstat", network::netstat),
    ("pressure", system::pressure),
    ("sockstat", network::sockstat),
    ("stat", cpu::stat),
    ("time", system::time),
    ("uname", system::uname),
    ("vmstat", memory::vmstat),
];

/// Collectors whose files not every kernel has.
const OPTIONAL: [&str; 3] = ["pressure", "netclass", "netstat"];

/// One round; the names of the collectors that failed, with the reason.
fn collect(roots: &Roots, round: &mut Snapshot) -> Vec<(&'static str, SourceError)> {
    let mut failed = Vec::new();
    round.family("node_scrape_collector_success", MetricType::Gauge, "Whether a collector succeeded");
    for (name, run) in COLLECTORS {
        let result = run(roots, round);
        let success = if result.is_ok() { 1.0 } else { 0.0 };
        round.push("node_scrape_collector_success", &[("collector", name)], success);
        if let Err(error) = result {
            failed.push((name, error));
        }
    }
    failed
}

/// Reads until the source is stopped.
pub(crate) async fn run(shared: Arc<Shared>, config: HostConfig, stop: CancellationToken) {
    let entry = shared.sources.open(NAME, "metrics", &config.procfs.display().to_string());
    let mut writer = SnapshotWriter::default();
    let mut ticker = Ticker::new(&shared.clock, &stop, std::time::Duration::ZERO, config.interval);
    while ticker.tick().await {
        let now_ms = shared.clock.now_ms();
        let host = shared.host();
        let cluster = shared.default_cluster();
        let base = [("job", JOB), ("instance", host.name.as_str()), ("cluster", cluster.as_str())];
        let base = base.into_iter().chain(host.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        let mut round = Snapshot::new(base);
        let roots =
            Roots { procfs: config.procfs.clone(), sysfs: config.sysfs.clone(), now_seconds: now_ms as f64 / 1000.0 };
        // A hanging disk makes reading hang; that must not hold up the runtime.
        let work = tokio::task::spawn_blocking(move || {
            let failed = collect(&roots, &mut round);
            (round, failed)
        });
        let Ok((round, failed)) = work.await else {
            entry.failed("reading procfs failed, see the log");
            continue;
        };
        let serious: Vec<_> = failed.iter().filter(|f| !OPTIONAL.contains(&f.0)).collect();
        shared.entities.see((vocab::EntityKind::Cluster, &cluster, &cluster), "", Default::default(), now_ms);
        shared.entities.see((vocab::EntityKind::Host, &cluster, &host.name), &cluster, host.labels.clone(), now_ms);
        match writer.write(&shared, round, now_ms).await {
            Ok(count) => entry.delivered(count, now_ms),
            Err(error) => {
                shared.metrics.source_failed(NAME);
                if entry.failed(&error.to_string()) {
                    tracing::warn!(error = %vocab::error::chain(&error), "host metrics not written");
                }
                continue;
            }
        }
        if let Some((name, error)) = serious.first() {
            entry.note(&format!("{name}: {error}"));
        }
    }
    writer.finish(&shared).await;
    shared.sources.close(NAME, &entry);
}

/// Numbers of a line, those that do not parse as 0.
fn numbers(text: &str) -> Vec<f64> {
    text.split_ascii_whitespace().map(|w| w.parse().unwrap_or(0.0)).collect()
}

#[cfg(test)]
mod tests;
