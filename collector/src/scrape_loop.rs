//! The scrapes of one target.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vocab::labels::METRIC_NAME;
use vocab::ports::WriteBatch;
use vocab::ports::append::{BatchSample, Origin};
use vocab::ports::views::TargetHealth;
use vocab::sample::{Exemplar, MetricMetadata};
use vocab::{Labels, LabelsBuilder, STALE_NAN, TimestampMs};

use crate::config::{ScrapeConfig, ScrapeLimits};
use crate::error::ScrapeError;
use crate::exposition::{Entry, Format, Parser, SeriesLine};
use crate::fetch::{Fetcher, Request, format_of};
use crate::haproxy;
use crate::relabel;
use crate::scrape_cache::ScrapeCache;
use crate::shared::Shared;
use crate::snapshot::append;
use crate::target::{Target, TargetState};
use crate::ticker::Ticker;

/// A scrape that begins this little off its ideal moment is stamped with the ideal moment: even times compress better.
const TIMESTAMP_TOLERANCE_MS: i64 = 2;
/// Most metric families whose metadata is kept per target.
const FAMILIES_MAX: usize = 20_000;

/// Everything a target's task needs.
pub(crate) struct ScrapeLoop {
    pub(crate) shared: Arc<Shared>,
    pub(crate) config: Arc<ScrapeConfig>,
    pub(crate) target: Target,
    pub(crate) state: Arc<TargetState>,
    pub(crate) fetcher: Arc<Fetcher>,
    pub(crate) stop: CancellationToken,
    /// Set before `stop` when the target is gone for good: its series are marked stale then.
    pub(crate) removed: Arc<AtomicBool>,
}

/// What one body gave.
#[derive(Default)]
struct Parsed {
    batch: WriteBatch,
    /// The cache entry behind each series of the batch.
    entries: Vec<usize>,
    /// Samples in the body.
    scraped: u64,
    /// Samples left by relabelling.
    kept: u64,
    /// Series not seen in the scrape before.
    added: u64,
    metadata: BTreeMap<String, MetricMetadata>,
}

impl ScrapeLoop {
    /// Runs until it is stopped.
    pub(crate) async fn run(self) {
        let mut scraper = Scraper::new(&self);
        let interval_ms = u64::try_from(self.target.interval.as_millis()).unwrap_or(u64::MAX).max(1);
        // Aligned to the wall clock, so that a restart keeps each target's moment.
        let now_ms = u64::try_from(self.shared.clock.now_ms()).unwrap_or(0);
        let offset = self.target.hash() % interval_ms;
        let first = (offset + interval_ms - now_ms % interval_ms) % interval_ms;
        let mut ticker =
            Ticker::new(&self.shared.clock, &self.stop, Duration::from_millis(first), self.target.interval);
        while ticker.tick().await {
            let now_ms = self.shared.clock.now_ms();
            let ideal = i64::try_from(offset).unwrap_or(0);
            let interval = i64::try_from(interval_ms).unwrap_or(i64::MAX);
            let drift = (now_ms - ideal).rem_euclid(interval);
            let drift = if drift > interval / 2 { drift - interval } else { drift };
            let aligned = if drift.abs() <= TIMESTAMP_TOLERANCE_MS { now_ms - drift } else { now_ms };
            scraper.scrape(aligned).await;
        }
        if self.removed.load(Ordering::Acquire) {
            scraper.mark_all_stale().await;
        }
    }
}

/// One target's scrapes and what they remember.
pub(crate) struct Scraper<'a> {
    of: &'a ScrapeLoop,
    cache: ScrapeCache,
    /// Labels of the target's series, `cluster` and `service` included where the resolver knows a service.
    target_labels: Labels,
    report_refs: BTreeMap<&'static str, vocab::ports::append::SeriesRef>,
    /// HAProxy backends that the target exposes, and the services behind them.
    backends: haproxy::Backends,
}

impl<'a> Scraper<'a> {
    pub(crate) fn new(of: &'a ScrapeLoop) -> Self {
        Self {
            of,
            cache: ScrapeCache::default(),
            target_labels: Labels::empty(),
            report_refs: BTreeMap::new(),
            backends: haproxy::Backends::default(),
        }
    }

