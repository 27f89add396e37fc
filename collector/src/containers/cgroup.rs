//! Reads a container's use from its cgroup, version 1 or 2.

use std::path::Path;

use hashbrown::HashMap;

use super::find::{Container, Found};
use super::metrics::{Device, Interface, Usage};
use super::{number, table, text};
use crate::config::ContainersConfig;

/// Version 1 writes "no limit" as the largest number of pages.
const NO_LIMIT_FROM: f64 = 9e18;

/// The use of every container found.
pub(super) fn read_all(found: &Found, config: &ContainersConfig) -> Vec<Usage> {
    let devices = device_names(&config.procfs);
    let read = |container: &Container| {
        let mut usage =
            if found.version == 2 { version_2(container, &devices) } else { version_1(container, &devices) };
        read_processes(container, config, &mut usage);
        usage
    };
    found.containers.iter().map(read).collect()
}

/// `major:minor` → `/dev/name`.
fn device_names(procfs: &Path) -> HashMap<String, String> {
    let text = text(procfs, "diskstats").unwrap_or_default();
    let line = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let number = format!("{}:{}", words.next()?, words.next()?);
        Some((number, format!("/dev/{}", words.next()?)))
    };
    text.lines().filter_map(line).collect()
}

fn version_1(container: &Container, devices: &HashMap<String, String>) -> Usage {
    let mut usage = Usage::default();
    let per_second = procfs::ticks_per_second() as f64;
    if let Some(folder) = container.folders.get("cpuacct") {
        usage.cpu_seconds = number(folder, "cpuacct.usage").map(|ns| ns / 1e9);
        let stat = table(text(folder, "cpuacct.stat"));
        usage.cpu_user_seconds = stat.get("user").map(|t| t / per_second);
        usage.cpu_system_seconds = stat.get("system").map(|t| t / per_second);
    }
    if let Some(folder) = container.folders.get("cpu") {
        let stat = table(text(folder, "cpu.stat"));
        usage.cfs_periods = stat.get("nr_periods").copied();
        usage.cfs_throttled_periods = stat.get("nr_throttled").copied();
        usage.cfs_throttled_seconds = stat.get("throttled_time").map(|ns| ns / 1e9);
        usage.cpu_shares = number(folder, "cpu.shares");
        usage.cpu_quota = number(folder, "cpu.cfs_quota_us").filter(|q| *q > 0.0);
        usage.cpu_period = number(folder, "cpu.cfs_period_us");
    }
    if let Some(folder) = container.folders.get("memory") {
        let stat = table(text(folder, "memory.stat"));
        // The `total_` values count cgroups below along; a kernel without hierarchy has only the others.
        let get = |name: &str| stat.get(&format!("total_{name}")).or_else(|| stat.get(name)).copied();
        usage.memory_bytes = number(folder, "memory.usage_in_bytes");
        usage.memory_inactive_file_bytes = get("inactive_file");
        usage.memory_rss_bytes = get("rss");
        usage.memory_cache_bytes = get("cache");
        usage.memory_mapped_file_bytes = get("mapped_file");
        usage.memory_swap_bytes = get("swap");
        usage.memory_max_usage_bytes = number(folder, "memory.max_usage_in_bytes");
        usage.memory_failcnt = number(folder, "memory.failcnt");
        usage.memory_limit_bytes =
            number(folder, "memory.limit_in_bytes").map(|l| if l > NO_LIMIT_FROM { 0.0 } else { l });
        usage.oom_kills = table(text(folder, "memory.oom_control")).get("oom_kill").copied();
    }
    if let Some(folder) = container.folders.get("blkio") {
        for (file, is_bytes) in
            [("blkio.throttle.io_service_bytes_recursive", true), ("blkio.throttle.io_serviced_recursive", false)]
        {
            let file = text(folder, file).or_else(|| text(folder, file.trim_end_matches("_recursive")));
            for line in file.unwrap_or_default().lines() {
                let words: Vec<&str> = line.split_ascii_whitespace().collect();
                let [number, way, value] = words[..] else { continue };
                let Ok(value) = value.parse::<f64>() else { continue };
                let device = device(&mut usage.devices, number, devices);
                match (way, is_bytes) {
                    ("Read", true) => device.read_bytes = value,
                    ("Write", true) => device.written_bytes = value,
                    ("Read", false) => device.reads = value,
                    ("Write", false) => device.writes = value,
                    _ => {}
                }
            }
        }
    }
    usage.threads = container.folders.get("pids").and_then(|f| number(f, "pids.current"));
    usage
}

