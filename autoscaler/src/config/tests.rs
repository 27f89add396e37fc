//! Sections as users write them, and what is said of mistakes.

use vocab::Problems;
use vocab::scaling::ScalingMode;

use super::{AutoscalerConfig, RawAutoscaler, check};
use crate::policy::TargetKind;

fn read(yaml: &str) -> (AutoscalerConfig, Vec<String>) {
    let raw: RawAutoscaler = serde_saphyr::from_str(yaml).expect("well formed");
    let mut problems = Problems::default();
    let config = check(&raw, "local", &mut problems);
    // What the page shows of a policy it says in other languages, too.
    for problem in problems.list.iter().filter(|p| p.path.starts_with("autoscaling")) {
        let said = vocab::Sentence::read(&problem.message);
        assert!(said.is_some_and(|s| s.key.starts_with("policy.")), "not in the book of sentences: {problem}");
    }
    (config, problems.list.iter().map(|p| format!("{}: {}", p.path, p.message)).collect())
}

#[test]
fn a_small_policy_gets_careful_defaults() {
    let (config, problems) = read(
        "process: [{name: web, command: [web, --port, '{port}'], health: {path: /health}}]
balancers: [{kind: haproxy, service: web, socket: /run/h.sock, backend: web}]
autoscaling: [{service: web, max: 8, targets: [{kind: rps, value: 100}, {kind: cpu, value: 0.7}]}]",
    );
    assert_eq!(problems, Vec::<String>::new());
    let policy = &config.policies[0];
    assert_eq!((policy.orchestrator.as_str(), policy.min, policy.mode), ("process", 1, ScalingMode::Act));
    assert_eq!((policy.hold.as_secs(), policy.turn_pause.as_secs(), policy.interval.as_secs()), (300, 600, 5));
    assert_eq!(policy.targets[0].query, "sum(rate(haproxy_backend_http_requests_total{service=\"web\"}[1m]))");
    assert_eq!(policy.queue_query, "sum(haproxy_backend_current_queue{service=\"web\"})");
    assert_eq!((policy.targets[1].kind, policy.targets[1].saturation), (TargetKind::Cpu, Some(1.0)));
    let (config, problems) = read(
        "swarm: {}\nautoscaling: [{service: web, max: 8, targets: [{kind: log_rate, value: 500}], steps: [{when: log_rate, above: 90, add: 1}]}]",
    );
    assert_eq!(problems, Vec::<String>::new());
    let lines = "sum(rate(analyzer_service_log_lines_total{service=\"web\"}[1m]))";
    assert_eq!(
        (config.policies[0].targets[0].query.as_str(), config.policies[0].steps[0].query.as_str()),
        (lines, lines)
    );
}

#[test]
fn a_service_of_the_file_is_what_its_policy_and_balancer_say() {
    let (config, problems) = read(
        "process: [{name: web, command: [web, --port, '{port}'], health: {path: /health}}]
balancers: [{kind: haproxy, service: web, socket: /run/h.sock, backend: web}]
autoscaling: [{service: web, max: 8, targets: [{kind: rps, value: 100}, {kind: cpu, value: 0.7}]}]",
    );
    assert_eq!(problems, Vec::<String>::new());
    let policy = &config.policies[0];
    let service = &config.processes[0];
    assert!(service.is_scaled && service.has_port() && service.drain_timeout.as_secs() == 30, "{service:?}");
    assert_eq!((config.balancers[0].prefix.as_str(), config.balancers[0].orchestrator.as_str()), ("web", "process"));
    assert!(policy.all_notes().is_empty());
}

#[test]
fn all_mistakes_are_told_at_once() {
    let (config, problems) = read(
        "process: [{name: 'a b', command: [], health: {path: health}, stop_with: me}]
swarm: {socket: docker.sock}
balancers: [{kind: nginx, service: x, socket: h, backend: 'a;b'}]
autoscaling:
  - {service: web, min: 3, max: 2, mode: go, hold: 5, orchestrator: nomad, tolerance: 2, targets: [{kind: rps, value: 0}, {kind: x, value: 1}, {kind: promql, value: 1}, {kind: cpu, value: 1, query: 'sum('}]}
  - {service: web, max: 2, targets: [], scale_in: {percent: 0, replicas: 0}}",
    );
    assert!(config.policies.is_empty());
    for expect in [
        "process[0].name: want letters, digits, '-', '_' and '.'",
        "process[0].command: want a program and its arguments",
        "process[0].stop_with: unknown \"me\"; want tidewatch or never",
        "process[0].health: a health check needs a port",
        "process[0].health.path: want a path that begins with /",
        "swarm.socket: want the absolute path",
        "balancers[0].kind: unknown kind \"nginx\"; want haproxy",
        "balancers[0].socket: want the absolute path of HAProxy's stats socket, or host:port",
        "balancers[0].backend: want the name of a backend",
        "autoscaling[0].max: want a number from min (3) to 10000",
        "autoscaling[0].mode: want observe, advise or act",
        "autoscaling[0].hold: invalid duration \"5\"",
        "autoscaling[0].orchestrator: unknown \"nomad\"; want process or swarm",
        "autoscaling[0].tolerance: want a share",
        "autoscaling[0].targets[0].value: want a load per replica above 0",
        "autoscaling[0].targets[1].kind: unknown kind \"x\"; want rps, cpu, cpu_share",
        "autoscaling[0].targets[2].query: kind promql needs a query",
        "autoscaling[0].targets[3].query: not PromQL",
        "autoscaling[1].service: \"web\" has a policy already",
        "autoscaling[1].targets: want 1 to 16 targets",
        "autoscaling[1].scale_in: replicas and percent are both 0",
    ] {
        assert!(problems.iter().any(|p| p.starts_with(expect)), "{expect} is not in\n{}", problems.join("\n"));
    }
}

