//! What several tests share: a collector on in-memory stores, a clock that runs, a small HTTP server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vocab::budget::MemoryPool;
use vocab::telemetry::Telemetry;
use vocab::testing::{MemCatalog, MemLogs, MemStore};
use vocab::{Clock, TenantId, TimestampMs};

use crate::collector::{Collector, CollectorDeps, ProcessReplica};

/// The real time.
#[derive(Debug, Clone)]
pub(crate) struct RealClock {
    started: Instant,
}

impl RealClock {
    #[allow(clippy::disallowed_methods, reason = "tests against real processes and files need the real time")]
    pub(crate) fn shared() -> Arc<dyn Clock> {
        Arc::new(Self { started: Instant::now() })
    }
}

impl Clock for RealClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    fn now_ms(&self) -> TimestampMs {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        i64::try_from(since.as_millis()).expect("fits")
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A collector and where its data goes.
pub(crate) struct Bench {
    pub(crate) store: Arc<MemStore>,
    pub(crate) logs: Arc<MemLogs>,
    pub(crate) catalog: Arc<MemCatalog>,
    pub(crate) collector: Arc<Collector>,
    pub(crate) replicas: Arc<Mutex<Vec<ProcessReplica>>>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let clock = RealClock::shared();
        Self::with(Arc::new(MemCatalog::new(Arc::clone(&clock))), Arc::default(), Arc::default(), clock)
    }

    /// A new collector on the same stores: what a restart finds.
    pub(crate) fn restarted(&self) -> Self {
        let (catalog, logs, store) = (Arc::clone(&self.catalog), Arc::clone(&self.logs), Arc::clone(&self.store));
        Self::with(catalog, logs, store, RealClock::shared())
    }

    fn with(catalog: Arc<MemCatalog>, logs: Arc<MemLogs>, store: Arc<MemStore>, clock: Arc<dyn Clock>) -> Self {
        install_crypto();
        let replicas: Arc<Mutex<Vec<ProcessReplica>>> = Arc::default();
        let (of_replicas, telemetry) = (Arc::clone(&replicas), Telemetry::new());
        let own = telemetry.clone();
        let deps = CollectorDeps {
            appender: Arc::<MemStore>::clone(&store),
            log_appender: Arc::<MemLogs>::clone(&logs),
            catalog: Arc::<MemCatalog>::clone(&catalog),
            clock,
            telemetry,
            memory: MemoryPool::new("ingest", 1 << 30),
            limits: Arc::default(),
            self_metrics: Arc::new(move || own.encode()),
            replicas: Arc::new(move || of_replicas.lock().clone()),
        };
        let collector = Collector::new(deps, TenantId::default());
        Self { store, logs, catalog, collector, replicas }
    }

    /// Applies a configuration written as YAML.
    pub(crate) async fn apply(&self, yaml: &str) {
        let raw = serde_saphyr::from_str(yaml).expect(yaml);
        let mut problems = vocab::Problems::default();
        let resolver = vocab::resolve::ResolverConfig { default_cluster: "local".to_owned(), rules: Vec::new() };
        let config = crate::config::check(&raw, resolver, &mut problems);
        assert!(problems.is_empty(), "{problems}");
        self.collector.apply(config).await;
    }
}

/// reqwest wants a provider; the program installs the same one.
pub(crate) fn install_crypto() {
    // A second installation is refused, which is fine.
    let _again = rustls::crypto::ring::default_provider().install_default();
}

/// Waits until a condition holds; fails after a deadline that is far longer than it should take.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let clock = RealClock::shared();
    let deadline = clock.monotonic() + Duration::from_secs(20);
    while !holds().await {
        assert!(clock.monotonic() < deadline, "did not come about: {what}");
        clock.sleep(Duration::from_millis(20)).await;
    }
}

/// A server that answers every request with what it is told to.
pub(crate) struct FakeExporter {
    pub(crate) address: String,
    pub(crate) answer: Arc<Mutex<Answer>>,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
    pub(crate) count: Arc<AtomicUsize>,
}

/// What a [`FakeExporter`] says.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

impl FakeExporter {
    pub(crate) async fn start(body: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let first = Answer { status: "200 OK", content_type: "text/plain; version=0.0.4", body: body.into() };
        let exporter =
            Self { address, answer: Arc::new(Mutex::new(first)), requests: Arc::default(), count: Arc::default() };
        let (answer, requests, count) =
            (Arc::clone(&exporter.answer), Arc::clone(&exporter.requests), Arc::clone(&exporter.count));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (answer, requests, count) = (Arc::clone(&answer), Arc::clone(&requests), Arc::clone(&count));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    let mut buffer = [0u8; 4096];
                    while !head.windows(4).any(|w| w == b"\r\n\r\n") {
                        match stream.read(&mut buffer).await {
                            Ok(read) if read > 0 => head.extend_from_slice(&buffer[..read]),
                            _ => return,
                        }
                    }
                    requests.lock().push(String::from_utf8_lossy(&head).into_owned());
                    count.fetch_add(1, Ordering::SeqCst);
                    let answer = answer.lock().clone();
                    let head = format!(
                        "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                        answer.status,
                        answer.content_type,
                        answer.body.len()
                    );
                    if stream.write_all(head.as_bytes()).await.is_ok() {
                        // The client may have given up on a body that is too large.
                        let _gone = stream.write_all(&answer.body).await;
                    }
                });
            }
        });
        exporter
    }

    pub(crate) fn say(&self, body: &str) {
        self.answer.lock().body = body.into();
    }
}
