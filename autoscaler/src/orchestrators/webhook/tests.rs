//! Against a server that does what the module's head says.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use vocab::error::chain;
use vocab::{ErrorKind, Problems};

use super::config::{RawWebhook, check};
use super::{WebhookOrchestrator, sign};
use crate::error::OrchestratorError;
use crate::orchestrator::{Orchestrator, ScaleChange};
use crate::testing::{
    Conformance, FAULT_TIMEOUT, Fault, Faults, Reply, Request, RunningClock, Server, conformance, faults,
};

const KEY: &str = "hush-hush-10";

#[derive(Default)]
struct State {
    version: u64,
    number: u64,
    replicas: Vec<u64>,
}

impl State {
    fn set(&mut self, wanted: u64) {
        self.version += 1;
        self.replicas.truncate(usize::try_from(wanted).expect("small"));
        while self.replicas.len() < usize::try_from(wanted).expect("small") {
            self.number += 1;
            self.replicas.push(self.number);
        }
    }

    fn answer(&mut self, request: &Request) -> Reply {
        let signature = request.header("x-tidewatch-signature");
        let seconds = signature.strip_prefix("t=").and_then(|s| s.split(',').next()?.parse().ok()).unwrap_or(0);
        if signature != sign(KEY, seconds, &request.method, &request.path, &request.body) {
            return Reply::Json(401, json!({"message": "wrong signature"}));
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/hook/services") => Reply::Json(200, json!({"services": ["web", "api"]})),
            ("GET", "/hook/services/web") => {
                let replicas = self.replicas.iter().map(|n| {
                    json!({"id": format!("r{n}"), "ready": true,
                    "address": format!("10.0.0.1:{}", 2000 + n), "started_at": "2026-11-21T10:00:00Z"})
                });
                let replicas: Vec<Value> = replicas.collect();
                Reply::Json(200, json!({"version": self.version, "wanted": replicas.len(), "replicas": replicas}))
            }
            ("POST", "/hook/services/web/scale") => {
                let body = request.json();
                if body["from"] != self.replicas.len() {
                    return Reply::Json(409, json!({"message": "another number is wanted"}));
                }
                self.set(body["to"].as_u64().expect("a number"));
                Reply::Text(204, String::new())
            }
            ("POST", "/hook/services/web/replace") => {
                let name = request.json()["replica"].as_str().unwrap_or_default().to_owned();
                let Some(index) = self.replicas.iter().position(|n| format!("r{n}") == name) else {
                    return Reply::Json(409, json!({"message": "it is not there"}));
                };
                self.number += 1;
                self.replicas[index] = self.number;
                Reply::Text(202, String::new())
            }
            _ => Reply::Json(404, json!({"message": "no such service"})),
        }
    }
}

async fn server() -> Server {
    let mut state = State::default();
    state.set(1);
    let state = Mutex::new(state);
    Server::start(move |request| state.lock().answer(request)).await
}

fn orchestrator(server: &Server, more: &str) -> WebhookOrchestrator {
    let yaml = format!("url: {}/hook/\nkey: {{secret: {KEY}}}\n{more}", server.address());
    let raw: RawWebhook = serde_saphyr::from_str(&yaml).expect("well formed");
    let mut problems = Problems::default();
    let config = check(&raw, "local", "webhook[0]", &mut problems);
    assert_eq!(problems, Problems::default());
    WebhookOrchestrator::new(config, Arc::new(RunningClock::default()))
}

fn given() -> Conformance {
    let clock = Arc::new(RunningClock::default());
    Conformance { service: "web".into(), patience: Duration::from_secs(20), has_addresses: true, clock }
}

#[tokio::test]
async fn it_passes_the_suite() {
    let server = server().await;
    conformance(&orchestrator(&server, ""), &given()).await;
    let writes: Vec<_> = server.seen().into_iter().filter(|r| r.method == "POST").collect();
    assert!(writes.iter().all(|w| w.header("content-type") == "application/json"), "{writes:?}");
}

#[tokio::test]
async fn it_stands_a_server_that_misbehaves() {
    let server = server().await;
    let timeout = vocab::duration::format_duration(FAULT_TIMEOUT);
    // The token is what the server could give away; the key never leaves.
    let orchestrator = orchestrator(&server, &format!("timeout: {timeout}\ntoken: {{secret: hush-token}}"));
    let with = Faults {
        server: &server,
        read: "GET",
        write: "POST /scale",
        replace: "POST /replace",
        stale: Some(Fault::Status(409, "{\"message\":\"moved\"}".into())),
        stale_tries: 5,
        secret: "hush-token",
    };
    faults(&orchestrator, &given(), &with).await;
    assert!(!format!("{orchestrator:?}").contains(KEY));
}

#[tokio::test]
async fn a_repeated_change_has_one_key_and_a_wrong_signature_is_told() {
    let server = server().await;
    let good = orchestrator(&server, "");
    server.fail("POST", 1, Fault::GoneAfter);
    server.fail("POST", 1, Fault::Gone);
    good.scale("web", ScaleChange { from: 1, to: 2 }).await.expect("taken");
    good.scale("web", ScaleChange { from: 2, to: 3 }).await.expect("taken");
    let keys: Vec<String> =
        server.seen().iter().filter(|r| r.method == "POST").map(|r| r.header("idempotency-key").to_owned()).collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
    assert!(keys[0] != keys[1] && keys[1] == keys[2], "{keys:?}");
    let raw: RawWebhook = serde_saphyr::from_str(&format!("url: {}/hook", server.address())).expect("well formed");
    let unsigned = check(&raw, "local", "webhook[0]", &mut Problems::default());
    let unsigned = WebhookOrchestrator::new(unsigned, Arc::new(RunningClock::default()));
    let error = unsigned.state("web").await.expect_err("unsigned");
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    assert!(chain(&error).contains("wrong signature"), "{}", chain(&error));
}

#[tokio::test]
async fn a_webhook_that_cannot_replace_is_told_apart_from_a_service_that_is_not_there() {
    let server = server().await;
    let orchestrator = orchestrator(&server, "");
    for status in [404, 501] {
        server.reset();
        server.fail("POST /replace", 1000, Fault::Status(status, "page not found".into()));
        let error = orchestrator.replace("web", "r1").await.expect_err("it does not know how");
        assert!(matches!(error, OrchestratorError::NotReplaceable { .. }), "{error:?}");
        assert_eq!(server.count("POST"), 1, "final");
    }
    server.reset();
    let error = orchestrator.replace("none", "r1").await.expect_err("no such service");
    assert_eq!((error.kind(), server.count("POST")), (ErrorKind::NotFound, 0));
}

#[test]
fn the_signature_is_the_documented_one() {
    // printf '%s' '1795255200.POST./services/web/scale.{}' | openssl dgst -sha256 -hmac key
    let signed = sign("key", 1_795_255_200, "POST", "/services/web/scale", b"{}");
    assert_eq!(signed, EXPECTED);
}

const EXPECTED: &str = "t=1795255200,v1=e0cab60f6c59882412fcd119105fe534e96a731449f13cc19c5dce842bcc7144";
