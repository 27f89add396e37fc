//! Finds the cgroups that are containers, by the names that container managers give them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use crate::error::SourceError;

/// Deepest folder that is looked into: Kubernetes nests five levels.
const DEPTH_MAX: usize = 8;
/// Most containers of one machine.
const CONTAINERS_MAX: usize = 5_000;
/// Folders of version 1 that are read; the joint mount comes under either order of its names.
const CONTROLLERS: [(&str, &[&str]); 5] = [
    ("cpuacct", &["cpuacct", "cpu,cpuacct", "cpuacct,cpu"]),
    ("cpu", &["cpu", "cpu,cpuacct", "cpuacct,cpu"]),
    ("memory", &["memory"]),
    ("blkio", &["blkio"]),
    ("pids", &["pids"]),
];

/// Docker, containerd, CRI-O and podman, with the cgroup or the systemd driver.
static BY_ID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:(?:docker|cri-containerd|crio|libpod|containerd|nerdctl)-)?([0-9a-f]{64})(?:\.scope)?$")
        .expect("a constant pattern")
});
/// systemd-nspawn and machined.
static BY_MACHINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:systemd-nspawn@(.+)\.service|machine-(.+)\.scope)$").expect("a constant pattern")
});
/// The Mesos agent.
static BY_MESOS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$").expect("a constant pattern"));

/// A container's cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Container {
    /// The container's id, or the machine's name.
    pub(super) id: String,
    /// Its name as far as the path tells: a short id, or the machine's name.
    pub(super) name: String,
    /// The cgroup's path below the mount.
    pub(super) path: String,
    /// Its folders: by controller in version 1, the only one under `""` in version 2.
    pub(super) folders: BTreeMap<&'static str, PathBuf>,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) version: u8,
    pub(super) containers: Vec<Container>,
}

/// Looks through the cgroups below a root.
pub(super) fn find(root: &Path) -> Result<Found, SourceError> {
    let mut by_path = BTreeMap::new();
    if root.join("cgroup.controllers").is_file() {
        walk(root, root, "", 0, &mut by_path)?;
        return Ok(Found { version: 2, containers: by_path.into_values().collect() });
    }
    let mut any = false;
    for (controller, folders) in CONTROLLERS {
        if let Some(mount) = folders.iter().map(|f| root.join(f)).find(|f| f.is_dir()) {
            any = true;
            walk(&mount, &mount, controller, 0, &mut by_path)?;
        }
    }
    if !any {
        return Err(SourceError::Malformed(format!("no cgroups are mounted at {}", root.display())));
    }
    Ok(Found { version: 1, containers: by_path.into_values().collect() })
}

fn walk(
    mount: &Path,
    folder: &Path,
    controller: &'static str,
    depth: usize,
    found: &mut BTreeMap<String, Container>,
) -> Result<(), SourceError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        // Cgroups come and go while one looks.
        Err(error) if depth > 0 && error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(SourceError::read(folder, error)),
    };
    for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        let path = entry.path();
        let Ok(below) = path.strip_prefix(mount) else { continue };
        let below = format!("/{}", below.display());
        if let Some((id, name)) = identify(&below) {
            if found.len() < CONTAINERS_MAX || found.contains_key(&below) {
                let container = Container { id, name, path: below.clone(), folders: BTreeMap::new() };
                found.entry(below).or_insert(container).folders.insert(controller, path);
            }
        } else if depth < DEPTH_MAX {
            walk(mount, &path, controller, depth + 1, found)?;
        }
    }
    Ok(())
}

/// Id and name of the container whose cgroup has this path.
fn identify(path: &str) -> Option<(String, String)> {
    let (parent, last) = path.rsplit_once('/')?;
    if let Some(captures) = BY_ID.captures(last) {
        let id = &captures[1];
        return Some((id.to_owned(), id[..12].to_owned()));
    }
    if let Some(captures) = BY_MACHINE.captures(last) {
        // systemd escapes a dash in a unit's name.
        let name = captures.get(1).or_else(|| captures.get(2))?.as_str().replace("\\x2d", "-");
        return Some((name.clone(), name));
    }
    (parent.ends_with("/mesos") && BY_MESOS.is_match(last)).then(|| (last.to_owned(), last.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_all_managers() {
        let id = "0123456789abcdef".repeat(4);
        let check =
            |path: &str, expect: Option<&str>| assert_eq!(identify(path).map(|i| i.0).as_deref(), expect, "{path}");
        for path in [
            format!("/docker/{id}"),
            format!("/system.slice/docker-{id}.scope"),
            format!("/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope"),
            format!("/kubepods/burstable/pod1/{id}"),
            format!("/machine.slice/libpod-{id}.scope"),
            format!("/crio-{id}.scope"),
        ] {
            check(&path, Some(&id));
        }
        check("/machine.slice/systemd-nspawn@web.service", Some("web"));
        check("/machine.slice/machine-my\\x2dbox.scope", Some("my-box"));
        check("/mesos/12345678-1234-1234-1234-123456789abc", Some("12345678-1234-1234-1234-123456789abc"));
        check("/other/12345678-1234-1234-1234-123456789abc", None);
        check(&format!("/libpod-conmon-{id}.scope"), None);
        check("/system.slice/ssh.service", None);
    }
}
