use serde_json::json;

use super::*;

fn node(name: &str, cpu: &str, pods: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"disk": "ssd", "name": name}}, "spec": {},
        "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": pods},
                   "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}]}})
}

fn pod(node: &str, cpu: &str) -> Value {
    json!({"metadata": {"namespace": "shop", "labels": {"app": "web"}}, "status": {"phase": "Running"},
        "spec": {"nodeName": node, "containers": [{"resources": {"requests": {"cpu": cpu}}}]}})
}

fn template(cpu: &str) -> Value {
    json!({"spec": {"containers": [{"resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}]}})
}

fn cluster(nodes: &[Value], pods: &[Value]) -> Nodes {
    let mut cluster = Nodes::default();
    nodes.iter().for_each(|n| cluster.add_node(n));
    pods.iter().for_each(|p| cluster.add_pod(p));
    cluster
}

fn more(cluster: &Nodes, template: &Value) -> Option<u32> {
    cluster.room(template, "shop", Selector::parse("app=web").as_ref()).map(|room| room.more)
}

/// A value with one member set.
fn with(mut value: Value, pointer: &str, member: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    value.pointer_mut(parent).expect("there")[key] = member;
    value
}

#[test]
fn each_node_is_filled_for_itself() {
    let nodes = [node("a", "4", "110"), node("b", "2", "110")];
    let empty = cluster(&nodes, &[]);
    // Three fit on a and one on b, though six cores would be four and a half times as much.
    assert_eq!(more(&empty, &template("1300m")), Some(4));
    let room = empty.room(&template("500m"), "shop", None).expect("known");
    assert_eq!(
        (room.more, room.reason.as_str()),
        (12, "2 usable nodes have room for 12 more: a replica takes 0.5 cores, 1024 MiB")
    );
    // A tenth is a tenth, however the sums are rounded.
    let tenths = cluster(&[node("a", "1", "110")], &(0..7).map(|_| pod("a", "100m")).collect::<Vec<_>>());
    assert_eq!(more(&tenths, &template("100m")), Some(3));
    let used = cluster(&nodes, &[pod("a", "3"), pod("b", "500m")]);
    assert_eq!(more(&used, &template("500m")), Some(5));
    assert_eq!(more(&used, &template("2")), Some(0));
    // Memory is the scarcer.
    assert_eq!(
        more(&used, &with(template("1m"), "/spec/containers/0/resources/requests/memory", json!("4Gi"))),
        Some(4)
    );
    // So is the number of pods, the only bound of those that ask for nothing.
    let nothing = json!({"spec": {"containers": [{}]}});
    let few = cluster(&[node("a", "4", "3"), node("b", "4", "2")], &[pod("a", "1")]);
    assert_eq!((more(&few, &nothing), more(&few, &template("1m"))), (Some(4), Some(4)));
    assert_eq!(few.room(&nothing, "shop", None).expect("known").reason, "2 usable nodes have room for 4 more");
    // What no node has fits nowhere.
    let gpu = with(template("1m"), "/spec/containers/0/resources/limits", json!({"nvidia.com/gpu": 1}));
    assert_eq!(more(&empty, &gpu), Some(0));
}

#[test]
fn nodes_that_take_no_such_pods_do_not_count() {
    let ready = node("a", "4", "110");
    let tainted =
        |effect: &str| with(ready.clone(), "/spec/taints", json!([{"key": "team", "value": "x", "effect": effect}]));
    let plain = template("1");
    for (what, node, expect) in [
        ("ready", ready.clone(), 4),
        ("not ready", with(ready.clone(), "/status/conditions", json!([{"type": "Ready", "status": "Unknown"}])), 0),
        ("cordoned", with(ready.clone(), "/spec/unschedulable", json!(true)), 0),
        ("NoSchedule", tainted("NoSchedule"), 0),
        ("NoExecute", tainted("NoExecute"), 0),
        ("PreferNoSchedule", tainted("PreferNoSchedule"), 4),
    ] {
        assert_eq!(more(&cluster(&[node], &[]), &plain), Some(expect), "{what}");
    }
    let nodes = cluster(&[tainted("NoSchedule")], &[]);
    for (toleration, expect) in [
        (json!({"key": "team", "operator": "Exists"}), 4),
        (json!({"key": "team", "value": "x"}), 4),
        (json!({"key": "team", "operator": "Equal", "value": "x", "effect": "NoSchedule"}), 4),
        (json!({"operator": "Exists"}), 4),
        (json!({"key": "team", "value": "y"}), 0),
        (json!({"key": "other", "operator": "Exists"}), 0),
        (json!({"key": "team", "operator": "Exists", "effect": "NoExecute"}), 0),
    ] {
        let tolerating = with(plain.clone(), "/spec/tolerations", json!([toleration]));
        assert_eq!(more(&nodes, &tolerating), Some(expect), "{toleration}");
    }
    let two = cluster(&[ready.clone(), node("b", "2", "110")], &[]);
    let selecting = |selector: Value| with(plain.clone(), "/spec/nodeSelector", selector);
    assert_eq!(more(&two, &selecting(json!({"disk": "ssd"}))), Some(6));
    assert_eq!(more(&two, &selecting(json!({"disk": "ssd", "name": "b"}))), Some(2));
    assert_eq!(more(&two, &selecting(json!({"disk": "hdd"}))), Some(0));
}

#[test]
fn nodes_of_karpenter_grow() {
    let own = with(node("a", "4", "110"), "/metadata/labels", json!({"karpenter.sh/nodepool": "default"}));
    assert!(cluster(&[node("b", "4", "110"), own], &[]).grow() && !cluster(&[node("a", "4", "110")], &[]).grow());
}

#[test]
fn pods_that_have_ended_give_way_or_wait_are_counted_as_such() {
    let nodes = [node("a", "4", "110")];
    let ended = with(pod("a", "4"), "/status/phase", json!("Succeeded"));
    assert_eq!(more(&cluster(&nodes, &[ended]), &template("1")), Some(4));
    // One of our own that has no node yet will take one of the places; another's is another's affair.
    let waiting = pod("", "1");
    let others = with(pod("", "1"), "/metadata/namespace", json!("bank"));
    assert_eq!(more(&cluster(&nodes, &[waiting, others]), &template("1")), Some(3));
    // Placeholders of a lower priority make room, unless they need not.
    let placeholder = with(pod("a", "3"), "/spec/priority", json!(-10));
    let cluster = cluster(&nodes, &[placeholder, with(pod("a", "1"), "/spec/priorityClassName", json!("high"))]);
    assert_eq!(more(&cluster, &template("1")), Some(3));
    let polite = with(template("1"), "/spec/preemptionPolicy", json!("Never"));
    assert_eq!(more(&cluster, &polite), Some(0));
    let class = |name: &str| with(template("1"), "/spec/priorityClassName", json!(name));
    assert_eq!((more(&cluster, &class("high")), more(&cluster, &class("unheard-of"))), (Some(3), None));
    assert_eq!(more(&cluster, &json!(null)), None, "no template");
}
