//! The configuration: raw sections as they stand in the file, and the checked form.
//!
//! Sections: `autoscaling` (policies), `process`, `swarm`, `kubernetes`, `marathon`, `nomad` and `webhook` (orchestrators),
//! `balancers`, `scaling` (what holds for all).

mod behavior;
mod freeze_windows;
mod operations;
mod raw;
mod schedules;
mod targets;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use vocab::Problems;
use vocab::duration::parse_duration;
use vocab::scaling::ScalingMode;

pub use self::behavior::{RawBehavior, RawRate, RawRules, RawShareNumber};
pub use self::operations::ScalingConfig;
pub use self::raw::{
    RawAutoscaler, RawBalancer, RawBatch, RawDependency, RawForecast, RawFreezeWindow, RawHealth, RawOddReplica,
    RawPace, RawPlacement, RawPolicy, RawPredict, RawProcess, RawQuota, RawScaling, RawShare, RawSwarm,
    RawSwarmService, RawTarget,
};
pub use self::schedules::{RawHolidays, RawSchedule};
use self::targets::Defaults;
pub use self::targets::RawStep;
use crate::balancers::haproxy::Endpoint;
use crate::health::HealthCheck;
use crate::metrics_api::{self, MetricsApiConfig};
use crate::orchestrators::process::{ProcessService, StopWith};
use crate::orchestrators::sections::Clusters;
use crate::orchestrators::swarm::{SwarmConfig, SwarmService};
use crate::policy::{Pace, Policy, Predict, Target, TargetKind};

/// Most replicas that a policy may allow: the largest platforms run some ten thousand containers.
const REPLICAS_MAX: u32 = 10_000;
/// Most targets of one policy.
const TARGETS_MAX: usize = 16;
/// Rounds are at least this far apart.
const INTERVAL_MIN: Duration = Duration::from_millis(200);
/// A rate needs this many scrapes in its window: with fewer than two samples in it the load is unknown, which is how data
/// older than three scrapes is told from load.
const WINDOW_SCRAPES: u32 = 4;
/// How long a replica is drained before it is stopped or its slot emptied anyway.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// One backend of a balancer and the service behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalancerConfig {
    /// The service.
    pub service: String,
    /// The orchestrator that runs it.
    pub orchestrator: String,
    /// HAProxy's runtime socket.
    pub endpoint: Endpoint,
    /// The backend.
    pub backend: String,
    /// Prefix of its slots.
    pub prefix: String,
    /// Time between reconciliations.
    pub interval: Duration,
    /// Longest wait for a leaving replica's sessions.
    pub drain_timeout: Duration,
}

/// The checked configuration.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AutoscalerConfig {
    /// The cluster of everything that names none.
    pub cluster: String,
    /// The policies; one per service.
    pub policies: Vec<Policy>,
    /// Services of the `process` orchestrator.
    pub processes: Vec<ProcessService>,
    /// The Swarm, when one is configured.
    pub swarm: Option<SwarmConfig>,
    /// Clusters behind HTTP.
    pub clusters: Clusters,
    /// Kubernetes's metrics APIs, when they are served.
    pub metrics_api: Option<MetricsApiConfig>,
    /// The balancers.
    pub balancers: Vec<BalancerConfig>,
    /// What holds for all services.
    pub scaling: ScalingConfig,
    /// The sections as they stand in the file, so that kept policies can be checked among them.
    pub raw: RawAutoscaler,
}

