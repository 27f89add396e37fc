//! KEDA ScaledObjects.

use serde_json::Value;

use super::{ImportError, ImportedPolicy, ImportedSchedule, ImportedTarget, Subject, hpa, quantity, replicas, seconds};
use crate::cron::Cron;

/// A policy from a `keda.sh/v1alpha1` ScaledObject.
pub(super) fn policy(object: &Value) -> Result<ImportedPolicy, ImportError> {
    let subject = Subject::of(object, "Deployment")?;
    let spec = &object["spec"];
    let min = replicas(&spec["minReplicaCount"]).unwrap_or(0);
    let max = replicas(&spec["maxReplicaCount"]).unwrap_or(100);
    let mut policy = ImportedPolicy::new(&subject.service, subject.words.clone(), "kubernetes", (min, max));
    policy.notes.extend(subject.target_note.clone());
    hpa::behavior(&mut policy, &spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]);
    policy.interval = Some(seconds(spec["pollingInterval"].as_u64().unwrap_or(30).clamp(1, 3600)));
    if min == 0 {
        let wait = spec["cooldownPeriod"].as_u64().unwrap_or(300);
        policy.note(format!("KEDA waits {} without activity before it goes to 0; here `hold` does", seconds(wait)));
    }
    if let Some(idle) = spec["idleReplicaCount"].as_u64() {
        policy.note(format!("idleReplicaCount {idle} was left out: there is one minimum"));
    }
    if spec["fallback"].is_object() {
        policy.note("fallback was left out: when a metric is unknown replicas are held, never set to a fixed number");
    }
    for (key, value) in object["metadata"]["annotations"].as_object().into_iter().flatten() {
        if key.starts_with("autoscaling.keda.sh/paused") && value != "false" {
            policy.note(format!("it is paused ({key}); keep mode observe while it should be"));
        }
    }
    if spec["advanced"]["scalingModifiers"]["formula"].is_string() {
        policy.note("scalingModifiers.formula was left out; say it as one PromQL expression");
    }
    for trigger in spec["triggers"].as_array().into_iter().flatten() {
        add(&mut policy, &subject, trigger);
    }
    if policy.targets.is_empty() && policy.schedules.is_empty() {
        let reason = format!("none of its triggers can be said as a load per replica: {}", policy.notes.join("; "));
        return Err(ImportError::Object { object: subject.words, reason });
    }
    Ok(policy)
}

fn add(policy: &mut ImportedPolicy, subject: &Subject, trigger: &Value) {
    let kind = trigger["type"].as_str().unwrap_or_default();
    let given = &trigger["metadata"];
    let metric_type = trigger["metricType"].as_str().unwrap_or(if matches!(kind, "cpu" | "memory") {
        given["type"].as_str().unwrap_or("Utilization")
    } else {
        "AverageValue"
    });
    match kind {
        "prometheus" => {
            let query = given["query"].as_str().unwrap_or_default().to_owned();
            let threshold = quantity::parse(&given["threshold"]).filter(|v| *v > 0.0);
            let is_known = matches!(metric_type, "AverageValue" | "Value") && !query.is_empty();
            let Some(value) = threshold.filter(|_| is_known) else {
                policy.note(format!(
                    "a prometheus trigger of type {metric_type} without a query and a positive threshold was left out"
                ));
                return;
            };
            if let Some(activation) = quantity::parse(&given["activationThreshold"]).filter(|v| *v > 0.0) {
                policy.note(format!("activationThreshold {activation} was left out: any load needs a replica"));
            }
            let address = given["serverAddress"].as_str().unwrap_or("its server");
            policy.note(format!("its query was evaluated by {address}; here Tidewatch's own data are asked"));
            let kind = if metric_type == "Value" { "level" } else { "promql" };
            policy.targets.push(ImportedTarget { kind, value, query: Some(query) });
        }
        "cpu" | "memory" => {
            let container = given["containerName"].as_str();
            match (metric_type, quantity::parse(&given["value"])) {
                ("Utilization", Some(percent)) => hpa::utilization(policy, subject, kind, percent, container),
                (_, Some(value)) => hpa::absolute(policy, subject, kind, value, container),
                (_, None) => policy.note(format!("a {kind} trigger without value was left out")),
            }
        }
        "cron" => {
            let text = |key: &str| given[key].as_str().unwrap_or_default().to_owned();
            let wanted = &given["desiredReplicas"];
            let min = replicas(wanted).or_else(|| wanted.as_str()?.parse().ok()).unwrap_or(0);
            let (cron, until, time_zone) = (text("start"), text("end"), text("timezone"));
            let problem = [&cron, &until].into_iter().find_map(|times| Cron::parse(times).err());
            if min == 0 || problem.is_some() {
                let problem = problem.unwrap_or_else(|| "no desiredReplicas".to_owned());
                policy.note(format!("a cron trigger was left out: {problem}"));
                return;
            }
            policy.schedules.push(ImportedSchedule { min, cron, until, before: "0s", time_zone });
        }
        other => policy.note(format!("trigger {other} was left out: scrape what it asks and say it as PromQL")),
    }
}
