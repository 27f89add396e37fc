//! Services that bind each other, round by round: dependencies, quotas, batches; closed times.

use std::collections::BTreeMap;

use super::*;

/// Several services on one orchestrator.
struct Town {
    clock: SimClock,
    store: MemStore,
    catalog: Arc<MemCatalog>,
    orchestrator: Arc<FakeOrchestrator>,
    shared: Arc<Shared>,
    loops: Vec<(String, ServiceLoop)>,
    requests: BTreeMap<String, f64>,
    /// What was wanted after each round that changed something: (service, replicas).
    log: Vec<(String, u32)>,
}

impl Town {
    async fn new(services: &[(&str, u32)], yaml: &str) -> Self {
        let clock = SimClock::at(START_MS);
        let store = MemStore::new();
        let catalog = Arc::new(MemCatalog::new(Arc::new(clock.clone())));
        let shared = shared(&clock, &store, &catalog, "first");
        shared.leader.renew().await.expect("asked");
        let raw: RawAutoscaler = serde_saphyr::from_str(yaml).expect("well formed");
        let mut problems = Problems::default();
        let config = check(&raw, "local", &mut problems);
        assert!(problems.is_empty(), "{problems}");
        shared.set_config(&config);
        let orchestrator = Arc::new(FakeOrchestrator::new(services));
        let mut loops = Vec::new();
        for policy in config.policies {
            let runs = Arc::clone(&orchestrator) as Arc<dyn Orchestrator>;
            let service = policy.service.clone();
            loops.push((service, ServiceLoop::open(policy, runs, Arc::clone(&shared)).await.expect("a state")));
        }
        Self { clock, store, catalog, orchestrator, shared, loops, requests: BTreeMap::new(), log: Vec::new() }
    }

    async fn wanted(&self, service: &str) -> u32 {
        self.orchestrator.state(service).await.expect("it answers").wanted
    }

    /// Rounds of all services under loads, in the order of their policies.
    async fn rounds(&mut self, loads: &[(&str, f64)], rounds: usize) {
        for _ in 0..rounds {
            self.clock.advance(STEP);
            self.shared.leader.renew().await.expect("asked");
            for (service, load) in loads {
                let requests = self.requests.entry((*service).to_owned()).or_default();
                *requests += load * STEP.as_secs_f64();
                let labels = [("__name__", "haproxy_backend_http_requests_total"), ("service", service)];
                self.store.put(&labels, self.clock.now_ms(), *requests);
            }
            for index in 0..self.loops.len() {
                let service = self.loops[index].0.clone();
                let before = self.wanted(&service).await;
                self.loops[index].1.round().await;
                let after = self.wanted(&service).await;
                if before != after {
                    self.log.push((service, after));
                }
            }
        }
    }

    async fn decisions(&self, service: &str) -> Vec<ScalingDecision> {
        let filter = DecisionFilter { service: Some(service.into()), ..DecisionFilter::default() };
        self.catalog.decisions(&self.shared.tenant, &filter).await.expect("kept")
    }
}

const QUICK: &str = "scrape_interval: 5s, hold: 30s, cooldown: 5s, turn_pause: 30s, scale_in: {percent: 100}";

fn feed_user_card(user_max: u32) -> String {
    let target = "targets: [{kind: rps, value: 10}]";
    format!(
        "swarm: {{}}
autoscaling:
  - {{service: feed, max: 100, {target}, {QUICK}, dependencies: [{{service: user, ratio: 0.4}}, {{service: card, ratio: 0.3, elastic: 0}}]}}
  - {{service: user, max: {user_max}, {target}, {QUICK}}}
  - {{service: card, max: 100, {target}, {QUICK}}}"
    )
}

