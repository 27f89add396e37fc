//! What /proc says of processes: alive or not, since when, started by whom.

use std::fs;

use super::table::ProcessKey;

/// The variable that carries a replica's token.
pub(crate) const TOKEN_VARIABLE: &str = "TIDEWATCH_REPLICA";

/// What matters of `/proc/<pid>/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    /// State letter; `Z` is a zombie.
    pub(crate) state: char,
    /// Process group.
    pub(crate) group: u32,
    /// Start time in clock ticks since the boot.
    pub(crate) start_ticks: u64,
}

/// Reads a process's state; `None` when there is no such process.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name may hold spaces and parentheses; the last parenthesis ends it.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        group: fields.get(2)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

/// This boot's id; empty where it cannot be read.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|t| t.trim().to_owned()).unwrap_or_default()
}

/// Whether that very process still runs; a zombie does not.
pub(crate) fn is_alive(key: &ProcessKey, boot_id: &str) -> bool {
    key.boot_id == boot_id && stat(key.pid).is_some_and(|s| s.start_ticks == key.start_ticks && s.state != 'Z')
}

/// The process whose environment carries a token: the leader of its group, not something it started.
pub(crate) fn find_by_token(token: &str, boot_id: &str) -> Option<ProcessKey> {
    let wanted = format!("{TOKEN_VARIABLE}={token}");
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = stat(pid)?;
        let environment = fs::read(entry.path().join("environ")).ok()?;
        let carries = environment.split(|b| *b == 0).any(|variable| variable == wanted.as_bytes());
        (carries && stat.group == pid && stat.state != 'Z').then(|| ProcessKey {
            pid,
            start_ticks: stat.start_ticks,
            boot_id: boot_id.to_owned(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let text = "42 (a) b (c)) S 1 43 43 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 10 11";
        assert_eq!(parse_stat(text), Some(Stat { state: 'S', group: 43, start_ticks: 987_654 }));
        assert_eq!(parse_stat("42 (a"), None);
        let own = stat(std::process::id()).expect("this process runs");
        assert_ne!(own.state, 'Z');
    }
}
