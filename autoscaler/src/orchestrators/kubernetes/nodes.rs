//! How many more pods of a template the nodes of a cluster have room for: what they can give, less what pods ask for.
//!
//! Each node is filled for itself: two halves on two nodes are no place. Counted are nodes that are ready, not cordoned, selected
//! by the template's `nodeSelector`, and without a taint that it does not tolerate. Affinities, spreading and volumes may leave
//! less room; it is then found out by adding replicas.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::requests;
use super::selector::Selector;
use crate::import::quantity;
use crate::orchestrator::Room;
use crate::policy::short;

/// Labels of nodes that Karpenter has added.
const KARPENTER: [&str; 2] = ["karpenter.sh/nodepool", "karpenter.sh/provisioner-name"];
const MIB: f64 = 1024.0 * 1024.0;

/// A node that takes pods.
#[derive(Debug, Clone, PartialEq)]
struct Node {
    labels: BTreeMap<String, String>,
    taints: Vec<Value>,
    allocatable: BTreeMap<String, f64>,
}

/// What a pod on a node asks for.
#[derive(Debug, Clone, PartialEq)]
struct Taken {
    priority: i64,
    requests: Vec<(String, f64)>,
}

/// A pod without a node.
#[derive(Debug, Clone, PartialEq)]
struct Pending {
    namespace: String,
    labels: BTreeMap<String, String>,
}

/// The nodes of a cluster and what pods ask of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Nodes {
    usable: HashMap<String, Node>,
    taken: HashMap<String, Vec<Taken>>,
    pending: Vec<Pending>,
    /// Priorities of the classes that pods name.
    classes: HashMap<String, i64>,
    /// Whether nodes are added for pods that do not fit.
    grow: bool,
}

impl Nodes {
    /// Adds a node; one that takes no pods is left out.
    pub(super) fn add_node(&mut self, node: &Value) {
        self.grow |= KARPENTER.iter().any(|label| node["metadata"]["labels"][*label].is_string());
        let conditions = node["status"]["conditions"].as_array();
        let is_ready = conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True");
        let Some(name) = node["metadata"]["name"].as_str().filter(|_| is_ready) else { return };
        if node["spec"]["unschedulable"] == true {
            return;
        }
        let given = node["status"]["allocatable"].as_object();
        let allocatable = given.into_iter().flatten().filter_map(|(name, v)| Some((name.clone(), quantity::parse(v)?)));
        let taints = node["spec"]["taints"].as_array().into_iter().flatten();
        let keeps_off = |taint: &&Value| taint["effect"] == "NoSchedule" || taint["effect"] == "NoExecute";
        let node = Node {
            labels: labels(&node["metadata"]),
            taints: taints.filter(keeps_off).cloned().collect(),
            allocatable: allocatable.collect(),
        };
        self.usable.insert(name.to_owned(), node);
    }

    /// Whether Karpenter adds nodes to them: then pods that do not fit are what brings more.
    pub(super) fn grow(&self) -> bool {
        self.grow
    }

    /// Adds a pod; one that has ended takes nothing.
    pub(super) fn add_pod(&mut self, pod: &Value) {
        if matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
            return;
        }
        let spec = &pod["spec"];
        let priority = spec["priority"].as_i64().unwrap_or(0);
        if let Some(class) = spec["priorityClassName"].as_str() {
            self.classes.insert(class.to_owned(), priority);
        }
        match spec["nodeName"].as_str().filter(|name| !name.is_empty()) {
            Some(node) => {
                let taken = Taken { priority, requests: requests::all(spec) };
                self.taken.entry(node.to_owned()).or_default().push(taken);
            }
            None => {
                let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
                self.pending.push(Pending { namespace, labels: labels(&pod["metadata"]) });
            }
        }
    }

    /// Room for pods of a template, beside those of its selector that have no node yet; `None` when the template or its
    /// priority cannot be read. Pods of lower priority give way, and take nothing.
    pub(super) fn room(&self, template: &Value, namespace: &str, selector: Option<&Selector>) -> Option<Room> {
        let spec = &template["spec"];
        spec["containers"].as_array()?;
        let priority = match (spec["priority"].as_i64(), spec["priorityClassName"].as_str()) {
            (Some(priority), _) => priority,
            (None, Some(class)) if !class.is_empty() => *self.classes.get(class)?,
            (None, _) => 0,
        };
        let gives_way = |taken: &Taken| spec["preemptionPolicy"] != "Never" && taken.priority < priority;
        let needs = requests::all(spec);
        let fitting = self.usable.iter().filter(|(_, node)| is_selected(spec, node) && is_tolerated(spec, node));
        let (mut nodes, mut more) = (0, 0_u64);
        for (name, node) in fitting {
            nodes += 1;
            let taken = self.taken.get(name).map(Vec::as_slice).unwrap_or_default();
            let taken: Vec<&Taken> = taken.iter().filter(|t| !gives_way(t)).collect();
            more = more.saturating_add(fits(node, &taken, &needs));
        }
        let is_own = |p: &&Pending| p.namespace == namespace && selector.is_some_and(|s| s.matches(&p.labels));
        let waiting = u64::try_from(self.pending.iter().filter(is_own).count()).unwrap_or(u64::MAX);
        let takes: Vec<String> = needs.iter().map(|(name, amount)| words(name, *amount)).collect();
        Some(Room::on_nodes(nodes, more.saturating_sub(waiting), &takes))
    }
}

/// How many times the needs fit on a node beside what is there.
fn fits(node: &Node, taken: &[&Taken], needs: &[(String, f64)]) -> u64 {
    let used = |resource: &str| {
        let of = |t: &&Taken| t.requests.iter().find(|r| r.0 == resource).map_or(0.0, |r| r.1);
        taken.iter().map(of).sum::<f64>()
    };
    let has = |resource: &str| node.allocatable.get(resource).copied().unwrap_or(0.0);
    #[allow(clippy::cast_precision_loss, reason = "a node has some hundred pods")]
    let by_count = requests::times(has("pods") - taken.len() as f64, 1.0);
    needs.iter().map(|(name, need)| requests::times(has(name) - used(name), *need)).fold(by_count, u64::min)
}

fn is_selected(spec: &Value, node: &Node) -> bool {
    let wanted = spec["nodeSelector"].as_object();
    wanted.into_iter().flatten().all(|(key, value)| node.labels.get(key).map(String::as_str) == value.as_str())
}

fn is_tolerated(spec: &Value, node: &Node) -> bool {
    let tolerations = spec["tolerations"].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    node.taints.iter().all(|taint| {
        tolerations.iter().any(|toleration| {
            let (key, effect) = (text(&toleration["key"]), text(&toleration["effect"]));
            let exists = toleration["operator"] == "Exists";
            let is_key = if key.is_empty() { exists } else { key == text(&taint["key"]) };
            let is_effect = effect.is_empty() || effect == text(&taint["effect"]);
            is_key && is_effect && (exists || text(&toleration["value"]) == text(&taint["value"]))
        })
    })
}

fn labels(metadata: &Value) -> BTreeMap<String, String> {
    let pairs = metadata["labels"].as_object().into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// An amount of a resource: `0.5 cores`, `256 MiB`, `1 nvidia.com/gpu`.
fn words(resource: &str, amount: f64) -> String {
    match resource {
        "cpu" => format!("{} cores", short(amount)),
        "memory" => format!("{} MiB", short(amount / MIB)),
        "ephemeral-storage" => format!("{} MiB of disk", short(amount / MIB)),
        other => format!("{} {other}", short(amount)),
    }
}

#[cfg(test)]
mod tests;