#[tokio::test]
async fn property_14_dependencies_come_first_out_and_leave_last_in() {
    let mut town = Town::new(&[("feed", 10), ("user", 4), ("card", 3)], &feed_user_card(100)).await;
    let quiet = [("feed", 98.0), ("user", 5.0), ("card", 5.0)];
    town.rounds(&quiet, 8).await;
    assert_eq!(town.log, [], "4 users and 3 cards belong to 10 feeds, whatever their own load");
    let busy = [("feed", 195.0), ("user", 5.0), ("card", 5.0)];
    town.rounds(&busy, 8).await;
    let order: Vec<&str> = town.log.iter().map(|l| l.0.as_str()).collect();
    let first_feed = order.iter().position(|s| *s == "feed").expect("it grew");
    assert!(order[..first_feed].contains(&"user") && order[..first_feed].contains(&"card"), "{:?}", town.log);
    assert_eq!((town.wanted("feed").await, town.wanted("user").await, town.wanted("card").await), (20, 8, 6));
    // At no time did a feed stand without its users and cards.
    let (mut feed, mut user, mut card) = (10, 4, 3);
    for (service, wanted) in &town.log {
        match service.as_str() {
            "feed" => feed = *wanted,
            "user" => user = *wanted,
            _ => card = *wanted,
        }
        assert!(user * 10 >= feed * 4 && card * 10 >= feed * 3, "{:?}", town.log);
    }
    town.log.clear();
    town.rounds(&quiet, 40).await;
    assert_eq!((town.wanted("feed").await, town.wanted("user").await, town.wanted("card").await), (10, 4, 3));
    assert_eq!(town.log.first().map(|l| l.0.as_str()), Some("feed"), "{:?}", town.log);
    let of_user = town.decisions("user").await;
    assert!(of_user.iter().any(|d| d.reason.contains("20 replicas of feed need 8 replicas")), "{of_user:#?}");
}

#[tokio::test]
async fn property_14_a_parent_is_limited_with_its_dependency_and_the_decision_says_so() {
    let mut town = Town::new(&[("feed", 10), ("user", 4), ("card", 3)], &feed_user_card(6)).await;
    town.rounds(&[("feed", 300.0), ("user", 5.0), ("card", 5.0)], 12).await;
    assert_eq!((town.wanted("user").await, town.wanted("feed").await), (6, 15));
    assert!(town.wanted("card").await <= 5, "nothing is brought for feeds that will not come");
    let last = town.decisions("feed").await.into_iter().find(|d| d.to == 15).expect("limited");
    let verdict = last.guards.iter().find(|g| g.guard == "dependency_limit").expect("it says so");
    assert!(verdict.reason.starts_with("user can have 6 only (the most its policy allows)"), "{}", verdict.reason);
}

#[tokio::test]
async fn property_14_a_parent_does_not_wait_for_ever() {
    let mut town = Town::new(&[("feed", 10), ("user", 4), ("card", 3)], &feed_user_card(100)).await;
    town.rounds(&[("feed", 98.0)], 6).await;
    // Users and cards are only observed from now on: nobody brings them, and the feed is not held for that.
    for service in ["user", "card"] {
        town.shared.switches.set_mode(service, ScalingMode::Observe).await.expect("set");
    }
    town.rounds(&[("feed", 195.0)], 6).await;
    assert_eq!((town.wanted("feed").await, town.wanted("user").await), (20, 4));
}

#[tokio::test]
async fn property_13_a_pause_closes_one_direction_and_is_recorded() {
    let yaml = format!(
        "swarm: {{}}
autoscaling: [{{service: web, max: 20, targets: [{{kind: rps, value: 10}}], {QUICK}, paused: out}}]"
    );
    let mut town = Town::new(&[("web", 2)], &yaml).await;
    town.rounds(&[("web", 100.0)], 8).await;
    assert_eq!(town.wanted("web").await, 2);
    let rows = town.decisions("web").await;
    assert!(rows[0].guards.iter().any(|g| g.guard == "paused" && g.after == 2), "{rows:#?}");
    assert!(rows.len() <= 2, "one row says so, not one a round: {rows:#?}");
    town.rounds(&[("web", 5.0)], 30).await;
    assert_eq!(town.wanted("web").await, 1, "the other direction is open");
}

