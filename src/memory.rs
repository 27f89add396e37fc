//! How much memory the process may use.

use std::path::Path;

use vocab::PortError;

/// Share of the machine's or the cgroup's memory that is taken when nobody says otherwise.
const DEFAULT_SHARE: f64 = 0.6;
/// Less than this cannot hold the caches and buffers that a start needs.
pub const LIMIT_BYTES_MIN: usize = 128 * 1024 * 1024;

/// The shares of the budget by name; the rest is for code, stacks, blocks that are being written and what else no share counts.
pub const SHARES: &[(&str, f64)] =
    &[("head", 0.48), ("queries", 0.22), ("logs", 0.08), ("caches", 0.05), ("ingest", 0.05)];

/// Reads a size: bytes, or a number with kB, MB, GB (powers of ten) or KiB, MiB, GiB (powers of two).
///
/// # Errors
/// A sentence that says what would be right.
pub fn parse_size(text: &str) -> Result<usize, PortError> {
    let wrong = || {
        PortError::invalid(format!(
            "invalid size {text:?}: want bytes or a number with MB, GB, MiB or GiB, such as 1GiB"
        ))
    };
    let text_trimmed = text.trim();
    let digits = text_trimmed.bytes().take_while(|b| b.is_ascii_digit()).count();
    let (number, unit) = text_trimmed.split_at(digits);
    let number: usize = number.parse().map_err(|_| wrong())?;
    let factor: usize = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).ok_or_else(wrong)
}

/// The limit to use: the one given, else a share of what the machine or the cgroup has.
///
/// # Errors
/// When the given size cannot be read or is too small.
pub fn limit_bytes(given: Option<&str>) -> Result<usize, PortError> {
    let limit = match given {
        Some(text) => parse_size(text)?,
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a usize fits a usize")]
        None => ((available_bytes(Path::new("/")) as f64 * DEFAULT_SHARE) as usize).max(LIMIT_BYTES_MIN),
    };
    if limit < LIMIT_BYTES_MIN {
        return Err(PortError::invalid(format!(
            "--memory-limit is {limit} bytes, at least {LIMIT_BYTES_MIN} are needed"
        )));
    }
    Ok(limit)
}

/// The smaller of the machine's memory and the cgroup's limit; 1 GiB when neither can be read.
fn available_bytes(root: &Path) -> usize {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).ok();
    let machine = read("proc/meminfo").and_then(|text| {
        let line = text.lines().find(|l| l.starts_with("MemTotal:"))?.to_owned();
        line.split_whitespace().nth(1)?.parse::<usize>().ok().map(|kib| kib * 1024)
    });
    let group = ["sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .into_iter()
        .find_map(|path| read(path)?.trim().parse::<usize>().ok());
    match (machine, group) {
        (Some(machine), Some(group)) => machine.min(group),
        (Some(bytes), None) | (None, Some(bytes)) => bytes,
        (None, None) => 1 << 30,
    }
}

/// Resident memory of this process in bytes; 0 when it cannot be read.
pub fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = text.lines().find_map(|l| l.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in
            [("1024", 1024), ("1GiB", 1 << 30), ("512 MiB", 512 << 20), ("2gb", 2_000_000_000), ("1k", 1024)]
        {
            assert_eq!(parse_size(text).expect(text), bytes);
        }
        for bad in ["", "GiB", "1.5GiB", "-1", "1TB2", "99999999999999999999"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        assert!(limit_bytes(Some("1MiB")).is_err());
    }

    #[test]
    fn the_cgroup_counts_when_it_is_smaller() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(root.path().join("proc")).expect("made");
        std::fs::create_dir_all(root.path().join("sys/fs/cgroup")).expect("made");
        std::fs::write(root.path().join("proc/meminfo"), "MemTotal:  2048 kB\n").expect("written");
        assert_eq!(available_bytes(root.path()), 2048 * 1024);
        std::fs::write(root.path().join("sys/fs/cgroup/memory.max"), "1048576\n").expect("written");
        assert_eq!(available_bytes(root.path()), 1 << 20);
        std::fs::write(root.path().join("sys/fs/cgroup/memory.max"), "max\n").expect("written");
        assert_eq!(available_bytes(root.path()), 2048 * 1024);
    }
}
