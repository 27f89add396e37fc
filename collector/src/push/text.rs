//! Prometheus and OpenMetrics text as an import.

use std::collections::BTreeMap;

use vocab::ports::WriteBatch;
use vocab::ports::append::{BatchSample, Origin, SeriesRef};
use vocab::ports::ingest::IngestRequest;
use vocab::sample::{Exemplar, MetricMetadata};
use vocab::{Ctx, Labels, PortError, TimestampMs};

use super::points::{Place, Points};
use super::{BATCH_SAMPLES_MAX, Outcome, Receiver};
use crate::exposition::{Entry, Format, Parser, SeriesLine};

/// Writes what the text says; samples without a time get the parameter `timestamp` (milliseconds) or the present. With the parameter
/// `created=start` the `_created` samples of OpenMetrics are no series: they say since when the samples of their points count.
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
    let created = request.params.iter().find(|p| p.0 == "created").map(|p| p.1.as_str());
    let mut points = match created {
        None | Some("series") => None,
        Some("start") => is_openmetrics.then(Points::default),
        Some(other) => return Err(PortError::invalid(format!("created is start or series, not {other:?}"))),
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
            Entry::Series(line) => {
                let labels = match parser.labels() {
                    Ok(labels) => labels,
                    Err(mistake) => {
                        outcome.reject(1, || format!("{}: {mistake}", String::from_utf8_lossy(line.text)));
                        continue;
                    }
                };
                let timestamp = line.timestamp_ms.unwrap_or(default_ms);
                let place = points.as_mut().map_or(Place::New, |points| points.place(&labels, timestamp));
                // A point is written in one piece: what comes last in it concerns all of it.
                if place == Place::New && batch.samples.len() >= BATCH_SAMPLES_MAX {
                    receiver.flush(ctx, &mut batch, &mut outcome).await?;
                }
                match &mut points {
                    Some(points) if place == Place::Created => {
                        if !points.created(line.value, &mut batch) {
                            outcome.reject(1, || format!("{labels}: {} is no time in seconds", line.value));
                        }
                    }
                    points => {
                        push(&parser, labels, line, timestamp, &mut batch);
                        if let Some(points) = points {
                            points.pushed(&mut batch);
                        }
                    }
                }
            }
            Entry::Help(name, text) => text.clone_into(&mut family(&mut families, name).help),
            Entry::Type(name, metric_type) => {
                family(&mut families, name).metric_type = metric_type;
                if let Some(points) = &mut points {
                    points.family(name, metric_type);
                }
            }
            Entry::Unit(name, text) => text.clone_into(&mut family(&mut families, name).unit),
        }
    }
    batch.metadata = families.into_values().collect();
    receiver.flush(ctx, &mut batch, &mut outcome).await?;
    Ok(outcome)
}

fn family<'a, 'm>(families: &'m mut BTreeMap<&'a str, MetricMetadata>, name: &'a str) -> &'m mut MetricMetadata {
    families.entry(name).or_insert_with(|| MetricMetadata { metric: name.to_owned(), ..MetricMetadata::default() })
}

fn push(parser: &Parser<'_>, labels: Labels, line: SeriesLine<'_>, timestamp: TimestampMs, batch: &mut WriteBatch) {
    let series = batch.push_series(labels, SeriesRef::NONE);
    batch.samples.push(BatchSample { series, timestamp, value: line.value });
    if let Some(exemplar) = line.exemplar {
        let timestamp = exemplar.timestamp_ms.unwrap_or(timestamp);
        batch.exemplars.push((series, Exemplar { labels: parser.exemplar_labels(), value: exemplar.value, timestamp }));
    }
}
