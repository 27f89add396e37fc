//! Mounted file systems.

use vocab::sample::MetricType;

use super::Roots;
use crate::error::SourceError;
use crate::snapshot::Snapshot;

/// Not file systems of a disk, as node_exporter leaves them out. Network file systems are left out too: asking a server that
/// hangs would hang this source.
const IGNORED_TYPES: [&str; 38] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "erofs",
    "sysfs",
    "tracefs",
    "efivarfs",
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "fuse.sshfs",
    "fuse.glusterfs",
    "lustre",
    "ncpfs",
];
const IGNORED_POINTS: [&str; 6] =
    ["/dev", "/proc", "/sys", "/run/credentials", "/var/lib/docker", "/var/lib/containers/storage"];

const METRICS: [(&str, &str); 6] = [
    ("node_filesystem_size_bytes", "Filesystem size in bytes."),
    ("node_filesystem_free_bytes", "Filesystem free space in bytes."),
    ("node_filesystem_avail_bytes", "Filesystem space available to non-root users in bytes."),
    ("node_filesystem_files", "Filesystem total file nodes."),
    ("node_filesystem_files_free", "Filesystem total free file nodes."),
    ("node_filesystem_readonly", "Filesystem read-only status."),
];

/// `node_filesystem_*`.
pub(super) fn filesystem(roots: &Roots, round: &mut Snapshot) -> Result<(), SourceError> {
    // The init process sees the host's mounts even when this one lives in a mount namespace of its own.
    let mounts = roots.proc("1/mounts").or_else(|_| roots.proc("mounts"))?;
    for (name, help) in METRICS {
        round.family(name, MetricType::Gauge, help);
    }
    round.family(
        "node_filesystem_device_error",
        MetricType::Gauge,
        "Whether an error occurred while getting statistics.",
    );
    let mut seen = std::collections::BTreeSet::new();
    for line in mounts.lines() {
        let mut words = line.split(' ');
        let (Some(device), Some(point), Some(kind)) = (words.next(), words.next(), words.next()) else { continue };
        let options = words.next().unwrap_or("");
        let point = unescape(point);
        let ignored = |p: &str| point == p || point.strip_prefix(p).is_some_and(|r| r.starts_with('/'));
        if IGNORED_TYPES.contains(&kind) || IGNORED_POINTS.iter().any(|p| ignored(p)) || !seen.insert(point.clone()) {
            continue;
        }
        let device = unescape(device);
        let labels = [("device", device.as_str()), ("fstype", kind), ("mountpoint", point.as_str())];
        let stat = nix::sys::statvfs::statvfs(point.as_str());
        round.push("node_filesystem_device_error", &labels, if stat.is_ok() { 0.0 } else { 1.0 });
        let Ok(stat) = stat else { continue };
        let block = stat.fragment_size() as f64;
        let read_only = options.split(',').any(|o| o == "ro");
        let values = [
            stat.blocks() as f64 * block,
            stat.blocks_free() as f64 * block,
            stat.blocks_available() as f64 * block,
            stat.files() as f64,
            stat.files_free() as f64,
            f64::from(u8::from(read_only)),
        ];
        for ((name, _), value) in METRICS.iter().zip(values) {
            round.push(name, &labels, value);
        }
    }
    Ok(())
}

/// The kernel writes blanks, tabs, newlines and backslashes as octal numbers.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}
