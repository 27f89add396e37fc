//! Against a server that behaves as Marathon does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use vocab::error::chain;
use vocab::{Clock, ErrorKind, Problems};

use super::config::{RawMarathon, check, is_app_id};
use super::events::take_events;
use super::{MarathonConfig, MarathonOrchestrator};
use crate::error::OrchestratorError;
use crate::orchestrator::{Orchestrator, ScaleChange};
use crate::testing::{Conformance, FAULT_TIMEOUT, Faults, Reply, Request, RunningClock, Server, conformance, faults};

const TOKEN: &str = "hush-hush-8";

#[derive(Default)]
struct State {
    instances: BTreeMap<String, u64>,
    tasks: BTreeMap<String, Vec<String>>,
    number: u64,
    version: i64,
    /// Deployments that hold the app.
    locks: Vec<String>,
    /// Whether each change leaves a deployment that holds the app.
    gets_stuck: bool,
    streams: Vec<mpsc::Sender<Vec<u8>>>,
}

impl State {
    fn set(&mut self, app: &str, instances: u64) {
        self.version += 1;
        self.instances.insert(app.to_owned(), instances);
        let tasks = self.tasks.entry(app.to_owned()).or_default();
        // The youngest leave first.
        tasks.truncate(usize::try_from(instances).expect("small"));
        while tasks.len() < usize::try_from(instances).expect("small") {
            self.number += 1;
            tasks.push(format!("web.{}", self.number));
        }
    }

    fn answer(&mut self, request: &Request) -> Reply {
        if request.path == "/v2/events" {
            assert_eq!(request.header("accept"), "text/event-stream");
            let (sender, receiver) = mpsc::channel(100);
            self.streams.push(sender);
            return Reply::Stream(receiver);
        }
        let app = request.path.strip_prefix("/v2/apps/").expect("an app").to_owned();
        if let Some((app, task)) = app.split_once("/tasks/").filter(|_| request.method == "DELETE") {
            return self.end(app, task, request);
        }
        let Some(instances) = self.instances.get(&app).copied() else {
            return Reply::Json(404, json!({"message": format!("App '{app}' does not exist")}));
        };
        if request.method == "GET" {
            return Reply::Json(200, json!({"app": self.app(&app, instances)}));
        }
        let is_forced = request.query == "force=true";
        if !self.locks.is_empty() && !is_forced {
            let deployments: Vec<Value> = self.locks.iter().map(|id| json!({"id": id})).collect();
            return Reply::Json(
                409,
                json!({"deployments": deployments, "message":
                "App is locked by one or more deployments. Override with the option '?force=true'. View details at '/v2/deployments/<DEPLOYMENT_ID>'."}),
            );
        }
        let body = request.json();
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(1), "the number alone: {body}");
        self.set(&app, body["instances"].as_u64().expect("a number"));
        let id = format!("deployment-{}", self.version);
        self.locks.clear();
        if self.gets_stuck {
            self.locks.push(id.clone());
        }
        Reply::Json(200, json!({"version": "2026-11-21T10:00:00.000Z", "deploymentId": id}))
    }

    fn end(&mut self, app: &str, task: &str, request: &Request) -> Reply {
        assert_eq!(request.query, "scale=false", "the number stays");
        let Some(tasks) = self.tasks.get_mut(app) else {
            return Reply::Json(404, json!({"message": format!("App '{app}' does not exist")}));
        };
        if !tasks.iter().any(|t| t == task) {
            return Reply::Json(404, json!({"message": format!("Task '{task}' does not exist")}));
        }
        // No deployment is made of it, and none that holds the app stands against it.
        self.number += 1;
        tasks.retain(|t| t != task);
        tasks.push(format!("web.{}", self.number));
        Reply::Json(200, json!({"task": {"id": task, "appId": app, "state": "TASK_RUNNING"}}))
    }

    fn app(&self, app: &str, instances: u64) -> Value {
        let tasks: Vec<Value> = self.tasks[app]
            .iter()
            .map(|id| {
                let port: u16 = id.rsplit('.').next().and_then(|n| n.parse().ok()).unwrap_or(0);
                json!({"id": id, "appId": app, "host": "10.0.0.1", "ports": [31000 + port], "state": "TASK_RUNNING",
                       "stagedAt": "2026-11-21T10:00:00.000Z", "startedAt": "2026-11-21T10:00:05.000Z",
                       "healthCheckResults": [{"alive": true, "taskId": id}]})
            })
            .collect();
        let version = jiff::Timestamp::from_millisecond(1_795_255_200_000 + self.version).expect("a time");
        json!({"id": app, "instances": instances, "version": format!("{version:.3}"), "tasks": tasks,
               "healthChecks": [{"protocol": "HTTP"}], "deployments": []})
    }
}

