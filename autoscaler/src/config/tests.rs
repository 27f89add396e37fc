//! Sections as users write them, and what is said of mistakes.

use vocab::Problems;
use vocab::scaling::ScalingMode;

use super::{AutoscalerConfig, RawAutoscaler, check};
use crate::policy::TargetKind;

fn read(yaml: &str) -> (AutoscalerConfig, Vec<String>) {
    let raw: RawAutoscaler = serde_saphyr::from_str(yaml).expect("well formed");
    let mut problems = Problems::default();
    let config = check(&raw, "local", &mut problems);
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
        "autoscaling[0].targets[1].kind: unknown kind \"x\"; want rps, cpu or promql",
        "autoscaling[0].targets[2].query: kind promql needs a query",
        "autoscaling[0].targets[3].query: not PromQL",
        "autoscaling[1].service: \"web\" has a policy already",
        "autoscaling[1].targets: want 1 to 16 targets",
        "autoscaling[1].scale_in: replicas and percent are both 0",
    ] {
        assert!(problems.iter().any(|p| p.starts_with(expect)), "{expect} is not in\n{}", problems.join("\n"));
    }
}