    /// The target's labels, with those that name its service; the cache is void when they change.
    fn refresh_labels(&mut self) {
        let own = &self.of.target.labels;
        let map: BTreeMap<String, String> = own.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        let identity = self.of.shared.resolve(&map);
        let mut labels = own.clone();
        // A target that belongs to no service keeps exactly the labels that its configuration gives it.
        if !identity.service.is_empty() {
            for (name, value) in [("service", &identity.service), ("cluster", &identity.cluster)] {
                if labels.get(name).is_none() {
                    labels = labels.with(name, value);
                }
            }
            self.of.shared.entities.see_replica(
                (&identity.cluster, &identity.service, &identity.replica),
                &BTreeMap::from([("instance".to_owned(), own.get("instance").unwrap_or("").to_owned())]),
                self.of.shared.clock.now_ms(),
            );
        }
        if labels != self.target_labels {
            self.target_labels = labels;
            self.report_refs.clear();
        }
    }

    /// One scrape: fetch, parse, write, report.
    pub(crate) async fn scrape(&mut self, now_ms: TimestampMs) {
        let shared = &self.of.shared;
        let before = self.target_labels.clone();
        self.refresh_labels();
        if before != self.target_labels && !before.is_empty() {
            // The series are new ones from here on: the old ones end.
            self.write_stale(now_ms).await;
            self.cache = ScrapeCache::default();
        }
        let started = shared.clock.monotonic();
        let request = Request {
            url: &self.of.target.url,
            accept: &self.of.config.accept,
            timeout: self.of.target.timeout,
            body_bytes_max: self.of.config.limits.body_bytes,
        };
        let fetched = tokio::select! {
            biased;
            // A target that is only slow must not hold up the end; what has been fetched is still written.
            () = self.of.stop.cancelled() => return,
            fetched = self.of.fetcher.fetch(&shared.clock, request) => fetched,
        };
        let duration = shared.clock.monotonic().saturating_sub(started).as_secs_f64();
        self.cache.begin();
        let mut parsed = Parsed::default();
        let result = match fetched {
            Ok(fetched) => format_of(&fetched.content_type, self.of.config.fallback)
                .map_err(ScrapeError::from)
                .and_then(|format| self.parse(&fetched.body, format, now_ms, &mut parsed)),
            Err(error) => Err(error.into()),
        };
        if result.is_err() {
            // A failed scrape is an empty one: nothing of its body counts.
            parsed.batch = WriteBatch::default();
            parsed.entries.clear();
            parsed.metadata.clear();
            self.cache.forget_round();
        } else {
            self.backends.see(shared, now_ms);
        }
        self.finish(parsed, result, now_ms, duration).await;
    }

    fn parse(
        &mut self,
        body: &[u8],
        format: Format,
        now_ms: TimestampMs,
        parsed: &mut Parsed,
    ) -> Result<(), ScrapeError> {
        parsed.batch.origin = Origin::Scrape;
        if format == Format::Protobuf {
            return self.parse_protobuf(body, now_ms, parsed);
        }
        let mut parser = Parser::new(body, format);
        let mut last = None;
        loop {
            if let Some(line) = parser.next_known(self.cache.text_after(last))? {
                let index = last.map_or(0, |last: usize| last + 1);
                parsed.scraped += 1;
                self.take_known(&parser, line, index, now_ms, parsed);
                last = Some(index);
                continue;
            }
            let Some(entry) = parser.next_entry()? else { break };
            match entry {
                Entry::Series(line) => last = Some(self.take_series(&parser, line, body, now_ms, parsed)?),
                Entry::Help(name, text) => describe(parsed, name, |m| text.clone_into(&mut m.help)),
                Entry::Type(name, metric_type) => describe(parsed, name, |m| m.metric_type = metric_type),
                Entry::Unit(name, text) => describe(parsed, name, |m| text.clone_into(&mut m.unit)),
            }
        }
        self.check_samples(parsed)
    }

    fn check_samples(&self, parsed: &Parsed) -> Result<(), ScrapeError> {
        let limit = self.of.config.limits.samples;
        if limit > 0 && parsed.kept > limit {
            return Err(ScrapeError::Limit { what: "sample", limit });
        }
        Ok(())
    }

    fn take_series(
        &mut self,
        parser: &Parser<'_>,
        line: SeriesLine<'_>,
        body: &[u8],
        now_ms: TimestampMs,
        parsed: &mut Parsed,
    ) -> Result<usize, ScrapeError> {
        parsed.scraped += 1;
        let index = match self.cache.find(line.text) {
            Some(index) => index,
            None => {
                let labels = parser.labels().map_err(|source| {
                    let at = line.text.as_ptr() as usize - body.as_ptr() as usize;
                    ScrapeError::Labels { line: 1 + memchr::memchr_iter(b'\n', &body[..at]).count(), source }
                })?;
                let labels = self.series_labels(&labels);
                if let Some(labels) = &labels {
                    check_limits(labels, &self.of.config.limits)?;
                    parsed.added += 1;
                }
                self.cache.insert(line.text, labels)
            }
        };
        self.take_known(parser, line, index, now_ms, parsed);
        Ok(index)
    }

