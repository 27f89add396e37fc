//! The part of a policy that is not about load, and the section `scaling`.

use std::collections::BTreeMap;
use std::time::Duration;

use vocab::Problems;

use super::raw::{RawAutoscaler, RawBatch, RawOddReplica, RawPlacement, RawPolicy, RawQuota, RawScaling};
use super::{check_query, duration, freeze_windows, known_orchestrator};
use crate::batches::Batch;
use crate::dependencies::{Dependency, cycle};
use crate::freeze_window::FreezeWindow;
use crate::leader::TTL;
use crate::odd_watch::OddReplica;
use crate::operations::{Operations, PRIORITY};
use crate::placement::{Placement, Share};
use crate::quota::{Amount, Quota};

/// Most dependencies of one policy.
const DEPENDENCIES_MAX: usize = 64;
/// Shorter windows hold too few requests to judge by.
const WINDOW_MIN: Duration = Duration::from_secs(5);
/// Most clusters of one placement.
const CLUSTERS_MAX: usize = 100;
/// Highest priority.
const PRIORITY_MAX: u8 = 100;
/// More of a dependency per replica is a mistake rather than a wish.
const RATIO_MAX: f64 = 1000.0;
/// Shortest lease: it is renewed three times in its life, over a network.
const TTL_MIN: Duration = Duration::from_secs(2);
/// Longest lease: nobody decides for that long after a crash.
const TTL_MAX: Duration = Duration::from_secs(600);

/// What holds for all services.
#[derive(Debug, Clone, PartialEq)]
pub struct ScalingConfig {
    /// How long the lease of the process that decides lasts.
    pub lease: Duration,
    /// Quotas and budgets.
    pub quotas: Vec<Quota>,
    /// Orchestrators that start only so many replicas at a time.
    pub batches: Vec<Batch>,
    /// Times in which nothing is changed.
    pub freeze_windows: Vec<FreezeWindow>,
}

impl Default for ScalingConfig {
    fn default() -> Self {
        Self { lease: TTL, quotas: Vec::new(), batches: Vec::new(), freeze_windows: Vec::new() }
    }
}

/// Checks the section `scaling`.
pub(super) fn check_scaling(raw: &RawScaling, problems: &mut Problems) -> ScalingConfig {
    let lease = duration(raw.lease.as_deref(), TTL, "scaling.lease", problems);
    if !(TTL_MIN..=TTL_MAX).contains(&lease) {
        problems.add("scaling.lease", "want a time from 2s to 10m, such as 15s");
    }
    let quotas = raw.quotas.iter().enumerate();
    let batches = raw.batches.iter().enumerate();
    ScalingConfig {
        lease,
        quotas: quotas.filter_map(|(i, q)| check_quota(q, &format!("scaling.quotas[{i}]"), problems)).collect(),
        batches: batches.filter_map(|(i, b)| check_batch(b, &format!("scaling.batches[{i}]"), problems)).collect(),
        freeze_windows: freeze_windows::check(&raw.freeze_windows, problems),
    }
}

fn check_quota(raw: &RawQuota, path: &str, problems: &mut Problems) -> Option<Quota> {
    let amount = match (raw.replicas, raw.cost_per_hour) {
        (Some(replicas), None) => Amount::Replicas(replicas),
        (None, Some(cost)) if cost.is_finite() && cost >= 0.0 => Amount::CostPerHour(cost),
        (None, Some(_)) => {
            problems.add(format!("{path}.cost_per_hour"), "want a price, such as 120.50");
            return None;
        }
        _ => {
            problems.add(path, "want either replicas (a number) or cost_per_hour (a price)");
            return None;
        }
    };
    Some(Quota {
        name: raw.name.clone(),
        cluster: raw.cluster.clone(),
        team: raw.team.clone(),
        services: raw.services.clone(),
        amount,
    })
}

