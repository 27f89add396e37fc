//! Hosts by node_exporter's names, their containers and filesystems.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use vocab::entity::{Entity, EntityKind};
use vocab::ports::catalog::EntityFilter;
use vocab::{Alert, AlertState, Ctx, ErrorKind, Sentence, TimestampMs};

use super::said::said;
use super::services::{alert_fires, chart};
use super::shapes::{self, number};
use super::view::{ByLabel, View, quoted};
use crate::app::{Caller, Shared};
use crate::error::{ApiError, ApiResult};
use crate::params::Params;

/// A host or container that was not seen for this long is stale.
const STALE_MS: i64 = 300_000;
/// Most hosts of a list.
const HOSTS_MAX: usize = 10_000;
/// Shares of memory or disk in use from which a host needs attention, and from which it is about to break.
const FULL_WARNING: f64 = 0.9;
const FULL_CRITICAL: f64 = 0.97;
/// Filesystems that hold no data of their own.
const REAL_FILESYSTEMS: &str = "fstype!~\"tmpfs|devtmpfs|ramfs|overlay|squashfs|iso9660|autofs|nsfs|proc|sysfs\"";
/// Days after which a filesystem's growth says nothing any more.
const FULL_IN_DAYS_MAX: f64 = 3650.0;

struct Numbers {
    cpu: ByLabel,
    cores: ByLabel,
    memory: ByLabel,
    memory_used: ByLabel,
    disk: ByLabel,
    load: ByLabel,
    net: ByLabel,
    pressure: ByLabel,
    uptime: ByLabel,
    os: BTreeMap<String, String>,
    sparks: BTreeMap<String, Vec<Option<f64>>>,
}

const CPU: &str = "1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[1m]))";

impl Numbers {
    async fn read(view: &View, range: (TimestampMs, TimestampMs)) -> ApiResult<Self> {
        let by = async |text: &str| view.by("instance", text).await;
        let disk = format!(
            "max by (instance) (1 - node_filesystem_avail_bytes{{{REAL_FILESYSTEMS}}} / node_filesystem_size_bytes{{{REAL_FILESYSTEMS}}})"
        );
        let os = |(labels, _): (vocab::Labels, f64)| {
            let text =
                [labels.get("sysname"), labels.get("release")].into_iter().flatten().collect::<Vec<_>>().join(" ");
            Some((labels.get("instance")?.to_owned(), text))
        };
        Ok(Self {
            cpu: by(CPU).await?,
            cores: by("count by (instance) (node_cpu_seconds_total{mode=\"idle\"})").await?,
            memory: by("max by (instance) (node_memory_MemTotal_bytes)").await?,
            memory_used: by("1 - max by (instance) (node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)")
                .await?,
            disk: by(&disk).await?,
            load: by("max by (instance) (node_load1)").await?,
            net: by("sum by (instance) (rate(node_network_receive_bytes_total{device!=\"lo\"}[1m])) \
                     + sum by (instance) (rate(node_network_transmit_bytes_total{device!=\"lo\"}[1m]))")
            .await?,
            pressure: by("max by (instance) (rate(node_pressure_cpu_waiting_seconds_total[1m]))").await?,
            uptime: by("time() - max by (instance) (node_boot_time_seconds)").await?,
            os: view.vector("node_uname_info").await?.into_iter().filter_map(os).collect(),
            sparks: view.sparks("instance", CPU, range).await?,
        })
    }
}

/// A row with its health, for lists and for the overview.
pub(super) struct HostRow {
    pub(super) host: String,
    pub(super) health: &'static str,
    pub(super) reason: Sentence,
    instance: String,
    pub(super) json: Value,
}

/// The host of an `instance` label: the part before the port.
fn host_of(instance: &str) -> &str {
    match instance.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => instance,
    }
}

