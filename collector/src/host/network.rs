//! Network devices, protocols and sockets.

use std::sync::LazyLock;

use regex::Regex;
use vocab::sample::MetricType;

use super::{Roots, numbers};
use crate::error::SourceError;
use crate::snapshot::Snapshot;

const RECEIVE: [&str; 8] = ["bytes", "packets", "errs", "drop", "fifo", "frame", "compressed", "multicast"];
const TRANSMIT: [&str; 8] = ["bytes", "packets", "errs", "drop", "fifo", "colls", "carrier", "compressed"];

/// `node_network_receive_*_total` and `node_network_transmit_*_total` from `/proc/net/dev`.
pub(super) fn netdev(roots: &Roots, round: &mut Snapshot) -> Result<(), SourceError> {
    let text = roots.proc("net/dev")?;
    let columns = RECEIVE.iter().map(|c| ("receive", c)).chain(TRANSMIT.iter().map(|c| ("transmit", c)));
    let columns: Vec<(String, String)> = columns
        .map(|(way, column)| {
            let help = format!("Network device statistic {way}_{column}.");
            (format!("node_network_{way}_{column}_total"), help)
        })
        .collect();
    for (name, help) in &columns {
        round.family(name, MetricType::Counter, help);
    }
    for line in text.lines().skip(2) {
        let Some((device, rest)) = line.split_once(':') else { continue };
        for ((name, _), value) in columns.iter().zip(numbers(rest)) {
            round.push(name, &[("device", device.trim())], value);
        }
    }
    Ok(())
}

/// `node_network_up`, `_mtu_bytes`, `_speed_bytes`, `_carrier` from `/sys/class/net`.
pub(super) fn netclass(roots: &Roots, round: &mut Snapshot) -> Result<(), SourceError> {
    let folder = roots.sysfs.join("class/net");
    let entries = std::fs::read_dir(&folder).map_err(|e| SourceError::read(&folder, e))?;
    round.family("node_network_up", MetricType::Gauge, "Value is 1 if operstate is 'up', 0 otherwise.");
    for (file, _) in NETCLASS {
        round.family(
            &format!("node_network_{file}"),
            MetricType::Gauge,
            "Network device property from /sys/class/net.",
        );
    }
    for device in entries.flatten().filter_map(|e| e.file_name().into_string().ok()) {
        let labels = [("device", device.as_str())];
        if let Ok(state) = roots.sys(&format!("class/net/{device}/operstate")) {
            round.push("node_network_up", &labels, f64::from(u8::from(state.trim() == "up")));
        }
        for (name, (file, factor)) in NETCLASS {
            let text = roots.sys(&format!("class/net/{device}/{file}")).unwrap_or_default();
            // A device without a link says -1, or nothing at all.
            if let Some(value) = text.trim().parse::<f64>().ok().filter(|v| *v >= 0.0) {
                round.push(&format!("node_network_{name}"), &labels, value * factor);
            }
        }
    }
    Ok(())
}

/// Metric, file and factor; the speed is in megabits.
const NETCLASS: [(&str, (&str, f64)); 3] =
    [("mtu_bytes", ("mtu", 1.0)), ("speed_bytes", ("speed", 125_000.0)), ("carrier", ("carrier", 1.0))];

/// The fields node_exporter shows by default.
static NETSTAT_FIELDS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        "^(.*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)\
         |TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts|TCPOFOQueue|TCPRcvQDrop)\
         |Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)\
         |Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors))$",
    )
    .expect("a constant pattern")
});

/// `node_netstat_*` from `/proc/net/snmp`, `/proc/net/netstat`, `/proc/net/snmp6`.
pub(super) fn netstat(roots: &Roots, round: &mut Snapshot) -> Result<(), SourceError> {
    let mut found = Vec::new();
    for file in ["net/snmp", "net/netstat"] {
        let text = roots.proc(file)?;
        let mut lines = text.lines();
        // Lines come in pairs: names, then values, both behind the protocol.
        while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
            let (Some((protocol, names)), Some((_, values))) = (names.split_once(':'), values.split_once(':')) else {
                continue;
            };
            let pairs = names.split_ascii_whitespace().zip(numbers(values));
            found.extend(pairs.map(|(name, value)| (format!("{protocol}_{name}"), value)));
        }
    }
    for line in roots.proc("net/snmp6").unwrap_or_default().lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(Ok(value))) = (words.next(), words.next().map(str::parse)) else { continue };
        // `Ip6InOctets` is `Ip6_InOctets`.
        if let Some(six) = name.find('6') {
            found.push((format!("{}_{}", &name[..=six], &name[six + 1..]), value));
        }
    }
    for (key, value) in found.iter().filter(|(key, _)| NETSTAT_FIELDS.is_match(key)) {
        let name = format!("node_netstat_{key}");
        round.family(&name, MetricType::Unknown, &format!("Statistic {}.", key.replace('_', "")));
        round.push(&name, &[], *value);
    }
    Ok(())
}

/// `node_sockstat_*`.
pub(super) fn sockstat(roots: &Roots, round: &mut Snapshot) -> Result<(), SourceError> {
    let page_bytes = procfs::page_size() as f64;
    let text = roots.proc("net/sockstat")? + &roots.proc("net/sockstat6").unwrap_or_default();
    for line in text.lines() {
        let Some((protocol, rest)) = line.split_once(':') else { continue };
        let words: Vec<&str> = rest.split_ascii_whitespace().collect();
        for pair in words.chunks_exact(2) {
            let Ok(value) = pair[1].parse::<f64>() else { continue };
            let gauge = |round: &mut Snapshot, key: &str, value| {
                let help = format!("Number of {protocol} sockets in state {key}.");
                round.gauge(&format!("node_sockstat_{protocol}_{key}"), &help, value);
            };
            gauge(round, pair[0], value);
            if pair[0] == "mem" {
                gauge(round, "mem_bytes", value * page_bytes);
            }
        }
    }
    Ok(())
}
