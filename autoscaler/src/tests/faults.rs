//! What breaks around a service: metrics, the orchestrator, its replicas, the clock.

use super::*;

#[tokio::test]
async fn property_02_metrics_that_vanish_in_a_ramp_neither_shrink_nor_grow_it() {
    let mut room = Room::new(1);
    let mut service = room.open().await;
    for load in [50.0, 100.0, 150.0, 200.0, 250.0, 300.0] {
        room.rounds(&mut service, Some(load), 2).await;
    }
    let before = room.wanted().await;
    assert!(before >= 2);
    let calls = room.orchestrator.num_calls();
    // The rate still knows a while; after that nothing is known, for ten minutes.
    room.rounds(&mut service, None, 120).await;
    let held = room.wanted().await;
    assert!((before..=4).contains(&held), "{before} to {held}");
    assert!(room.orchestrator.num_calls() <= calls + 1);
    room.rounds(&mut service, Some(480.0), 8).await;
    assert_eq!(room.wanted().await, 5);
}

#[tokio::test]
async fn property_10_an_orchestrator_that_is_down_for_two_minutes_is_waited_for() {
    let mut room = Room::new(2);
    let mut service = room.open().await;
    room.rounds(&mut service, Some(190.0), 6).await;
    room.orchestrator.set_silent(true);
    room.rounds(&mut service, Some(480.0), 24).await;
    assert_eq!(room.orchestrator.num_calls(), 0);
    room.orchestrator.set_silent(false);
    room.rounds(&mut service, Some(480.0), 1).await;
    assert_eq!(room.wanted().await, 5, "at once, in one call");
    let tickets = room.catalog.tickets(&room.shared.tenant, &TicketFilter::default()).await.expect("kept");
    assert!(tickets.is_empty(), "its being down is no failed try: {tickets:?}");
}

#[tokio::test]
async fn property_09_replicas_that_never_become_ready_freeze_and_heal() {
    let mut room = Room::new(1);
    room.policy.startup = Duration::from_secs(5);
    let mut service = room.open().await;
    room.rounds(&mut service, Some(90.0), 6).await;
    room.orchestrator.set_unready(true);
    room.rounds(&mut service, Some(480.0), 30).await;
    let (wanted, calls) = (room.wanted().await, room.orchestrator.num_calls());
    assert!(wanted > 1);
    room.rounds(&mut service, Some(700.0), 20).await;
    assert_eq!((room.wanted().await, room.orchestrator.num_calls()), (wanted, calls), "left alone");
    let tickets = room.catalog.tickets(&room.shared.tenant, &TicketFilter::default()).await.expect("kept");
    assert_eq!(tickets.iter().map(|t| t.state).collect::<Vec<_>>(), [TicketState::Open]);
    room.orchestrator.set_unready(false);
    room.rounds(&mut service, Some(700.0), 4).await;
    assert!(room.wanted().await > wanted, "it heals by itself");
    let tickets = room.catalog.tickets(&room.shared.tenant, &TicketFilter::default()).await.expect("kept");
    assert_eq!(tickets.iter().map(|t| t.state).collect::<Vec<_>>(), [TicketState::Resolved]);
}

#[tokio::test]
async fn property_17_a_clock_that_jumps_gives_nothing_back() {
    for jump_ms in [3_600_000, -3_600_000] {
        let mut room = Room::new(4);
        let mut service = room.open().await;
        room.rounds(&mut service, Some(390.0), 8).await;
        let wall_ms = room.clock.now_ms();
        room.clock.jump_to(wall_ms + jump_ms);
        // The load falls at that moment: the hold window of 30 s is still to be waited for.
        room.rounds(&mut service, Some(390.0), 1).await;
        room.rounds(&mut service, Some(100.0), 4).await;
        assert_eq!(room.wanted().await, 4, "{jump_ms}");
        assert!(room.shared.leader.fence().is_some(), "it goes on deciding");
        room.rounds(&mut service, Some(490.0), 10).await;
        assert_eq!(room.wanted().await, 5, "{jump_ms}");
    }
}