#[test]
fn property_14_dependencies_are_checked_and_cycles_named() {
    let policy = |service: &str, rest: &str| {
        format!("  - {{service: {service}, max: 9, targets: [{{kind: rps, value: 1}}], {rest}}}\n")
    };
    let yaml = format!(
        "swarm: {{}}\nscaling: {{lease: 1s}}\nautoscaling:\n{}{}{}{}",
        policy("feed", "dependencies: [{service: user, ratio: 0.4}, {service: gone, ratio: -1}], team: social"),
        policy("user", "dependencies: [{service: card, ratio: 1}, {service: card, ratio: 1}]"),
        policy("card", "dependencies: [{service: user, ratio: 1, elastic: 2}]"),
        policy("shop", "priority: 101, price_per_hour: -1, paused: up, manual_hold: 5x"),
    );
    let (_, problems) = read(&yaml);
    for expect in [
        "scaling.lease: want a time from 2s to 10m",
        "autoscaling[0].dependencies[1].ratio: want its replicas per replica",
        "autoscaling[0].dependencies[1].service: \"gone\" has no policy",
        "autoscaling[1].dependencies[1].service: \"card\" is there twice",
        "autoscaling[2].dependencies: card → user → card is a cycle",
        "autoscaling[3].priority: want a number from 0 to 100",
        "autoscaling[3].price_per_hour: want the price",
        "autoscaling[3].paused: unknown \"up\"; want in, out, both or none",
        "autoscaling[3].manual_hold: invalid duration",
    ] {
        assert!(problems.iter().any(|p| p.starts_with(expect)), "{expect} is not in\n{}", problems.join("\n"));
    }
    let good = format!(
        "swarm: {{}}\nautoscaling:\n{}{}",
        policy("feed", "dependencies: [{service: user, ratio: 0.4, elastic: 1}], team: social, paused: in"),
        policy("user", ""),
    );
    let (config, problems) = read(&good);
    assert_eq!(problems, Vec::<String>::new());
    let feed = &config.policies[0].operations;
    assert_eq!((feed.team.as_str(), feed.priority, feed.paused_in, feed.paused_out), ("social", 50, true, false));
    assert_eq!((feed.dependencies[0].elastic, config.scaling.lease.as_secs()), (1, 15));
}

#[test]
fn property_15_placements_quotas_batches_and_freeze_windows_are_checked() {
    let (config, problems) = read(
        "process: [{name: web, command: [web]}]
swarm: {}
scaling:
  quotas: [{name: a}, {name: b, replicas: 3, cost_per_hour: 1}, {name: c, cost_per_hour: -1}]
  batches: [{orchestrator: swarm, max_batch: 0}]
  freeze_windows:
    - {name: a, from: 2026-11-10T20:00}
    - {name: b, from: 2026-11-10T20:00, to: 2026-11-10T19:00, closes: all, time_zone: Mars/Base}
    - {name: c, start: '25:00', end: '12:00', days: [mo]}
autoscaling:
  - service: web
    max: 9
    orchestrator: swarm
    targets: [{kind: rps, value: 1}]
    placement: {lost_after: 3, clusters: [{orchestrator: nomad, min: 4, max: 3, probes: [gateway]}]}",
    );
    assert!(config.policies.is_empty());
    for expect in [
        "scaling.quotas[0]: want either replicas",
        "scaling.quotas[1]: want either replicas",
        "scaling.quotas[2].cost_per_hour: want a price",
        "scaling.batches[0].max_batch: want the replicas",
        "scaling.freeze_windows[0]: want from and to",
        "scaling.freeze_windows[1].to: want a time after from",
        "scaling.freeze_windows[1].closes: unknown \"all\"; want in, out or both",
        "scaling.freeze_windows[1].time_zone: unknown \"Mars/Base\"",
        "scaling.freeze_windows[2].start: not a time of day: \"25:00\"",
        "scaling.freeze_windows[2].days[0]: unknown \"mo\"; want mon",
        "autoscaling[0].placement: orchestrator and placement exclude each other",
        "autoscaling[0].placement.lost_after: invalid duration",
        "autoscaling[0].placement.clusters: want 2 to 100 entries",
        "autoscaling[0].placement.clusters[0].orchestrator: unknown \"nomad\"",
        "autoscaling[0].placement.clusters[0].max: want a number from min (4) on",
        "autoscaling[0].placement.clusters[0].probes[0]: want a URL",
    ] {
        assert!(problems.iter().any(|p| p.starts_with(expect)), "{expect} is not in\n{}", problems.join("\n"));
    }
    let (config, problems) = read(
        "process: [{name: web, command: [web]}]
swarm: {}
scaling: {quotas: [{name: a, replicas: 3}], batches: [{orchestrator: swarm, max_batch: 5}], freeze_windows: [{name: n, start: '23:30', end: '00:30'}]}
autoscaling:
  - {service: web, max: 9, targets: [{kind: rps, value: 1}], placement: {clusters: [{orchestrator: swarm, weight: 6}, {orchestrator: process, weight: 4}]}}",
    );
    assert_eq!(problems, Vec::<String>::new());
    let (policy, scaling) = (&config.policies[0], &config.scaling);
    assert_eq!((policy.orchestrator.as_str(), scaling.quotas.len(), scaling.batches.len()), ("placement", 1, 1));
    let shares = &policy.operations.placement.as_ref().expect("placed").shares;
    assert_eq!(shares.iter().map(|s| (s.weight, s.min, s.max)).collect::<Vec<_>>(), [(6, 0, 9), (4, 0, 9)]);
}