    /// Takes a sample of a series that is in the cache.
    fn take_known(
        &mut self,
        parser: &Parser<'_>,
        line: SeriesLine<'_>,
        index: usize,
        now_ms: TimestampMs,
        parsed: &mut Parsed,
    ) {
        let explicit = line.timestamp_ms.filter(|_| self.of.config.honor_timestamps);
        let tracked = explicit.is_none() || self.of.config.track_timestamps_staleness;
        let first = self.cache.see(index, tracked && self.cache.entry(index).labels.is_some());
        let entry = self.cache.entry(index);
        let Some(labels) = &entry.labels else { return };
        parsed.kept += 1;
        // Of equal series without times of their own the first counts.
        if !first && explicit.is_none() {
            return;
        }
        let timestamp = explicit.unwrap_or(now_ms);
        let series = parsed.batch.push_series(labels.clone(), entry.series_ref);
        parsed.entries.push(index);
        parsed.batch.samples.push(BatchSample { series, timestamp, value: line.value });
        if let Some(exemplar) = line.exemplar {
            let exemplar = Exemplar {
                labels: parser.exemplar_labels(),
                value: exemplar.value,
                timestamp: exemplar.timestamp_ms.unwrap_or(timestamp),
            };
            parsed.batch.exemplars.push((series, exemplar));
        }
    }

    /// The exposed labels joined with the target's, relabelled; `None` when relabelling drops the sample.
    fn series_labels(&mut self, exposed: &Labels) -> Option<Labels> {
        let mut labels = LabelsBuilder::from(exposed);
        for (name, value) in &self.target_labels {
            let Some(own) = exposed.get(name) else {
                labels.set(name, value);
                continue;
            };
            if self.of.config.honor_labels {
                continue;
            }
            // The exposed label moves to `exported_<name>`, further if that is taken too.
            let mut moved = format!("exported_{name}");
            while exposed.get(&moved).is_some() || self.target_labels.get(&moved).is_some() {
                moved.insert_str(0, "exported_");
            }
            labels.set(&moved, own);
            labels.set(name, value);
        }
        if !relabel::apply(&mut labels, &self.of.config.metric_relabel) {
            return None;
        }
        let mut labels = labels.build();
        // A scraped HAProxy shows many services: the backend's name says which, as it does on the CSV page and the socket. Where the
        // target's own labels are to be honored, its series stay as it exposes them.
        if !self.of.config.honor_labels
            && labels.get("service").is_none()
            && let Some((cluster, service)) = self.backends.service_of(&self.of.shared, &labels)
        {
            labels = labels.with("service", &service);
            if labels.get("cluster").is_none() {
                labels = labels.with("cluster", &cluster);
            }
        }
        (!labels.metric_name().is_empty()).then_some(labels)
    }

    /// Adds staleness markers and the report, writes, and shows the result.
    async fn finish(
        &mut self,
        mut parsed: Parsed,
        result: Result<(), ScrapeError>,
        now_ms: TimestampMs,
        duration: f64,
    ) {
        let shared = Arc::clone(&self.of.shared);
        for entry in self.cache.vanished() {
            if let Some(labels) = &entry.labels {
                let series = parsed.batch.push_series(labels.clone(), entry.series_ref);
                parsed.batch.samples.push(BatchSample { series, timestamp: now_ms, value: STALE_NAN });
            }
        }
        let up = if result.is_ok() { 1.0 } else { 0.0 };
        let report = [
            ("up", up),
            ("scrape_duration_seconds", duration),
            ("scrape_samples_scraped", parsed.scraped as f64),
            ("scrape_samples_post_metric_relabeling", parsed.kept as f64),
            ("scrape_series_added", parsed.added as f64),
        ];
        let first_report = parsed.batch.series.len();
        self.push_report(&mut parsed.batch, &report, now_ms);
        self.take_metadata(&mut parsed, result.is_ok());
        match append(&shared, &parsed.batch).await {
            Ok(outcome) => {
                for (position, index) in parsed.entries.iter().enumerate() {
                    self.cache.set_ref(*index, outcome.refs.get(position).copied().unwrap_or_default());
                }
                for (position, (name, _)) in report.iter().enumerate() {
                    let series_ref = outcome.refs.get(first_report + position).copied().unwrap_or_default();
                    self.report_refs.insert(name, series_ref);
                }
                self.cache.end();
            }
            Err(error) => {
                tracing::debug!(target = %self.of.target.url, error = %vocab::error::chain(&error), "scrape not written");
            }
        }
        let word = if result.is_ok() { "ok" } else { "failed" };
        shared.metrics.scrapes.get_or_create(&vec![("result", word.to_owned())]).inc();
        self.show(&parsed, result, now_ms, duration);
    }