/// Checks the sections; mistakes are added to `problems`, and what is right is kept.
pub fn check(raw: &RawAutoscaler, cluster: &str, problems: &mut Problems) -> AutoscalerConfig {
    let mut config = AutoscalerConfig { cluster: cluster.to_owned(), raw: raw.clone(), ..AutoscalerConfig::default() };
    config.scaling = operations::check_scaling(&raw.scaling, problems);
    schedules::check_holidays(&raw.scaling.holidays, problems);
    config.swarm = raw.swarm.as_ref().map(|swarm| check_swarm(swarm, problems));
    config.clusters = Clusters::check(raw.clusters(), cluster, problems);
    let kubernetes: Vec<String> = config.clusters.kubernetes.iter().map(|k| k.name.clone()).collect();
    config.metrics_api = raw.metrics_api.as_ref().and_then(|m| metrics_api::config::check(m, &kubernetes, problems));
    for (index, balancer) in raw.balancers.iter().enumerate() {
        config.balancers.extend(check_balancer(balancer, raw, &format!("balancers[{index}]"), problems));
    }
    let mut names = BTreeSet::new();
    for (index, process) in raw.process.iter().enumerate() {
        let path = format!("process[{index}]");
        if !names.insert(&process.name) {
            problems.add(format!("{path}.name"), format!("{:?} is there twice; names are unique", process.name));
        }
        let mut service = check_process(process, &path, problems);
        service.is_scaled = raw.autoscaling.iter().any(|p| p.service == service.name);
        let balancer = config.balancers.iter().find(|b| b.service == service.name && b.orchestrator == "process");
        service.drain_timeout = balancer.map_or(Duration::ZERO, |b| b.drain_timeout);
        config.processes.push(service);
    }
    let mut services = BTreeSet::new();
    for (index, policy) in raw.autoscaling.iter().enumerate() {
        let path = format!("autoscaling[{index}]");
        if !services.insert(&policy.service) {
            problems.add(format!("{path}.service"), format!("{:?} has a policy already; one each", policy.service));
        }
        config.policies.extend(check_policy(policy, raw, cluster, &path, problems));
    }
    operations::check_links(raw, problems);
    config
}

/// Reads one policy that stands alone in a file, as a replay has it: whatever runs the service does not matter.
pub fn policy_alone(yaml: &str) -> Result<Policy, String> {
    let raw: RawPolicy = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
    let all = RawAutoscaler { swarm: Some(RawSwarm::default()), ..RawAutoscaler::default() };
    let mut problems = Problems::default();
    let alone = RawPolicy { orchestrator: None, placement: None, ..raw };
    check_policy(&alone, &all, "", "policy", &mut problems).ok_or_else(|| problems.to_string())
}

