//! What the process knows of itself: the rooms' metrics, its own process, the shares of memory.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use vocab::budget::MemoryBudget;
use vocab::telemetry::{Family, Gauge, LabelPairs, Telemetry};
use vocab::time::{Clock, TimestampMs};

type FloatGauge = Gauge<f64, AtomicU64>;

/// Refreshes the process's own metrics and encodes all.
#[derive(Debug, Clone)]
pub struct SelfMetrics {
    telemetry: Telemetry,
    budget: Arc<MemoryBudget>,
    cpu_seconds: FloatGauge,
    resident_bytes: Gauge,
    open_files: Gauge,
    pool_used: Family<LabelPairs, Gauge>,
    pool_limit: Family<LabelPairs, Gauge>,
}

impl SelfMetrics {
    /// Registers them.
    pub fn new(telemetry: &Telemetry, budget: Arc<MemoryBudget>, clock: &dyn Clock) -> Self {
        let started: FloatGauge = telemetry.register(
            "process_start_time_seconds",
            "Start of the process, Unix seconds",
            FloatGauge::default(),
        );
        started.set(seconds(clock.now_ms()));
        let info: Family<LabelPairs, Gauge> =
            telemetry.register("tidewatch_build_info", "Always 1; the version", Family::default());
        info.get_or_create(&vec![("version", env!("CARGO_PKG_VERSION").to_owned())]).set(1);
        Self {
            telemetry: telemetry.clone(),
            budget,
            cpu_seconds: telemetry.register(
                "process_cpu_seconds_total",
                "CPU time of the process, user and system",
                FloatGauge::default(),
            ),
            resident_bytes: telemetry.register("process_resident_memory_bytes", "Resident memory", Gauge::default()),
            open_files: telemetry.register("process_open_fds", "Open file descriptors", Gauge::default()),
            pool_used: telemetry.register(
                "tidewatch_memory_pool_used_bytes",
                "Bytes reserved in a share of the memory budget",
                Family::default(),
            ),
            pool_limit: telemetry.register(
                "tidewatch_memory_pool_limit_bytes",
                "Size of a share of the memory budget",
                Family::default(),
            ),
        }
    }

    /// All metrics in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        self.cpu_seconds.set(cpu_seconds());
        self.resident_bytes.set(signed(crate::memory::resident_bytes()));
        let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        self.open_files.set(i64::try_from(open).unwrap_or(i64::MAX));
        for pool in self.budget.pools() {
            let labels = vec![("pool", pool.name().to_owned())];
            self.pool_used.get_or_create(&labels).set(signed(pool.used_bytes() as u64));
            self.pool_limit.get_or_create(&labels).set(signed(pool.limit_bytes() as u64));
        }
        self.telemetry.encode()
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn seconds(ms: TimestampMs) -> f64 {
    ms as f64 / 1000.0
}

/// CPU time of this process in seconds; 0 when it cannot be read.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.rsplit_once(')').map_or(0, |(_, fields)| {
        fields.split_whitespace().skip(11).take(2).filter_map(|f| f.parse::<u64>().ok()).sum()
    });
    // The kernel's clock tick is 100 Hz on every Linux that this runs on.
    ticks as f64 / 100.0
}