#[tokio::test]
async fn property_16_a_quota_is_shared_by_priority_and_its_trimming_is_a_ticket() {
    let target = "targets: [{kind: rps, value: 10}]";
    let yaml = format!(
        "swarm: {{}}
scaling: {{quotas: [{{name: shop, team: shop, replicas: 20}}]}}
autoscaling:
  - {{service: tin, max: 50, {target}, {QUICK}, team: shop, priority: 10}}
  - {{service: gold, max: 50, {target}, {QUICK}, team: shop, priority: 90}}
  - {{service: free, max: 50, {target}, {QUICK}}}"
    );
    let mut town = Town::new(&[("tin", 5), ("gold", 5), ("free", 5)], &yaml).await;
    town.rounds(&[("tin", 48.0), ("gold", 48.0), ("free", 48.0)], 8).await;
    town.rounds(&[("tin", 48.0), ("gold", 300.0), ("free", 300.0)], 10).await;
    assert_eq!((town.wanted("tin").await, town.wanted("gold").await, town.wanted("free").await), (5, 15, 30));
    let last = town.decisions("gold").await.remove(0);
    assert!(
        last.guards.iter().any(|g| g.guard == "quota" && g.reason.contains("quota shop of 20 replicas")),
        "{last:#?}"
    );
    let open = TicketFilter { states: vec![TicketState::Open], ..TicketFilter::default() };
    let tickets = town.catalog.tickets(&town.shared.tenant, &open).await.expect("kept");
    assert_eq!(tickets.iter().map(|t| t.dedup_key.as_str()).collect::<Vec<_>>(), ["autoscaler/local/gold/quota"]);
    town.rounds(&[("tin", 5.0), ("gold", 120.0), ("free", 300.0)], 20).await;
    assert_eq!((town.wanted("tin").await, town.wanted("gold").await), (1, 12));
    assert!(town.catalog.tickets(&town.shared.tenant, &open).await.expect("kept").is_empty(), "resolved");
}

#[tokio::test]
async fn property_16_a_batch_at_a_time_is_started_and_the_rest_waits() {
    let yaml = format!(
        "swarm: {{}}
scaling: {{batches: [{{orchestrator: swarm, max_batch: 10}}]}}
autoscaling: [{{service: web, max: 60, targets: [{{kind: rps, value: 10}}], {QUICK}, startup: 60s}}]"
    );
    let mut town = Town::new(&[("web", 5)], &yaml).await;
    town.rounds(&[("web", 48.0)], 6).await;
    town.orchestrator.set_unready(true);
    town.rounds(&[("web", 500.0)], 5).await;
    assert_eq!(town.wanted("web").await, 15, "ten are starting, and no more are asked for");
    let queue = town.catalog.documents("autoscaler-batches").await.expect("read");
    assert_eq!(queue[0].value[0]["service"], "web", "{queue:?}");
    // Each batch that is ready lets the next one start.
    for expect in [25, 35, 45] {
        town.orchestrator.set_unready(false);
        town.orchestrator.set_unready(true);
        town.rounds(&[("web", 500.0)], 1).await;
        assert_eq!(town.wanted("web").await, expect, "{:?}", town.log);
    }
    town.orchestrator.set_unready(false);
    town.rounds(&[("web", 500.0)], 3).await;
    assert_eq!(town.wanted("web").await, 50);
    let queue = town.catalog.documents("autoscaler-batches").await.expect("read");
    assert_eq!(queue[0].value, serde_json::json!([]));
}

#[tokio::test]
async fn property_13_a_freeze_window_holds_and_a_person_may_pause() {
    let yaml = format!(
        "swarm: {{}}
scaling: {{freeze_windows: [{{name: sale, from: 2023-11-14T22:13, to: 2023-11-14T22:15, closes: in}}]}}
autoscaling: [{{service: web, max: 60, targets: [{{kind: rps, value: 10}}], {QUICK}}}]"
    );
    // The clock starts at 22:13:20 UTC of that day.
    let mut town = Town::new(&[("web", 5)], &yaml).await;
    town.rounds(&[("web", 5.0)], 18).await;
    assert_eq!(town.wanted("web").await, 5);
    let held = town.decisions("web").await;
    assert!(held.iter().any(|d| d.guards.iter().any(|g| g.reason.contains("freeze window sale is open"))), "{held:#?}");
    town.rounds(&[("web", 5.0)], 12).await;
    assert_eq!(town.wanted("web").await, 1, "the window is over");
    let out = vocab::ports::views::Paused { scale_in: false, scale_out: true };
    town.shared.switches.set_paused("web", out, "ann").await.expect("kept");
    town.rounds(&[("web", 100.0)], 8).await;
    assert_eq!(town.wanted("web").await, 1);
    let held = town.decisions("web").await;
    assert!(held[0].reason.contains("adding replicas is paused by ann"), "{}", held[0].reason);
    town.shared.switches.set_paused("web", Default::default(), "ann").await.expect("kept");
    town.rounds(&[("web", 100.0)], 2).await;
    assert_eq!(town.wanted("web").await, 10);
}
