//! Metrics of the containers on this machine, read from their cgroups with cAdvisor's names, and of the replicas that the
//! process orchestrator supervises, read from `/proc`, under the same names.
//!
//! Version 1 and version 2 of the cgroups are read below a root that is a parameter, so that recorded trees test both.

mod cgroup;
mod docker;
mod find;
mod metrics;
mod process;

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use tokio_util::sync::CancellationToken;
use vocab::ports::Catalog;
use vocab::{ChangeEvent, ChangeKind, EntityKind, TimestampMs};

use crate::collector::ReplicaSource;
use crate::config::ContainersConfig;
use crate::error::SourceError;
use crate::shared::Shared;
use crate::snapshot::{Snapshot, SnapshotWriter};
use crate::ticker::Ticker;
use docker::{DockerNames, Named};
use metrics::Usage;

/// The source's name.
pub(crate) const NAME: &str = "containers";
/// The job of its series, as cAdvisor is usually called.
const JOB: &str = "cadvisor";
/// Docker labels that are shown on the series, and under which name.
const SHOWN_LABELS: [(&str, &str); 6] = [
    ("com.docker.swarm.service.name", "container_label_com_docker_swarm_service_name"),
    ("com.docker.compose.service", "container_label_com_docker_compose_service"),
    ("com.docker.compose.project", "container_label_com_docker_compose_project"),
    ("io.kubernetes.pod.name", "pod"),
    ("io.kubernetes.pod.namespace", "namespace"),
    ("io.kubernetes.container.name", "container"),
];

/// One container as a round shows it.
#[derive(Debug)]
struct Seen {
    /// Labels of its series: `id`, `name`, `image`, identity.
    labels: BTreeMap<String, String>,
    /// Its id among containers.
    id: String,
    usage: Usage,
}

/// Reads until the source is stopped.
pub(crate) async fn run(
    shared: Arc<Shared>,
    config: ContainersConfig,
    replicas: ReplicaSource,
    stop: CancellationToken,
) {
    let entry = shared.sources.open(NAME, "metrics", &config.cgroup_root.display().to_string());
    let mut writer = SnapshotWriter::default();
    let mut docker = DockerNames::new(&config.docker_socket);
    let mut kills = HashMap::new();
    let mut ticker = Ticker::new(&shared.clock, &stop, std::time::Duration::ZERO, config.interval);
    while ticker.tick().await {
        let now_ms = shared.clock.now_ms();
        let names = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            names = docker.names(&shared.clock) => names,
        };
        let supervised = replicas();
        let paths = config.clone();
        let read = tokio::task::spawn_blocking(move || {
            let found = find::find(&paths.cgroup_root);
            let processes = process::collect(&paths.procfs, &supervised);
            found.map(|found| (cgroup::read_all(&found, &paths), found, processes))
        });
        let (usages, found, processes) = match read.await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => {
                note_failure(&shared, &entry, &error);
                continue;
            }
            Err(_) => continue,
        };
        entry.reading(&format!("cgroup v{} at {}", found.version, config.cgroup_root.display()));
        let mut all: Vec<Seen> = found
            .containers
            .iter()
            .zip(usages)
            .map(|(container, usage)| describe(&shared, container, names.get(&container.id), usage))
            .collect();
        all.extend(processes.into_iter().map(|(replica, usage)| describe_process(&replica, usage)));
        note_entities(&shared, &all, now_ms);
        note_kills(&shared, &all, &mut kills, now_ms).await;
        let host = shared.host();
        let cluster = shared.default_cluster();
        let base = [("job", JOB), ("instance", host.name.as_str()), ("cluster", cluster.as_str())];
        let mut round = Snapshot::new(base);
        metrics::describe(&mut round);
        for seen in &all {
            metrics::push(&mut round, &seen.labels, &seen.usage, now_ms as f64 / 1000.0);
        }
        match writer.write(&shared, round, now_ms).await {
            Ok(count) => entry.delivered(count, now_ms),
            Err(error) => note_failure(&shared, &entry, &error.into()),
        }
        if let Some(problem) = docker.problem() {
            entry.note(problem);
        }
    }
    writer.finish(&shared).await;
    shared.sources.close(NAME, &entry);
}

fn note_failure(shared: &Shared, entry: &crate::sources::SourceEntry, error: &SourceError) {
    shared.metrics.source_failed(NAME);
    if entry.failed(&error.to_string()) {
        tracing::warn!(error = %vocab::error::chain(error), "container metrics not delivered");
    }
}

