//! Windows over fakes.

use vocab::Clock;
use vocab::ports::Catalog;
use vocab::ports::catalog::TicketFilter;
use vocab::testing::{MemCatalog, MemStore, SimClock};
use vocab::ticket::TicketState;

use super::*;
use crate::testing::FakeOrchestrator;
use crate::tests::{policy, shared};

struct Gateway {
    clock: SimClock,
    store: MemStore,
    catalog: Arc<MemCatalog>,
    orchestrator: Arc<FakeOrchestrator>,
    shared: Arc<Shared>,
}

impl Gateway {
    fn new() -> Self {
        let clock = SimClock::at(1_700_000_000_000);
        let (store, catalog) = (MemStore::new(), Arc::new(MemCatalog::new(Arc::new(clock.clone()))));
        let shared = shared(&clock, &store, &catalog, "first");
        Self { clock, store, catalog, orchestrator: Arc::new(FakeOrchestrator::new(&[("web", 6)])), shared }
    }

    fn watch(&self) -> OddWatch {
        let watch = OddReplica {
            window: Duration::from_secs(30),
            errors_query: "errors".into(),
            latency_query: "latency".into(),
        };
        let orchestrator = Arc::clone(&self.orchestrator) as Arc<dyn Orchestrator>;
        OddWatch::new(policy(), watch, orchestrator, Arc::clone(&self.shared))
    }

    /// A window in which the replica behind the first server answers with errors.
    async fn window(&self, watch: &mut OddWatch, errors: f64) {
        self.clock.advance(Duration::from_secs(30));
        let state = self.orchestrator.state("web").await.expect("it answers");
        let seat =
            |(index, replica): (usize, &crate::orchestrator::Replica)| (format!("web{index}"), replica.id.clone());
        // Whoever came last sits in the first place, as the successor of the one that was replaced.
        let seats: Vec<_> = state.replicas.iter().rev().enumerate().map(seat).collect();
        for (index, (server, _)) in seats.iter().enumerate() {
            let own = if index == 0 { errors } else { 0.001 };
            self.store.put(&[("__name__", "errors"), ("server", server)], self.clock.now_ms(), own);
            self.store.put(&[("__name__", "latency"), ("server", server)], self.clock.now_ms(), 0.02);
        }
        self.shared.seats.write().insert("web".into(), seats);
        watch.look().await.expect("looked");
    }

    async fn replaced(&self) -> usize {
        let events = self.catalog.changes(&self.shared.tenant, &Default::default()).await.expect("kept");
        events.iter().filter(|e| e.summary.contains("is replaced: 40 % of its answers are errors")).count()
    }

    async fn tickets(&self, state: TicketState) -> usize {
        let filter = TicketFilter { states: vec![state], ..TicketFilter::default() };
        self.catalog.tickets(&self.shared.tenant, &filter).await.expect("kept").len()
    }
}

#[tokio::test]
async fn property_09_an_odd_replica_is_replaced_three_times_and_then_alarmed() {
    let gateway = Gateway::new();
    let mut watch = gateway.watch();
    for _ in 0..3 {
        gateway.window(&mut watch, 0.4).await;
    }
    let state = gateway.orchestrator.state("web").await.expect("it answers");
    assert_eq!((gateway.replaced().await, state.wanted, state.replicas.len()), (1, 6, 6));
    assert!(!state.replicas.iter().any(|r| r.id == "web-6") && state.replicas.iter().any(|r| r.id == "web-7"));
    // A restart in between forgets nothing.
    let mut watch = gateway.watch();
    for _ in 0..12 {
        gateway.window(&mut watch, 0.4).await;
    }
    assert_eq!((gateway.replaced().await, gateway.tickets(TicketState::Open).await), (3, 1));
    for _ in 0..12 {
        gateway.window(&mut watch, 0.0).await;
    }
    assert_eq!((gateway.tickets(TicketState::Open).await, gateway.tickets(TicketState::Resolved).await), (0, 1));
}

#[tokio::test]
async fn property_09_nobody_is_replaced_while_it_is_stopped_or_only_observed() {
    let gateway = Gateway::new();
    let mut watch = gateway.watch();
    gateway.shared.switches.set_stopped(true, "ann").await.expect("kept");
    for _ in 0..6 {
        gateway.window(&mut watch, 0.4).await;
    }
    assert_eq!(gateway.replaced().await, 0);
    gateway.shared.switches.set_stopped(false, "ann").await.expect("kept");
    gateway.window(&mut watch, 0.4).await;
    assert_eq!(gateway.replaced().await, 1);
}