/// The rows of all hosts of a tenant, by name, and its containers.
pub(super) async fn rows(
    app: &Shared,
    caller: &Caller,
    range: (TimestampMs, TimestampMs),
) -> ApiResult<(Vec<HostRow>, Vec<Entity>)> {
    let time_ms = app.clock.now_ms().min(range.1);
    let work = async move |app: Shared, ctx: Ctx| Numbers::read(&View::new(app, ctx, time_ms), range).await;
    let numbers = app.run(caller, app.config.query_timeout, work).await?;
    let filter = |kind| EntityFilter { kind: Some(kind), limit: HOSTS_MAX, ..EntityFilter::default() };
    let hosts = app.ports.catalog.entities(&caller.tenant, &filter(EntityKind::Host)).await?;
    let seen_since_ms = Some(time_ms - STALE_MS);
    let containers = EntityFilter { seen_since_ms, ..filter(EntityKind::Container) };
    let containers = app.ports.catalog.entities(&caller.tenant, &containers).await?;
    let alerts = app.ports.rules.alerts().await;
    // A host that only a scraped node_exporter tells of is known by its `instance`.
    let mut instances: BTreeMap<&str, &str> = BTreeMap::new();
    for instance in numbers.uptime.keys().chain(numbers.cpu.keys()) {
        instances.entry(host_of(instance)).or_insert(instance);
    }
    let mut names: BTreeSet<&str> = hosts.iter().map(|h| h.id.as_str()).collect();
    names.extend(instances.keys());
    let row = |name: &&str| {
        let entity = hosts.iter().filter(|h| h.id == **name).max_by_key(|h| h.last_seen_ms);
        let instance = instances.get(name).copied().unwrap_or(name);
        let num_containers = containers.iter().filter(|c| c.parent == **name).count();
        let is_about = |a: &&Alert| {
            a.labels.get("host") == Some(name) || a.labels.get("instance").is_some_and(|i| host_of(i) == *name)
        };
        let alerts: Vec<&Alert> = alerts.iter().filter(is_about).collect();
        host_row((name, instance), entity, &numbers, num_containers, &alerts, time_ms)
    };
    let rows = names.iter().map(row).collect();
    Ok((rows, containers))
}

fn host_row(
    (name, instance): (&str, &str),
    entity: Option<&Entity>,
    numbers: &Numbers,
    num_containers: usize,
    alerts: &[&Alert],
    now_ms: TimestampMs,
) -> HostRow {
    let get = |map: &ByLabel| map.get(instance).copied();
    let label = |key: &str| entity.and_then(|e| e.labels.get(key)).map_or("", String::as_str);
    let last_seen_ms = entity.map(|e| e.last_seen_ms);
    let (memory, disk) = (get(&numbers.memory_used), get(&numbers.disk));
    let is_known = numbers.uptime.contains_key(instance) || numbers.cpu.contains_key(instance);
    let firing = alerts.iter().find(|a| a.state == AlertState::Firing);
    let full = [("health.memory_full", memory), ("health.filesystem_full", disk)]
        .into_iter()
        .filter_map(|(key, share)| share.map(|s| (key, s)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .filter(|(_, share)| *share >= FULL_WARNING);
    let is_stale = last_seen_ms.is_none_or(|seen| now_ms - seen > STALE_MS);
    let fills = |(key, share): (&str, f64)| Sentence::say(key, [("percent", format!("{:.0}", share * 100.0).into())]);
    let (health, reason) = match (full, firing) {
        (Some(full), _) if full.1 >= FULL_CRITICAL => ("critical", fills(full)),
        (_, Some(alert)) => ("warning", alert_fires(alert)),
        (Some(full), None) => ("warning", fills(full)),
        (None, None) if is_known => ("ok", Sentence::verbatim("")),
        (None, None) if is_stale => ("unknown", Sentence::say("health.unseen", [])),
        (None, None) => ("unknown", Sentence::say("health.no_metrics", [])),
    };
    let json = json!({
        "host": name,
        "cluster": entity.map(|e| e.cluster.as_str()).unwrap_or_default(),
        "room": label("room"),
        "rack": label("rack"),
        "health": health,
        "health_reason": reason.text,
        "cpu_ratio": number(get(&numbers.cpu)),
        "memory_ratio": number(memory),
        "disk_ratio": number(disk),
        "load1": number(get(&numbers.load)),
        "net_bytes_per_second": number(get(&numbers.net)),
        "pressure_ratio": number(get(&numbers.pressure)),
        "uptime_seconds": number(get(&numbers.uptime)),
        "containers": num_containers,
        "os": numbers.os.get(instance),
        "cores": number(get(&numbers.cores)),
        "memory_bytes": number(get(&numbers.memory)),
        "last_seen_ms": last_seen_ms,
        "cpu_spark": numbers.sparks.get(instance).cloned().unwrap_or_default(),
    });
    HostRow { host: name.to_owned(), health, reason, instance: instance.to_owned(), json }
}

/// All hosts.
#[utoipa::path(get, path = "/api/v1/hosts", tag = "Services and hosts", params(("from_ms" = Option<i64>, Query), ("to_ms" = Option<i64>, Query)),
    responses((status = 200, description = "hosts by name")))]
