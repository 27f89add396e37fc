//! Tidewatch's own metrics, under the names that `/metrics` shows.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use vocab::sample::{MetricMetadata, MetricType};

use crate::collector::SelfMetrics;
use crate::config::SelfConfig;
use crate::error::SourceError;
use crate::exposition::{Entry, Format, Parser};
use crate::shared::Shared;
use crate::snapshot::{Snapshot, SnapshotWriter};
use crate::ticker::Ticker;

/// The source's name.
pub(crate) const NAME: &str = "self";
/// The job of its series.
const JOB: &str = "tidewatch";

/// Reads until the source is stopped.
pub(crate) async fn run(shared: Arc<Shared>, config: SelfConfig, metrics: SelfMetrics, stop: CancellationToken) {
    let entry = shared.sources.open(NAME, "metrics", "this process");
    let mut writer = SnapshotWriter::default();
    let mut ticker = Ticker::new(&shared.clock, &stop, std::time::Duration::ZERO, config.interval);
    while ticker.tick().await {
        let now_ms = shared.clock.now_ms();
        let (host, cluster) = (shared.host(), shared.default_cluster());
        let base = [("job", JOB), ("instance", host.name.as_str()), ("cluster", cluster.as_str())];
        let mut round = Snapshot::new(base);
        let result = match collect(&metrics(), Format::OpenMetrics, &mut round) {
            Ok(()) => writer.write(&shared, round, now_ms).await.map_err(SourceError::from),
            Err(error) => Err(error),
        };
        match result {
            Ok(count) => entry.delivered(count, now_ms),
            Err(error) => {
                shared.metrics.source_failed(NAME);
                if entry.failed(&error.to_string()) {
                    tracing::warn!(error = %vocab::error::chain(&error), "own metrics not written");
                }
            }
        }
    }
    writer.finish(&shared).await;
    shared.sources.close(NAME, &entry);
}

/// Reads an OpenMetrics text into a round.
pub(crate) fn collect(text: &str, format: Format, round: &mut Snapshot) -> Result<(), SourceError> {
    let malformed = |e: &dyn std::fmt::Display| SourceError::Malformed(e.to_string());
    let mut parser = Parser::new(text.as_bytes(), format);
    let mut family = MetricMetadata::default();
    while let Some(entry) = parser.next_entry().map_err(|e| malformed(&e))? {
        match entry {
            Entry::Series(line) => {
                let labels = parser.labels().map_err(|e| malformed(&e))?;
                let pairs: Vec<_> = labels.iter().collect();
                round.push(labels.metric_name(), &pairs, line.value);
            }
            Entry::Help(name, help) => set_family(&mut family, round, name, |f| help.clone_into(&mut f.help)),
            Entry::Type(name, metric_type) => set_family(&mut family, round, name, |f| f.metric_type = metric_type),
            Entry::Unit(name, unit) => set_family(&mut family, round, name, |f| unit.clone_into(&mut f.unit)),
        }
    }
    if !family.metric.is_empty() {
        round.metadata.push(family);
    }
    Ok(())
}

fn set_family(family: &mut MetricMetadata, round: &mut Snapshot, name: &str, set: impl Fn(&mut MetricMetadata)) {
    if family.metric != name {
        let done = std::mem::replace(
            family,
            MetricMetadata { metric: name.to_owned(), metric_type: MetricType::Unknown, ..MetricMetadata::default() },
        );
        if !done.metric.is_empty() {
            round.metadata.push(done);
        }
    }
    set(family);
}
