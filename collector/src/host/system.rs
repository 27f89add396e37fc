//! Load, pressure, file handles, time, kernel.

use vocab::sample::MetricType;

use super::{Roots, numbers};
use crate::error::SourceError;
use crate::snapshot::Snapshot;

/// `node_load1`, `node_load5`, `node_load15`.
pub(super) fn loadavg(roots: &Roots, round: &mut Snapshot) -> Result<(), SourceError> {
    let values = numbers(&roots.proc("loadavg")?);
    for ((name, help), value) in
        [("node_load1", "1m load average."), ("node_load5", "5m load average."), ("node_load15", "15m load average.")]
            .into_iter()
            .zip(values)
    {
        round.gauge(name, help, value);
    }
    Ok(())
}

/// `node_filefd_allocated` and `node_filefd_maximum`.
pub(super) fn filefd(roots: &Roots, round: &mut Snapshot) -> Result<(), SourceError> {
    let values = numbers(&roots.proc("sys/fs/file-nr")?);
    if let [allocated, _, maximum] = values[..] {
        round.gauge("node_filefd_allocated", "File descriptor statistics: allocated.", allocated);
        round.gauge("node_filefd_maximum", "File descriptor statistics: maximum.", maximum);
    }
    Ok(())
}

/// `node_pressure_*`: how long work waited (some) or stood still (full) for want of a resource.
pub(super) fn pressure(roots: &Roots, round: &mut Snapshot) -> Result<(), SourceError> {
    for (resource, line, word) in [
        ("cpu", "some", "waiting"),
        ("io", "some", "waiting"),
        ("io", "full", "stalled"),
        ("memory", "some", "waiting"),
        ("memory", "full", "stalled"),
    ] {
        let text = roots.proc(&format!("pressure/{resource}"))?;
        let total = text.lines().find(|l| l.starts_with(line)).and_then(|l| l.rsplit_once("total="));
        if let Some(Ok(micros)) = total.map(|t| t.1.trim().parse::<f64>()) {
            let help = format!("Total time in seconds that processes have {word} for {resource}.");
            round.counter(&format!("node_pressure_{resource}_{word}_seconds_total"), &help, micros / 1e6);
        }
    }
    Ok(())
}

/// `node_time_seconds`.
pub(super) fn time(roots: &Roots, round: &mut Snapshot) -> Result<(), SourceError> {
    round.gauge("node_time_seconds", "System time in seconds since epoch (1970).", roots.now_seconds);
    Ok(())
}

/// `node_uname_info`.
pub(super) fn uname(roots: &Roots, round: &mut Snapshot) -> Result<(), SourceError> {
    let field = |name: &str| {
        let text = roots.proc(&format!("sys/kernel/{name}")).unwrap_or_default();
        // The kernel says `(none)` when no domain name is set, and node_exporter shows that.
        text.trim().to_owned()
    };
    roots.proc("sys/kernel/ostype")?;
    let labels = [
        ("sysname", field("ostype")),
        ("release", field("osrelease")),
        ("version", field("version")),
        ("machine", std::env::consts::ARCH.to_owned()),
        ("nodename", field("hostname")),
        ("domainname", field("domainname")),
    ];
    let labels: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (*n, v.as_str())).collect();
    round.family(
        "node_uname_info",
        MetricType::Gauge,
        "Labeled system information as provided by the uname system call.",
    );
    round.push("node_uname_info", &labels, 1.0);
    Ok(())
}
