//! A service behind a webhook that writes down what it is told: one load, replicas that are ready at once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use autoscaler::testing::{Reply, Request, Server};
use parking_lot::Mutex;
use serde_json::{Value, json};

/// The service.
pub(super) const SERVICE: &str = "web";

/// What a change of the number meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Behaviour {
    /// It is taken and answered.
    #[default]
    Answers,
    /// It is taken, and the answer never comes.
    TakesAndHangs,
    /// It is not taken, and no answer comes.
    Hangs,
}

/// A change that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// The number it starts from.
    pub(super) from: u64,
    /// The number it asks for.
    pub(super) to: u64,
    /// Whether it was taken.
    pub(super) taken: bool,
}

#[derive(Debug)]
struct State {
    load: f64,
    wanted: u64,
    version: u64,
    behaviour: Behaviour,
    calls: Vec<Call>,
}

/// The webhook, which also exposes the load as the metric `load`.
#[derive(Debug)]
pub(super) struct Hook {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl Hook {
    /// Starts one on a free port, with one replica.
    pub(super) async fn start(load: f64) -> Self {
        let state = State { load, wanted: 1, version: 1, behaviour: Behaviour::default(), calls: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let own = Arc::clone(&state);
        Self { server: Server::start(move |request| own.lock().answer(request)).await, state }
    }

    /// `127.0.0.1:<port>`
    fn address(&self) -> &str {
        self.server.address().trim_start_matches("http://")
    }

    /// Changes the load.
    pub(super) fn set_load(&self, load: f64) {
        self.state.lock().load = load;
    }

    /// Changes what the next calls meet.
    pub(super) fn set_behaviour(&self, behaviour: Behaviour) {
        self.state.lock().behaviour = behaviour;
    }

    /// The replicas that are wanted.
    pub(super) fn wanted(&self) -> u64 {
        self.state.lock().wanted
    }

    /// All changes that were asked for, in order.
    pub(super) fn calls(&self) -> Vec<Call> {
        self.state.lock().calls.clone()
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> Reply {
        let service = format!("/services/{SERVICE}");
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/metrics") => Reply::Text(200, format!("load {}\n", self.load)),
            ("GET", "/services") => Reply::Json(200, json!({"services": [SERVICE]})),
            ("GET", path) if path == service => {
                let replica = |n| json!({"id": format!("{SERVICE}-{n}"), "ready": true});
                let replicas: Vec<Value> = (1..=self.wanted).map(replica).collect();
                Reply::Json(200, json!({"version": self.version, "wanted": self.wanted, "replicas": replicas}))
            }
            ("POST", path) if *path == format!("{service}/scale") => self.scale(&request.json()),
            _ => Reply::Json(404, json!({})),
        }
    }

    fn scale(&mut self, asked: &Value) -> Reply {
        let (from, to) = (asked["from"].as_u64().unwrap_or_default(), asked["to"].as_u64().unwrap_or_default());
        let taken = self.behaviour != Behaviour::Hangs && self.wanted == from;
        self.calls.push(Call { from, to, taken });
        if taken {
            (self.wanted, self.version) = (to, self.version + 1);
        }
        match self.behaviour {
            Behaviour::Answers => Reply::Json(if taken { 200 } else { 409 }, json!({})),
            Behaviour::TakesAndHangs | Behaviour::Hangs => Reply::Never,
        }
    }
}

/// The configuration of a Tidewatch that scales this service and shares its catalog with others.
pub(super) fn write_config(file: &Path, hook: &Hook, catalog_url: &str, lease: Duration) {
    let text = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 900ms}}\n\
         scrape_configs: [{{job_name: load, static_configs: [{{targets: ['{address}']}}]}}]\n\
         storage: {{catalog: {{url: '{catalog_url}'}}}}\n\
         scaling: {{lease: {lease}s}}\n\
         webhook: [{{url: 'http://{address}'}}]\n\
         autoscaling:\n\
         - {{service: {SERVICE}, orchestrator: webhook, max: 40, interval: 1s, scrape_interval: 1s, hold: 120s,\n\
         \x20  cooldown: 1s, targets: [{{kind: promql, value: 100, query: 'max(load)'}}]}}\n",
        address = hook.address(),
        lease = lease.as_secs(),
    );
    std::fs::write(file, text).expect("written");
}
