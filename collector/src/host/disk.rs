//! `/proc/diskstats`.

use vocab::sample::MetricType;

use super::{Roots, numbers};
use crate::error::SourceError;
use crate::snapshot::Snapshot;

/// The kernel counts in sectors of this size whatever the disk's are.
const SECTOR_BYTES: f64 = 512.0;
const MS: f64 = 0.001;

/// Name, type, factor and help of each column after the device's name.
const COLUMNS: [(&str, MetricType, f64, &str); 17] = [
    ("reads_completed_total", MetricType::Counter, 1.0, "The total number of reads completed successfully."),
    ("reads_merged_total", MetricType::Counter, 1.0, "The total number of reads merged."),
    ("read_bytes_total", MetricType::Counter, SECTOR_BYTES, "The total number of bytes read successfully."),
    ("read_time_seconds_total", MetricType::Counter, MS, "The total number of seconds spent by all reads."),
    ("writes_completed_total", MetricType::Counter, 1.0, "The total number of writes completed successfully."),
    ("writes_merged_total", MetricType::Counter, 1.0, "The number of writes merged."),
    ("written_bytes_total", MetricType::Counter, SECTOR_BYTES, "The total number of bytes written successfully."),
    ("write_time_seconds_total", MetricType::Counter, MS, "This is the total number of seconds spent by all writes."),
    ("io_now", MetricType::Gauge, 1.0, "The number of I/Os currently in progress."),
    ("io_time_seconds_total", MetricType::Counter, MS, "Total seconds spent doing I/Os."),
    ("io_time_weighted_seconds_total", MetricType::Counter, MS, "The weighted # of seconds spent doing I/Os."),
    ("discards_completed_total", MetricType::Counter, 1.0, "The total number of discards completed successfully."),
    ("discards_merged_total", MetricType::Counter, 1.0, "The total number of discards merged."),
    ("discarded_sectors_total", MetricType::Counter, 1.0, "The total number of sectors discarded successfully."),
    (
        "discard_time_seconds_total",
        MetricType::Counter,
        MS,
        "This is the total number of seconds spent by all discards.",
    ),
    ("flush_requests_total", MetricType::Counter, 1.0, "The total number of flush requests completed successfully"),
    (
        "flush_requests_time_seconds_total",
        MetricType::Counter,
        MS,
        "This is the total number of seconds spent by all flush requests.",
    ),
];

/// `node_disk_*`.
pub(super) fn diskstats(roots: &Roots, round: &mut Snapshot) -> Result<(), SourceError> {
    let text = roots.proc("diskstats")?;
    for (column, metric_type, _, help) in COLUMNS {
        round.family(&format!("node_disk_{column}"), metric_type, help);
    }
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(device) = words.nth(2).filter(|d| !is_ignored(d)) else { continue };
        let values = numbers(&words.collect::<Vec<_>>().join(" "));
        for ((column, _, factor, _), value) in COLUMNS.iter().zip(values) {
            round.push(&format!("node_disk_{column}"), &[("device", device)], value * factor);
        }
    }
    Ok(())
}

/// Ram disks, loops, floppies and partitions, as node_exporter leaves them out.
fn is_ignored(device: &str) -> bool {
    let stem = device.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == device.len() {
        return false;
    }
    if ["ram", "zram", "loop", "fd"].contains(&stem) {
        return true;
    }
    let is_lettered = ["hd", "sd", "vd", "xvd"]
        .iter()
        .any(|kind| stem.strip_prefix(kind).is_some_and(|r| r.len() == 1 && r.as_bytes()[0].is_ascii_lowercase()));
    is_lettered || (stem.starts_with("nvme") && stem.ends_with('p'))
}

#[cfg(test)]
mod tests {
    #[test]
    fn partitions_are_left_out() {
        for (device, expect) in [
            ("sda", false),
            ("sda1", true),
            ("vdb12", true),
            ("nvme0n1", false),
            ("nvme0n1p3", true),
            ("dm-0", false),
            ("loop7", true),
            ("zram0", true),
            ("md127", false),
        ] {
            assert_eq!(super::is_ignored(device), expect, "{device}");
        }
    }
}
