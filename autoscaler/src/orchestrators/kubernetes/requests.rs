//! What a pod asks for, as the scheduler and the quotas count it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::import::quantity;

/// How much of a resource a pod asks for (`requests`) or may take (`limits`): what its containers and sidecars have together,
/// or one of its init containers alone where that is more, and its overhead.
pub(super) fn of_pod(spec: &Value, section: &str, resource: &str) -> f64 {
    let overhead = quantity::parse(&spec["overhead"][resource]).unwrap_or(0.0);
    if let Some(of_all) = quantity::parse(&spec["resources"][section][resource]) {
        return of_all + overhead;
    }
    let amount = |container: &Value| {
        // A request that is left out is the limit.
        let of = |section: &str| quantity::parse(&container["resources"][section][resource]);
        of(section).or_else(|| of("limits").filter(|_| section == "requests")).unwrap_or(0.0)
    };
    let containers = |key: &str| spec[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let (mut sidecars, mut starting) = (0.0, 0.0_f64);
    for container in containers("initContainers") {
        if container["restartPolicy"] == "Always" {
            sidecars += amount(container);
            starting = starting.max(sidecars);
        } else {
            starting = starting.max(sidecars + amount(container));
        }
    }
    let running: f64 = containers("containers").iter().map(amount).sum();
    (running + sidecars).max(starting) + overhead
}

/// How many times what is needed fits into what is free.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates, and is 0 below 0")]
pub(super) fn times(free: f64, need: f64) -> u64 {
    // Quantities are decimal fractions: three tenths hold a tenth three times.
    (free / need + 1e-9).floor() as u64
}

/// All that a pod asks for, without what is none.
pub(super) fn all(spec: &Value) -> Vec<(String, f64)> {
    let mut names = BTreeSet::new();
    let mut add = |resources: &Value| {
        for section in ["requests", "limits"] {
            names.extend(resources[section].as_object().into_iter().flat_map(|o| o.keys().cloned()));
        }
    };
    add(&spec["resources"]);
    for key in ["containers", "initContainers"] {
        spec[key].as_array().into_iter().flatten().for_each(|container| add(&container["resources"]));
    }
    names.extend(spec["overhead"].as_object().into_iter().flat_map(|o| o.keys().cloned()));
    let amounts = names.into_iter().map(|name| {
        let amount = of_pod(spec, "requests", &name);
        (name, amount)
    });
    amounts.filter(|(_, amount)| *amount > 0.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pod_asks_for_what_its_containers_do() {
        let cpu = |amount: &str| json!({"resources": {"requests": {"cpu": amount}}});
        let sidecar = json!({"restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}});
        for (spec, expect) in [
            (json!({"containers": [cpu("500m"), {"resources": {"limits": {"cpu": "250m"}}}, {}]}), 0.75),
            (json!({"containers": [cpu("500m")], "initContainers": [sidecar, cpu("200m")]}), 0.6),
            // The init container stands beside the sidecars that were started before it.
            (json!({"containers": [cpu("500m")], "initContainers": [cpu("2"), sidecar, cpu("2")]}), 2.1),
            (json!({"containers": [cpu("500m")], "overhead": {"cpu": "250m"}}), 0.75),
            (json!({"containers": [cpu("500m")], "resources": {"requests": {"cpu": "2"}}}), 2.0),
            (json!(null), 0.0),
        ] {
            assert!((of_pod(&spec, "requests", "cpu") - expect).abs() < 1e-9, "{spec}");
        }
        let spec = json!({"containers": [{"resources": {"requests": {"cpu": "1", "memory": "0"}, "limits": {"nvidia.com/gpu": 1}}}]});
        assert_eq!(all(&spec), [("cpu".to_owned(), 1.0), ("nvidia.com/gpu".to_owned(), 1.0)]);
        assert!((of_pod(&spec, "limits", "cpu")).abs() < 1e-9);
    }
}