fn version_2(container: &Container, devices: &HashMap<String, String>) -> Usage {
    let mut usage = Usage::default();
    let Some(folder) = container.folders.get("") else { return usage };
    let cpu = table(text(folder, "cpu.stat"));
    let seconds = |name: &str| cpu.get(name).map(|us| us / 1e6);
    usage.cpu_seconds = seconds("usage_usec");
    usage.cpu_user_seconds = seconds("user_usec");
    usage.cpu_system_seconds = seconds("system_usec");
    usage.cfs_periods = cpu.get("nr_periods").copied();
    usage.cfs_throttled_periods = cpu.get("nr_throttled").copied();
    usage.cfs_throttled_seconds = seconds("throttled_usec");
    // `max 100000` or `50000 100000`.
    if let Some(text) = text(folder, "cpu.max") {
        let mut words = text.split_ascii_whitespace();
        usage.cpu_quota = words.next().and_then(|w| w.parse().ok());
        usage.cpu_period = words.next().and_then(|w| w.parse().ok());
    }
    // The inverse of how container managers turn shares (2 to 262144) into a weight (1 to 10000).
    usage.cpu_shares = number(folder, "cpu.weight").map(|weight| (2.0 + (weight - 1.0) * 262_142.0 / 9_999.0).floor());
    let memory = table(text(folder, "memory.stat"));
    usage.memory_bytes = number(folder, "memory.current");
    usage.memory_inactive_file_bytes = memory.get("inactive_file").copied();
    usage.memory_rss_bytes = memory.get("anon").copied();
    usage.memory_cache_bytes = memory.get("file").copied();
    usage.memory_mapped_file_bytes = memory.get("file_mapped").copied();
    usage.memory_swap_bytes = number(folder, "memory.swap.current");
    usage.memory_max_usage_bytes = number(folder, "memory.peak");
    usage.memory_limit_bytes = text(folder, "memory.max").map(|t| t.trim().parse().unwrap_or(0.0));
    let events = table(text(folder, "memory.events"));
    usage.memory_failcnt = events.get("max").copied();
    usage.oom_kills = events.get("oom_kill").copied();
    for line in text(folder, "io.stat").unwrap_or_default().lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(number) = words.next() else { continue };
        let device = device(&mut usage.devices, number, devices);
        for (key, value) in words.filter_map(|w| w.split_once('=')) {
            let Ok(value) = value.parse::<f64>() else { continue };
            match key {
                "rbytes" => device.read_bytes = value,
                "wbytes" => device.written_bytes = value,
                "rios" => device.reads = value,
                "wios" => device.writes = value,
                _ => {}
            }
        }
    }
    usage.threads = number(folder, "pids.current");
    usage
}

fn device<'a>(all: &'a mut Vec<Device>, number: &str, names: &HashMap<String, String>) -> &'a mut Device {
    let name = names.get(number).cloned().unwrap_or_else(|| number.to_owned());
    let index = all.iter().position(|d| d.name == name).unwrap_or_else(|| {
        all.push(Device { name, ..Device::default() });
        all.len() - 1
    });
    &mut all[index]
}

/// The number of processes, and the network devices that the first of them sees.
fn read_processes(container: &Container, config: &ContainersConfig, usage: &mut Usage) {
    let Some(procs) = container.folders.values().find_map(|f| text(f, "cgroup.procs")) else { return };
    usage.processes = Some(procs.lines().count() as f64);
    let Some(pid) = procs.lines().next() else { return };
    // A container on the host's network would show the host's traffic as its own.
    let namespace = |pid: &str| std::fs::read_link(config.procfs.join(pid).join("ns/net")).ok();
    if namespace(pid).is_some() && namespace(pid) == namespace("self") {
        return;
    }
    usage.interfaces = interfaces(&text(&config.procfs, &format!("{pid}/net/dev")).unwrap_or_default());
}

fn interfaces(text: &str) -> Vec<Interface> {
    let mut all = Vec::new();
    for line in text.lines().skip(2) {
        let Some((name, rest)) = line.split_once(':') else { continue };
        let values: Vec<f64> = rest.split_ascii_whitespace().map(|w| w.parse().unwrap_or(0.0)).collect();
        if name.trim() == "lo" || values.len() < 12 {
            continue;
        }
        let [bytes, packets, errors, dropped] = [values[0], values[1], values[2], values[3]];
        let received = [bytes, packets, errors, dropped];
        let sent = [values[8], values[9], values[10], values[11]];
        all.push(Interface { name: name.trim().to_owned(), received, sent });
    }
    all
}
