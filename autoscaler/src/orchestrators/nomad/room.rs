//! How many more allocations of a group Nomad's nodes have room for: what they have, less what is reserved and allocated.

use std::collections::HashMap;

use serde_json::Value;

use crate::orchestrator::Room;

/// MHz of CPU, MiB of memory, MiB of disk.
type Amount = [u64; 3];

/// The units of an amount, as a sentence says them.
const UNITS: [&str; 3] = ["MHz", "MiB", "MiB of disk"];

/// Room for a group, from its job and the lists of nodes and allocations with their resources. `None` where constraints,
/// devices or whole cores decide, of which these lists do not say enough.
pub(super) fn room(job: &Value, group: &str, nodes: &Value, allocations: &Value) -> Option<Room> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let found = list(&job["TaskGroups"]).into_iter().find(|g| g["Name"] == group)?;
    let tasks = list(&found["Tasks"]);
    let is_free = |part: &Value| list(&part["Constraints"]).is_empty();
    let is_plain = |task: &Value| {
        let resources = &task["Resources"];
        is_free(task) && list(&resources["Devices"]).is_empty() && resources["Cores"].as_u64().unwrap_or(0) == 0
    };
    if !is_free(job) || !is_free(&found) || !tasks.iter().all(is_plain) {
        return None;
    }
    let mut needs: Amount = [0, 0, number(&found["EphemeralDisk"]["SizeMB"])];
    for task in &tasks {
        add(&mut needs, [number(&task["Resources"]["CPU"]), number(&task["Resources"]["MemoryMB"]), 0]);
    }
    let mut taken: HashMap<String, Amount> = HashMap::new();
    let has_ended = |a: &Value| matches!(a["ClientStatus"].as_str(), Some("complete" | "failed" | "lost"));
    for allocation in allocations.as_array()?.iter().filter(|a| !has_ended(a)) {
        let node = allocation["NodeID"].as_str().unwrap_or_default();
        let resources = &allocation["AllocatedResources"];
        let sum = taken.entry(node.to_owned()).or_default();
        add(sum, [0, 0, number(&resources["Shared"]["DiskMB"])]);
        for task in resources["Tasks"].as_object().into_iter().flat_map(|tasks| tasks.values()) {
            add(sum, [number(&task["Cpu"]["CpuShares"]), number(&task["Memory"]["MemoryMB"]), 0]);
        }
    }
    let drivers: Vec<&str> = tasks.iter().filter_map(|t| t["Driver"].as_str()).collect();
    let is_usable = |node: &&Value| {
        let has = |driver: &&str| node["Drivers"][*driver]["Healthy"] == true;
        node["Status"] == "ready"
            && node["SchedulingEligibility"] == "eligible"
            && node["Drain"] != true
            && is_in_pool(job, node)
            && is_in_datacenter(job, node)
            && drivers.iter().all(has)
    };
    let usable: Vec<&Value> = nodes.as_array()?.iter().filter(is_usable).collect();
    let fits = usable.iter().map(|node| {
        let used = taken.get(node["ID"].as_str().unwrap_or_default()).copied().unwrap_or_default();
        let (has, kept) = (amount(&node["NodeResources"]), amount(&node["ReservedResources"]));
        let wanted = (0..needs.len()).filter(|i| needs[*i] > 0);
        let times = |i: usize| has[i].saturating_sub(kept[i]).saturating_sub(used[i]) / needs[i];
        wanted.map(times).min().unwrap_or(u64::MAX)
    });
    let takes = needs.iter().zip(UNITS).filter(|(need, _)| **need > 0).map(|(need, unit)| format!("{need} {unit}"));
    let takes: Vec<String> = takes.collect();
    // Nomad lets no task ask for nothing.
    (!takes.is_empty()).then(|| Room::on_nodes(usable.len(), fits.fold(0, u64::saturating_add), &takes))
}

fn is_in_pool(job: &Value, node: &Value) -> bool {
    let pool = |value: &Value| value["NodePool"].as_str().filter(|p| !p.is_empty()).unwrap_or("default").to_owned();
    pool(job) == "all" || pool(job) == pool(node)
}

/// Whether a node is in one of the job's datacenters, of which each may end in a star.
fn is_in_datacenter(job: &Value, node: &Value) -> bool {
    let own = node["Datacenter"].as_str().unwrap_or_default();
    let is_it = |name: &str| name.split_once('*').map_or(name == own, |(start, _)| own.starts_with(start));
    job["Datacenters"].as_array().into_iter().flatten().filter_map(Value::as_str).any(is_it)
}

