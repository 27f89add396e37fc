//! Windows over fakes.

use vocab::Clock;
use vocab::ports::Catalog;
use vocab::ports::catalog::TicketFilter;
use vocab::testing::{MemCatalog, MemStore, SimClock};
use vocab::ticket::TicketState;

use super::*;
use crate::testing::FakeOrchestrator;
use crate::tests::{policy, shared};

/// A gateway before what an orchestrator runs.
struct Gateway {
    /// The orchestrator's name.
    name: &'static str,
    clock: SimClock,
    store: MemStore,
    catalog: Arc<MemCatalog>,
    orchestrator: Arc<FakeOrchestrator>,
    shared: Arc<Shared>,
}

impl Gateway {
    async fn new() -> Self {
        let clock = SimClock::at(1_700_000_000_000);
        let (store, catalog) = (MemStore::new(), Arc::new(MemCatalog::new(Arc::new(clock.clone()))));
        let shared = shared(&clock, &store, &catalog, "first");
        shared.leader.begin().await.expect("it decides");
        let orchestrator = Arc::new(FakeOrchestrator::new(&[("web", 6)]));
        Self { name: "swarm", clock, store, catalog, orchestrator, shared }
    }

    /// Another one before another cluster, under the eyes of the same Tidewatch.
    fn beside(&self, name: &'static str) -> Self {
        let (store, catalog, shared) = (self.store.clone(), Arc::clone(&self.catalog), Arc::clone(&self.shared));
        let orchestrator = Arc::new(FakeOrchestrator::new(&[("web", 6)]));
        Self { name, clock: self.clock.clone(), store, catalog, orchestrator, shared }
    }

    fn watch(&self) -> OddWatch {
        let watch = OddReplica {
            window: Duration::from_secs(30),
            errors_query: "errors".into(),
            latency_query: "latency".into(),
        };
        let orchestrator = Arc::clone(&self.orchestrator) as Arc<dyn Orchestrator>;
        OddWatch::new(policy(), watch, orchestrator, self.name, Arc::clone(&self.shared))
    }

    /// A window in which the replica behind the first server answers with errors; whoever leaves then is drained and ended.
    async fn window(&self, watch: &mut OddWatch, errors: f64) {
        self.judge(watch, errors).await;
        if self.drains().await.is_some() {
            self.drained(watch).await.expect("ended");
            watch.turn().await.expect("it is gone");
            assert_eq!(self.drains().await, None);
        }
    }

    /// The replica that the balancer is shown as leaving.
    async fn drains(&self) -> Option<String> {
        let mut state = self.orchestrator.state("web").await.expect("it answers");
        self.shared.leaving.mark("web", self.name, &mut state.replicas);
        let leaving: Vec<String> = state.replicas.into_iter().filter(|r| r.leaving).map(|r| r.id).collect();
        assert!(leaving.len() < 2, "one at a time: {leaving:?}");
        leaving.into_iter().next()
    }

    /// The balancer says that it has drained it.
    async fn drained(&self, watch: &mut OddWatch) -> Result<(), String> {
        self.clock.advance(DRAIN_MIN);
        watch.turn().await.expect("nothing yet");
        let replica = self.drains().await.expect("it is shown as leaving until it is drained");
        self.note(vec![replica]).await;
        watch.turn().await
    }

    /// The balancer says who sits where, and whom it has drained. Whoever came last sits in the first place, as the successor of
    /// the one that was replaced.
    async fn note(&self, drained: Vec<String>) {
        let state = self.orchestrator.state("web").await.expect("it answers");
        let replicas = state.replicas.iter().rev().enumerate();
        let seats = replicas.map(|(index, replica)| (format!("{}{index}", self.name), replica.id.clone())).collect();
        self.shared.balancers.note("web", self.name, &format!("gateway of {}", self.name), seats, drained);
    }

