//! Every metric of the collector.

use vocab::telemetry::{Counter, Family, Gauge, LabelPairs, Telemetry};

/// The collector's metrics; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Scrapes done, by result: `ok`, `failed`.
    pub scrapes: Family<LabelPairs, Counter>,
    /// Samples written by scrapes and built-in sources.
    pub samples: Counter,
    /// Samples that the store refused, or that were lost because it took nothing.
    pub samples_lost: Counter,
    /// Active targets.
    pub targets: Gauge,
    /// Rounds of built-in sources that failed, by source.
    pub source_failures: Family<LabelPairs, Counter>,
    /// Log records written, by source.
    pub log_records: Family<LabelPairs, Counter>,
    /// Log lines kept as plain text because they are not what their format promised, by source.
    pub log_lines_malformed: Family<LabelPairs, Counter>,
    /// Log lines that were cut at the longest allowed length.
    pub log_lines_cut: Counter,
    /// Log datagrams dropped because the queue was full.
    pub syslog_dropped: Counter,
    /// Attempts to write logs that the store turned away and that are tried again.
    pub log_retries: Counter,
    /// Push requests, by protocol and status.
    pub push_requests: Family<LabelPairs, Counter>,
    /// Pushed samples and records that were refused, by protocol.
    pub push_rejected: Family<LabelPairs, Counter>,
    /// OTLP series that send deltas, whose running totals are kept.
    pub otlp_delta_series: Gauge,
    /// Entities written to the catalog.
    pub entities: Counter,
    /// Discovery files that could not be read.
    pub discovery_failures: Counter,
}

impl Metrics {
    /// Registers the metrics.
    pub fn new(telemetry: &Telemetry) -> Self {
        macro_rules! metric {
            ($name:literal, $help:literal) => {
                telemetry.register(concat!("collector_", $name), $help, Default::default())
            };
        }
        Self {
            scrapes: metric!("scrapes", "Scrapes done, by result"),
            samples: metric!("samples", "Samples written by scrapes and built-in sources"),
            samples_lost: metric!(
                "samples_lost",
                "Samples the store refused or that were lost because it took nothing"
            ),
            targets: metric!("targets_active", "Active scrape targets"),
            source_failures: metric!("source_failures", "Rounds of built-in sources that failed"),
            log_records: metric!("log_records", "Log records written"),
            log_lines_malformed: metric!(
                "log_lines_malformed",
                "Log lines kept as plain text because they did not parse"
            ),
            log_lines_cut: metric!("log_lines_cut", "Log lines cut at the longest allowed length"),
            syslog_dropped: metric!("syslog_datagrams_dropped", "Log datagrams dropped because the queue was full"),
            log_retries: metric!("log_write_retries", "Writes of logs that are tried again"),
            push_requests: metric!("push_requests", "Push requests, by protocol and status"),
            push_rejected: metric!("push_rejected", "Pushed samples and records that were refused"),
            otlp_delta_series: metric!("otlp_delta_series", "OTLP series whose deltas are added up"),
            entities: metric!("entities", "Entities written to the catalog"),
            discovery_failures: metric!("discovery_failures", "Discovery files that could not be read"),
        }
    }

    /// Counts a failed round of a source.
    pub fn source_failed(&self, source: &str) {
        self.source_failures.get_or_create(&vec![("source", source.to_owned())]).inc();
    }
}
