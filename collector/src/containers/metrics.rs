//! The use of a container as cAdvisor's series.

use std::collections::BTreeMap;

use vocab::sample::MetricType;

use crate::snapshot::Snapshot;

/// One block device's share.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) read_bytes: f64,
    pub(super) written_bytes: f64,
    pub(super) reads: f64,
    pub(super) writes: f64,
}

/// One network device; bytes, packets, errors, dropped packets.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) received: [f64; 4],
    pub(super) sent: [f64; 4],
}

/// What a container uses and may use. What the kernel does not tell is `None`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Usage {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) cpu_user_seconds: Option<f64>,
    pub(super) cpu_system_seconds: Option<f64>,
    pub(super) cfs_periods: Option<f64>,
    pub(super) cfs_throttled_periods: Option<f64>,
    pub(super) cfs_throttled_seconds: Option<f64>,
    pub(super) cpu_shares: Option<f64>,
    pub(super) cpu_quota: Option<f64>,
    pub(super) cpu_period: Option<f64>,
    pub(super) memory_bytes: Option<f64>,
    pub(super) memory_inactive_file_bytes: Option<f64>,
    pub(super) memory_rss_bytes: Option<f64>,
    pub(super) memory_cache_bytes: Option<f64>,
    pub(super) memory_mapped_file_bytes: Option<f64>,
    pub(super) memory_swap_bytes: Option<f64>,
    pub(super) memory_max_usage_bytes: Option<f64>,
    pub(super) memory_failcnt: Option<f64>,
    pub(super) memory_limit_bytes: Option<f64>,
    pub(super) oom_kills: Option<f64>,
    pub(super) processes: Option<f64>,
    pub(super) threads: Option<f64>,
    pub(super) started_seconds: Option<f64>,
    pub(super) devices: Vec<Device>,
    pub(super) interfaces: Vec<Interface>,
}

impl Usage {
    /// What cannot be reclaimed without pain: the use without file pages that nobody touched lately.
    fn working_set(&self) -> Option<f64> {
        Some((self.memory_bytes? - self.memory_inactive_file_bytes.unwrap_or(0.0)).max(0.0))
    }
}

type Read = fn(&Usage) -> Option<f64>;

/// Name, help and value of the series that a container has once.
const SINGLE: [(&str, &str, Read); 21] = [
    ("container_cpu_user_seconds_total", "Cumulative user cpu time consumed in seconds.", |u| u.cpu_user_seconds),
    ("container_cpu_system_seconds_total", "Cumulative system cpu time consumed in seconds.", |u| u.cpu_system_seconds),
    ("container_cpu_cfs_periods_total", "Number of elapsed enforcement period intervals.", |u| u.cfs_periods),
    ("container_cpu_cfs_throttled_periods_total", "Number of throttled period intervals.", |u| u.cfs_throttled_periods),
    ("container_cpu_cfs_throttled_seconds_total", "Total time duration the container has been throttled.", |u| {
        u.cfs_throttled_seconds
    }),
    ("container_spec_cpu_shares", "CPU share of the container.", |u| u.cpu_shares),
    ("container_spec_cpu_quota", "CPU quota of the container.", |u| u.cpu_quota),
    ("container_spec_cpu_period", "CPU period of the container.", |u| u.cpu_period),
    (
        "container_memory_usage_bytes",
        "Current memory usage in bytes, including all memory regardless of when it was accessed.",
        |u| u.memory_bytes,
    ),
    ("container_memory_working_set_bytes", "Current working set in bytes.", Usage::working_set),
    ("container_memory_rss", "Size of RSS in bytes.", |u| u.memory_rss_bytes),
    ("container_memory_cache", "Number of bytes of page cache memory.", |u| u.memory_cache_bytes),
    ("container_memory_mapped_file", "Size of memory mapped files in bytes.", |u| u.memory_mapped_file_bytes),
    ("container_memory_swap", "Container swap usage in bytes.", |u| u.memory_swap_bytes),
    ("container_memory_max_usage_bytes", "Maximum memory usage recorded in bytes.", |u| u.memory_max_usage_bytes),
    ("container_memory_failcnt", "Number of memory usage hits limits.", |u| u.memory_failcnt),
    ("container_spec_memory_limit_bytes", "Memory limit for the container.", |u| u.memory_limit_bytes),
    ("container_oom_events_total", "Count of out of memory events observed for the container.", |u| u.oom_kills),
    ("container_processes", "Number of processes running inside the container.", |u| u.processes),
    ("container_threads", "Number of threads running inside the container.", |u| u.threads),
    ("container_start_time_seconds", "Start time of the container since unix epoch in seconds.", |u| u.started_seconds),
];
const CPU: &str = "container_cpu_usage_seconds_total";
const LAST_SEEN: &str = "container_last_seen";
type ReadDevice = fn(&Device) -> f64;

const FS: [(&str, &str, ReadDevice); 4] = [
    ("container_fs_reads_bytes_total", "Cumulative count of bytes read.", |d| d.read_bytes),
    ("container_fs_writes_bytes_total", "Cumulative count of bytes written.", |d| d.written_bytes),
    ("container_fs_reads_total", "Cumulative count of reads completed.", |d| d.reads),
    ("container_fs_writes_total", "Cumulative count of writes completed.", |d| d.writes),
];
/// Names behind `container_network_receive_` and `_transmit_`.
const NETWORK: [&str; 4] = ["bytes_total", "packets_total", "errors_total", "packets_dropped_total"];

fn type_of(name: &str) -> MetricType {
    if name.ends_with("_total") || name.ends_with("failcnt") { MetricType::Counter } else { MetricType::Gauge }
}

/// Declares the families of a round.
pub(super) fn describe(round: &mut Snapshot) {
    round.family(CPU, MetricType::Counter, "Cumulative cpu time consumed in seconds.");
    round.family(LAST_SEEN, MetricType::Gauge, "Last time a container was seen by the exporter.");
    for (name, help, _) in SINGLE {
        round.family(name, type_of(name), help);
    }
    for (name, help, _) in FS {
        round.family(name, MetricType::Counter, help);
    }
    for (way, done) in [("receive", "received"), ("transmit", "transmitted")] {
        for name in NETWORK {
            round.family(
                &format!("container_network_{way}_{name}"),
                MetricType::Counter,
                &format!("Cumulative count while {done}."),
            );
        }
    }
}

/// Adds a container's series.
pub(super) fn push(round: &mut Snapshot, labels: &BTreeMap<String, String>, usage: &Usage, now_seconds: f64) {
    let own: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let with = |name, value| {
        let mut all = own.clone();
        all.push((name, value));
        all
    };
    if let Some(seconds) = usage.cpu_seconds {
        round.push(CPU, &with("cpu", "total"), seconds);
    }
    round.push(LAST_SEEN, &own, now_seconds.floor());
    for (name, _, read) in SINGLE {
        if let Some(value) = read(usage) {
            round.push(name, &own, value);
        }
    }
    for device in &usage.devices {
        for (name, _, read) in FS {
            round.push(name, &with("device", &device.name), read(device));
        }
    }
    for interface in &usage.interfaces {
        let labels = with("interface", &interface.name);
        for (way, values) in [("receive", &interface.received), ("transmit", &interface.sent)] {
            for (name, value) in NETWORK.iter().zip(values) {
                round.push(&format!("container_network_{way}_{name}"), &labels, *value);
            }
        }
    }
}
