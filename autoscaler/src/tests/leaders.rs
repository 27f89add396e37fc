//! Two processes over one catalog, and lives that end between recording and acting.

use vocab::ports::catalog::ScalingWrite;
use vocab::testing::Outage;

use super::*;
use crate::autoscaler::{Autoscaler, AutoscalerDeps};

/// A second process beside a room's.
fn beside(room: &Room) -> Arc<Shared> {
    shared(&room.clock, &room.store, &room.catalog, "second")
}

async fn open(room: &Room, shared: &Arc<Shared>) -> ServiceLoop {
    let orchestrator = Arc::clone(&room.orchestrator) as Arc<dyn Orchestrator>;
    ServiceLoop::open(room.policy.clone(), orchestrator, Arc::clone(shared)).await.expect("it leads")
}

#[tokio::test]
async fn property_11_a_fenced_off_leader_neither_records_nor_acts() {
    let mut room = Room::new(1);
    let second = beside(&room);
    let mut old = room.open().await;
    room.rounds(&mut old, Some(50.0), 4).await;
    second.leader.renew().await.expect("asked");
    assert!(second.leader.fence().is_none(), "one decides");

    // The first hangs; its lease goes to the second while it still believes in it.
    room.catalog.release_lease("autoscaler/test", "first").await.expect("lost");
    second.leader.renew().await.expect("asked");
    assert!(room.shared.leader.fence().is_some() && second.leader.fence().is_some(), "both believe");
    let before = room.decisions().await;
    for _ in 0..4 {
        room.pass(Some(480.0));
        old.round().await;
        second.leader.renew().await.expect("asked");
    }
    assert_eq!((room.orchestrator.num_calls(), room.decisions().await), (0, before), "nothing written, nothing done");
    assert!(room.shared.leader.fence().is_none(), "it has noticed");

    // The second decides, once.
    let mut new = open(&room, &second).await;
    for _ in 0..4 {
        room.pass(Some(480.0));
        second.leader.renew().await.expect("asked");
        new.round().await;
        old.round().await;
    }
    assert_eq!((room.wanted().await, room.orchestrator.num_calls()), (5, 1));
    let changes = ChangeFilter { kind: Some(ChangeKind::Scale), ..ChangeFilter::default() };
    assert_eq!(room.catalog.changes(&room.shared.tenant, &changes).await.expect("kept").len(), 1);
}

#[tokio::test]
async fn property_12_a_decision_is_finished_or_undone_after_a_kill_and_never_doubled() {
    // Killed before the orchestrator was told, and after: what was recorded is the same.
    for told in [false, true] {
        let mut room = Room::new(1);
        let mut service = room.open().await;
        room.rounds(&mut service, Some(50.0), 4).await;
        room.orchestrator.set_silent(true);
        let lost = ScalingDecision {
            state: DecisionState::Recorded,
            from: 1,
            to: 5,
            finished_at_ms: None,
            ..room.decisions().await.pop().expect("one")
        };
        let state = room.catalog.scaling_state(&room.shared.tenant, "local", "web").await.expect("read").expect("kept");
        let write = ScalingWrite::Record { decision: &lost, state: &state };
        let id = room.catalog.write_scaling(&room.shared.tenant, write, None).await.expect("recorded");
        drop(service);
        if told {
            room.orchestrator.set_by_hand("web", 5);
        }

        // While the orchestrator is silent nobody knows, and nothing is done.
        let mut service = room.open().await;
        room.rounds(&mut service, Some(480.0), 2).await;
        let row = async |room: &Room| room.decisions().await.into_iter().find(|d| d.id == id).expect("kept");
        assert_eq!(row(&room).await.state, DecisionState::Recorded);
        room.orchestrator.set_silent(false);
        room.rounds(&mut service, Some(480.0), 10).await;
        let row = row(&room).await;
        let expect = if told { (DecisionState::Verified, 0) } else { (DecisionState::Skipped, 1) };
        assert_eq!((row.state, room.orchestrator.num_calls()), expect, "{}", row.result);
        assert_eq!(room.wanted().await, 5);
        let events = room.catalog.changes(&room.shared.tenant, &ChangeFilter::default()).await.expect("kept");
        assert!(events.iter().all(|e| e.actor == "autoscaler") && events.len() == 1, "{events:?}");
    }
}

