//! How many more replicas the nodes of a Swarm have room for: what they have, less what tasks have reserved.

use std::collections::HashMap;

use serde_json::Value;

use crate::orchestrator::Room;
use crate::policy::short;

const NANO: f64 = 1e9;
const MIB: f64 = 1024.0 * 1024.0;

/// CPU (in nanos) and memory (in bytes).
type Amount = [u64; 2];

/// Room for a service, from the lists of nodes and of tasks that are to run. `None` when Swarm would place any number: the
/// service reserves nothing and has no limit per node. Where its placement has constraints nobody can say either.
pub(super) fn room(service: &Value, nodes: &Value, tasks: &Value) -> Option<Room> {
    let template = &service["Spec"]["TaskTemplate"];
    let needs = reserved(template);
    let placement = &template["Placement"];
    let per_node = placement["MaxReplicas"].as_u64().filter(|most| *most > 0);
    let is_constrained = placement["Constraints"].as_array().is_some_and(|list| !list.is_empty());
    if is_constrained || (needs == [0, 0] && per_node.is_none()) {
        return None;
    }
    let id = service["ID"].as_str()?;
    let mut taken: HashMap<&str, (Amount, u64)> = HashMap::new();
    let mut unplaced = 0;
    for task in tasks.as_array()? {
        let is_own = task["ServiceID"] == id;
        let node = task["NodeID"].as_str().unwrap_or_default();
        if node.is_empty() {
            unplaced += u64::from(is_own);
            continue;
        }
        let (amount, own) = taken.entry(node).or_default();
        for (sum, more) in amount.iter_mut().zip(reserved(&task["Spec"])) {
            *sum = sum.saturating_add(more);
        }
        *own += u64::from(is_own);
    }
    let is_usable = |node: &&Value| node["Spec"]["Availability"] == "active" && node["Status"]["State"] == "ready";
    let usable: Vec<&Value> = nodes.as_array()?.iter().filter(is_usable).collect();
    let fits = usable.iter().map(|node| {
        let (amount, own) = taken.get(node["ID"].as_str().unwrap_or_default()).copied().unwrap_or_default();
        let has = amounts(&node["Description"]["Resources"]);
        let by_resource = (0..needs.len())
            .filter(|i| needs[*i] > 0)
            .map(|i| has[i].saturating_sub(amount[i]) / needs[i])
            .min()
            .unwrap_or(u64::MAX);
        by_resource.min(per_node.map_or(u64::MAX, |most| most.saturating_sub(own)))
    });
    let more = fits.fold(0, u64::saturating_add).saturating_sub(unplaced);
    let mut takes = Vec::new();
    #[allow(clippy::cast_precision_loss, reason = "only shown")]
    for (need, unit, one) in [(needs[0], "cores", NANO), (needs[1], "MiB", MIB)] {
        if need > 0 {
            takes.push(format!("{} {unit}", short(need as f64 / one)));
        }
    }
    let mut room = Room::on_nodes(usable.len(), more, &takes);
    if let Some(most) = per_node {
        room.reason.push_str(&format!("; at most {most} may stand on a node"));
    }
    Some(room)
}

fn reserved(spec: &Value) -> Amount {
    amounts(&spec["Resources"]["Reservations"])
}

fn amounts(value: &Value) -> Amount {
    ["NanoCPUs", "MemoryBytes"].map(|key| value[key].as_u64().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(id: &str, cores: u64, availability: &str) -> Value {
        json!({"ID": id, "Spec": {"Availability": availability}, "Status": {"State": "ready"},
            "Description": {"Resources": {"NanoCPUs": cores * 1_000_000_000, "MemoryBytes": 8_u64 << 30}}})
    }

    fn task(service: &str, node: &str, nano: u64) -> Value {
        json!({"ServiceID": service, "NodeID": node, "Spec": {"Resources": {"Reservations": {"NanoCPUs": nano}}}})
    }

    fn service(reservations: Value, placement: Value) -> Value {
        json!({"ID": "s", "Spec": {"TaskTemplate": {"Resources": {"Reservations": reservations}, "Placement": placement}}})
    }

    #[test]
    fn nodes_less_what_is_reserved() {
        let half = json!({"NanoCPUs": 500_000_000_u64});
        let nodes = json!([node("a", 4, "active"), node("b", 2, "active"), node("c", 64, "drain")]);
        let tasks = json!([task("s", "a", 500_000_000), task("x", "a", 3_000_000_000), task("s", "b", 500_000_000)]);
        let more = |service: &Value, tasks: &Value| room(service, &nodes, tasks).map(|r| r.more);
        let plain = service(half.clone(), json!({}));
        assert_eq!(more(&plain, &json!([])), Some(12));
        // Half a core is free on a, one and a half on b.
        assert_eq!(more(&plain, &tasks), Some(4));
        let words = room(&plain, &nodes, &tasks).expect("known").reason;
        assert_eq!(words, "2 usable nodes have room for 4 more: a replica takes 0.5 cores");
        // One that has no place yet takes one of them.
        let mut waiting = tasks.clone();
        waiting.as_array_mut().expect("a list").push(task("s", "", 500_000_000));
        assert_eq!(more(&plain, &waiting), Some(3));
        assert_eq!(more(&service(json!({"MemoryBytes": 3_u64 << 30}), json!({})), &tasks), Some(4));
        assert_eq!(more(&service(half.clone(), json!({"MaxReplicas": 2})), &tasks), Some(2));
        let two_a_node = room(&service(json!({}), json!({"MaxReplicas": 2})), &nodes, &tasks).expect("known");
        let words = "2 usable nodes have room for 2 more; at most 2 may stand on a node";
        assert_eq!((two_a_node.more, two_a_node.reason.as_str()), (2, words));
    }

    #[test]
    fn what_cannot_be_said_is_not_said() {
        let nodes = json!([node("a", 4, "active")]);
        assert_eq!(room(&service(json!({}), json!({})), &nodes, &json!([])), None);
        let constrained = service(json!({"NanoCPUs": 1}), json!({"Constraints": ["node.labels.gpu == true"]}));
        assert_eq!(room(&constrained, &nodes, &json!([])), None);
        assert_eq!(room(&service(json!({"NanoCPUs": 1}), json!({})), &json!({}), &json!([])), None);
    }
}