pub(crate) async fn list(State(app): State<Shared>, caller: Caller, params: Params) -> ApiResult<Json<Value>> {
    let range = params.range(app.clock.now_ms())?;
    let (rows, _) = rows(&app, &caller, range).await?;
    Ok(said(json!({"hosts": rows.into_iter().map(|r| r.json).collect::<Vec<_>>()})))
}

/// One host with its charts, containers, filesystems and alerts.
#[utoipa::path(get, path = "/api/v1/hosts/{host}", tag = "Services and hosts", params(("host" = String, Path), ("from_ms" = Option<i64>, Query),
    ("to_ms" = Option<i64>, Query)), responses((status = 200, description = "the host"), (status = 404, description = "there is none of that name")))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    Path(host): Path<String>,
    params: Params,
) -> ApiResult<Json<Value>> {
    let range = params.range(app.clock.now_ms())?;
    let (rows, containers) = rows(&app, &caller, range).await?;
    let row = rows.into_iter().find(|r| r.host == host);
    let row = row.ok_or_else(|| ApiError::new(ErrorKind::NotFound, format!("there is no host {host:?}")))?;
    let alerts = app.ports.rules.alerts().await;
    let is_about = |a: &&Alert| {
        a.labels.get("host") == Some(&host) || a.labels.get("instance").is_some_and(|i| host_of(i) == host)
    };
    let alerts: Vec<_> = alerts.iter().filter(is_about).map(shapes::alert).collect();
    let containers: Vec<Entity> = containers.into_iter().filter(|c| c.parent == host).collect();
    let time_ms = app.clock.now_ms().min(range.1);
    let of = format!("instance={}", quoted(&row.instance));
    let work = {
        let of = of.clone();
        async move |app: Shared, ctx: Ctx| {
            let view = View::new(app, ctx, time_ms);
            Ok((filesystems(&view, &of).await?, container_rows(&view, &containers).await?))
        }
    };
    let (filesystems, containers) = app.run(&caller, app.config.query_timeout, work).await?;
    Ok(said(json!({
        "host": row.json,
        "charts": charts(&of),
        "containers": containers,
        "filesystems": filesystems,
        "alerts": alerts,
    })))
}

async fn filesystems(view: &View, of: &str) -> ApiResult<Vec<Value>> {
    let of = format!("{{{of},{REAL_FILESYSTEMS}}}");
    let sizes = view.vector(&format!("node_filesystem_size_bytes{of}")).await?;
    let by = async |text: String| view.by("mountpoint", &text).await;
    let free = by(format!("node_filesystem_avail_bytes{of}")).await?;
    // Only growth over a good part of the window says when a filesystem will be full.
    let full_in = by(format!(
        "(node_filesystem_avail_bytes{of} / -deriv(node_filesystem_avail_bytes{of}[6h]) / 86400) \
         and (deriv(node_filesystem_avail_bytes{of}[6h]) < 0) and (node_filesystem_avail_bytes{of} offset 1h)"
    ))
    .await?;
    let row = |(labels, size): (vocab::Labels, f64)| {
        let mountpoint = labels.get("mountpoint")?.to_owned();
        let days = full_in.get(&mountpoint).copied().filter(|d| (0.0..FULL_IN_DAYS_MAX).contains(d));
        Some(json!({
            "mountpoint": mountpoint,
            "device": labels.get("device").unwrap_or_default(),
            "fstype": labels.get("fstype").unwrap_or_default(),
            "size_bytes": number(Some(size)),
            "used_bytes": number(free.get(&mountpoint).map(|free| size - free)),
            "full_in_days": number(days),
        }))
    };
    Ok(sizes.into_iter().filter_map(row).collect())
}

