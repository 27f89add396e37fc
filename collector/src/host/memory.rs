//! `/proc/meminfo` and `/proc/vmstat`.

use vocab::sample::MetricType;

use super::Roots;
use crate::error::SourceError;
use crate::snapshot::Snapshot;

/// `node_memory_*`.
pub(super) fn meminfo(roots: &Roots, round: &mut Snapshot) -> Result<(), SourceError> {
    for line in roots.proc("meminfo")?.lines() {
        let Some((key, rest)) = line.split_once(':') else { continue };
        let mut words = rest.split_ascii_whitespace();
        let Some(value) = words.next().and_then(|v| v.parse::<f64>().ok()) else { continue };
        let is_kib = words.next() == Some("kB");
        // `Active(anon)` is `Active_anon`.
        let key = key.replace('(', "_").replace(')', "");
        let name = if is_kib { format!("node_memory_{key}_bytes") } else { format!("node_memory_{key}") };
        let help = format!("Memory information field {key}{}.", if is_kib { "_bytes" } else { "" });
        round.gauge(&name, &help, if is_kib { value * 1024.0 } else { value });
    }
    Ok(())
}

/// `node_vmstat_*`: the fields node_exporter shows by default.
pub(super) fn vmstat(roots: &Roots, round: &mut Snapshot) -> Result<(), SourceError> {
    for line in roots.proc("vmstat")?.lines() {
        let Some((key, value)) = line.split_once(' ') else { continue };
        let is_fault = key.starts_with("pg") && key.contains("fault");
        let is_wanted = is_fault || ["oom_kill", "pgpg", "pswp"].iter().any(|p| key.starts_with(p));
        if let (true, Ok(value)) = (is_wanted, value.parse()) {
            let name = format!("node_vmstat_{key}");
            round.family(&name, MetricType::Unknown, &format!("/proc/vmstat information field {key}."));
            round.push(&name, &[], value);
        }
    }
    Ok(())
}
