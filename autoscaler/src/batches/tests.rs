//! Turns.

use vocab::testing::MemCatalog;

use super::*;

fn policy(service: &str, priority: u8) -> Policy {
    let mut policy = crate::tests::policy();
    service.clone_into(&mut policy.service);
    policy.operations.priority = priority;
    policy
}

fn batches() -> Batches {
    let batches = Batches::default();
    batches.set(&[Batch { orchestrator: "swarm".into(), cluster: None, max_batch: 20 }]);
    batches
}

/// A round of a service that wants `intent`: what it takes.
fn round(batches: &Batches, policy: &Policy, current: u32, starting: u32, intent: u32, now_ms: i64) -> u32 {
    let to = batches.ceiling(policy, current, starting).map_or(intent, |l| intent.min(l.replicas)).max(current);
    assert!(batches.settle(policy, Turn { current, starting, to, intent }, now_ms));
    to
}

#[test]
fn property_16_eighty_come_twenty_at_a_time() {
    let (batches, web) = (batches(), policy("web", 50));
    let mut taken = vec![round(&batches, &web, 10, 0, 90, 0)];
    assert_eq!(round(&batches, &web, 30, 20, 90, 1), 30, "the first twenty are still starting");
    assert_eq!(round(&batches, &web, 30, 5, 90, 2), 45, "fifteen of them are ready");
    let mut current = 45;
    while current < 90 {
        current = round(&batches, &web, current, 0, 90, 3);
        taken.push(current);
    }
    assert_eq!(taken, [30, 65, 85, 90]);
}

#[test]
fn property_16_the_more_important_goes_first_then_who_waited_longer() {
    let batches = batches();
    let (a, b, gold) = (policy("a", 50), policy("b", 50), policy("gold", 90));
    assert_eq!(round(&batches, &a, 1, 0, 41, 0), 21);
    assert_eq!(round(&batches, &b, 1, 0, 11, 1), 1);
    assert_eq!(round(&batches, &gold, 1, 0, 6, 2), 1);
    // The first twenty are ready: five for gold, and then a goes on before b.
    assert_eq!(round(&batches, &a, 21, 0, 41, 3), 36);
    assert_eq!(round(&batches, &gold, 1, 0, 6, 4), 6);
    assert_eq!(round(&batches, &a, 36, 0, 41, 5), 41);
    assert_eq!(round(&batches, &b, 1, 0, 11, 6), 11);
}

#[tokio::test]
async fn property_12_the_queue_outlives_a_restart() {
    let catalog: Arc<dyn Catalog> = Arc::new(MemCatalog::default());
    let before = batches();
    let (a, b) = (policy("a", 50), policy("b", 50));
    round(&before, &a, 1, 0, 51, 0);
    round(&before, &b, 1, 0, 11, 1);
    before.save(&catalog).await.expect("written");
    let after = batches();
    after.load(&catalog).await.expect("read");
    // B asks first after the restart, and still a stands before it.
    assert_eq!(round(&after, &b, 1, 0, 11, 2), 1);
    assert_eq!(round(&after, &a, 21, 0, 51, 3), 41);
    after.retain(|service| service == "b");
    assert_eq!(round(&after, &b, 1, 0, 11, 4), 11);
}

#[test]
fn a_turn_that_was_taken_meanwhile_is_noticed() {
    let batches = batches();
    let (a, b) = (policy("a", 50), policy("b", 50));
    assert!(batches.settle(&a, Turn { current: 0, starting: 0, to: 15, intent: 15 }, 0));
    assert!(!batches.settle(&b, Turn { current: 0, starting: 0, to: 15, intent: 15 }, 0));
    assert_eq!(batches.ceiling(&b, 0, 0).map(|l| l.replicas), Some(5));
    let mut elsewhere = policy("c", 50);
    elsewhere.orchestrator = "process".into();
    assert_eq!(batches.ceiling(&elsewhere, 0, 0), None);
}
