//! Scrapes in the protobuf format.

use std::sync::Arc;

use vocab::TimestampMs;
use vocab::ports::append::BatchSample;

use super::{FAMILIES_MAX, Parsed, Scraper, check_limits};
use crate::error::ScrapeError;
use crate::exposition::{ProtobufParser, ProtobufSample, ProtobufValue};

/// Stands before a packed label set in the scrape cache, so that it is never taken for a series' text.
const KEY_PREFIX: u8 = 0xff;

impl Scraper<'_> {
    pub(super) fn parse_protobuf(
        &mut self,
        body: &[u8],
        now_ms: TimestampMs,
        parsed: &mut Parsed,
    ) -> Result<(), ScrapeError> {
        let mut parser = ProtobufParser::new(body, self.of.config.histograms);
        let mut key = Vec::new();
        while let Some((metadata, samples)) = parser.next_family()? {
            if parsed.metadata.len() < FAMILIES_MAX {
                parsed.metadata.insert(metadata.metric.clone(), metadata);
            }
            for sample in &samples {
                self.take_sample(sample, &mut key, now_ms, parsed)?;
            }
        }
        self.check_samples(parsed)
    }

    fn take_sample(
        &mut self,
        sample: &ProtobufSample,
        key: &mut Vec<u8>,
        now_ms: TimestampMs,
        parsed: &mut Parsed,
    ) -> Result<(), ScrapeError> {
        parsed.scraped += 1;
        key.clear();
        key.push(KEY_PREFIX);
        key.extend_from_slice(sample.labels.packed().as_bytes());
        let index = match self.cache.find(key) {
            Some(index) => index,
            None => {
                let labels = self.series_labels(&sample.labels);
                if let Some(labels) = &labels {
                    check_limits(labels, &self.of.config.limits)?;
                    parsed.added += 1;
                }
                self.cache.insert(key, labels)
            }
        };
        let explicit = sample.timestamp_ms.filter(|_| self.of.config.honor_timestamps);
        let tracked = explicit.is_none() || self.of.config.track_timestamps_staleness;
        let first = self.cache.see(index, tracked && self.cache.entry(index).labels.is_some());
        let entry = self.cache.entry(index);
        let Some(labels) = &entry.labels else { return Ok(()) };
        parsed.kept += 1;
        if !first && explicit.is_none() {
            return Ok(());
        }
        let timestamp = explicit.unwrap_or(now_ms);
        let series = parsed.batch.push_series(labels.clone(), entry.series_ref);
        parsed.entries.push(index);
        match &sample.value {
            ProtobufValue::Float(value) => {
                parsed.batch.samples.push(BatchSample { series, timestamp, value: *value });
                parsed.batch.start_of_last_sample(sample.created_ms.unwrap_or(0));
            }
            ProtobufValue::Native(native) => {
                parsed.batch.histograms.push((series, timestamp, Arc::new((**native).clone())));
                parsed.batch.start_of_last_histogram(sample.created_ms.unwrap_or(0));
            }
        }
        parsed.batch.exemplars.extend(sample.exemplars(timestamp).map(|e| (series, e)));
        Ok(())
    }
}
