//! A service over two fakes.

use vocab::ports::Catalog;
use vocab::ports::catalog::DecisionFilter;
use vocab::testing::{MemCatalog, MemStore, SimClock};

use super::*;
use crate::placement::Share;
use crate::testing::FakeOrchestrator;
use crate::tests::shared;

struct Country {
    clock: SimClock,
    catalog: Arc<MemCatalog>,
    shared: Arc<Shared>,
    north: Arc<FakeOrchestrator>,
    south: Arc<FakeOrchestrator>,
}

impl Country {
    fn new() -> Self {
        let clock = SimClock::at(1_700_000_000_000);
        let catalog = Arc::new(MemCatalog::new(Arc::new(clock.clone())));
        let shared = shared(&clock, &MemStore::new(), &catalog, "first");
        let fake = |replicas| Arc::new(FakeOrchestrator::new(&[("web", replicas)]));
        Self { clock, catalog, shared, north: fake(10), south: fake(0) }
    }

    fn placed(&self) -> Placed {
        let share =
            |name: &str, weight| Share { orchestrator: name.into(), weight, min: 1, max: 40, probes: Vec::new() };
        let placement = Placement {
            shares: vec![share("north", 6), share("south", 4)],
            lost_after: Duration::from_secs(30),
            return_after: Duration::from_secs(60),
            return_step: Duration::from_secs(10),
        };
        let members: Vec<Arc<dyn Orchestrator>> = vec![Arc::clone(&self.north) as _, Arc::clone(&self.south) as _];
        Placed::new("web", "web", placement, members, Arc::clone(&self.shared))
    }

    async fn pass(&self, placed: &Placed, seconds: u64) {
        for _ in 0..seconds / 5 {
            self.clock.advance(INTERVAL);
            self.shared.leader.renew().await.expect("asked");
            placed.look().await.expect("looked");
        }
    }

    /// What the clusters were told; a silent one is asked again afterwards.
    async fn wanted(&self) -> [u32; 2] {
        let north = self.north.state("web").await.map_or(0, |s| s.wanted);
        [north, self.south.state("web").await.map_or(0, |s| s.wanted)]
    }
}

#[tokio::test]
async fn property_15_replicas_are_moved_and_every_move_is_recorded() {
    let country = Country::new();
    let placed = country.placed();
    country.pass(&placed, 5).await;
    assert_eq!(country.wanted().await, [6, 4], "what ran in one place is the total, and is spread");
    placed.scale("web", ScaleChange { from: 10, to: 20 }).await.expect("scaled");
    assert_eq!(country.wanted().await, [12, 8]);
    country.pass(&placed, 5).await;
    let counts = placed.state("web").await.expect("known").counts();
    assert_eq!((counts.wanted, counts.ready, counts.total), (20, 20, 20));
    let stale = placed.scale("web", ScaleChange { from: 10, to: 30 }).await.expect_err("another number");
    assert_eq!(stale.kind(), ErrorKind::Conflict);
    let over = placed.scale("web", ScaleChange { from: 20, to: 81 }).await.expect_err("more than fits");
    assert_eq!(over.kind(), ErrorKind::Invalid);
    let rows = country.catalog.decisions(&country.shared.tenant, &DecisionFilter::default()).await.expect("kept");
    let moves: Vec<_> = rows.iter().rev().map(|d| (d.orchestrator.as_str(), d.from, d.to, d.state)).collect();
    let done = DecisionState::Verified;
    assert_eq!(
        moves,
        [("south", 0, 4, done), ("north", 10, 6, done), ("north", 6, 12, done), ("south", 4, 8, done)],
        "who grows goes first"
    );
}

#[tokio::test]
async fn property_15_a_silent_cluster_is_replaced_and_comes_back_and_a_restart_knows_it() {
    let country = Country::new();
    let placed = country.placed();
    country.pass(&placed, 5).await;
    country.north.set_silent(true);
    country.pass(&placed, 25).await;
    assert_eq!(country.wanted().await[1], 4);
    country.pass(&placed, 15).await;
    assert_eq!(country.wanted().await[1], 10);
    // A new life knows that the cluster is lost, though it asks it for the first time.
    let placed = country.placed();
    country.pass(&placed, 5).await;
    assert_eq!((country.wanted().await[1], placed.state("web").await.expect("known").wanted), (10, 10));
    country.north.set_silent(false);
    country.pass(&placed, 40).await;
    assert_eq!(country.wanted().await, [6, 10], "what it still ran stays until it is back");
    country.pass(&placed, 30).await;
    assert_eq!(country.wanted().await, [1, 9], "one replica first");
    country.pass(&placed, 120).await;
    assert_eq!(country.wanted().await, [6, 4]);
    let events = country.catalog.changes(&country.shared.tenant, &Default::default()).await.expect("kept");
    assert!(events.iter().any(|e| e.summary.contains("north fails its probes")), "{events:?}");
}

#[tokio::test]
async fn property_11_who_does_not_decide_moves_nothing() {
    let country = Country::new();
    let placed = country.placed();
    country.shared.leader.renew().await.expect("asked");
    country.catalog.release_lease("autoscaler/test", "first").await.expect("lost");
    country.clock.advance(INTERVAL);
    placed.look().await.expect("looked");
    assert_eq!(country.wanted().await, [10, 0]);
    assert!(country.shared.leader.fence().is_none());
}
