//! Objects as people have them, and what becomes of them; each result is a configuration that is accepted.

use std::time::Duration;

use vocab::Problems;

use super::{ImportError, Imported, from_flags, from_text};
use crate::config::{AutoscalerConfig, RawAutoscaler, check};
use crate::hpa::{Behavior, Rate, RateKind};
use crate::schedule::Ends;

/// The configuration that a result is, beside the section that its orchestrator needs.
fn accepted(imported: &Imported) -> AutoscalerConfig {
    let yaml = format!("kubernetes: [{{}}]\nmarathon: [{{url: 'http://m:8080'}}]\n{}", imported.to_yaml());
    let raw: RawAutoscaler = serde_saphyr::from_str(&yaml).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    let mut problems = Problems::default();
    let config = check(&raw, "local", &mut problems);
    assert_eq!(problems, Problems::default(), "{yaml}");
    config
}

const HPA: &str = r#"
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: shop}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 20
  metrics:
  - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}
  - {type: Resource, resource: {name: memory, target: {type: AverageValue, averageValue: 500Mi}}}
  - {type: Pods, pods: {metric: {name: http_requests_per_second}, target: {type: AverageValue, averageValue: "100"}}}
  - type: External
    external:
      metric: {name: queue_length, selector: {matchLabels: {queue: orders}, matchExpressions: [{key: env, operator: In, values: [a.b, c]}]}}
      target: {type: AverageValue, averageValue: "30"}
  - {type: Object, object: {metric: {name: hits}, describedObject: {kind: Ingress, name: i}, target: {type: Value, value: 2k}}}
  behavior:
    scaleDown: {stabilizationWindowSeconds: 120, policies: [{type: Percent, value: 10, periodSeconds: 60}, {type: Pods, value: 2, periodSeconds: 30}]}
    scaleUp: {stabilizationWindowSeconds: 30, tolerance: "0.05", policies: [{type: Percent, value: 900, periodSeconds: 60}]}
"#;

#[test]
fn an_hpa_becomes_a_policy() {
    let imported = from_text(HPA).expect("an HPA");
    let config = accepted(&imported);
    let policy = &config.policies[0];
    assert_eq!(
        (policy.service.as_str(), policy.orchestrator.as_str(), policy.min, policy.max),
        ("shop/web", "kubernetes", 2, 20)
    );
    let targets: Vec<(f64, &str)> = policy.targets.iter().map(|t| (t.value, t.query.as_str())).collect();
    assert_eq!(
        targets,
        [
            (
                0.7,
                "sum(rate(container_cpu_usage_seconds_total{service=\"web\"}[1m])) / avg(sum by (pod) (kube_pod_container_resource_requests{resource=\"cpu\",service=\"web\"}))"
            ),
            (524_288_000.0, "sum(container_memory_working_set_bytes{service=\"web\"})"),
            (100.0, "sum({\"http_requests_per_second\",\"service\"=\"web\"})"),
            (30.0, "sum({\"queue_length\",\"queue\"=\"orders\",\"env\"=~\"a\\\\.b|c\"})"),
            (2000.0, "sum({\"hits\"})"),
        ]
    );
    let kinds: Vec<&str> = policy.targets.iter().map(|t| t.kind.as_str()).collect();
    assert_eq!(kinds, ["cpu_share", "promql", "promql", "promql", "level"]);
    let behavior = policy.behavior.as_ref().expect("kind: hpa");
    let rate = |kind, seconds| Rate { kind, period: Duration::from_secs(seconds) };
    assert_eq!(behavior.down.rates, [rate(RateKind::Percent(10), 60), rate(RateKind::Pods(2), 30)]);
    assert_eq!(behavior.up.rates, [rate(RateKind::Percent(900), 60)]);
    assert_eq!((behavior.up.tolerance, behavior.down.tolerance), (0.05, 0.1));
    assert_eq!((policy.hold.as_secs(), policy.stabilization_up.as_secs(), policy.cooldown.as_secs()), (120, 30, 0));
    let notes = policy.notes.join("\n");
    for expect in ["object metric as sum({\"hits\"})", "kube-state-metrics"] {
        assert!(notes.contains(expect), "{expect} is not in\n{notes}");
    }
}

#[test]
fn an_hpa_without_anything_keeps_the_defaults_of_its_controller() {
    let text = r#"{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "db"}, "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db"}, "maxReplicas": 3,
        "targetCPUUtilizationPercentage": 50}}]}"#;
    let imported = from_text(text).expect("JSON is YAML");
    let policy = &accepted(&imported).policies[0];
    assert_eq!((policy.min, policy.max, policy.targets[0].value), (1, 3, 0.5));
    assert_eq!((policy.hold.as_secs(), policy.stabilization_up.as_secs(), policy.interval.as_secs()), (300, 0, 15));
    assert_eq!(policy.behavior, Some(Behavior::default()));
    assert!(policy.notes.iter().any(|n| n.contains("kind: StatefulSet, name: db")), "{:?}", policy.notes);
}

