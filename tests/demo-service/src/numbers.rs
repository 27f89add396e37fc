//! What `/metrics` shows, in Prometheus's text format.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the duration histogram's buckets, in seconds.
const BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
/// Handlers that are counted apart; anything else is `other`, so that paths cannot make series.
const HANDLERS: [&str; 4] = ["/", "/health", "/metrics", "other"];
/// Status codes this service answers with.
const CODES: [u16; 8] = [200, 400, 404, 405, 411, 413, 431, 503];
/// Ticks a second in `/proc/self/stat`; the same on every Linux that Rust's gnu target runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Counters since the start.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    requests: [[AtomicU64; CODES.len()]; HANDLERS.len()],
    buckets: [AtomicU64; BUCKETS.len()],
    duration_micros: AtomicU64,
    duration_count: AtomicU64,
    in_flight: AtomicU64,
}

impl Numbers {
    /// Notes that a request is being worked on until the guard is dropped.
    pub(crate) fn begin(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self)
    }

    /// Requests being worked on.
    pub(crate) fn num_in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts an answered request. Only `/` goes into the histogram: it is what users wait for.
    pub(crate) fn count(&self, path: &str, code: u16, took: Duration) {
        let handler = HANDLERS.iter().position(|h| *h == path).unwrap_or(HANDLERS.len() - 1);
        if let Some(code) = CODES.iter().position(|c| *c == code) {
            self.requests[handler][code].fetch_add(1, Ordering::Relaxed);
        }
        if handler == 0 {
            let seconds = took.as_secs_f64();
            if let Some(bucket) = BUCKETS.iter().position(|b| seconds <= *b) {
                self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
            }
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            self.duration_micros.fetch_add(micros, Ordering::Relaxed);
            self.duration_count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All numbers as text.
    pub(crate) fn text(&self) -> String {
        let mut out = String::with_capacity(4096);
        head(&mut out, "http_requests_total", "counter", "Requests answered");
        for (handler, codes) in HANDLERS.iter().zip(&self.requests) {
            for (code, count) in CODES.iter().zip(codes) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 || (*code == 200 && *handler != "other") {
                    push(&mut out, &format!("http_requests_total{{handler=\"{handler}\",code=\"{code}\"}} {count}"));
                }
            }
        }
        head(&mut out, "http_request_duration_seconds", "histogram", "Time to answer /, from its first byte");
        let mut sum = 0;
        for (bound, count) in BUCKETS.iter().zip(&self.buckets) {
            sum += count.load(Ordering::Relaxed);
            push(&mut out, &format!("http_request_duration_seconds_bucket{{le=\"{bound}\"}} {sum}"));
        }
        let count = self.duration_count.load(Ordering::Relaxed);
        let seconds = self.duration_micros.load(Ordering::Relaxed) as f64 / 1e6;
        push(&mut out, &format!("http_request_duration_seconds_bucket{{le=\"+Inf\"}} {count}"));
        push(&mut out, &format!("http_request_duration_seconds_sum {seconds}"));
        push(&mut out, &format!("http_request_duration_seconds_count {count}"));
        head(&mut out, "http_requests_in_flight", "gauge", "Requests being worked on");
        push(&mut out, &format!("http_requests_in_flight {}", self.num_in_flight()));
        if let Some((cpu_seconds, resident_bytes)) = own_use() {
            head(&mut out, "process_cpu_seconds_total", "counter", "CPU time used, user and system");
            push(&mut out, &format!("process_cpu_seconds_total {cpu_seconds}"));
            head(&mut out, "process_resident_memory_bytes", "gauge", "Resident memory");
            push(&mut out, &format!("process_resident_memory_bytes {resident_bytes}"));
        }
        out
    }
}

/// Counts a request as in flight while it lives.
#[derive(Debug)]
pub(crate) struct InFlight<'a>(&'a Numbers);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    push(out, &format!("# HELP {name} {help}\n# TYPE {name} {kind}"));
}

fn push(out: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _never = writeln!(out, "{line}");
}

/// CPU seconds and resident bytes of this process; `None` where procfs is not mounted.
fn own_use() -> Option<(f64, u64)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let pages: u64 = fields.get(21)?.parse().ok()?;
    Some((ticks as f64 / TICKS_PER_SECOND, pages * 4096))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_handler_and_code() {
        let numbers = Numbers::default();
        let guard = numbers.begin();
        numbers.count("/", 200, Duration::from_millis(2));
        numbers.count("/", 200, Duration::from_secs(60));
        numbers.count("/nowhere", 404, Duration::ZERO);
        let text = numbers.text();
        for expect in [
            "http_requests_total{handler=\"/\",code=\"200\"} 2",
            "http_requests_total{handler=\"other\",code=\"404\"} 1",
            "http_request_duration_seconds_bucket{le=\"0.001\"} 0",
            "http_request_duration_seconds_bucket{le=\"2.5\"} 1",
            "http_request_duration_seconds_bucket{le=\"+Inf\"} 2",
            "http_request_duration_seconds_sum 60.002",
            "http_requests_in_flight 1",
        ] {
            assert!(text.lines().any(|l| l == expect), "{expect} is not in\n{text}");
        }
        assert!(text.contains("process_cpu_seconds_total "), "{text}");
        drop(guard);
        assert_eq!(numbers.num_in_flight(), 0);
    }
}