#[tokio::test]
async fn property_12_what_the_catalog_did_not_answer_is_looked_up_and_never_doubled() {
    // The record is lost, or only the answer to it.
    for outage in [Outage::Unreachable, Outage::AnswersLost] {
        let mut room = Room::new(1);
        let mut service = room.open().await;
        room.rounds(&mut service, Some(50.0), 4).await;
        let before = room.decisions().await.len();
        room.catalog.set_outage(Some(outage));
        room.rounds(&mut service, Some(480.0), 6).await;
        assert_eq!(room.orchestrator.num_calls(), 0, "not acted on while nobody knows of it");
        room.catalog.set_outage(None);
        assert!(room.decisions().await.len() <= before + 1, "one at most was recorded meanwhile");
        room.rounds(&mut service, Some(480.0), 8).await;
        assert_eq!((room.wanted().await, room.orchestrator.num_calls()), (5, 1), "{outage:?}");
        let states: Vec<_> = room.changes_of_number().await.iter().map(|c| c.2).collect();
        let undone = usize::from(outage == Outage::AnswersLost);
        assert_eq!(states.iter().filter(|s| **s == DecisionState::Skipped).count(), undone, "{outage:?} {states:?}");
        assert_eq!(states.iter().filter(|s| **s == DecisionState::Verified).count(), 1, "{outage:?} {states:?}");
        let events = room.catalog.changes(&room.shared.tenant, &ChangeFilter::default()).await.expect("kept");
        assert!(events.iter().all(|e| e.actor == "autoscaler") && events.len() == 1, "{events:?}");
    }
}

#[tokio::test]
async fn property_12_an_outcome_that_could_not_be_written_is_written_later() {
    let mut room = Room::new(1);
    let mut service = room.open().await;
    room.orchestrator.set_unready(true);
    room.rounds(&mut service, Some(480.0), 6).await;
    let calls = room.orchestrator.num_calls();
    assert_eq!(room.wanted().await, 5);
    // It is found ready while the catalog is away, and told once.
    room.orchestrator.set_unready(false);
    room.catalog.set_outage(Some(Outage::Unreachable));
    room.rounds(&mut service, Some(480.0), 6).await;
    room.catalog.set_outage(None);
    room.rounds(&mut service, Some(480.0), 2).await;
    let states = room.changes_of_number().await;
    assert!(states.iter().all(|s| s.2 == DecisionState::Verified) && states.len() == calls as usize, "{states:?}");
    // A later life finds nothing open, and nothing to do.
    drop(service);
    let mut service = room.open().await;
    room.rounds(&mut service, Some(480.0), 4).await;
    assert_eq!((room.wanted().await, room.orchestrator.num_calls()), (5, calls));
}

#[tokio::test]
async fn kept_policies_stay_in_force_while_the_catalog_is_away() {
    let (room, dir) = (Room::new(1), tempfile::tempdir().expect("a folder"));
    let deps = AutoscalerDeps {
        querier: Arc::new(room.store.clone()),
        appender: Arc::new(room.store.clone()),
        catalog: Arc::clone(&room.catalog) as Arc<dyn Catalog>,
        // Its loops end in real time.
        clock: Arc::new(RunningClock::default()),
        telemetry: Telemetry::new(),
        memory: MemoryPool::new("queries", usize::MAX),
        engine: EngineOptions::default(),
        dir: dir.path().to_path_buf(),
    };
    let (tenant, autoscaler) = (TenantId::default(), Autoscaler::new(deps, TenantId::default()));
    let raw: RawAutoscaler = serde_saphyr::from_str("webhook: [{url: 'http://127.0.0.1:1'}]").expect("well formed");
    autoscaler.apply(check(&raw, "local", &mut Problems::default())).await;
    let view = autoscaler.view();
    let shop = serde_json::json!({
        "service": "shop", "orchestrator": "webhook", "max": 4, "targets": [{"kind": "rps", "value": 100}],
    });
    view.put_policy(&tenant, "shop", &shop, None, "ann").await.expect("kept");
    let in_force = async || view.services(&tenant).await.len();
    assert_eq!(in_force().await, 1);
    room.catalog.set_outage(Some(Outage::Unreachable));
    autoscaler.refresh().await;
    assert_eq!(in_force().await, 1, "nobody has removed it");
    room.catalog.set_outage(None);
    view.delete_policy(&tenant, "shop", "ann").await.expect("removed");
    assert_eq!(in_force().await, 0);
    autoscaler.stop().await;
}

