//! HorizontalPodAutoscalers, and their `behavior`, which KEDA uses too.

use serde_json::Value;

use super::{ImportError, ImportedPolicy, ImportedTarget, Subject, quantity, replicas};

/// A policy from an `autoscaling/v1` or `v2` HorizontalPodAutoscaler.
pub(super) fn policy(object: &Value) -> Result<ImportedPolicy, ImportError> {
    let subject = Subject::of(object, "Deployment")?;
    let spec = &object["spec"];
    let fail = |reason: &str| ImportError::Object { object: subject.words.clone(), reason: reason.to_owned() };
    let max = replicas(&spec["maxReplicas"]).ok_or_else(|| fail("spec.maxReplicas is missing"))?;
    let min = replicas(&spec["minReplicas"]).unwrap_or(1);
    let mut policy = ImportedPolicy::new(&subject.service, subject.words.clone(), "kubernetes", (min, max));
    policy.notes.extend(subject.target_note.clone());
    if let Some(percent) = spec["targetCPUUtilizationPercentage"].as_f64() {
        utilization(&mut policy, &subject, "cpu", percent, None);
    }
    let metrics = spec["metrics"].as_array().map(Vec::as_slice).unwrap_or_default();
    for metric in metrics {
        add(&mut policy, &subject, metric);
    }
    if metrics.is_empty() && policy.targets.is_empty() {
        utilization(&mut policy, &subject, "cpu", 80.0, None);
        policy.note("without metrics an HPA holds CPU at 80 % of its request");
    }
    behavior(&mut policy, &spec["behavior"]);
    if policy.targets.is_empty() {
        return Err(fail("none of its metrics can be said as a load per replica; write the policy by hand"));
    }
    Ok(policy)
}

fn add(policy: &mut ImportedPolicy, subject: &Subject, metric: &Value) {
    let kind = metric["type"].as_str().unwrap_or_default();
    let label = subject.label();
    match kind {
        "Resource" | "ContainerResource" => {
            let part = if kind == "Resource" { &metric["resource"] } else { &metric["containerResource"] };
            let name = part["name"].as_str().unwrap_or_default().to_owned();
            let container = part["container"].as_str();
            let target = &part["target"];
            if let Some(percent) = target["averageUtilization"].as_f64() {
                utilization(policy, subject, &name, percent, container);
            } else if let Some(value) = quantity::parse(&target["averageValue"]) {
                absolute(policy, subject, &name, value, container);
            } else {
                policy.note(format!("resource {name}: neither averageUtilization nor averageValue is there; left out"));
            }
        }
        "Pods" => {
            let part = &metric["pods"];
            let Some(value) = quantity::parse(&part["target"]["averageValue"]) else {
                policy.note("a Pods metric without averageValue was left out");
                return;
            };
            let query = format!("sum({})", series(&part["metric"], Some(("service", label))));
            policy.note(format!("pods metric as {query}: see that its series carry the label service"));
            policy.targets.push(ImportedTarget { kind: "promql", value, query: Some(query) });
        }
        "External" | "Object" => {
            let part = if kind == "External" { &metric["external"] } else { &metric["object"] };
            let name = part["metric"]["name"].as_str().unwrap_or_default();
            match quantity::parse(&part["target"]["averageValue"]) {
                Some(value) => {
                    let query = format!("sum({})", series(&part["metric"], None));
                    policy.note(format!("{} metric as {query}: see that this is the same series", kind.to_lowercase()));
                    policy.targets.push(ImportedTarget { kind: "promql", value, query: Some(query) });
                }
                None => {
                    let Some(value) = quantity::parse(&part["target"]["value"]) else {
                        policy.note(format!("{} metric {name} has no target; left out", kind.to_lowercase()));
                        return;
                    };
                    let query = format!("sum({})", series(&part["metric"], None));
                    policy.note(format!("{} metric as {query}: see that this is the same series", kind.to_lowercase()));
                    policy.targets.push(ImportedTarget { kind: "level", value, query: Some(query) });
                }
            }
        }
        other => policy.note(format!("a metric of type {other:?} was left out")),
    }
}

