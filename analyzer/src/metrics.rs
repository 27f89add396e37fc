//! What the analyzer counts.

use vocab::telemetry::{Counter, Family, Gauge, Histogram, LabelPairs, Telemetry, exponential_buckets};

/// All metrics of this crate.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Rules evaluated.
    pub rule_evaluations: Counter,
    /// Rules that failed.
    pub rule_failures: Counter,
    /// Time of one rule.
    pub rule_seconds: Histogram,
    /// Rounds of a group that began late by more than its interval.
    pub group_rounds_missed: Counter,
    /// Alerts pending or firing.
    pub alerts: Family<LabelPairs, Gauge>,
    /// Tickets opened.
    pub tickets_opened: Counter,
    /// Tickets resolved.
    pub tickets_resolved: Counter,
    /// Alerts accepted by an Alertmanager.
    pub notifications_sent: Counter,
    /// Tries that an Alertmanager did not accept.
    pub notification_failures: Counter,
    /// Alerts dropped because the queue was full or every try failed.
    pub notifications_dropped: Counter,
    /// Series that were scored or forecast.
    pub watched_series: Gauge,
    /// Series left out because a bound was reached.
    pub watched_series_over_limit: Gauge,
    /// Watches that failed.
    pub watch_failures: Counter,
    /// Log patterns known.
    pub log_patterns: Gauge,
    /// Log lines put into a pattern.
    pub log_lines: Counter,
    /// Log lines by service, for the default tenant.
    pub service_log_lines: Family<LabelPairs, Counter>,
    /// Log patterns never seen before.
    pub log_patterns_new: Counter,
    /// Log patterns forgotten for lack of room.
    pub log_patterns_evicted: Counter,
    /// Reports written.
    pub reports: Counter,
    /// Rows that the catalog did not take.
    pub catalog_failures: Counter,
}

impl Metrics {
    /// Registers everything once.
    pub fn new(telemetry: &Telemetry) -> Self {
        let counter = |name: &str, help: &str| telemetry.register(name, help, Counter::default());
        let gauge = |name: &str, help: &str| telemetry.register(name, help, Gauge::<i64>::default());
        Self {
            rule_evaluations: counter("analyzer_rule_evaluations", "Rules evaluated"),
            rule_failures: counter("analyzer_rule_evaluation_failures", "Rules whose evaluation failed"),
            rule_seconds: telemetry.register(
                "analyzer_rule_evaluation_seconds",
                "Time of one rule's evaluation, writing included",
                Histogram::new(exponential_buckets(0.001, 4.0, 8)),
            ),
            group_rounds_missed: counter(
                "analyzer_rule_group_rounds_missed",
                "Rounds left out because the one before took too long",
            ),
            alerts: telemetry.register("analyzer_alerts", "Alerts now, by state", Family::default()),
            tickets_opened: counter("analyzer_tickets_opened", "Tickets opened for firing alerts"),
            tickets_resolved: counter("analyzer_tickets_resolved", "Tickets resolved because all their alerts were"),
            notifications_sent: counter("analyzer_notifications_sent", "Alerts accepted by an Alertmanager"),
            notification_failures: counter(
                "analyzer_notification_failures",
                "Tries that an Alertmanager did not accept",
            ),
            notifications_dropped: counter(
                "analyzer_notifications_dropped",
                "Alerts dropped: queue full or every try failed",
            ),
            watched_series: gauge("analyzer_watched_series", "Series scored and forecast in the last round"),
            watched_series_over_limit: gauge(
                "analyzer_watched_series_over_limit",
                "Series left out in the last round because a bound was reached",
            ),
            watch_failures: counter(
                "analyzer_watch_failures",
                "Watches whose history could not be read or whose results could not be written",
            ),
            log_patterns: gauge("analyzer_log_patterns", "Log patterns known"),
            log_lines: counter("analyzer_log_lines", "Log lines put into a pattern"),
            service_log_lines: telemetry.register(
                "analyzer_service_log_lines",
                "Log lines stored, by service",
                Family::default(),
            ),
            log_patterns_new: counter("analyzer_log_patterns_new", "Log patterns never seen before"),
            log_patterns_evicted: counter("analyzer_log_patterns_evicted", "Log patterns forgotten for lack of room"),
            reports: counter("analyzer_reports", "Inspection reports written"),
            catalog_failures: counter("analyzer_catalog_failures", "Rows that the catalog did not take"),
        }
    }
}
