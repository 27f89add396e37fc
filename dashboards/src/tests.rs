//! Router-level tests over the fakes.

mod at_once;
mod fakes;
mod live;
mod prometheus;
mod read;
mod security;
mod serve;
mod tidewatch;
mod turns;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use promql::EngineOptions;
use serde_json::Value;
use tower::ServiceExt;
use vocab::MemoryBudget;
use vocab::telemetry::Telemetry;
use vocab::testing::{MemCatalog, MemLogs, MemStore, SimClock};

use self::fakes::Rooms;
use crate::app::{Ports, Shared};
use crate::config::ServerConfig;
use crate::router::router;
use crate::server::app;

/// 2026-01-01, the time of all tests.
const NOW_MS: i64 = 1_767_225_600_000;

/// A router over fakes, and the fakes.
struct Bench {
    router: Router,
    app: Shared,
    clock: SimClock,
    store: MemStore,
    logs: MemLogs,
    catalog: MemCatalog,
    rooms: Arc<Rooms>,
    peer: SocketAddr,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("not JSON: {e}: {}", self.text))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().expect("text"))
    }

    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let store = MemStore::new();
        let querier = Arc::new(store.clone());
        Self::over(store, querier, change)
    }

    fn over(store: MemStore, querier: Arc<dyn vocab::ports::Querier>, change: impl FnOnce(&mut ServerConfig)) -> Self {
        let clock = SimClock::at(NOW_MS);
        let (logs, catalog) = (MemLogs::new(), MemCatalog::new(Arc::new(clock.clone())));
        let rooms = Arc::new(Rooms::default());
        let ports = Ports {
            querier,
            logs: Arc::new(logs.clone()),
            catalog: Arc::new(catalog.clone()),
            sql: rooms.clone(),
            targets: rooms.clone(),
            sources: rooms.clone(),
            rules: rooms.clone(),
            scaling: rooms.clone(),
            admin: rooms.clone(),
            ingest: rooms.clone(),
        };
        let mut config = ServerConfig::new("127.0.0.1:9090".parse().expect("an address"));
        // The store in memory runs no fragments; results are the same without.
        config.engine = EngineOptions { fragments: false, ..EngineOptions::default() };
        change(&mut config);
        let budget = MemoryBudget::new(1 << 26, &[("queries", 0.5), ("ingest", 0.5)]);
        let app = app(config, ports, Arc::new(clock.clone()), &Telemetry::new(), &budget);
        let peer = "127.0.0.1:50000".parse().expect("an address");
        Self { router: router(app.clone()), app, clock, store, logs, catalog, rooms, peer }
    }

    /// Sends a request as a program on this machine does; headers named here win.
    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let response = self.respond(method, path, headers, body).await;
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 24).await.expect("a body");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    async fn respond(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> axum::response::Response {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(n, _)| *n == "host") {
            request = request.header("host", "127.0.0.1:9090");
        }
        if !body.is_empty() {
            request = request.header("content-length", body.len());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.extension(ConnectInfo(self.peer)).body(Body::from(body.to_owned())).expect("a request");
        self.router.clone().oneshot(request).await.expect("never fails")
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[("content-type", "application/json")], &body.to_string()).await
    }

    async fn post_form(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let form: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.send(Method::POST, path, &[("content-type", "application/x-www-form-urlencoded")], &form).await
    }

    /// GET with parameters.
    async fn ask(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let query: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.get(&format!("{path}?{query}")).await
    }
}
