//! How many more pods a namespace's ResourceQuotas leave room for, and with what the nodes have.

use serde_json::Value;

use super::requests;
use crate::import::quantity;
use crate::orchestrator::Room;
use crate::policy::short;

/// What a quota may count, and what a pod template says of it: (resource, `requests` or `limits`, name there).
const COUNTED: [(&str, &str, &str); 6] = [
    ("requests.cpu", "requests", "cpu"),
    ("cpu", "requests", "cpu"),
    ("requests.memory", "requests", "memory"),
    ("memory", "requests", "memory"),
    ("limits.cpu", "limits", "cpu"),
    ("limits.memory", "limits", "memory"),
];

/// Room for pods of a template, from a `ResourceQuotaList`; `None` without a quota that counts them. Quotas with scopes are
/// left out: whether a pod falls under them is not told here.
pub(super) fn room(template: &Value, quotas: &Value) -> Option<Room> {
    let mut found: Option<Room> = None;
    let is_plain = |quota: &&Value| quota["spec"]["scopes"].is_null() && quota["spec"]["scopeSelector"].is_null();
    for quota in quotas["items"].as_array()?.iter().filter(is_plain) {
        let left = |resource: &str| {
            let hard = quantity::parse(&quota["status"]["hard"][resource])?;
            Some((hard - quantity::parse(&quota["status"]["used"][resource]).unwrap_or(0.0)).max(0.0))
        };
        let needs = COUNTED
            .iter()
            .map(|(resource, section, name)| (*resource, requests::of_pod(&template["spec"], section, name)));
        for (resource, need) in [("pods", 1.0), ("count/pods", 1.0)].into_iter().chain(needs) {
            let Some(left) = left(resource).filter(|_| need > 0.0) else { continue };
            let more = u32::try_from(requests::times(left, need)).unwrap_or(u32::MAX);
            if found.as_ref().is_none_or(|room| more < room.more) {
                let name = quota["metadata"]["name"].as_str().unwrap_or_default();
                let reason = format!(
                    "quota {name} leaves {resource} {}, and a pod takes {}: {more} more",
                    short(left),
                    short(need)
                );
                found = Some(Room { more, reason });
            }
        }
    }
    found
}

/// The tighter of what quotas and nodes leave. Where only the quotas are known, the words say so.
pub(super) fn tighter(by_quota: Option<Room>, by_nodes: Result<Option<Room>, String>) -> Option<Room> {
    match (by_quota, by_nodes) {
        (Some(quota), Ok(Some(nodes))) => Some(if nodes.more < quota.more { nodes } else { quota }),
        (Some(quota), Err(why)) => {
            let reason = format!("{}; what the nodes have free is not known: {why}", quota.reason);
            Some(Room { reason, ..quota })
        }
        (quota, Ok(nodes)) => quota.or(nodes),
        (None, Err(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_tightest_quota_counts() {
        let template = json!({"spec": {
            "containers": [
                {"resources": {"requests": {"cpu": "500m", "memory": "256Mi"}}},
                {"resources": {"limits": {"cpu": "250m"}}}
            ],
            "initContainers": [{"resources": {"requests": {"cpu": "100m"}}}]
        }});
        let quota = |hard: Value, used: Value| json!({"items": [{"metadata": {"name": "team"}, "spec": {}, "status": {"hard": hard, "used": used}}]});
        for (hard, used, expect) in [
            (
                json!({"pods": "10"}),
                json!({"pods": "7"}),
                Some((3, "quota team leaves pods 3, and a pod takes 1: 3 more")),
            ),
            (
                json!({"pods": "10", "requests.cpu": "4"}),
                json!({"pods": "2", "requests.cpu": "2500m"}),
                Some((2, "quota team leaves requests.cpu 1.5, and a pod takes 0.75: 2 more")),
            ),
            (
                json!({"limits.cpu": "1"}),
                json!({}),
                Some((4, "quota team leaves limits.cpu 1, and a pod takes 0.25: 4 more")),
            ),
            (
                json!({"memory": "1Gi"}),
                json!({"memory": "2Gi"}),
                Some((0, "quota team leaves memory 0, and a pod takes 268435456: 0 more")),
            ),
            (json!({"services": "5"}), json!({}), None),
        ] {
            let found = room(&template, &quota(hard.clone(), used));
            assert_eq!(found.as_ref().map(|r| (r.more, r.reason.as_str())), expect, "{hard}");
        }
        let scoped = json!({"items": [{"spec": {"scopes": ["BestEffort"]}, "status": {"hard": {"pods": "1"}}}]});
        assert_eq!((room(&template, &scoped), room(&template, &json!({}))), (None, None));
    }

    #[test]
    fn the_tighter_of_quota_and_nodes_counts() {
        let room = |more: u32| Some(Room { more, reason: format!("{more} fit") });
        let check = |quota, nodes, expect: Option<(u32, &str)>| {
            let found = tighter(quota, nodes);
            assert_eq!(found.as_ref().map(|r| (r.more, r.reason.as_str())), expect);
        };
        check(room(3), Ok(room(2)), Some((2, "2 fit")));
        check(room(3), Ok(room(4)), Some((3, "3 fit")));
        check(room(3), Ok(None), Some((3, "3 fit")));
        check(None, Ok(room(4)), Some((4, "4 fit")));
        let may_not = || Err("it may not list nodes".to_owned());
        check(room(3), may_not(), Some((3, "3 fit; what the nodes have free is not known: it may not list nodes")));
        check(None, may_not(), None);
    }
}