fn check_policy(
    raw: &RawPolicy,
    all: &RawAutoscaler,
    cluster: &str,
    path: &str,
    problems: &mut Problems,
) -> Option<Policy> {
    let before = problems.list.len();
    let at = |key: &str| format!("{path}.{key}");
    let orchestrator = match &raw.placement {
        Some(_) => crate::placed::KIND.to_owned(),
        None => known_orchestrator(raw.orchestrator.as_deref(), &raw.service, all, path, problems),
    };
    if raw.service.is_empty() {
        problems.add(at("service"), "want the name of a service");
    }
    let (min, max) = (raw.min.unwrap_or(1), raw.max);
    if max < min || max > REPLICAS_MAX {
        problems.add(at("max"), format!("want a number from min ({min}) to {REPLICAS_MAX}"));
    }
    let mode = match raw.mode.as_deref() {
        None => Some(ScalingMode::Act),
        Some(word) => ScalingMode::parse(word),
    };
    if mode.is_none() {
        problems.add(at("mode"), "want observe, advise or act");
    }
    let has_others = !(raw.steps.is_empty() && raw.schedules.is_empty());
    if (raw.targets.is_empty() && !has_others) || raw.targets.len() > TARGETS_MAX {
        problems.add(
            at("targets"),
            format!("want 1 to {TARGETS_MAX} targets, such as {{kind: rps, value: 100}}, or steps or schedules"),
        );
    }
    let is_hpa = raw.kind.as_deref() == Some("hpa");
    let mut time = |key: &str, text: Option<&str>, default: Duration| duration(text, default, &at(key), problems);
    let scrape_interval =
        time("scrape_interval", raw.scrape_interval.as_deref(), Duration::from_secs(15)).max(INTERVAL_MIN);
    let interval =
        time("interval", raw.interval.as_deref(), Duration::from_secs(if is_hpa { 15 } else { 5 })).max(INTERVAL_MIN);
    let hold = time("hold", raw.hold.as_deref(), Duration::from_secs(300));
    let window = time("rate_window", raw.rate_window.as_deref(), scrape_interval * WINDOW_SCRAPES);
    let stabilization_up = time("stabilization_up", raw.stabilization_up.as_deref(), Duration::ZERO);
    let cooldown = time("cooldown", raw.cooldown.as_deref(), Duration::from_secs(30));
    let turn_pause = time("turn_pause", raw.turn_pause.as_deref(), hold * 2);
    let startup = time("startup", raw.startup.as_deref(), Duration::from_secs(30));
    if window < scrape_interval * 2 {
        problems.add(at("rate_window"), "want at least two scrape intervals; four are usual");
    }
    let tolerance = raw.tolerance.unwrap_or(0.1);
    if !(0.0..0.5).contains(&tolerance) {
        problems.add(at("tolerance"), "want a share from 0 to 0.5, such as 0.1");
    }
    let defaults = Defaults { service: &raw.service, window: vocab::duration::format_duration(window) };
    let targets: Vec<Target> = raw
        .targets
        .iter()
        .enumerate()
        .filter_map(|(index, target)| {
            targets::check_target(target, &defaults, &format!("{path}.targets[{index}]"), problems)
        })
        .collect();
    let steps = targets::check_steps(&raw.steps, &defaults, &at("steps"), problems);
    let schedules = schedules::check(raw, all, &at("schedules"), problems);
    let behavior = behavior::check(raw, tolerance, path, problems);
    if raw.forecast.is_some() && targets.first().is_some_and(|t| !t.kind.is_demand()) {
        problems.add(
            at("forecast"),
            "a forecast is one of the first target, which must be rps, log_rate, volume or promql",
        );
    }
    let has_rps = targets.iter().any(|t| t.kind == TargetKind::Rps);
    let has_own_load = raw.targets.iter().any(|t| t.query.is_some());
    let queries = [
        (
            "queue_query",
            raw.queue_query.clone(),
            if has_rps && !has_own_load { defaults.queue() } else { String::new() },
        ),
        ("confirm_query", raw.confirm_query.clone(), if has_rps { defaults.cpu() } else { String::new() }),
        ("forecast.query", raw.forecast.as_ref().map(|f| f.query.clone()), String::new()),
    ];
    let [queue_query, confirm_query, forecast_query] = queries.map(|(key, given, default)| {
        let query = given.unwrap_or(default);
        check_query(&query, &at(key), problems);
        query
    });
    let pace = |raw: &RawPace, key: &str, problems: &mut Problems| check_pace(raw, &format!("{path}.{key}"), problems);
    let scale_in = pace(&raw.scale_in.clone().unwrap_or_default(), "scale_in", problems);
    let scale_out = raw.scale_out.as_ref().map(|p| pace(p, "scale_out", problems));
    let operations = operations::check_operations(raw, all, path, problems);
    (problems.list.len() == before).then(|| Policy {
        name: raw.name.clone().unwrap_or_else(|| raw.service.clone()),
        service: raw.service.clone(),
        cluster: raw.cluster.clone().unwrap_or_else(|| cluster.to_owned()),
        orchestrator,
        min,
        max,
        mode: mode.unwrap_or_default(),
        interval,
        scrape_interval,
        targets,
        queue_query,
        confirm_query,
        forecast_query,
        tolerance,
        hold: behavior.as_ref().map_or(hold, |b| b.down.window),
        stabilization_up: behavior.as_ref().map_or(stabilization_up, |b| b.up.window),
        cooldown: if is_hpa { Duration::ZERO } else { cooldown },
        turn_pause: if is_hpa { Duration::ZERO } else { turn_pause },
        scale_in,
        scale_out,
        startup,
        predict: check_predict(raw, path, problems),
        notes: notes(raw),
        operations,
        behavior,
        steps,
        schedules,
    })
}

/// What a reader must know: the policy's own notes, and what follows from its kind.
fn notes(raw: &RawPolicy) -> Vec<String> {
    let mut notes = raw.notes.clone();
    if raw.targets.is_empty() && raw.steps.iter().any(|step| step.factor.is_some()) {
        notes.push(
            "without a target, what a step has added is given back down to the minimum once the step is over".into(),
        );
    }
    notes
}

fn check_query(query: &str, path: &str, problems: &mut Problems) {
    if !query.is_empty()
        && let Err(error) = promql::parse(query, &promql::ParseOptions::default())
    {
        problems.add(path, format!("not PromQL: {error}"));
    }
}