fn check_batch(raw: &RawBatch, path: &str, problems: &mut Problems) -> Option<Batch> {
    if raw.max_batch == 0 {
        problems.add(format!("{path}.max_batch"), "want the replicas that may start at a time, 1 or more");
        return None;
    }
    Some(Batch { orchestrator: raw.orchestrator.clone(), cluster: raw.cluster.clone(), max_batch: raw.max_batch })
}

/// Checks a policy's part.
pub(super) fn check_operations(
    raw: &RawPolicy,
    all: &RawAutoscaler,
    path: &str,
    problems: &mut Problems,
) -> Operations {
    let at = |key: &str| format!("{path}.{key}");
    let priority = raw.priority.unwrap_or(PRIORITY);
    if priority > PRIORITY_MAX {
        problems.add(at("priority"), "want a number from 0 to 100; who has more is served first when quota is short");
    }
    let price_per_hour = raw.price_per_hour.unwrap_or(0.0);
    if !(price_per_hour.is_finite() && (0.0..1e9).contains(&price_per_hour)) {
        problems.add(at("price_per_hour"), "want the price of one replica for an hour, such as 0.04");
    }
    let (paused_in, paused_out) = match raw.paused.as_deref() {
        None | Some("none") => (false, false),
        Some("in") => (true, false),
        Some("out") => (false, true),
        Some("both") => (true, true),
        Some(other) => {
            problems.add(at("paused"), format!("unknown {other:?}; want in, out, both or none"));
            (false, false)
        }
    };
    let manual_hold =
        raw.manual_hold.as_deref().map(|text| duration(Some(text), Duration::ZERO, &at("manual_hold"), problems));
    Operations {
        team: raw.team.clone().unwrap_or_default(),
        priority,
        price_per_hour,
        dependencies: check_dependencies(raw, path, problems),
        paused_in,
        paused_out,
        manual_hold,
        odd_replica: raw.odd_replica.as_ref().map(|o| check_odd_replica(o, raw, &at("odd_replica"), problems)),
        placement: raw.placement.as_ref().map(|p| check_placement(p, raw, all, &at("placement"), problems)),
    }
}

fn check_odd_replica(raw: &RawOddReplica, policy: &RawPolicy, path: &str, problems: &mut Problems) -> OddReplica {
    let window = duration(raw.window.as_deref(), Duration::from_secs(30), &format!("{path}.window"), problems);
    if window < WINDOW_MIN {
        problems.add(format!("{path}.window"), "want at least 5s; three windows in a row make a case");
    }
    let (service, range) = (&policy.service, vocab::duration::format_duration(window.max(Duration::from_secs(60))));
    let answers = |code: &str| {
        format!("sum by (server) (rate(haproxy_server_http_responses_total{{service={service:?}{code}}}[{range}]))")
    };
    let errors = format!("{} / {}", answers(",code=\"5xx\""), answers(""));
    let latency = format!("max by (server) (haproxy_server_response_time_average_seconds{{service={service:?}}})");
    let mut query = |key: &str, given: &Option<String>, default: String| {
        let query = given.clone().unwrap_or(default);
        check_query(&query, &format!("{path}.{key}"), problems);
        query
    };
    let errors_query = query("errors_query", &raw.errors_query, errors);
    let latency_query = query("latency_query", &raw.latency_query, latency);
    OddReplica { window, errors_query, latency_query }
}

