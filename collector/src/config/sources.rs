//! Checks `sources`, `host` and `haproxy`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use url::Url;
use vocab::Problems;

use super::checked::{
    ContainersConfig, HaproxyConfig, HaproxyEndpoint, HostConfig, HostIdentity, SelfConfig, SourcesConfig,
    SystemLogsConfig,
};
use super::raw::{RawHaproxy, RawHostIdentity, RawSources};
use super::scrape::{INTERVAL_DEFAULT, duration, unknown_keys};

fn path_or(raw: Option<&String>, default: &str) -> PathBuf {
    PathBuf::from(raw.map_or(default, String::as_str))
}

pub(super) fn check_sources(raw: &RawSources, problems: &mut Problems) -> SourcesConfig {
    unknown_keys("sources", &raw.unknown, problems);
    let host = raw.host.as_ref().map(|host| {
        unknown_keys("sources.host", &host.unknown, problems);
        HostConfig {
            interval: duration(host.interval.as_ref(), "sources.host.interval", problems).unwrap_or(INTERVAL_DEFAULT),
            procfs: path_or(host.procfs.as_ref(), "/proc"),
            sysfs: path_or(host.sysfs.as_ref(), "/sys"),
        }
    });
    let containers = raw.containers.as_ref().map(|raw| {
        unknown_keys("sources.containers", &raw.unknown, problems);
        let interval = duration(raw.interval.as_ref(), "sources.containers.interval", problems);
        ContainersConfig {
            interval: interval.unwrap_or(INTERVAL_DEFAULT),
            cgroup_root: path_or(raw.cgroup_root.as_ref(), "/sys/fs/cgroup"),
            procfs: path_or(raw.procfs.as_ref(), "/proc"),
            docker_socket: path_or(raw.docker_socket.as_ref(), "/var/run/docker.sock"),
        }
    });
    let self_metrics = raw.self_metrics.as_ref().map(|raw| {
        unknown_keys("sources.self", &raw.unknown, problems);
        let interval = duration(raw.interval.as_ref(), "sources.self.interval", problems);
        SelfConfig { interval: interval.unwrap_or(INTERVAL_DEFAULT) }
    });
    let system_logs = raw.system_logs.as_ref().map(|raw| {
        unknown_keys("sources.system_logs", &raw.unknown, problems);
        SystemLogsConfig {
            directory: path_or(raw.directory.as_ref(), "/var/log"),
            journal: raw.journal.unwrap_or(true),
        }
    });
    SourcesConfig { host, containers, self_metrics, system_logs }
}

pub(super) fn check_identity(raw: &RawHostIdentity, problems: &mut Problems) -> HostIdentity {
    unknown_keys("host", &raw.unknown, problems);
    let mut labels = raw.labels.clone().unwrap_or_default();
    for (key, value) in [("room", &raw.room), ("rack", &raw.rack)] {
        if let Some(value) = value {
            labels.insert(key.to_owned(), value.clone());
        }
    }
    HostIdentity { name: raw.name.clone().unwrap_or_default(), labels }
}

pub(super) fn check_haproxy(raw: &[RawHaproxy], problems: &mut Problems) -> Vec<HaproxyConfig> {
    let mut names = BTreeSet::new();
    let mut all = Vec::new();
    for (index, entry) in raw.iter().enumerate() {
        let path = format!("haproxy[{index}]");
        unknown_keys(&path, &entry.unknown, problems);
        let Some(endpoint) = check_endpoint(entry, &path, problems) else { continue };
        let name = entry.name.clone().unwrap_or_else(|| format!("haproxy-{index}"));
        if !names.insert(name.clone()) {
            problems.add(format!("{path}.name"), format!("HAProxy {name:?} stands twice; names must differ"));
        }
        let interval = duration(entry.interval.as_ref(), &format!("{path}.interval"), problems);
        all.push(HaproxyConfig {
            name,
            endpoint,
            interval: interval.unwrap_or(INTERVAL_DEFAULT),
            cluster: entry.cluster.clone(),
            labels: entry.labels.clone().unwrap_or_default(),
        });
    }
    all
}

fn check_endpoint(raw: &RawHaproxy, path: &str, problems: &mut Problems) -> Option<HaproxyEndpoint> {
    let mut url = |text: &String, key: &str| match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Some(text.clone()),
        _ => {
            problems
                .add(format!("{path}.{key}"), format!("{text:?} is not a URL such as http://127.0.0.1:8404/metrics"));
            None
        }
    };
    match (&raw.url, &raw.csv_url, &raw.socket) {
        (Some(text), None, None) => url(text, "url").map(HaproxyEndpoint::Prometheus),
        (None, Some(text), None) => url(text, "csv_url").map(HaproxyEndpoint::Csv),
        (None, None, Some(socket)) if socket.starts_with('/') => Some(HaproxyEndpoint::Unix(PathBuf::from(socket))),
        (None, None, Some(socket)) => match socket.rsplit_once(':').map(|(_, port)| port.parse::<u16>()) {
            Some(Ok(_)) => Some(HaproxyEndpoint::Tcp(socket.clone())),
            _ => {
                problems.add(format!("{path}.socket"), format!("{socket:?} is neither a path nor host:port"));
                None
            }
        },
        _ => {
            problems.add(path, "want exactly one of url, csv_url and socket");
            None
        }
    }
}