/// Joins what the cgroup's path and the Docker API say, and asks the resolver whose it is.
fn describe(shared: &Shared, container: &find::Container, named: Option<&Named>, mut usage: Usage) -> Seen {
    let mut labels = BTreeMap::from([("id".to_owned(), container.path.clone())]);
    let mut sources = BTreeMap::new();
    let name = named.map_or_else(|| container.name.clone(), |n| n.name.clone());
    labels.insert("name".to_owned(), name.clone());
    if let Some(named) = named {
        labels.insert("image".to_owned(), named.image.clone());
        sources.clone_from(&named.labels);
        for (label, shown) in SHOWN_LABELS {
            if let Some(value) = named.labels.get(label) {
                labels.insert(shown.to_owned(), value.clone());
            }
        }
        usage.started_seconds = Some(named.created_seconds);
    }
    sources.insert("name".to_owned(), name.clone());
    let mut identity = shared.resolve(&sources);
    if identity.replica.is_empty() && !identity.service.is_empty() {
        identity.replica = if name.is_empty() { container.id.clone() } else { name };
    }
    for (label, value) in [("cluster", identity.cluster), ("service", identity.service), ("replica", identity.replica)]
    {
        labels.insert(label.to_owned(), value);
    }
    Seen { labels, id: container.id.clone(), usage }
}

fn describe_process(replica: &crate::ProcessReplica, usage: Usage) -> Seen {
    let labels = [
        ("id", format!("/process/{}/{}", replica.service, replica.replica)),
        ("name", replica.replica.clone()),
        ("image", String::new()),
        ("cluster", replica.cluster.clone()),
        ("service", replica.service.clone()),
        ("replica", replica.replica.clone()),
    ];
    let labels = labels.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
    Seen { labels, id: replica.replica.clone(), usage }
}

fn note_entities(shared: &Shared, all: &[Seen], now_ms: TimestampMs) {
    let host = shared.host();
    for seen in all {
        let get = |name: &str| seen.labels.get(name).map_or("", String::as_str);
        let (cluster, service, replica) = (get("cluster"), get("service"), get("replica"));
        let mut labels = BTreeMap::from([("host".to_owned(), host.name.clone())]);
        for (label, value) in [("container_name", get("name")), ("image", get("image")), ("service", service)] {
            if !value.is_empty() {
                labels.insert(label.to_owned(), value.to_owned());
            }
        }
        if !service.is_empty() {
            shared.entities.see_replica((cluster, service, replica), &labels, now_ms);
        }
        shared.entities.see((EntityKind::Container, cluster, &seen.id), &host.name, labels, now_ms);
    }
}

/// Records a change when the kernel killed a process of a container for memory.
async fn note_kills(shared: &Shared, all: &[Seen], known: &mut HashMap<String, f64>, now_ms: TimestampMs) {
    let mut current = HashMap::with_capacity(all.len());
    for seen in all {
        let Some(kills) = seen.usage.oom_kills else { continue };
        let before = known.get(&seen.id).copied();
        current.insert(seen.id.clone(), kills);
        // At the first look the past is not news.
        if before.is_none_or(|b| kills <= b) {
            continue;
        }
        let get = |name: &str| seen.labels.get(name).cloned().unwrap_or_default();
        let subject = if get("replica").is_empty() { get("name") } else { get("replica") };
        let event = ChangeEvent {
            time_ms: now_ms,
            kind: ChangeKind::OomKill,
            cluster: get("cluster"),
            service: get("service"),
            summary: format!("the kernel killed a process of {subject} for memory"),
            subject,
            actor: "kernel".to_owned(),
            details: BTreeMap::from([("container".to_owned(), seen.id.clone())]),
        };
        if let Err(error) = Catalog::record_change(&*shared.catalog, &shared.tenant, &event).await {
            tracing::warn!(error = %vocab::error::chain(&error), "out-of-memory kill not recorded");
        }
    }
    *known = current;
}

/// A file below a folder as text; missing files are `None`: which exist depends on kernel and configuration.
fn text(folder: &std::path::Path, file: &str) -> Option<String> {
    std::fs::read_to_string(folder.join(file)).ok()
}

/// A file that holds one number.
fn number(folder: &std::path::Path, file: &str) -> Option<f64> {
    text(folder, file)?.trim().parse().ok()
}

/// `key value` lines.
fn table(text: Option<String>) -> HashMap<String, f64> {
    let text = text.unwrap_or_default();
    let pairs = text.lines().filter_map(|l| l.split_once(' '));
    pairs.filter_map(|(k, v)| Some((k.to_owned(), v.trim().parse().ok()?))).collect()
}

#[cfg(test)]
mod tests;