fn check_placement(
    raw: &RawPlacement,
    policy: &RawPolicy,
    all: &RawAutoscaler,
    path: &str,
    problems: &mut Problems,
) -> Placement {
    let mut time = |key: &str, text: Option<&str>, seconds: u64| {
        duration(text, Duration::from_secs(seconds), &format!("{path}.{key}"), problems)
    };
    let lost_after = time("lost_after", raw.lost_after.as_deref(), 30);
    let return_after = time("return_after", raw.return_after.as_deref(), 600);
    let return_step = time("return_step", raw.return_step.as_deref(), 60);
    if policy.orchestrator.is_some() {
        problems.add(path, "orchestrator and placement exclude each other; name the orchestrators under clusters");
    }
    if !(2..=CLUSTERS_MAX).contains(&raw.clusters.len()) {
        problems.add(
            format!("{path}.clusters"),
            format!("want 2 to {CLUSTERS_MAX} entries such as {{orchestrator: swarm, weight: 6}}"),
        );
    }
    let mut shares: Vec<Share> = Vec::new();
    for (index, share) in raw.clusters.iter().enumerate() {
        let at = format!("{path}.clusters[{index}]");
        known_orchestrator(Some(&share.orchestrator), &policy.service, all, &at, problems);
        if shares.iter().any(|s| s.orchestrator == share.orchestrator) {
            problems
                .add(format!("{at}.orchestrator"), format!("{:?} is there twice; one entry each", share.orchestrator));
        }
        let (min, max) = (share.min.unwrap_or(0), share.max.unwrap_or(policy.max));
        if max < min {
            problems.add(format!("{at}.max"), format!("want a number from min ({min}) on"));
        }
        for (number, probe) in share.probes.iter().enumerate() {
            if !["http://", "https://"].iter().any(|scheme| probe.starts_with(scheme)) {
                problems.add(format!("{at}.probes[{number}]"), "want a URL such as http://gateway.north:8080/health");
            }
        }
        shares.push(Share {
            orchestrator: share.orchestrator.clone(),
            weight: share.weight.unwrap_or(1),
            min,
            max,
            probes: share.probes.clone(),
        });
    }
    Placement { shares, lost_after, return_after, return_step }
}

fn check_dependencies(raw: &RawPolicy, path: &str, problems: &mut Problems) -> Vec<Dependency> {
    if raw.dependencies.len() > DEPENDENCIES_MAX {
        problems.add(format!("{path}.dependencies"), format!("want at most {DEPENDENCIES_MAX}"));
    }
    let mut checked: Vec<Dependency> = Vec::new();
    for (index, dependency) in raw.dependencies.iter().enumerate() {
        let at = |key: &str| format!("{path}.dependencies[{index}].{key}");
        if !(dependency.ratio.is_finite() && dependency.ratio > 0.0 && dependency.ratio <= RATIO_MAX) {
            problems.add(at("ratio"), "want its replicas per replica of this service, above 0, such as 0.4");
        }
        if checked.iter().any(|d| d.service == dependency.service) {
            problems.add(at("service"), format!("{:?} is there twice; one entry each", dependency.service));
        }
        checked.push(Dependency {
            service: dependency.service.clone(),
            ratio: dependency.ratio,
            elastic: dependency.elastic.unwrap_or(0),
        });
    }
    checked
}

/// Checks what policies say of each other: that every dependency is scaled, and that none needs itself.
pub(super) fn check_links(raw: &RawAutoscaler, problems: &mut Problems) {
    let policies = || raw.autoscaling.iter().enumerate();
    for (index, policy) in policies() {
        for (number, dependency) in policy.dependencies.iter().enumerate() {
            if !raw.autoscaling.iter().any(|p| p.service == dependency.service) {
                problems.add(
                    format!("autoscaling[{index}].dependencies[{number}].service"),
                    format!(
                        "{:?} has no policy, so nothing would scale it; add one to autoscaling",
                        dependency.service
                    ),
                );
            }
        }
    }
    let needs: BTreeMap<&str, Vec<&str>> = raw
        .autoscaling
        .iter()
        .map(|p| (p.service.as_str(), p.dependencies.iter().map(|d| d.service.as_str()).collect()))
        .collect();
    if let Some(cycle) = cycle(&needs) {
        let at = policies().find(|(_, p)| cycle.starts_with(&format!("{} ", p.service))).map_or(0, |(index, _)| index);
        problems.add(
            format!("autoscaling[{at}].dependencies"),
            format!("{cycle} is a cycle, which would grow without end; leave out one of its dependencies"),
        );
    }
}
