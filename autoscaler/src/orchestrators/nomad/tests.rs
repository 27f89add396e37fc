//! Against a server that behaves as Nomad does.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use vocab::error::chain;
use vocab::{ErrorKind, Problems};

use super::NomadOrchestrator;
use super::config::{RawNomad, check};
use crate::error::OrchestratorError;
use crate::orchestrator::{Orchestrator, ScaleChange};
use crate::testing::{
    Conformance, FAULT_TIMEOUT, Fault, Faults, Reply, Request, RunningClock, Server, conformance, faults,
};

const TOKEN: &str = "hush-hush-9";

#[derive(Default)]
struct State {
    index: u64,
    count: u64,
    allocations: Vec<u64>,
    number: u64,
    has_deployment: bool,
    hides_nodes: bool,
    groups: Vec<&'static str>,
}

impl State {
    fn set(&mut self, count: u64) {
        self.index += 1;
        self.count = count;
        self.allocations.truncate(usize::try_from(count).expect("small"));
        while self.allocations.len() < usize::try_from(count).expect("small") {
            self.number += 1;
            self.allocations.push(self.number);
        }
    }

    fn answer(&mut self, request: &Request) -> Reply {
        match request.path.as_str() {
            "/v1/nodes" if self.hides_nodes => return Reply::Text(403, "Permission denied".into()),
            "/v1/nodes" => {
                assert_eq!(request.parameter("resources").as_deref(), Some("true"));
                return Reply::Json(
                    200,
                    json!([{"ID": "n1", "Datacenter": "dc1", "Status": "ready", "SchedulingEligibility": "eligible",
                        "Drivers": {"exec": {"Healthy": true}}, "NodeResources": {"Cpu": {"CpuShares": 4000},
                        "Memory": {"MemoryMB": 8000}, "Disk": {"DiskMB": 9000}}, "ReservedResources": null}]),
                );
            }
            "/v1/allocations" => {
                assert_eq!(request.parameter("namespace").as_deref(), Some("*"));
                let used = json!({"Tasks": {"main": {"Cpu": {"CpuShares": 1000}, "Memory": {"MemoryMB": 10}}}});
                let list = self
                    .allocations
                    .iter()
                    .map(|_| json!({"NodeID": "n1", "ClientStatus": "running", "AllocatedResources": used}));
                return Reply::Json(200, list.collect());
            }
            _ => {}
        }
        if request.parameter("namespace").as_deref() != Some("shop") {
            return Reply::Text(404, "job not found".into());
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/v1/job/web/scale") => {
                let groups: serde_json::Map<String, Value> = self
                    .groups
                    .iter()
                    .map(|g| {
                        (
                            (*g).to_owned(),
                            json!({"Desired": self.count, "Placed": self.count, "Running": self.count,
                        "Healthy": self.count, "Unhealthy": 0, "Events": null}),
                        )
                    })
                    .collect();
                Reply::Json(
                    200,
                    json!({"JobID": "web", "JobModifyIndex": self.index, "JobStopped": false, "TaskGroups": groups}),
                )
            }
            ("GET", "/v1/job/web") => {
                let tasks = json!([{"Name": "main", "Driver": "exec", "Resources": {"CPU": 1000, "MemoryMB": 10}}]);
                let groups: Vec<Value> = self.groups.iter().map(|g| json!({"Name": g, "Tasks": tasks})).collect();
                Reply::Json(200, json!({"ID": "web", "Datacenters": ["*"], "TaskGroups": groups}))
            }
            ("GET", "/v1/job/web/allocations") => {
                let group = self.groups[0];
                let list = self.allocations.iter().map(|n| json!({"ID": format!("a-{n:04}"), "TaskGroup": group,
                    "DesiredStatus": "run", "ClientStatus": "running", "CreateTime": 1_795_255_200_000_000_000_i64,
                    "DeploymentStatus": {"Healthy": true, "Timestamp": "2026-11-21T10:00:09Z"},
                    "AllocatedResources": {"Shared": {"Ports": [{"Label": "http", "Value": 20000 + n, "HostIP": "10.0.0.1"}]}}}));
                let mut list: Vec<Value> = list.collect();
                list.push(
                    json!({"ID": "gone", "TaskGroup": group, "DesiredStatus": "stop", "ClientStatus": "complete"}),
                );
                Reply::Json(200, list.into())
            }
            ("POST", "/v1/job/web/scale") => {
                let body = request.json();
                assert!(!body["Message"].as_str().unwrap_or_default().is_empty(), "Nomad wants a reason: {body}");
                if body["Target"]["Group"] != self.groups[0] {
                    return Reply::Text(400, "task group does not exist in job".into());
                }
                if self.has_deployment {
                    return Reply::Text(400, "job scaling blocked due to active deployment".into());
                }
                if body["JobModifyIndex"] != self.index {
                    return Reply::Text(
                        500,
                        format!(
                            "Enforcing job modify index {}: job exists with conflicting job modify index: {}",
                            body["JobModifyIndex"], self.index
                        ),
                    );
                }
                self.set(body["Count"].as_u64().expect("a count"));
                Reply::Json(
                    200,
                    json!({"EvalID": "e", "EvalCreateIndex": 45, "Index": 45, "JobModifyIndex": self.index, "Warnings": ""}),
                )
            }
            ("POST", path) if path.starts_with("/v1/allocation/") => {
                let asked = path.trim_start_matches("/v1/allocation/").trim_end_matches("/stop");
                let Some(index) = self.allocations.iter().position(|n| format!("a-{n:04}") == asked) else {
                    return Reply::Text(404, "allocation not found".into());
                };
                self.allocations.remove(index);
                self.number += 1;
                self.allocations.push(self.number);
                Reply::Json(200, json!({"EvalID": "e", "Index": 54}))
            }
            _ => Reply::Text(404, "job not found".into()),
        }
    }
}

