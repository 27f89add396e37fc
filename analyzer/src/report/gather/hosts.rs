//! CPU, memory and disks of each host.

use std::collections::BTreeMap;

use vocab::Labels;

use super::Gather;
use crate::report::input::{Disk, HostHealth};

/// File systems that are not disks.
const NOT_DISKS: &str = "tmpfs|ramfs|overlay|squashfs|iso9660|devtmpfs|fuse.*|nfs.*|autofs|proc|sysfs|cgroup.*";
/// Most hosts in a report.
const HOSTS_MAX: usize = 200;
/// A disk that is full later than this is not worth a sentence, in milliseconds.
const FULL_SOON_MS: f64 = 30.0 * 86_400_000.0;
/// A trend is taken from at least this much time, in milliseconds.
const TREND_MS_MIN: i64 = 1_800_000;

impl Gather<'_> {
    /// All hosts with node_exporter's series.
    pub(in crate::report) async fn hosts(&mut self) -> Vec<HostHealth> {
        let grid = self.grid();
        let window = (2 * grid.step_ms / 1000).max(60);
        let mut hosts: BTreeMap<String, HostHealth> = BTreeMap::new();
        let cpu = format!("1 - avg without (cpu, mode) (rate(node_cpu_seconds_total{{mode=\"idle\"}}[{window}s]))");
        for series in self.range(&cpu, grid).await {
            let known: Vec<f64> = series.values.iter().copied().filter(|v| v.is_finite()).collect();
            let host = host(&mut hosts, &series.labels);
            host.cpu_max = known.iter().copied().reduce(f64::max).map(|v| v.clamp(0.0, 1.0));
            host.cpu_mean =
                (!known.is_empty()).then(|| (known.iter().sum::<f64>() / known.len() as f64).clamp(0.0, 1.0));
        }
        let memory = "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes";
        for series in self.range(memory, grid).await {
            let highest = series.values.iter().copied().filter(|v| v.is_finite()).reduce(f64::max);
            host(&mut hosts, &series.labels).memory_max = highest;
        }
        let disks = format!(
            "1 - node_filesystem_avail_bytes{{fstype!~\"{NOT_DISKS}\"}} / node_filesystem_size_bytes{{fstype!~\"{NOT_DISKS}\"}}"
        );
        for series in self.range(&disks, grid).await {
            let Some(&used) = series.values.iter().rfind(|v| v.is_finite()) else { continue };
            let mount = series.labels.get("mountpoint").unwrap_or("").to_owned();
            let long_enough = self.to_ms - self.from_ms >= TREND_MS_MIN;
            let full_in_ms = long_enough.then(|| full_in(&series.values, grid.step_ms)).flatten();
            host(&mut hosts, &series.labels).disks.push(Disk { mount, used, full_in_ms });
        }
        let mut list: Vec<HostHealth> = hosts.into_values().take(HOSTS_MAX).collect();
        for host in &mut list {
            host.disks.sort_by(|a, b| b.used.total_cmp(&a.used));
            // A device that is mounted in many places is one line.
            host.disks.dedup_by(|a, b| (a.used - b.used).abs() < 1e-12);
        }
        list
    }
}

fn host<'a>(hosts: &'a mut BTreeMap<String, HostHealth>, labels: &Labels) -> &'a mut HostHealth {
    let name = ["host", "instance", "nodename"].iter().find_map(|l| labels.get(l)).unwrap_or("").to_owned();
    hosts.entry(name.clone()).or_insert_with(|| HostHealth { host: name, ..HostHealth::default() })
}

/// When a disk is full if it goes on as it did between the first and the last quarter of the time.
fn full_in(values: &[f64], step_ms: i64) -> Option<i64> {
    let known: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let quarter = known.len() / 4;
    if quarter < 3 {
        return None;
    }
    let early = models::stats::median(&known[..quarter])?;
    let late = models::stats::median(&known[known.len() - quarter..])?;
    let per_ms = (late - early) / ((known.len() - quarter) as f64 * step_ms as f64);
    let left_ms = (1.0 - late) / per_ms;
    #[allow(clippy::cast_possible_truncation, reason = "bounded by FULL_SOON_MS")]
    (per_ms > 0.0 && left_ms < FULL_SOON_MS).then_some(left_ms.max(0.0) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filling_disk_is_full_some_day() {
        let filling: Vec<f64> = (0..100).map(|i| 0.5 + f64::from(i) * 0.001).collect();
        let left = full_in(&filling, 60_000).expect("it fills");
        assert!((left - 410 * 60_000).abs() < 30 * 60_000, "{left}");
        assert_eq!(full_in(&[0.5; 100], 60_000), None);
        assert_eq!(full_in(&[0.5, 0.6], 60_000), None);
    }
}
