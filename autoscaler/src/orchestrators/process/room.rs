//! How many more replicas this machine has room for: free memory, and processes that may still be started.

use std::fs;

use crate::orchestrator::Room;
use crate::policy::short;

/// Share of the available memory that is given away; the rest is for what grows.
const MEMORY_SHARE: f64 = 0.9;
/// Processes and threads that are left for others.
const TASKS_LEFT: u64 = 64;
const MIB: f64 = 1024.0 * 1024.0;

/// What this machine has, as `/proc` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Machine {
    /// Memory that can be had, in bytes.
    memory: Option<u64>,
    /// Processes and threads that there may be, and that there are.
    tasks: Option<(u64, u64)>,
}

/// Room beside the running replicas, whose processes are given.
pub(crate) fn room(pids: &[u32]) -> Option<Room> {
    let text = |path: &str| fs::read_to_string(path).ok();
    let machine = Machine {
        memory: text("/proc/meminfo").and_then(|t| kib_of(&t, "MemAvailable:")),
        tasks: text("/proc/sys/kernel/pid_max")
            .and_then(|t| t.trim().parse().ok())
            .zip(text("/proc/loadavg").and_then(|t| existing(&t))),
    };
    let used = pids.iter().filter_map(|pid| {
        let status = text(&format!("/proc/{pid}/status"))?;
        let threads = field(&status, "Threads:").and_then(|t| t.parse().ok())?;
        Some((kib_of(&status, "RssAnon:")?, threads))
    });
    found(machine, &used.collect::<Vec<(u64, u64)>>())
}

/// What fits, if every further replica takes what the largest of those that run takes: (memory in bytes, threads).
fn found(machine: Machine, used: &[(u64, u64)]) -> Option<Room> {
    let memory = used.iter().map(|u| u.0).max().filter(|m| *m > 0)?;
    let threads = used.iter().map(|u| u.1).max()?.max(1);
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bytes of memory are far below 2^52, and the share is below 1"
    )]
    let by_memory = machine.memory.map(|m| ((m as f64 * MEMORY_SHARE) as u64) / memory);
    let by_tasks = machine.tasks.map(|(most, now)| most.saturating_sub(now).saturating_sub(TASKS_LEFT) / threads);
    let more = by_memory.into_iter().chain(by_tasks).min()?;
    #[allow(clippy::cast_precision_loss, reason = "only shown")]
    let reason = if by_memory == Some(more) {
        let free = machine.memory.unwrap_or(0) as f64 / MIB;
        format!("{} MiB of memory are free, and a replica takes {}", short(free), short(memory as f64 / MIB))
    } else {
        format!("this machine may start {more} more of {threads} threads each")
    };
    Some(Room { more: u32::try_from(more).unwrap_or(u32::MAX), reason })
}

/// The words behind a key.
fn field<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim)
}

fn kib_of(text: &str, key: &str) -> Option<u64> {
    field(text, key)?.strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib.saturating_mul(1024))
}

/// Processes and threads of `/proc/loadavg`: `0.20 0.18 0.12 1/80 11206`.
fn existing(text: &str) -> Option<u64> {
    text.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scarcer_of_memory_and_processes_counts() {
        let mib = 1024 * 1024;
        let machine = |memory, tasks| Machine { memory, tasks };
        let check = |machine: Machine, used: &[(u64, u64)]| found(machine, used).map(|r| (r.more, r.reason));
        assert_eq!(
            check(machine(Some(1000 * mib), Some((32_768, 500))), &[(50 * mib, 4), (90 * mib, 2)]),
            Some((10, "1000 MiB of memory are free, and a replica takes 90".into()))
        );
        assert_eq!(
            check(machine(Some(1000 * mib), Some((600, 500))), &[(10 * mib, 4)]),
            Some((9, "this machine may start 9 more of 4 threads each".into()))
        );
        assert_eq!(check(machine(Some(0), None), &[(mib, 1)]).map(|r| r.0), Some(0));
        // Nothing runs from which to learn, or nothing is known of the machine.
        assert_eq!(check(machine(Some(1000 * mib), Some((600, 500))), &[]), None);
        assert_eq!(check(machine(None, None), &[(mib, 1)]), None);
    }

    #[test]
    fn proc_is_read() {
        assert_eq!(kib_of("MemTotal:  9 kB\nMemAvailable:     12 kB\n", "MemAvailable:"), Some(12 * 1024));
        assert_eq!(existing("0.20 0.18 0.12 1/80 11206\n"), Some(80));
        assert!(room(&[std::process::id()]).is_some_and(|r| r.more > 0), "this very process fits once more");
    }
}