struct Given {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl Given {
    async fn new() -> Self {
        let state = Arc::new(Mutex::new(State { groups: vec!["web"], ..State::default() }));
        state.lock().set(1);
        let inner = Arc::clone(&state);
        let server = Server::start(move |request| {
            if request.header("x-nomad-token") != TOKEN {
                return Reply::Text(403, "Permission denied".into());
            }
            inner.lock().answer(request)
        });
        Self { server: server.await, state }
    }

    fn orchestrator(&self, more: &str) -> NomadOrchestrator {
        let yaml = format!("url: {}\ntoken: {{secret: {TOKEN}}}\nnamespace: shop\n{more}", self.server.address());
        let raw: RawNomad = serde_saphyr::from_str(&yaml).expect("well formed");
        let mut problems = Problems::default();
        let config = check(&raw, "local", "nomad[0]", &mut problems);
        assert_eq!(problems, Problems::default());
        NomadOrchestrator::new(config, Arc::new(RunningClock::default()))
    }
}

fn given() -> Conformance {
    let clock = Arc::new(RunningClock::default());
    Conformance { service: "web".into(), patience: Duration::from_secs(20), has_addresses: true, clock }
}

#[tokio::test]
async fn it_passes_the_suite() {
    let nomad = Given::new().await;
    let orchestrator = nomad.orchestrator("services: [{service: web}]");
    conformance(&orchestrator, &given()).await;
    orchestrator.scale_because("web", ScaleChange { from: 1, to: 2 }, "812 RPS").await.expect("taken");
    assert_eq!(nomad.server.seen().last().map(|r| r.json()["Message"].clone()), Some("812 RPS".into()));
    let state = orchestrator.state("web").await.expect("readable");
    assert_eq!(state.replicas[0].ready_at_ms.zip(state.replicas[0].started_at_ms).map(|(r, s)| r - s), Some(9000));
}

#[tokio::test]
async fn it_stands_a_server_that_misbehaves() {
    let nomad = Given::new().await;
    let timeout = vocab::duration::format_duration(FAULT_TIMEOUT);
    let stale = "Enforcing job modify index 41: job exists with conflicting job modify index: 44";
    let with = Faults {
        server: &nomad.server,
        read: "GET /scale",
        write: "POST /scale",
        replace: "POST /stop",
        stale: Some(Fault::Status(500, stale.into())),
        stale_tries: 5,
        secret: TOKEN,
    };
    let orchestrator = nomad.orchestrator(&format!("timeout: {timeout}\nservices: [{{service: web}}]"));
    faults(&orchestrator, &given(), &with).await;
}

#[tokio::test]
async fn an_active_deployment_is_waited_for() {
    let nomad = Given::new().await;
    let orchestrator = nomad.orchestrator("");
    nomad.state.lock().has_deployment = true;
    let error = orchestrator.scale("web", ScaleChange { from: 1, to: 2 }).await.expect_err("blocked");
    assert!(matches!(error, OrchestratorError::Busy { .. }), "{error:?}");
    assert_eq!(nomad.server.count("POST"), 5);
    nomad.state.lock().has_deployment = false;
    orchestrator.scale("web", ScaleChange { from: 1, to: 2 }).await.expect("taken");
}

#[tokio::test]
async fn room_is_what_fits_on_the_nodes_and_unknown_without_the_right_to_list_them() {
    let nomad = Given::new().await;
    let orchestrator = nomad.orchestrator("");
    let room = orchestrator.room("web").await.expect("readable").expect("known");
    let expect = "1 usable nodes have room for 3 more: a replica takes 1000 MHz, 10 MiB";
    assert_eq!((room.more, room.reason.as_str()), (3, expect));
    nomad.state.lock().hides_nodes = true;
    assert_eq!(orchestrator.room("web").await.expect("forbidden is unknown"), None);
    assert_eq!(orchestrator.room("none").await.expect_err("no such job").kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_group_is_named_when_there_are_several() {
    let nomad = Given::new().await;
    nomad.state.lock().groups = vec!["front", "back"];
    let error = nomad.orchestrator("").state("web").await.expect_err("which?");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(chain(&error).ends_with("name one of back, front"), "{}", chain(&error));
    let named = nomad.orchestrator("services: [{service: web, group: front}]");
    named.scale("web", ScaleChange { from: 1, to: 2 }).await.expect("named");
    let secret = nomad.orchestrator("services: []").state("../../acl").await.expect_err("no such job");
    assert_eq!(secret.kind(), ErrorKind::NotFound);
    assert!(nomad.server.seen().iter().all(|r| r.path.starts_with("/v1/job/")), "no way out of its place");
}