fn amount(resources: &Value) -> Amount {
    [
        number(&resources["Cpu"]["CpuShares"]),
        number(&resources["Memory"]["MemoryMB"]),
        number(&resources["Disk"]["DiskMB"]),
    ]
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn add(sum: &mut Amount, more: Amount) {
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum = sum.saturating_add(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(id: &str, mhz: u64, changed: Value) -> Value {
        let mut node = json!({"ID": id, "Datacenter": "dc1", "NodePool": "default", "Status": "ready", "Drain": false,
            "SchedulingEligibility": "eligible", "Drivers": {"docker": {"Detected": true, "Healthy": true}},
            "NodeResources": {"Cpu": {"CpuShares": mhz}, "Memory": {"MemoryMB": 8192}, "Disk": {"DiskMB": 50_000}},
            "ReservedResources": {"Cpu": {"CpuShares": 500}, "Memory": {"MemoryMB": 0}, "Disk": {"DiskMB": 0}}});
        for (key, value) in changed.as_object().into_iter().flatten() {
            node[key] = value.clone();
        }
        node
    }

    fn job(resources: Value, changed: Value) -> Value {
        let tasks = json!([{"Name": "main", "Driver": "docker", "Resources": resources}]);
        let mut job = json!({"ID": "web", "Datacenters": ["dc*"], "Constraints": null,
            "TaskGroups": [{"Name": "front", "Tasks": tasks, "EphemeralDisk": {"SizeMB": 300}}]});
        for (key, value) in changed.as_object().into_iter().flatten() {
            job[key] = value.clone();
        }
        job
    }

    fn allocation(node: &str, status: &str, mhz: u64) -> Value {
        json!({"NodeID": node, "ClientStatus": status, "AllocatedResources": {"Shared": {"DiskMB": 300},
            "Tasks": {"main": {"Cpu": {"CpuShares": mhz}, "Memory": {"MemoryMB": 1024}}}}})
    }

    #[test]
    fn nodes_less_what_is_reserved_and_allocated() {
        let nodes = json!([
            node("a", 4500, json!({})),
            node("b", 2000, json!({})),
            node("c", 9000, json!({"SchedulingEligibility": "ineligible"})),
            node("d", 9000, json!({"Status": "down"})),
            node("e", 9000, json!({"Drain": true})),
            node("f", 9000, json!({"Datacenter": "other"})),
            node("g", 9000, json!({"NodePool": "gpu"})),
            node("h", 9000, json!({"Drivers": {"docker": {"Detected": true, "Healthy": false}}})),
        ]);
        let more = |job: &Value, allocations: Value| room(job, "front", &nodes, &allocations).map(|r| r.more);
        let plain = job(json!({"CPU": 1000, "MemoryMB": 512}), json!({}));
        // Four on a, one on b: half a thousand on each is no place.
        assert_eq!(more(&plain, json!([])), Some(5));
        let words = room(&plain, "front", &nodes, &json!([])).expect("known").reason;
        assert_eq!(words, "2 usable nodes have room for 5 more: a replica takes 1000 MHz, 512 MiB, 300 MiB of disk");
        let used = json!([
            allocation("a", "running", 1500),
            allocation("a", "complete", 3000),
            allocation("b", "pending", 900)
        ]);
        assert_eq!(more(&plain, used), Some(2));
        assert_eq!(more(&job(json!({"CPU": 100, "MemoryMB": 4096}), json!({})), json!([])), Some(4), "memory");
        let in_all = job(json!({"CPU": 1000, "MemoryMB": 512}), json!({"NodePool": "all", "Datacenters": ["dc1"]}));
        assert_eq!(more(&in_all, json!([])), Some(5 + 8), "the other pool too");
    }

    #[test]
    fn what_cannot_be_said_is_not_said() {
        let nodes = json!([node("a", 4500, json!({}))]);
        let known = |job: &Value, group: &str| room(job, group, &nodes, &json!([])).is_some();
        let plain = json!({"CPU": 1000, "MemoryMB": 512});
        assert!(known(&job(plain.clone(), json!({})), "front"));
        assert!(!known(&job(plain.clone(), json!({})), "back"));
        let constrained = json!({"Constraints": [{"LTarget": "${node.class}", "RTarget": "m5", "Operand": "="}]});
        assert!(!known(&job(plain.clone(), constrained), "front"));
        assert!(!known(&job(json!({"Cores": 2, "MemoryMB": 512}), json!({})), "front"));
        assert!(!known(&job(json!({"CPU": 5, "Devices": [{"Name": "nvidia/gpu", "Count": 1}]}), json!({})), "front"));
        assert_eq!(room(&job(plain, json!({})), "front", &json!({}), &json!([])), None);
    }
}