/// A service that nobody has tuned is looked ahead of; whoever sets how to react gets that, to the letter.
fn check_predict(raw: &RawPolicy, path: &str, problems: &mut Problems) -> Option<Predict> {
    let set_by_hand = [&raw.hold, &raw.cooldown, &raw.turn_pause, &raw.stabilization_up];
    let is_tuned = raw.kind.as_deref() == Some("hpa")
        || set_by_hand.iter().any(|key| key.is_some())
        || raw.tolerance.is_some()
        || raw.scale_in.is_some()
        || raw.scale_out.is_some()
        || raw.forecast.is_some();
    let defaults = Predict::default();
    let given = raw.predict.as_ref();
    if given.map_or(is_tuned, |p| p.enabled == Some(false)) {
        return None;
    }
    let bad_cost = given.and_then(|p| p.bad_cost).unwrap_or(defaults.bad_cost);
    if !(1.0..=1e6).contains(&bad_cost) {
        problems.add(format!("{path}.predict.bad_cost"), "want a number from 1 to 1000000, such as 100");
    }
    let time_zone = given.and_then(|p| p.time_zone.clone()).unwrap_or(defaults.time_zone);
    if jiff::tz::TimeZone::get(&time_zone).is_err() {
        problems.add(format!("{path}.predict.time_zone"), "want the name of a time zone, such as Asia/Shanghai");
    }
    Some(Predict { bad_cost, time_zone })
}

fn check_pace(raw: &RawPace, path: &str, problems: &mut Problems) -> Pace {
    let percent = raw.percent.unwrap_or(10.0);
    if !(0.0..=1000.0).contains(&percent) {
        problems.add(format!("{path}.percent"), "want a share of the replicas from 0 to 1000 percent");
    }
    let replicas = raw.replicas.unwrap_or(1);
    if percent <= 0.0 && replicas == 0 {
        problems.add(path, "replicas and percent are both 0, so nothing could ever change");
    }
    let period = duration(raw.period.as_deref(), Duration::from_secs(60), &format!("{path}.period"), problems);
    Pace { replicas, percent, period }
}

fn check_process(raw: &RawProcess, path: &str, problems: &mut Problems) -> ProcessService {
    let at = |key: &str| format!("{path}.{key}");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if raw.name.is_empty() || !raw.name.chars().all(is_plain) {
        problems.add(at("name"), "want letters, digits, '-', '_' and '.'");
    }
    if raw.command.is_empty() {
        problems.add(at("command"), "want a program and its arguments, such as [./web, --port, \"{port}\"]");
    }
    let replicas = raw.replicas.unwrap_or(1);
    if replicas > REPLICAS_MAX {
        problems.add(at("replicas"), format!("want at most {REPLICAS_MAX}"));
    }
    let stop_with = match raw.stop_with.as_deref() {
        None | Some("never") => StopWith::Never,
        Some("tidewatch") => StopWith::Tidewatch,
        Some(other) => {
            problems.add(at("stop_with"), format!("unknown {other:?}; want tidewatch or never"));
            StopWith::Never
        }
    };
    let service = ProcessService {
        name: raw.name.clone(),
        command: raw.command.clone(),
        env: raw.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        working_dir: raw.working_dir.as_ref().map(PathBuf::from),
        replicas,
        is_scaled: false,
        health: raw.health.as_ref().map(|h| check_health(h, &at("health"), problems)),
        stop_with,
        stop_grace: duration(raw.stop_grace.as_deref(), Duration::from_secs(10), &at("stop_grace"), problems),
        drain_timeout: Duration::ZERO,
    };
    if service.health.is_some() && !service.has_port() {
        problems.add(at("health"), "a health check needs a port: use {port} in command or env");
    }
    service
}

fn check_health(raw: &RawHealth, path: &str, problems: &mut Problems) -> HealthCheck {
    if !raw.path.starts_with('/') {
        problems.add(format!("{path}.path"), "want a path that begins with /, such as /health");
    }
    let interval = duration(raw.interval.as_deref(), Duration::from_secs(1), &format!("{path}.interval"), problems);
    HealthCheck { path: raw.path.clone(), interval }
}

