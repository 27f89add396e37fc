//! Ten thousand services on 33 clusters, one of which is dead.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::autoscaler::scale;

const SERVICES: usize = 10_000;
const CLUSTERS: usize = 33;

/// Lets everything run until all loops sleep.
async fn settle(clock: &SimClock) {
    for _ in 0..100_000 {
        tokio::task::yield_now().await;
        if clock.num_sleepers() >= SERVICES {
            return;
        }
    }
    panic!("not all loops came to rest: {} sleep", clock.num_sleepers());
}

#[tokio::test]
async fn property_18_ten_thousand_services_are_decided_every_five_seconds_beside_a_dead_cluster() {
    let room = Room::new(1);
    room.shared.leader.renew().await.expect("asked");
    let names: Vec<String> = (0..SERVICES).map(|i| format!("s{i}")).collect();
    let clusters: Vec<Arc<FakeOrchestrator>> = (0..CLUSTERS)
        .map(|cluster| {
            let own: Vec<(&str, u32)> = names.iter().skip(cluster).step_by(CLUSTERS).map(|n| (n.as_str(), 1)).collect();
            Arc::new(FakeOrchestrator::new(&own))
        })
        .collect();
    clusters[0].set_hanging(true);
    let cancel = CancellationToken::new();
    let mut tasks = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let mut policy = room.policy.clone();
        policy.service.clone_from(name);
        (policy.queue_query, policy.confirm_query) = (String::new(), String::new());
        policy.targets[0].query = "vector(150)".into();
        let orchestrator = Arc::clone(&clusters[index % CLUSTERS]) as Arc<dyn Orchestrator>;
        let offset = policy.interval.mul_f64(index as f64 / SERVICES as f64);
        let rounds = scale(policy, orchestrator, Arc::clone(&room.shared), offset, cancel.clone());
        tasks.push(tokio::spawn(rounds));
    }
    let rounds = |name: &str| {
        let labels = vec![("service", name.to_owned())];
        room.shared.metrics.rounds.get_or_create(&labels).get()
    };
    let mut by_second = Vec::new();
    let mut before = 0;
    for _ in 0..12 {
        settle(&room.clock).await;
        room.clock.advance(Duration::from_millis(999));
        settle(&room.clock).await;
        room.clock.advance(Duration::from_millis(1));
        room.shared.leader.renew().await.expect("asked");
        settle(&room.clock).await;
        let all: u64 = names.iter().map(|n| rounds(n)).sum();
        by_second.push(all - before);
        before = all;
    }
    // Those of living clusters had their rounds in time, and those of the dead one did not keep them from it.
    let mut seen: BTreeMap<u64, usize> = BTreeMap::new();
    for (index, name) in names.iter().enumerate() {
        if index % CLUSTERS != 0 {
            *seen.entry(rounds(name)).or_default() += 1;
        }
    }
    assert!(seen.keys().all(|n| (2..=3).contains(n)), "rounds within twelve seconds: {seen:?}");
    let dead: u64 = names.iter().step_by(CLUSTERS).map(|n| rounds(n)).sum();
    assert_eq!(dead, 0, "the dead cluster's services still wait for it");
    let most = by_second.iter().max().copied().unwrap_or(0);
    assert!(most <= SERVICES as u64 / 3, "rounds are spread over the seconds: {by_second:?}");
    for cluster in &clusters[1..] {
        assert!(cluster.num_calls() >= 250, "150 RPS at 100 each need two");
    }
    cancel.cancel();
    clusters[0].set_hanging(false);
    for task in tasks {
        task.abort();
    }
}