    /// Three windows after which the replica behind the first server is a case.
    async fn case(&self, watch: &mut OddWatch) -> String {
        for _ in 0..3 {
            self.judge(watch, 0.4).await;
        }
        self.drains().await.expect("one is odd")
    }

    async fn judge(&self, watch: &mut OddWatch, errors: f64) {
        self.pass().await;
        self.measure(errors).await;
        watch.turn().await.expect("looked");
    }

    async fn pass(&self) {
        self.clock.advance(Duration::from_secs(30));
        self.shared.leader.renew().await.expect("it decides");
    }

    /// The gateway's metrics by server.
    async fn measure(&self, errors: f64) {
        for index in 0..6 {
            let (server, own) = (format!("{}{index}", self.name), if index == 0 { errors } else { 0.001 });
            self.store.put(&[("__name__", "errors"), ("server", &server)], self.clock.now_ms(), own);
            self.store.put(&[("__name__", "latency"), ("server", &server)], self.clock.now_ms(), 0.02);
        }
        self.note(Vec::new()).await;
    }

    async fn replaced(&self) -> usize {
        let events = self.catalog.changes(&self.shared.tenant, &Default::default()).await.expect("kept");
        events.iter().filter(|e| e.summary.contains("is replaced: 40 % of its answers are errors")).count()
    }

    async fn has(&self, replica: &str) -> bool {
        let state = self.orchestrator.state("web").await.expect("it answers");
        assert_eq!((state.wanted, state.replicas.len()), (6, 6), "the number stays");
        state.replicas.iter().any(|r| r.id == replica)
    }

    async fn alarms(&self) -> Vec<String> {
        let tickets = self.catalog.tickets(&self.shared.tenant, &TicketFilter::default()).await.expect("kept");
        tickets.into_iter().flat_map(|t| t.timeline).map(|entry| entry.text).collect()
    }

    async fn tickets(&self, state: TicketState) -> usize {
        let filter = TicketFilter { states: vec![state], ..TicketFilter::default() };
        self.catalog.tickets(&self.shared.tenant, &filter).await.expect("kept").len()
    }
}