struct Given {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl Given {
    async fn new() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        state.lock().set("/shop/web", 1);
        let inner = Arc::clone(&state);
        let server = Server::start(move |request| {
            if request.header("authorization") != format!("token={TOKEN}") {
                return Reply::Json(401, json!({"message": "Invalid username or password."}));
            }
            inner.lock().answer(request)
        });
        Self { server: server.await, state }
    }

    fn orchestrator(&self, more: &str) -> MarathonOrchestrator {
        let yaml = format!(
            "url: {}\ntoken: {{secret: {TOKEN}}}\nservices: [{{service: web, app: /shop/web}}]\n{more}",
            self.server.address()
        );
        let (config, problems) = read(&yaml);
        assert_eq!(problems, Vec::<String>::new());
        MarathonOrchestrator::new(config, Arc::new(RunningClock::default()))
    }
}

fn read(yaml: &str) -> (MarathonConfig, Vec<String>) {
    let raw: RawMarathon = serde_saphyr::from_str(yaml).expect("well formed");
    let mut problems = Problems::default();
    let config = check(&raw, "local", "marathon[0]", &mut problems);
    (config, problems.list.iter().map(|p| format!("{}: {}", p.path, p.message)).collect())
}

fn given() -> Conformance {
    let clock = Arc::new(RunningClock::default());
    Conformance { service: "web".into(), patience: Duration::from_secs(20), has_addresses: true, clock }
}

#[tokio::test]
async fn it_passes_the_suite() {
    let marathon = Given::new().await;
    conformance(&marathon.orchestrator(""), &given()).await;
}

#[tokio::test]
async fn it_stands_a_server_that_misbehaves() {
    let marathon = Given::new().await;
    let timeout = vocab::duration::format_duration(FAULT_TIMEOUT);
    let orchestrator = marathon.orchestrator(&format!("timeout: {timeout}"));
    until_streamed(&marathon).await;
    let with = Faults {
        server: &marathon.server,
        read: "GET /v2/apps",
        write: "PUT",
        replace: "DELETE",
        stale: None,
        stale_tries: 5,
        secret: TOKEN,
    };
    faults(&orchestrator, &given(), &with).await;
}

