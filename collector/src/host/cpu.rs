//! `/proc/stat`.

use vocab::sample::MetricType;

use super::{Roots, numbers};
use crate::error::SourceError;
use crate::snapshot::Snapshot;

const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

/// `node_cpu_seconds_total` and `node_cpu_guest_seconds_total`.
pub(super) fn cpu(roots: &Roots, round: &mut Snapshot) -> Result<(), SourceError> {
    let stat = roots.proc("stat")?;
    // The kernel counts in clock ticks, whose length it tells.
    let per_second = procfs::ticks_per_second() as f64;
    round.family("node_cpu_seconds_total", MetricType::Counter, "Seconds the CPUs spent in each mode.");
    round.family(
        "node_cpu_guest_seconds_total",
        MetricType::Counter,
        "Seconds the CPUs spent in guests for each mode.",
    );
    for line in stat.lines() {
        let Some((name, rest)) = line.split_once(' ') else { continue };
        let Some(cpu) = name.strip_prefix("cpu").filter(|c| !c.is_empty()) else { continue };
        let values = numbers(rest);
        for (mode, ticks) in MODES.iter().zip(&values) {
            round.push("node_cpu_seconds_total", &[("cpu", cpu), ("mode", mode)], ticks / per_second);
        }
        for (mode, ticks) in ["user", "nice"].iter().zip(values.iter().skip(8)) {
            round.push("node_cpu_guest_seconds_total", &[("cpu", cpu), ("mode", mode)], ticks / per_second);
        }
    }
    Ok(())
}

/// Interrupts, context switches, forks, boot time, running and blocked processes.
pub(super) fn stat(roots: &Roots, round: &mut Snapshot) -> Result<(), SourceError> {
    for line in roots.proc("stat")?.lines() {
        let mut words = line.split(' ');
        let (Some(name), Some(value)) = (words.next(), words.next().and_then(|v| v.parse().ok())) else { continue };
        match name {
            "intr" => round.counter("node_intr_total", "Total number of interrupts serviced.", value),
            "ctxt" => round.counter("node_context_switches_total", "Total number of context switches.", value),
            "processes" => round.counter("node_forks_total", "Total number of forks.", value),
            "btime" => round.gauge("node_boot_time_seconds", "Node boot time, in unixtime.", value),
            "procs_running" => round.gauge("node_procs_running", "Number of processes in runnable state.", value),
            "procs_blocked" => {
                round.gauge("node_procs_blocked", "Number of processes blocked waiting for I/O to complete.", value);
            }
            _ => {}
        }
    }
    Ok(())
}