    fn push_report(&self, batch: &mut WriteBatch, report: &[(&'static str, f64)], now_ms: TimestampMs) {
        for (name, value) in report {
            let labels = self.target_labels.with(METRIC_NAME, name);
            let series = batch.push_series(labels, self.report_refs.get(name).copied().unwrap_or_default());
            batch.samples.push(BatchSample { series, timestamp: now_ms, value: *value });
        }
    }

    /// Shows the target's metadata, and writes what is new of it.
    fn take_metadata(&self, parsed: &mut Parsed, is_ok: bool) {
        if !is_ok {
            return;
        }
        let mut known = self.of.state.metadata.lock();
        let fresh = std::mem::take(&mut parsed.metadata);
        parsed.batch.metadata = fresh.values().filter(|m| known.get(&m.metric) != Some(*m)).cloned().collect();
        *known = fresh;
    }

    fn show(&self, parsed: &Parsed, result: Result<(), ScrapeError>, now_ms: TimestampMs, duration: f64) {
        let mut status = self.of.state.status.lock();
        status.last_scrape_ms = Some(now_ms);
        status.last_duration_seconds = duration;
        status.last_samples = parsed.scraped;
        match result {
            Ok(()) => {
                status.health = TargetHealth::Up;
                status.last_error.clear();
                status.down_since_ms = None;
            }
            Err(error) => {
                let message = error.to_string();
                if status.last_error != message {
                    tracing::warn!(job = %status.scrape_pool, target = %status.scrape_url, error = %message, "scrape failed");
                }
                if status.health != TargetHealth::Down {
                    status.down_since_ms = Some(now_ms);
                }
                status.health = TargetHealth::Down;
                status.last_error = message;
            }
        }
    }

    async fn write_stale(&mut self, now_ms: TimestampMs) {
        self.cache.begin();
        let mut batch = WriteBatch::default();
        for entry in self.cache.vanished() {
            if let Some(labels) = &entry.labels {
                let series = batch.push_series(labels.clone(), entry.series_ref);
                batch.samples.push(BatchSample { series, timestamp: now_ms, value: STALE_NAN });
            }
        }
        let gone = append(&self.of.shared, &batch).await;
        if let Err(error) = gone {
            tracing::debug!(error = %vocab::error::chain(&error), "staleness markers not written");
        }
    }

    /// The target is gone: every series of it ends, the report's included.
    pub(crate) async fn mark_all_stale(&mut self) {
        let now_ms = self.of.shared.clock.now_ms();
        if !self.report_refs.is_empty() {
            let mut batch = WriteBatch::default();
            let report: Vec<_> = self.report_refs.keys().map(|name| (*name, STALE_NAN)).collect();
            self.push_report(&mut batch, &report, now_ms);
            if let Err(error) = append(&self.of.shared, &batch).await {
                tracing::debug!(error = %vocab::error::chain(&error), "staleness markers not written");
            }
        }
        self.write_stale(now_ms).await;
    }
}

fn describe(parsed: &mut Parsed, name: &str, set: impl Fn(&mut MetricMetadata)) {
    if let Some(known) = parsed.metadata.get_mut(name) {
        return set(known);
    }
    if parsed.metadata.len() < FAMILIES_MAX {
        let mut metadata = MetricMetadata { metric: name.to_owned(), ..MetricMetadata::default() };
        set(&mut metadata);
        parsed.metadata.insert(name.to_owned(), metadata);
    }
}

fn check_limits(labels: &Labels, limits: &ScrapeLimits) -> Result<(), ScrapeError> {
    let over = |value: usize, limit: u64| limit > 0 && value as u64 > limit;
    if over(labels.len(), limits.labels) {
        return Err(ScrapeError::Limit { what: "label", limit: limits.labels });
    }
    for (name, value) in labels {
        if over(name.len(), limits.label_name_bytes) {
            return Err(ScrapeError::Limit { what: "label name length", limit: limits.label_name_bytes });
        }
        if over(value.len(), limits.label_value_bytes) {
            return Err(ScrapeError::Limit { what: "label value length", limit: limits.label_value_bytes });
        }
    }
    Ok(())
}

mod protobuf;
#[cfg(test)]
mod tests;
