//! Tasks as engines describe them.

use serde_json::json;

use super::tasks::{bridge_address, parse};

#[test]
fn tasks_are_read() {
    let list = json!([
        {"ID": "a", "Slot": 1, "DesiredState": "running",
         "Status": {"State": "running", "Timestamp": "2026-11-21T10:00:00.5Z", "ContainerStatus": {"ContainerID": "c1"}}},
        {"ID": "b", "Slot": 2, "DesiredState": "running", "Status": {"State": "pending", "Message": "no suitable node"}},
        {"ID": "c", "Slot": 3, "DesiredState": "remove", "Status": {"State": "running", "ContainerStatus": {"ContainerID": "c3"}},
         "NetworksAttachments": [
            {"Network": {"Spec": {"Ingress": true}}, "Addresses": ["10.255.0.4/16"]},
            {"Network": {"Spec": {"Name": "back"}}, "Addresses": ["10.0.1.7/24"]}]},
        {"ID": "d", "Slot": 1, "DesiredState": "shutdown", "Status": {"State": "failed", "Err": "exit 1"}},
        {"ID": "e", "Slot": 4, "DesiredState": "shutdown", "Status": {"State": "pending"}},
        {"what": "ever"},
    ]);
    let tasks = parse(&list);
    let words: Vec<String> = tasks
        .iter()
        .map(|t| {
            format!(
                "{} alive={} running={} leaving={} {}",
                t.replica_id("web"),
                t.is_alive(),
                t.is_running,
                t.is_leaving,
                t.note
            )
        })
        .collect();
    assert_eq!(
        words,
        [
            "web.1.a alive=true running=true leaving=false ",
            "web.2.b alive=true running=false leaving=false no suitable node",
            "web.3.c alive=true running=true leaving=true ",
            "web.1.d alive=false running=false leaving=true exit 1",
            "web.4.e alive=false running=false leaving=true ",
        ]
    );
    assert_eq!(tasks[0].started_at_ms, Some(1_795_255_200_500));
    assert_eq!(tasks[2].overlay_address, Some([10, 0, 1, 7].into()));
    assert!(tasks[3].has_failed);
    assert!(parse(&json!({"message": "no"})).is_empty());
}

#[test]
fn a_container_on_the_bridge_has_an_address() {
    let inspected = json!({"NetworkSettings": {"Networks": {
        "ingress": {"IPAddress": "10.255.0.3"}, "bridge": {"IPAddress": "172.17.0.2"}}}});
    assert_eq!(bridge_address(&inspected), Some([172, 17, 0, 2].into()));
    assert_eq!(bridge_address(&json!({"NetworkSettings": {"Networks": {"bridge": {"IPAddress": ""}}}})), None);
}