fn check_swarm(raw: &RawSwarm, problems: &mut Problems) -> SwarmConfig {
    let services = raw.services.iter().enumerate().map(|(index, service)| {
        let path = format!("swarm.services[{index}]");
        if service.name.is_empty() {
            problems.add(format!("{path}.name"), "want the name of a Swarm service");
        }
        if service.port == Some(0) {
            problems.add(format!("{path}.port"), "want the port that replicas listen on inside their containers");
        }
        let health = service.health.as_ref().map(|h| check_health(h, &format!("{path}.health"), problems));
        SwarmService { name: service.name.clone(), port: service.port, health }
    });
    let services = services.collect();
    let socket = PathBuf::from(raw.socket.as_deref().unwrap_or("/var/run/docker.sock"));
    if !socket.is_absolute() {
        problems.add("swarm.socket", "want the absolute path of the Docker Engine's socket");
    }
    let timeout = raw.timeout.as_deref().map(|t| duration(Some(t), Duration::from_secs(15), "swarm.timeout", problems));
    SwarmConfig { socket, services, timeout }
}

fn check_balancer(
    raw: &RawBalancer,
    all: &RawAutoscaler,
    path: &str,
    problems: &mut Problems,
) -> Option<BalancerConfig> {
    let before = problems.list.len();
    let at = |key: &str| format!("{path}.{key}");
    if raw.kind != "haproxy" {
        problems.add(at("kind"), format!("unknown kind {:?}; want haproxy", raw.kind));
    }
    let endpoint = Endpoint::parse(&raw.socket);
    if endpoint.is_none() {
        problems.add(at("socket"), "want the absolute path of HAProxy's stats socket, or host:port");
    }
    let is_word =
        |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || matches!(c, ';' | '/'));
    if !is_word(&raw.backend) {
        problems.add(at("backend"), "want the name of a backend");
    }
    let prefix = raw.server_template.clone().unwrap_or_else(|| raw.backend.clone());
    if !is_word(&prefix) {
        problems.add(at("server_template"), "want the prefix of the backend's server-template");
    }
    let orchestrator = known_orchestrator(raw.orchestrator.as_deref(), &raw.service, all, path, problems);
    let interval = duration(raw.interval.as_deref(), Duration::from_secs(1), &at("interval"), problems);
    let drain_timeout = duration(raw.drain_timeout.as_deref(), DRAIN_TIMEOUT, &at("drain_timeout"), problems);
    let endpoint = endpoint.filter(|_| problems.list.len() == before)?;
    Some(BalancerConfig {
        service: raw.service.clone(),
        orchestrator,
        endpoint,
        backend: raw.backend.clone(),
        prefix,
        interval: interval.max(INTERVAL_MIN),
        drain_timeout,
    })
}

/// The orchestrator that is named, or the one that plainly runs the service.
fn known_orchestrator(
    named: Option<&str>,
    service: &str,
    all: &RawAutoscaler,
    path: &str,
    problems: &mut Problems,
) -> String {
    let is_process = all.process.iter().any(|p| p.name == service);
    let clusters = all.clusters().names();
    match named {
        Some(name) if clusters.iter().any(|c| c == name) => name.to_owned(),
        None if !is_process && all.swarm.is_none() && clusters.len() == 1 => clusters.concat(),
        Some("process") | None if is_process => "process".to_owned(),
        Some("swarm") | None if all.swarm.is_some() => "swarm".to_owned(),
        Some("process") => {
            problems.add(format!("{path}.service"), format!("no service {service:?} in section process"));
            String::new()
        }
        Some("swarm") => {
            problems.add(format!("{path}.orchestrator"), "there is no section swarm");
            String::new()
        }
        Some(other) => {
            let names = clusters.iter().map(|c| format!(", {c}")).collect::<String>();
            problems.add(format!("{path}.orchestrator"), format!("unknown {other:?}; want process or swarm{names}"));
            String::new()
        }
        None => {
            problems.add(
                format!("{path}.service"),
                if clusters.len() > 1 {
                    format!("which of {} runs {service:?}? Say so with `orchestrator`", clusters.join(", "))
                } else {
                    format!("nothing runs {service:?}: no such service in section process, and no section swarm")
                },
            );
            String::new()
        }
    }
}

fn duration(text: Option<&str>, default: Duration, path: &str, problems: &mut Problems) -> Duration {
    match text.map(parse_duration) {
        None => default,
        Some(Ok(duration)) => duration,
        Some(Err(message)) => {
            problems.add(path, message);
            default
        }
    }
}
