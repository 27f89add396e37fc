//! Writes log records: makes them of lines, and keeps trying while the store turns them away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use vocab::ports::logs::{LogBatch, SourcePosition};
use vocab::{ErrorKind, Labels, LogRecord};

use crate::parse_line::{LineFormat, ParsedLine, parse_line};
use crate::shared::Shared;
use crate::sources::SourceEntry;
use crate::ticker;

/// Longest line (or joined record) in bytes; the rest is cut off. Far above any sane line, far below a batch.
pub(crate) const LINE_BYTES_MAX: usize = 256 << 10;
/// Most records of one write.
pub(crate) const BATCH_RECORDS_MAX: usize = 2000;
/// First and longest pause between attempts to write.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LONGEST: Duration = Duration::from_secs(10);
/// Most combinations of host, service and file whose label sets are kept ready.
const LABEL_SETS_MAX: usize = 1000;

/// Host, named service, file, and whether the service is a backend's name.
type LabelKey = (String, String, String, bool);
/// The epoch of the configuration, and what was made in it.
type Known = (u64, HashMap<LabelKey, (String, Labels)>);

/// What all records of a source have in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct RecordShape {
    /// The kind of source: `file`, `journal`, `kernel`, `syslog`, `push`.
    pub(crate) source: &'static str,
    /// The service, when the configuration names one.
    pub(crate) service: String,
    /// Labels of all records.
    pub(crate) labels: BTreeMap<String, String>,
}

/// Writes the records of one source.
#[derive(Debug)]
pub(crate) struct LogSink {
    pub(crate) shared: Arc<Shared>,
    pub(crate) entry: Arc<SourceEntry>,
    pub(crate) name: String,
    pub(crate) shape: RecordShape,
    pub(crate) stop: CancellationToken,
    /// The service and the labels of each, because making a label set costs more than parsing a line.
    known: Mutex<Known>,
}

impl LogSink {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        entry: Arc<SourceEntry>,
        name: &str,
        shape: RecordShape,
        stop: &CancellationToken,
    ) -> Self {
        let (shared, stop) = (Arc::clone(shared), stop.clone());
        Self { shared, entry, name: name.to_owned(), shape, stop, known: Mutex::default() }
    }

    /// The present in nanoseconds.
    pub(crate) fn now_ns(&self) -> i64 {
        self.shared.clock.now_ms().saturating_mul(1_000_000)
    }

    /// Makes a record of a line of a file (or, without one, of another source).
    pub(crate) fn record_of_line(&self, line: &str, format: LineFormat, file: &str) -> LogRecord {
        let parsed = parse_line(line, format, self.now_ns());
        if parsed.malformed {
            self.entry.malformed(1);
            self.shared.metrics.log_lines_malformed.get_or_create(&vec![("source", self.name.clone())]).inc();
        }
        self.record(parsed, file)
    }

    /// Completes what a line says with what is known of its source.
    pub(crate) fn record(&self, mut parsed: ParsedLine, file: &str) -> LogRecord {
        let named = parsed.service.take().unwrap_or_else(|| {
            if self.shape.service.is_empty() { program_of(&parsed).to_owned() } else { self.shape.service.clone() }
        });
        let is_backend = parsed.fields.iter().any(|f| f.0 == "backend");
        let key = (parsed.host.unwrap_or_default(), named, file.to_owned(), is_backend);
        let epoch = self.shared.epoch.load(Ordering::Acquire);
        let known = Some(self.known.lock()).filter(|k| k.0 == epoch).and_then(|k| k.1.get(&key).cloned());
        let (service, labels) = known.unwrap_or_else(|| {
            let made = self.labels(&key);
            let mut known = self.known.lock();
            if known.0 != epoch || known.1.len() >= LABEL_SETS_MAX {
                *known = (epoch, HashMap::new());
            }
            known.1.insert(key, made.clone());
            made
        });
        LogRecord {
            time_ns: parsed.time_ns.unwrap_or_else(|| self.now_ns()),
            service,
            severity: parsed.severity,
            body: parsed.body,
            labels,
            fields: parsed.fields,
            pattern_id: 0,
        }
    }

    fn labels(&self, (host, named, file, is_backend): &LabelKey) -> (String, Labels) {
        let own = self.shared.host();
        let mut all = self.shape.labels.clone();
        all.extend(own.labels.iter().map(|(n, v)| (n.clone(), v.clone())));
        all.insert("source".to_owned(), self.shape.source.to_owned());
        all.insert("host".to_owned(), if host.is_empty() { own.name.clone() } else { host.clone() });
        if !file.is_empty() {
            all.insert("file".to_owned(), file.to_owned());
        }
        let mut sources = all.clone();
        if !named.is_empty() {
            // A HAProxy backend's name is only a hint at a service, which the resolver reads.
            sources.insert(if *is_backend { "proxy" } else { "service" }.to_owned(), named.clone());
        }
        let identity = self.shared.resolve(&sources);
        all.insert("cluster".to_owned(), identity.cluster);
        all.remove("service");
        (identity.service, Labels::from_pairs(all))
    }

    /// Writes records and returns once the store has them; `false` when the source was stopped before that. Records that
    /// the store will never take are counted and given up.
    pub(crate) async fn write(&self, records: Vec<LogRecord>, position: Option<SourcePosition>) -> bool {
        let count = records.len() as u64;
        let bytes = records.iter().map(LogRecord::heap_bytes).sum();
        let batch = LogBatch { records, position };
        let mut pause = RETRY_FIRST;
        loop {
            let ctx = self.shared.ctx();
            let result = match ctx.memory.try_grow(bytes) {
                Ok(()) => self.shared.log_appender.append(&ctx, batch.clone()).await,
                Err(error) => Err(error),
            };
            match result {
                Ok(outcome) => {
                    self.entry.delivered(outcome.accepted, self.shared.clock.now_ms());
                    let labels = vec![("source", self.name.clone())];
                    self.shared.metrics.log_records.get_or_create(&labels).inc_by(outcome.accepted);
                    if outcome.rejected > 0 {
                        tracing::warn!(source = %self.name, count = outcome.rejected, reason = %outcome.first_reason, "log records refused");
                    }
                    return true;
                }
                Err(error) if !is_passing(error.kind()) => {
                    if self.entry.failed(&format!("the store refused {count} records: {error}")) {
                        tracing::error!(source = %self.name, count, error = %vocab::error::chain(&error), "log records lost");
                    }
                    return true;
                }
                Err(error) => {
                    self.shared.metrics.log_retries.inc();
                    if self.entry.failed(&format!("the store does not take records, trying again: {error}")) {
                        tracing::warn!(source = %self.name, error = %vocab::error::chain(&error), "log records wait");
                    }
                }
            }
            if !ticker::sleep(&self.shared.clock, &self.stop, pause).await {
                return false;
            }
            pause = (pause * 2).min(RETRY_LONGEST);
        }
    }
}

fn program_of(parsed: &ParsedLine) -> &str {
    parsed.fields.iter().find(|f| f.0 == "program").map_or("", |f| f.1.as_str())
}

fn is_passing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unavailable | ErrorKind::Limit | ErrorKind::Timeout | ErrorKind::Cancelled)
}
