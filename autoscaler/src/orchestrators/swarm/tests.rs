//! Tasks as engines describe them, and an engine that misbehaves; a real one runs in the integration tests.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use vocab::ErrorKind;
use vocab::error::chain;

use super::tasks::{bridge_address, parse};
use super::{SwarmConfig, SwarmOrchestrator};
use crate::error::OrchestratorError;
use crate::orchestrator::{Orchestrator, ScaleChange};
use crate::testing::{
    Conformance, FAULT_TIMEOUT, Fault, Faults, Reply, Request, RunningClock, Server, conformance, faults,
};

/// What an engine says of a version that has moved.
const STALE: &str = r#"{"message":"rpc error: code = Unknown desc = update out of sequence"}"#;

struct Swarm {
    version: u64,
    replicas: u64,
    tasks: Vec<u64>,
    number: u64,
    restart: Value,
    node: &'static str,
}

impl Swarm {
    fn set(&mut self, replicas: u64) {
        self.version += 1;
        self.replicas = replicas;
        self.tasks.truncate(usize::try_from(replicas).expect("small"));
        while self.tasks.len() < usize::try_from(replicas).expect("small") {
            self.number += 1;
            self.tasks.push(self.number);
        }
    }

    fn spec(&self) -> Value {
        json!({"Name": "web", "Labels": {"tidewatch.port": "80"}, "TaskTemplate": {"ContainerSpec": {"Image": "x", "StopGracePeriod": 2_500_000_000_u64},
               "RestartPolicy": self.restart},
               "Mode": {"Replicated": {"Replicas": self.replicas}}})
    }

    fn answer(&mut self, request: &Request) -> Reply {
        let service = json!({"ID": "s1", "Version": {"Index": self.version}, "Spec": self.spec()});
        let agent = json!({"ID": "s2", "Version": {"Index": 1}, "Spec": {"Name": "agent", "Mode": {"Global": {}}}});
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/v1.41/services") => Reply::Json(200, json!([service, agent])),
            ("GET", "/v1.41/services/web") => Reply::Json(200, service),
            ("GET", "/v1.41/services/agent") => Reply::Json(200, agent),
            ("GET", "/v1.41/tasks") => {
                let tasks = self.tasks.iter().map(|n| json!({"ID": format!("t{n}"), "Slot": n, "NodeID": self.node, "DesiredState": "running",
                    "Status": {"State": "running", "Timestamp": "2026-11-21T10:00:00Z", "ContainerStatus": {"ContainerID": format!("c{n}")}},
                    "NetworksAttachments": [{"Network": {"Spec": {"Name": "back"}}, "Addresses": [format!("10.0.1.{n}/24")]}]}));
                Reply::Json(200, tasks.collect())
            }
            ("POST", "/v1.41/services/s1/update") => {
                if request.parameter("version") != Some(self.version.to_string()) {
                    return Reply::Text(500, STALE.into());
                }
                assert_eq!(request.parameter("registryAuthFrom").as_deref(), Some("spec"));
                let mut body = request.json();
                let replicas = body["Mode"]["Replicated"]["Replicas"].as_u64().expect("a number");
                body["Mode"] = self.spec()["Mode"].clone();
                assert_eq!(body, self.spec(), "the whole specification comes back");
                self.set(replicas);
                Reply::Json(200, json!({"Warnings": null}))
            }
            ("GET", "/v1.41/info") => Reply::Json(200, json!({"Swarm": {"NodeID": "n1", "ControlAvailable": true}})),
            ("POST", path) if path.starts_with("/v1.41/containers/") => {
                assert_eq!(request.parameter("t").as_deref(), Some("3"), "its grace period");
                let Some(index) = self.tasks.iter().position(|n| path == format!("/v1.41/containers/c{n}/stop")) else {
                    return Reply::Json(404, json!({"message": "No such container"}));
                };
                self.number += 1;
                self.tasks[index] = self.number;
                Reply::Text(204, String::new())
            }
            _ => Reply::Json(404, json!({"message": "service not found"})),
        }
    }
}

fn scripted(dir: &tempfile::TempDir) -> (Server, SwarmOrchestrator) {
    let (restart, node) = (json!({"Condition": "any"}), "n1");
    scripted_with(dir, Swarm { version: 1027, replicas: 0, tasks: Vec::new(), number: 0, restart, node })
}

fn scripted_with(dir: &tempfile::TempDir, mut swarm: Swarm) -> (Server, SwarmOrchestrator) {
    swarm.set(1);
    let swarm = Mutex::new(swarm);
    let socket = dir.path().join("docker.sock");
    let server = Server::start_unix(&socket, move |request| swarm.lock().answer(request));
    let config = SwarmConfig { socket, services: Vec::new(), timeout: Some(FAULT_TIMEOUT) };
    (server, SwarmOrchestrator::new("local", config, Arc::new(RunningClock::default())))
}

fn given() -> Conformance {
    let clock = Arc::new(RunningClock::default());
    Conformance { service: "web".into(), patience: Duration::from_secs(20), has_addresses: true, clock }
}

#[tokio::test]
async fn a_scripted_engine_passes_the_suite() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_server, swarm) = scripted(&dir);
    conformance(&swarm, &given()).await;
    let error = swarm.scale("agent", ScaleChange { from: 1, to: 2 }).await.expect_err("global");
    assert!(chain(&error).contains("its mode is Global, not Replicated"), "{}", chain(&error));
}

#[tokio::test]
async fn it_stands_an_engine_that_misbehaves() {
    let dir = tempfile::tempdir().expect("a directory");
    let (server, swarm) = scripted(&dir);
    let with = Faults {
        server: &server,
        read: "GET /services",
        write: "POST /services",
        replace: "POST /containers",
        stale: Some(Fault::Status(500, STALE.into())),
        stale_tries: 5,
        secret: "",
    };
    faults(&swarm, &given(), &with).await;
}

#[tokio::test]
async fn what_swarm_would_not_start_again_or_runs_elsewhere_is_not_ended() {
    for (restart, node, expect) in [
        (json!({"Condition": "on-failure"}), "n1", "with the restart condition on-failure"),
        (json!({"Condition": "any", "MaxAttempts": 3}), "n1", "with a limit of restarts"),
        (json!({}), "n2", "it runs on node n2"),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let swarm = Swarm { version: 7, replicas: 0, tasks: Vec::new(), number: 0, restart, node };
        let (server, swarm) = scripted_with(&dir, swarm);
        let error = swarm.replace("web", "web.1.t1").await.expect_err("not to be ended");
        assert!(matches!(error, OrchestratorError::NotReplaceable { .. }), "{error:?}");
        assert!(chain(&error).contains(expect), "{}", chain(&error));
        assert_eq!(server.count("POST"), 0, "nothing was done");
    }
}

#[tokio::test]
async fn a_worker_is_told_apart_from_a_hiccup() {
    let dir = tempfile::tempdir().expect("a directory");
    let (server, swarm) = scripted(&dir);
    let words = "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state.";
    server.fail("GET", 1000, Fault::Status(503, json!({"message": words}).to_string()));
    let error = swarm.state("web").await.expect_err("a worker");
    assert_eq!((error.kind(), server.count("GET")), (ErrorKind::Unavailable, 1), "{}", chain(&error));
    assert!(chain(&error).contains("not a swarm manager"), "{}", chain(&error));
}

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