/// A share of what pods request: the load is counted in whole requests, so that the share is what one replica carries.
pub(super) fn utilization(
    policy: &mut ImportedPolicy,
    subject: &Subject,
    resource: &str,
    percent: f64,
    container: Option<&str>,
) {
    let used = usage(resource, subject.label(), container);
    let Some(used) = used else {
        policy.note(format!("resource {resource} is not known; left out"));
        return;
    };
    let of_container = container.map(|c| format!(",container={c:?}")).unwrap_or_default();
    let requests = format!(
        "kube_pod_container_resource_requests{{resource={resource:?},service={:?}{of_container}}}",
        subject.label()
    );
    policy.note(format!(
        "{resource} at {percent} % of its request needs {requests} from kube-state-metrics; with a fixed request, `kind: cpu` and the cores themselves need nothing"
    ));
    let query = format!("{used} / avg(sum by (pod) ({requests}))");
    let kind = if resource == "cpu" { "cpu_share" } else { "memory_share" };
    policy.targets.push(ImportedTarget { kind, value: percent / 100.0, query: Some(query) });
}

/// An amount per pod: cores or bytes.
pub(super) fn absolute(
    policy: &mut ImportedPolicy,
    subject: &Subject,
    resource: &str,
    value: f64,
    container: Option<&str>,
) {
    if resource == "cpu" && container.is_none() {
        policy.targets.push(ImportedTarget { kind: "cpu", value, query: None });
        return;
    }
    match usage(resource, subject.label(), container) {
        Some(query) => policy.targets.push(ImportedTarget { kind: "promql", value, query: Some(query) }),
        None => policy.note(format!("resource {resource} is not known; left out")),
    }
}

fn usage(resource: &str, service: &str, container: Option<&str>) -> Option<String> {
    let of_container = container.map(|c| format!(",container={c:?}")).unwrap_or_default();
    let labels = format!("{{service={service:?}{of_container}}}");
    match resource {
        "cpu" => Some(format!("sum(rate(container_cpu_usage_seconds_total{labels}[1m]))")),
        "memory" => Some(format!("sum(container_memory_working_set_bytes{labels})")),
        _ => None,
    }
}

/// A metric and its selector as PromQL.
fn series(metric: &Value, extra: Option<(&str, &str)>) -> String {
    let name = metric["name"].as_str().unwrap_or_default();
    let mut matchers: Vec<String> = Vec::new();
    for (label, value) in metric["selector"]["matchLabels"].as_object().into_iter().flatten() {
        matchers.push(format!("{label:?}={:?}", value.as_str().unwrap_or_default()));
    }
    for expression in metric["selector"]["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let values: Vec<String> =
            expression["values"].as_array().into_iter().flatten().filter_map(|v| v.as_str().map(escape)).collect();
        match expression["operator"].as_str().unwrap_or_default() {
            "In" => matchers.push(format!("{key:?}=~{:?}", values.join("|"))),
            "NotIn" => matchers.push(format!("{key:?}!~{:?}", values.join("|"))),
            "Exists" => matchers.push(format!("{key:?}!=\"\"")),
            _ => matchers.push(format!("{key:?}=\"\"")),
        }
    }
    if let Some((label, value)) = extra
        && !matchers.iter().any(|m| m.starts_with(&format!("{label:?}")))
    {
        matchers.push(format!("{label:?}={value:?}"));
    }
    // A quoted name may have any characters, `:` and `/` of external metrics included.
    let matchers = matchers.join(",");
    if matchers.is_empty() { format!("{{{name:?}}}") } else { format!("{{{name:?},{matchers}}}") }
}

/// A text that matches itself as a regular expression.
fn escape(text: &str) -> String {
    let is_special = |c: char| "\\.+*?()|[]{}^$".contains(c);
    text.chars().flat_map(|c| is_special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// The `behavior` block, word for word.
pub(super) fn behavior(policy: &mut ImportedPolicy, behavior: &Value) {
    policy.kind = Some("hpa");
    if !behavior.is_null() {
        match serde_json::from_value(behavior.clone()) {
            Ok(rules) => policy.behavior = Some(rules),
            Err(error) => policy.note(format!("its behavior was left out, since it cannot be read: {error}")),
        }
    }
}