async fn until_streamed(marathon: &Given) {
    let clock = RunningClock::default();
    let start = clock.monotonic();
    while marathon.state.lock().streams.is_empty() {
        assert!(clock.monotonic() - start < Duration::from_secs(20), "no stream");
        clock.sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_lock_of_somebody_else_is_never_forced() {
    let marathon = Given::new().await;
    let orchestrator = marathon.orchestrator("stuck_after: 0s");
    marathon.state.lock().locks = vec!["rollout-1".into()];
    let error = orchestrator.scale("web", ScaleChange { from: 1, to: 3 }).await.expect_err("locked");
    assert!(matches!(error, OrchestratorError::Busy { .. }), "{error:?}");
    assert!(chain(&error).contains("somebody else's deployment"), "{}", chain(&error));
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(marathon.server.count("PUT"), 1, "reported, not tried again");
    assert!(orchestrator.scale("web", ScaleChange { from: 1, to: 0 }).await.is_err());
    assert!(marathon.server.seen().iter().all(|r| !r.query.contains("force")), "never forced");
    assert_eq!(orchestrator.state("web").await.expect("readable").wanted, 1);
}

#[tokio::test]
async fn a_lock_of_our_own_is_waited_for_and_forced_only_downwards_when_stuck() {
    let marathon = Given::new().await;
    marathon.state.lock().gets_stuck = true;
    let patient = marathon.orchestrator("");
    patient.scale("web", ScaleChange { from: 1, to: 3 }).await.expect("taken");
    for to in [5, 2] {
        marathon.server.reset();
        let error = patient.scale("web", ScaleChange { from: 3, to }).await.expect_err("still under way");
        assert!(chain(&error).contains("our own change"), "{}", chain(&error));
        assert_eq!(marathon.server.count("PUT"), 5, "tried five times");
        assert!(marathon.server.seen().iter().all(|r| !r.query.contains("force")));
    }
    // Another instance of the program does not know the deployment: for it, it is somebody's.
    let hasty = marathon.orchestrator("stuck_after: 0s");
    assert!(hasty.scale("web", ScaleChange { from: 3, to: 2 }).await.is_err());
    marathon.state.lock().locks.clear();
    hasty.scale("web", ScaleChange { from: 3, to: 4 }).await.expect("taken");
    marathon.server.reset();
    hasty.scale("web", ScaleChange { from: 4, to: 5 }).await.expect_err("never forced upwards");
    hasty.scale("web", ScaleChange { from: 4, to: 2 }).await.expect("forced downwards");
    assert_eq!(marathon.server.seen().iter().filter(|r| r.query == "force=true").count(), 1);
}

#[tokio::test]
async fn its_events_tell_of_deaths_and_of_deployments_that_end() {
    let marathon = Given::new().await;
    let orchestrator = marathon.orchestrator("");
    until_streamed(&marathon).await;
    let death = json!({"eventType": "status_update_event", "appId": "/shop/web", "taskId": "web.1",
        "taskStatus": "TASK_FAILED", "message": "exit 1", "timestamp": "2026-11-21T10:00:00.000Z"});
    let stream = marathon.state.lock().streams[0].clone();
    // In two parts, as a network may cut it.
    let text = format!("\r\n\r\nevent: status_update_event\r\ndata: {death}\r\n\r\n");
    let (first, second) = text.split_at(40);
    stream.send(first.into()).await.expect("followed");
    stream.send(second.into()).await.expect("followed");
    let clock = RunningClock::default();
    let start = clock.monotonic();
    let events = loop {
        let events = orchestrator.take_events();
        if !events.is_empty() {
            break events;
        }
        assert!(clock.monotonic() - start < Duration::from_secs(20), "no event");
        clock.sleep(Duration::from_millis(10)).await;
    };
    assert_eq!((events[0].service.as_str(), events[0].replica.as_str()), ("web", "web.1"));
    assert_eq!(events[0].summary, "died (exit 1), replaced by Marathon");
    assert_eq!(events[0].time_ms, 1_795_255_200_000);
}

#[test]
fn a_stream_is_cut_into_events() {
    let mut seen = Vec::new();
    let mut buffer = b":ping\n\nevent: a\ndata: 1\ndata: 2\n\ndata: 3\n\nevent: b\ndata: x".to_vec();
    take_events(&mut buffer, |name, data| seen.push(format!("{name}={data}")));
    assert_eq!(seen, ["a=1\n2", "message=3"]);
    assert_eq!(buffer, b"event: b\ndata: x");
}

#[test]
fn ids_and_mistakes() {
    for (id, expect) in [
        ("/web", true),
        ("/a/b-c.d", true),
        ("web", false),
        ("/", false),
        ("/a//b", false),
        ("/../x", false),
        ("/A", false),
        ("/a?b", false),
    ] {
        assert_eq!(is_app_id(id), expect, "{id}");
    }
    let (_, problems) = read(
        "{url: 'marathon:8080', username: x, token: {secret: y}, timeout: x, services: [{service: web, app: web}]}",
    );
    for expect in [
        "marathon[0].url: want",
        "marathon[0].token: want either",
        "marathon[0].timeout: invalid",
        "marathon[0].services[0].app: want",
    ] {
        assert!(problems.iter().any(|p| p.starts_with(expect)), "{expect} is not in {problems:?}");
    }
}
