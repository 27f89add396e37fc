//! Prometheus and OpenMetrics text as an import.

use std::collections::BTreeMap;

use vocab::ports::WriteBatch;
use vocab::ports::append::{BatchSample, Origin, SeriesRef};
use vocab::ports::ingest::IngestRequest;
use vocab::sample::{Exemplar, MetricMetadata};
use vocab::{Ctx, PortError};

use super::{BATCH_SAMPLES_MAX, Outcome, Receiver};
use crate::exposition::{Entry, Format, Parser, SeriesLine};

/// Writes what the text says; samples without a time get the parameter `timestamp` (milliseconds) or the present.
pub(super) async fn ingest(
    receiver: &Receiver,
    ctx: &Ctx,
    request: &IngestRequest,
    body: &[u8],
) -> Result<Outcome, PortError> {
    let is_openmetrics = request.content_type.contains("openmetrics");
    let format = if is_openmetrics { Format::OpenMetrics } else { Format::Prometheus };
    let default_ms = match request.params.iter().find(|p| p.0 == "timestamp") {
        Some((_, text)) => text
            .parse()
            .map_err(|_| PortError::invalid(format!("timestamp {text:?} is not a whole number of milliseconds")))?,
        None => receiver.shared.clock.now_ms(),
    };
    let mut outcome = Outcome::default();
    let mut batch = WriteBatch { origin: Origin::Write, ..WriteBatch::default() };
    let mut families: BTreeMap<&str, MetricMetadata> = BTreeMap::new();
    let mut parser = Parser::new(body, format);
    loop {
        let entry = match parser.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(mistake) => {
                outcome.reject(1, || mistake.to_string());
                parser.skip_line();
                continue;
            }
        };
        match entry {
            Entry::Series(line) => push(&parser, line, default_ms, &mut batch, &mut outcome),
            Entry::Help(name, text) => text.clone_into(&mut family(&mut families, name).help),
            Entry::Type(name, metric_type) => family(&mut families, name).metric_type = metric_type,
            Entry::Unit(name, text) => text.clone_into(&mut family(&mut families, name).unit),
        }
        if batch.samples.len() >= BATCH_SAMPLES_MAX {
            receiver.flush(ctx, &mut batch, &mut outcome).await?;
        }
    }
    batch.metadata = families.into_values().collect();
    receiver.flush(ctx, &mut batch, &mut outcome).await?;
    Ok(outcome)
}

fn family<'a, 'm>(families: &'m mut BTreeMap<&'a str, MetricMetadata>, name: &'a str) -> &'m mut MetricMetadata {
    families.entry(name).or_insert_with(|| MetricMetadata { metric: name.to_owned(), ..MetricMetadata::default() })
}

fn push(parser: &Parser<'_>, line: SeriesLine<'_>, default_ms: i64, batch: &mut WriteBatch, outcome: &mut Outcome) {
    let labels = match parser.labels() {
        Ok(labels) => labels,
        Err(mistake) => {
            return outcome.reject(1, || format!("{}: {mistake}", String::from_utf8_lossy(line.text)));
        }
    };
    let timestamp = line.timestamp_ms.unwrap_or(default_ms);
    let series = batch.push_series(labels, SeriesRef::NONE);
    batch.samples.push(BatchSample { series, timestamp, value: line.value });
    if let Some(exemplar) = line.exemplar {
        let timestamp = exemplar.timestamp_ms.unwrap_or(timestamp);
        batch.exemplars.push((series, Exemplar { labels: parser.exemplar_labels(), value: exemplar.value, timestamp }));
    }
}