/// Containers with what they use. Their series name them by cgroup path (`id`) and by name.
async fn container_rows(view: &View, containers: &[Entity]) -> ApiResult<Vec<Value>> {
    let cpu = view.vector("sum by (id, name) (rate(container_cpu_usage_seconds_total[1m]))").await?;
    let memory = view.vector("max by (id, name) (container_memory_working_set_bytes)").await?;
    let started = view.vector("max by (id, name) (container_start_time_seconds)").await?;
    let row = |container: &Entity| {
        let label = |key: &str| container.labels.get(key).map_or("", String::as_str);
        let name = ["container_name", "name"].into_iter().map(label).find(|n| !n.is_empty()).unwrap_or(&container.id);
        let value = |series: &[(vocab::Labels, f64)]| {
            let is_it = |labels: &vocab::Labels| {
                labels.get("name").is_some_and(|n| n == name || n == container.id)
                    || labels
                        .get("id")
                        .is_some_and(|id| id == container.id || id.ends_with(&format!("/{}", container.id)))
            };
            series.iter().find(|(labels, _)| is_it(labels)).map(|(_, value)| *value)
        };
        json!({
            "id": container.id,
            "name": name,
            "service": label("service"),
            "replica": label("replica"),
            "host": container.parent,
            "image": label("image"),
            "cpu_cores": number(value(&cpu)),
            "memory_bytes": number(value(&memory)),
            "started_at_ms": number(value(&started).map(|seconds| (seconds * 1000.0).round())),
        })
    };
    Ok(containers.iter().map(row).collect())
}

fn charts(of: &str) -> Vec<Value> {
    let rate = |name: &str| format!("rate({name}{{{of}}}[1m])");
    let gauge = |name: &str| format!("{name}{{{of}}}");
    let real = format!("{of},{REAL_FILESYSTEMS}");
    let used = format!("1 - node_filesystem_avail_bytes{{{real}}} / node_filesystem_size_bytes{{{real}}}");
    let net = |direction: &str| format!("sum(rate(node_network_{direction}_bytes_total{{{of},device!=\"lo\"}}[1m]))");
    let net_errors = |direction: &str| format!("sum(rate(node_network_{direction}_errs_total{{{of}}}[1m]))");
    let mode = format!("avg by (mode) (rate(node_cpu_seconds_total{{{of},mode!=\"idle\"}}[1m]))");
    let memory = chart(
        "host.memory",
        "bytes",
        &[
            (format!("{} - {}", gauge("node_memory_MemTotal_bytes"), gauge("node_memory_MemAvailable_bytes")), "used"),
            (gauge("node_memory_Cached_bytes"), "cache"),
            (gauge("node_memory_MemTotal_bytes"), "total"),
        ],
    );
    vec![
        chart("host.cpu", "ratio", &[(mode, "{{mode}}")]),
        chart(
            "host.load",
            "count",
            &[(gauge("node_load1"), "1 min"), (gauge("node_load5"), "5 min"), (gauge("node_load15"), "15 min")],
        ),
        memory,
        chart(
            "host.swap",
            "bytes",
            &[(format!("{} - {}", gauge("node_memory_SwapTotal_bytes"), gauge("node_memory_SwapFree_bytes")), "used")],
        ),
        chart(
            "host.pressure",
            "ratio",
            &[
                (rate("node_pressure_cpu_waiting_seconds_total"), "cpu"),
                (rate("node_pressure_memory_waiting_seconds_total"), "memory"),
                (rate("node_pressure_io_waiting_seconds_total"), "io"),
            ],
        ),
        chart("host.disk_space", "ratio", &[(used, "{{mountpoint}}")]),
        chart(
            "host.disk_io",
            "bytes_per_second",
            &[
                (format!("sum({})", rate("node_disk_read_bytes_total")), "read"),
                (format!("sum({})", rate("node_disk_written_bytes_total")), "written"),
            ],
        ),
        chart("host.network", "bytes_per_second", &[(net("receive"), "received"), (net("transmit"), "sent")]),
        chart("host.network_errors", "count", &[(net_errors("receive"), "received"), (net_errors("transmit"), "sent")]),
        chart(
            "host.processes",
            "count",
            &[(gauge("node_procs_running"), "running"), (gauge("node_procs_blocked"), "blocked")],
        ),
    ]
}
