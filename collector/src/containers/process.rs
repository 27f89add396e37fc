//! The use of supervised processes and their children, read from `/proc`.

use std::path::Path;

use hashbrown::{HashMap, HashSet};

use super::metrics::Usage;
use super::text;
use crate::collector::ProcessReplica;

/// One process as `/proc/<pid>/stat` shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stat {
    parent: u32,
    /// Own time and that of children waited for, in clock ticks.
    user_ticks: f64,
    system_ticks: f64,
    threads: f64,
    start_ticks: f64,
    rss_pages: f64,
}

/// The use of each replica whose process is there.
pub(super) fn collect(procfs: &Path, replicas: &[ProcessReplica]) -> Vec<(ProcessReplica, Usage)> {
    if replicas.is_empty() {
        return Vec::new();
    }
    let all = read_all(procfs);
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for (pid, stat) in &all {
        children.entry(stat.parent).or_default().push(*pid);
    }
    let boot_seconds = text(procfs, "stat")
        .and_then(|t| t.lines().find_map(|l| l.strip_prefix("btime ")?.trim().parse::<f64>().ok()))
        .unwrap_or(0.0);
    let of = |replica: &ProcessReplica| {
        let root = all.get(&replica.pid)?;
        let mut usage = sum(&family(replica.pid, &children), &all);
        usage.started_seconds = Some(boot_seconds + root.start_ticks / procfs::ticks_per_second() as f64);
        Some((replica.clone(), usage))
    };
    replicas.iter().filter_map(of).collect()
}

fn read_all(procfs: &Path) -> HashMap<u32, Stat> {
    let entries = std::fs::read_dir(procfs).into_iter().flatten().flatten();
    let pids = entries.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| Some((pid, parse(&text(procfs, &format!("{pid}/stat"))?)?))).collect()
}

/// The command's name stands in parentheses and may contain anything, parentheses included.
fn parse(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<f64> = rest.split_ascii_whitespace().skip(1).map(|w| w.parse().unwrap_or(0.0)).collect();
    // Counted from the parent's pid, which is the fourth field of the line.
    let at = |field: usize| fields.get(field - 4).copied();
    Some(Stat {
        parent: at(4)? as u32,
        user_ticks: at(14)? + at(16)?,
        system_ticks: at(15)? + at(17)?,
        threads: at(20)?,
        start_ticks: at(22)?,
        rss_pages: at(24)?,
    })
}

fn family(root: u32, children: &HashMap<u32, Vec<u32>>) -> HashSet<u32> {
    let mut members = HashSet::from([root]);
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            if members.insert(*child) {
                open.push(*child);
            }
        }
    }
    members
}

fn sum(members: &HashSet<u32>, all: &HashMap<u32, Stat>) -> Usage {
    let per_second = procfs::ticks_per_second() as f64;
    let stats: Vec<&Stat> = members.iter().filter_map(|pid| all.get(pid)).collect();
    let user: f64 = stats.iter().map(|s| s.user_ticks).sum::<f64>() / per_second;
    let system: f64 = stats.iter().map(|s| s.system_ticks).sum::<f64>() / per_second;
    let rss: f64 = stats.iter().map(|s| s.rss_pages).sum::<f64>() * procfs::page_size() as f64;
    Usage {
        cpu_seconds: Some(user + system),
        cpu_user_seconds: Some(user),
        cpu_system_seconds: Some(system),
        memory_bytes: Some(rss),
        memory_rss_bytes: Some(rss),
        processes: Some(stats.len() as f64),
        threads: Some(stats.iter().map(|s| s.threads).sum()),
        ..Usage::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_counts_with_its_children() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |pid: u32, parent: u32, user: u32| {
            let path = folder.path().join(pid.to_string());
            std::fs::create_dir_all(&path).expect("created");
            let line = format!("{pid} (a ) b) S {parent} 1 1 0 -1 0 0 0 0 0 {user} 50 100 0 20 0 3 0 1000 4096 10 0");
            std::fs::write(path.join("stat"), line).expect("written");
        };
        write(10, 1, 200);
        write(11, 10, 400);
        write(12, 1, 999);
        std::fs::write(folder.path().join("stat"), "cpu 1\nbtime 5000\n").expect("written");
        let replica =
            ProcessReplica { cluster: "local".into(), service: "web".into(), replica: "web.1".into(), pid: 10 };
        let gone = ProcessReplica { pid: 77, ..replica.clone() };
        let all = collect(folder.path(), &[replica, gone]);
        assert_eq!(all.len(), 1);
        let usage = &all[0].1;
        let ticks = procfs::ticks_per_second() as f64;
        assert_eq!(usage.cpu_user_seconds, Some(800.0 / ticks));
        assert_eq!(usage.cpu_system_seconds, Some(100.0 / ticks));
        assert_eq!(usage.memory_rss_bytes, Some(20.0 * procfs::page_size() as f64));
        assert_eq!((usage.processes, usage.threads), (Some(2.0), Some(6.0)));
        assert_eq!(usage.started_seconds, Some(5000.0 + 1000.0 / ticks));
    }
}