#[tokio::test]
async fn who_does_not_decide_says_so() {
    let mut room = Room::new(1);
    let second = beside(&room);
    let shows = async |shared: &Arc<Shared>| {
        let policies = Arc::new(parking_lot::RwLock::new(vec![room.policy.clone()]));
        let view = View::new(Arc::clone(shared), policies, std::sync::Weak::new());
        view.services(&shared.tenant).await.remove(0).status
    };
    assert_eq!(shows(&second).await, "nothing is decided here while the catalog does not say who decides");
    room.shared.leader.renew().await.expect("asked");
    second.leader.renew().await.expect("asked");
    assert_eq!(shows(&second).await, "another process decides, and this one stands by");
    assert_eq!(shows(&room.shared).await, "the first round comes within 5s");
    let mut service = room.open().await;
    room.rounds(&mut service, Some(50.0), 2).await;
    let status = room.view().services(&room.shared.tenant).await.remove(0).status;
    assert!(status.starts_with("holding"), "{status}");
    // What its own rounds saw is not shown any more once the other one decides.
    room.shared.leader.resign().await;
    second.leader.renew().await.expect("asked");
    room.shared.leader.renew().await.expect("asked");
    let shown = room.view().services(&room.shared.tenant).await.remove(0);
    assert_eq!((shown.status.as_str(), shown.wanted), ("another process decides, and this one stands by", None));
}

#[tokio::test]
async fn property_10_a_lost_answer_is_looked_up_and_not_asked_twice() {
    let mut room = Room::new(1);
    let mut service = room.open().await;
    room.orchestrator.lose_answers(2);
    room.rounds(&mut service, Some(480.0), 12).await;
    let changes = room.changes_of_number().await;
    assert_eq!((room.wanted().await, room.orchestrator.num_calls() as usize), (5, changes.len()));
    assert!(changes.len() >= 2 && changes.iter().all(|c| c.2 == DecisionState::Verified), "{changes:?}");
    let events = room.catalog.changes(&room.shared.tenant, &ChangeFilter::default()).await.expect("kept");
    assert!(events.iter().all(|e| e.actor == "autoscaler"), "none of them is taken for someone else's: {events:?}");
}

#[tokio::test]
async fn property_11_a_change_by_a_person_is_adopted_and_left_for_the_time_that_is_set() {
    let mut room = Room::new(3);
    room.policy.operations.manual_hold = Some(Duration::from_secs(120));
    let mut service = room.open().await;
    room.rounds(&mut service, Some(290.0), 8).await;
    room.orchestrator.set_by_hand("web", 6);
    // 24 rounds of 5 s are the two minutes; the hold window of 30 s would have been over long before.
    room.rounds(&mut service, Some(290.0), 23).await;
    assert_eq!((room.wanted().await, room.orchestrator.num_calls()), (6, 0));
    room.rounds(&mut service, Some(290.0), 12).await;
    assert_eq!(room.wanted().await, 3);
    let events = room.catalog.changes(&room.shared.tenant, &ChangeFilter::default()).await.expect("kept");
    assert!(
        events.iter().any(|e| e.actor.is_empty() && e.summary.contains("from 3 to 6 by someone else")),
        "{events:?}"
    );
}
