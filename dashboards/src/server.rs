//! Listens and serves until told to stop.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use vocab::telemetry::Telemetry;
use vocab::{Clock, MemoryBudget};

use crate::app::{App, Ports, Shared};
use crate::config::ServerConfig;
use crate::live::{Live, push_forever};
use crate::metrics::Metrics;
use crate::router::router;
use crate::security::REQUESTS_MAX;

/// How long requests in work may go on after the order to stop.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Why the server does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Somebody else listens there.
    #[error("{0} is in use: stop what listens there, or choose another address with --listen")]
    InUse(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Accepting connections failed.
    #[error("the server stopped accepting connections")]
    Accept(#[source] std::io::Error),
}

/// A server that listens already, so that its address is known, and serves once [`Server::serve`] is called.
#[derive(Debug)]
pub struct Server {
    app: Shared,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Takes the address. Queries reserve memory in the budget's share `queries`, pushed bodies in `ingest`.
    ///
    /// # Errors
    /// One line that says what to do.
    pub async fn bind(
        mut config: ServerConfig,
        ports: Ports,
        clock: Arc<dyn Clock>,
        telemetry: &Telemetry,
        budget: &MemoryBudget,
    ) -> Result<Self, ServerError> {
        let address = config.listen;
        let failed = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::AddrInUse => ServerError::InUse(address),
            _ => ServerError::Bind { address, source },
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        config.listen = address;
        let app = app(config, ports, clock, telemetry, budget);
        Ok(Self { app, listener, address })
    }

    /// Where it listens, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` completes; then takes no more connections, ends streams, and gives what is in work ten
    /// seconds.
    ///
    /// # Errors
    /// When connections cannot be accepted any more.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), ServerError> {
        let Self { app, listener, .. } = self;
        let pusher = tokio::spawn(push_forever(app.clone()));
        let stop = app.stop.clone();
        let told = stop.clone();
        let service = router(app.clone()).into_make_service_with_connect_info::<SocketAddr>();
        let serving = axum::serve(listener, service).with_graceful_shutdown(async move {
            shutdown.await;
            told.cancel();
        });
        let drained = async {
            stop.cancelled().await;
            app.clock.sleep(DRAIN_MAX).await;
        };
        let outcome = tokio::select! {
            outcome = serving => outcome.map_err(ServerError::Accept),
            () = drained => {
                tracing::warn!(seconds = DRAIN_MAX.as_secs(), "requests were still in work when the time to end them was over");
                Ok(())
            }
        };
        stop.cancel();
        app.permits.close();
        if let Err(error) = pusher.await {
            tracing::error!(%error, "live updates ended badly");
        }
        outcome
    }
}

/// Everything but the listener.
pub(crate) fn app(
    config: ServerConfig,
    ports: Ports,
    clock: Arc<dyn Clock>,
    telemetry: &Telemetry,
    budget: &MemoryBudget,
) -> Shared {
    Arc::new(App {
        permits: Arc::new(Semaphore::new(config.query_concurrency.max(1))),
        requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
        config,
        ports,
        clock,
        metrics: Metrics::new(telemetry),
        memory: budget.pool("queries"),
        ingest_memory: budget.pool("ingest"),
        live: Live::default(),
        lengths: Default::default(),
        stop: CancellationToken::new(),
    })
}
