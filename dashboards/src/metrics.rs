//! What the server counts.

use std::time::Duration;

use vocab::telemetry::{Counter, Family, Gauge, Histogram, LabelPairs, Telemetry, exponential_buckets};

/// The server's metrics.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    requests: Family<LabelPairs, Counter>,
    request_seconds: Histogram,
    refused: Family<LabelPairs, Counter>,
    pub(crate) query_seconds: Histogram,
    pub(crate) queries_waiting: Gauge,
    pub(crate) queries_running: Gauge,
    pub(crate) queries_timed_out: Counter,
    pub(crate) streams: Gauge,
    pub(crate) panics: Counter,
}

impl Metrics {
    /// Registers every metric once.
    pub(crate) fn new(telemetry: &Telemetry) -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.001, 4.0, 9));
        Self {
            requests: telemetry.register(
                "dashboards_http_requests",
                "Requests answered, by method and class of status code",
                Family::default(),
            ),
            request_seconds: telemetry.register(
                "dashboards_http_request_duration_seconds",
                "Time until the answer began",
                seconds(),
            ),
            refused: telemetry.register(
                "dashboards_http_requests_refused",
                "Requests refused before they reached a handler, by reason",
                Family::default(),
            ),
            query_seconds: telemetry.register(
                "dashboards_query_duration_seconds",
                "Time queries took, waiting included",
                seconds(),
            ),
            queries_waiting: telemetry.register(
                "dashboards_queries_waiting",
                "Queries waiting for their turn",
                Gauge::default(),
            ),
            queries_running: telemetry.register(
                "dashboards_queries_running",
                "Queries being evaluated",
                Gauge::default(),
            ),
            queries_timed_out: telemetry.register(
                "dashboards_queries_timed_out",
                "Queries ended by their time limit",
                Counter::default(),
            ),
            streams: telemetry.register(
                "dashboards_event_streams",
                "Clients that follow live updates or logs",
                Gauge::default(),
            ),
            panics: telemetry.register("dashboards_panics", "Handlers that panicked", Counter::default()),
        }
    }

    /// Counts an answered request.
    pub(crate) fn answered(&self, method: &axum::http::Method, status: u16, took: Duration) {
        // Methods are an open set on the wire; only the usual ones get a series of their own.
        let method = match method.as_str() {
            known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS") => known,
            _ => "other",
        };
        let labels = vec![("method", method.to_owned()), ("code", format!("{}xx", status / 100))];
        self.requests.get_or_create(&labels).inc();
        self.request_seconds.observe(took.as_secs_f64());
    }

    /// Counts a refused request.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&vec![("reason", reason.to_owned())]).inc();
    }
}

/// Counts one up for as long as it lives.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Counted {
    pub(crate) fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}