#[tokio::test]
async fn property_09_an_odd_replica_is_replaced_three_times_and_then_alarmed() {
    let gateway = Gateway::new().await;
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
    let gateway = Gateway::new().await;
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

#[tokio::test]
async fn property_09_it_is_ended_only_once_it_is_drained_and_a_successor_takes_it_up() {
    let gateway = Gateway::new().await;
    let mut watch = gateway.watch();
    let odd = gateway.case(&mut watch).await;
    gateway.clock.advance(Duration::from_secs(60));
    gateway.shared.leader.renew().await.expect("it decides");
    watch.turn().await.expect("it waits");
    assert!(gateway.has(&odd).await, "nobody says that it is drained");
    // The process ends; another one finds what is written down.
    drop(watch);
    gateway.shared.leaving.end("web");
    let mut watch = gateway.watch();
    watch.turn().await.expect("it waits");
    assert_eq!(gateway.drains().await.as_ref(), Some(&odd));
    gateway.drained(&mut watch).await.expect("ended");
    assert!(!gateway.has(&odd).await);
    watch.turn().await.expect("it is gone");
    let kept = Departure::load(gateway.catalog.as_ref(), "swarm/web").await.expect("readable");
    assert_eq!((kept, gateway.replaced().await), (None, 1));
}

#[tokio::test]
async fn what_cannot_be_replaced_takes_load_again_and_people_are_told() {
    let gateway = Gateway::new().await;
    gateway.orchestrator.fix_replicas();
    let mut watch = gateway.watch();
    let odd = gateway.case(&mut watch).await;
    gateway.drained(&mut watch).await.expect("given up");
    assert_eq!((gateway.drains().await, gateway.has(&odd).await), (None, true));
    let alarms = gateway.alarms().await;
    let words =
        "web-6 could not be replaced: it cannot be ended alone: they all hang together; 40 % of its answers are errors";
    assert!(alarms.iter().any(|a| a.starts_with(words)), "{alarms:?}");
    let counted = gateway.shared.metrics.errors.get_or_create(&vec![("called", "orchestrator.replace".into())]).get();
    assert_eq!(counted, 1);
}

#[tokio::test]
async fn a_call_that_fails_is_made_again_and_a_balancer_that_does_not_drain_is_told() {
    let gateway = Gateway::new().await;
    let mut watch = gateway.watch();
    let odd = gateway.case(&mut watch).await;
    gateway.orchestrator.set_silent(true);
    let problem = watch.turn().await.expect_err("nobody answers");
    assert!(problem.starts_with("whether web-6 has left is not known"), "{problem}");
    gateway.orchestrator.set_silent(false);
    gateway.clock.advance(STAGE_MAX + Duration::from_secs(1));
    gateway.shared.leader.renew().await.expect("it decides");
    watch.turn().await.expect("given up");
    assert_eq!((gateway.drains().await, gateway.has(&odd).await), (None, true));
    let alarms = gateway.alarms().await;
    assert!(alarms.iter().any(|a| a.contains("could not be replaced: its balancer does not drain it")), "{alarms:?}");
}

#[tokio::test]
async fn a_stop_while_it_drains_lets_it_stay() {
    let gateway = Gateway::new().await;
    let mut watch = gateway.watch();
    let odd = gateway.case(&mut watch).await;
    gateway.shared.switches.set_stopped(true, "ann").await.expect("kept");
    watch.turn().await.expect("it stays");
    assert_eq!((gateway.drains().await, gateway.has(&odd).await), (None, true));
    assert_eq!(gateway.alarms().await, Vec::<String>::new());
}

#[tokio::test]
async fn replicas_of_several_clusters_are_compared_within_each_and_leave_one_at_a_time() {
    let north = Gateway::new().await;
    let south = north.beside("nomad");
    let (mut of_north, mut of_south) = (north.watch(), south.watch());
    for _ in 0..4 {
        north.pass().await;
        north.measure(0.4).await;
        south.measure(0.4).await;
        of_north.turn().await.expect("looked");
        of_south.turn().await.expect("looked");
    }
    assert_eq!((north.drains().await.as_deref(), south.drains().await), (Some("web-6"), None));
    // The other cluster's balancer knows nothing of it, and has nothing to say.
    north.drained(&mut of_north).await.expect("ended");
    of_north.turn().await.expect("it is gone");
    assert!(!north.has("web-6").await && south.has("web-6").await);
    south.pass().await;
    south.measure(0.4).await;
    of_south.turn().await.expect("looked");
    assert_eq!((north.drains().await, south.drains().await.as_deref()), (None, Some("web-6")));
    south.drained(&mut of_south).await.expect("ended");
    assert!(!south.has("web-6").await && north.has("web-7").await);
}

#[tokio::test]
async fn behind_several_balancers_a_replica_is_what_the_worst_of_them_sees() {
    let gateway = Gateway::new().await;
    gateway.measure(0.4).await;
    let state = gateway.orchestrator.state("web").await.expect("it answers");
    let seats = state.replicas.iter().enumerate().map(|(index, r)| (format!("other{index}"), r.id.clone()));
    gateway.shared.balancers.note("web", gateway.name, "another gateway", seats.collect(), Vec::new());
    for index in 0..6 {
        let labels = [("__name__", "errors"), ("server", &format!("other{index}"))];
        gateway.store.put(&labels, gateway.clock.now_ms(), 0.002);
    }
    let (samples, _) = gateway.watch().see().await.expect("seen");
    let errors: Vec<_> = samples.iter().map(|s| (s.replica.as_str(), s.errors)).collect();
    let well = |id| (id, Some(0.002));
    assert_eq!(
        errors,
        [well("web-1"), well("web-2"), well("web-3"), well("web-4"), well("web-5"), ("web-6", Some(0.4))]
    );
}