#[test]
fn a_scaled_object_becomes_a_policy() {
    let text = r#"
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: worker, annotations: {autoscaling.keda.sh/paused: "true"}}
spec:
  scaleTargetRef: {name: worker}
  pollingInterval: 10
  maxReplicaCount: 30
  fallback: {failureThreshold: 3, replicas: 6}
  triggers:
  - {type: prometheus, metadata: {serverAddress: "http://p:9090", query: "sum(jobs_waiting)", threshold: "5", activationThreshold: "1"}}
  - {type: cpu, metricType: Utilization, metadata: {value: "60"}}
  - {type: cron, metadata: {timezone: Asia/Shanghai, start: 30 12 * * *, end: 30 13 * * *, desiredReplicas: "10"}}
  - {type: kafka, metadata: {topic: t}}
---
kind: ConfigMap
apiVersion: v1
"#;
    let imported = from_text(text).expect("a ScaledObject");
    let policy = &accepted(&imported).policies[0];
    assert_eq!((policy.service.as_str(), policy.min, policy.max, policy.interval.as_secs()), ("worker", 0, 30, 10));
    assert_eq!((policy.targets[0].value, policy.targets[0].query.as_str()), (5.0, "sum(jobs_waiting)"));
    assert_eq!(policy.targets.len(), 2);
    let lunch = &policy.schedules[0];
    assert_eq!((lunch.min, lunch.before, lunch.time_zone.as_str()), (10, Some(Duration::ZERO), "Asia/Shanghai"));
    assert!(matches!(lunch.ends, Ends::At(_)) && policy.behavior == Some(Behavior::default()));
    let notes = policy.notes.join("\n");
    for expect in ["it is paused", "fallback was left out", "trigger kafka was left out", "activationThreshold 1"] {
        assert!(notes.contains(expect), "{expect} is not in\n{notes}");
    }
}

#[test]
fn flags_become_policies() {
    let flags = "--marathon http://leader.mesos:8080 --haproxy http://lb:9090 --apps nginx_10000,shop_web_10001 --target-rps=100 --max-instances 8";
    let flags: Vec<String> = flags.split(' ').map(str::to_owned).collect();
    let imported = from_flags(&flags).expect("its flags");
    let config = accepted(&imported);
    let words: Vec<_> = config
        .policies
        .iter()
        .map(|p| (p.service.as_str(), p.orchestrator.as_str(), p.max, p.targets[0].value))
        .collect();
    assert_eq!(words, [("nginx", "marathon", 8, 100.0), ("shop/web", "marathon", 8, 100.0)]);
    assert!(config.policies[1].notes[0].contains("read as app /shop/web"));
    for (flags, expect) in [
        ("--apps", "--apps wants a value"),
        ("--fast yes", "--fast is no flag of marathon-lb-autoscale"),
        ("--target-rps many --apps a_1", "--target-rps wants a number"),
        ("--target-rps 5", "want --apps"),
        ("--apps web", "--apps wants <app>_<service port>"),
    ] {
        let flags: Vec<String> = flags.split(' ').map(str::to_owned).collect();
        let error = from_flags(&flags).expect_err(expect).to_string();
        assert!(error.starts_with(expect), "{error}");
    }
}

#[test]
fn what_cannot_be_imported_is_said() {
    for (text, expect) in [
        ("a: [", "not YAML or JSON"),
        (
            "kind: Deployment\napiVersion: apps/v1",
            "no HorizontalPodAutoscaler (autoscaling/v1, v2) and no ScaledObject (keda.sh/v1alpha1) in it; found Deployment (apps/v1)",
        ),
        (
            "{kind: HorizontalPodAutoscaler, apiVersion: autoscaling/v2, metadata: {name: a}, spec: {maxReplicas: 1}}",
            "HorizontalPodAutoscaler a: spec.scaleTargetRef.name is missing",
        ),
        (
            "{kind: ScaledObject, apiVersion: keda.sh/v1alpha1, metadata: {name: a}, spec: {scaleTargetRef: {name: b}, triggers: [{type: kafka}]}}",
            "ScaledObject a: none of its triggers",
        ),
    ] {
        let error: ImportError = from_text(text).expect_err(expect);
        assert!(error.to_string().starts_with(expect), "{error}");
    }
}
