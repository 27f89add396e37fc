//! Who gets what when it is short.

use proptest::prelude::*;

use super::*;

fn policy(service: &str, priority: u8) -> Policy {
    let mut policy = crate::tests::policy();
    service.clone_into(&mut policy.service);
    policy.max = 1000;
    policy.operations.priority = priority;
    policy.operations.team = "shop".into();
    policy.operations.price_per_hour = 0.5;
    policy
}

fn quota(amount: Amount) -> Quota {
    Quota { name: "all".into(), cluster: None, team: None, services: Vec::new(), amount }
}

/// A round of a service: as many as the quota leaves.
fn round(quotas: &Quotas, policy: &Policy, current: u32, intent: u32) -> u32 {
    let ceiling =
        quotas.ceiling(policy, current, Duration::ZERO).map_or(intent, |l| intent.min(l.replicas.max(current)));
    assert!(quotas.settle(policy, Settled { current, intent, to: ceiling }));
    ceiling
}

#[test]
fn property_16_a_wish_beyond_the_quota_is_trimmed_by_priority() {
    let quotas = Quotas::default();
    quotas.set(&[quota(Amount::Replicas(100))], &[], Duration::ZERO);
    let (gold, tin) = (policy("gold", 90), policy("tin", 10));
    assert_eq!((round(&quotas, &tin, 40, 40), round(&quotas, &gold, 50, 50)), (40, 50));
    // Both want 30 more; 10 are free. Tin asks first and gets them; gold's wish stands from then on.
    assert_eq!(round(&quotas, &tin, 40, 45), 45);
    assert_eq!(round(&quotas, &gold, 50, 80), 55);
    // What becomes free goes to the more important one, whoever asks first.
    assert_eq!(round(&quotas, &tin, 30, 30), 30);
    assert_eq!(round(&quotas, &tin, 30, 45), 30, "15 are free, and gold misses 25");
    assert_eq!(round(&quotas, &gold, 55, 80), 70);
    // Less is always possible, and gives the rest back.
    assert_eq!(round(&quotas, &gold, 70, 20), 20);
    quotas.settle(&gold, Settled { current: 20, intent: 20, to: 20 });
    assert_eq!(round(&quotas, &tin, 30, 200), 80);
}

#[test]
fn property_16_a_budget_in_money_counts_the_price_and_names_itself() {
    let quotas = Quotas::default();
    quotas.set(
        &[quota(Amount::CostPerHour(10.0)), Quota { team: Some("other".into()), ..quota(Amount::Replicas(1)) }],
        &[],
        Duration::ZERO,
    );
    let shop = policy("shop", 50);
    let limit = quotas.ceiling(&shop, 3, Duration::ZERO).expect("a limit");
    assert_eq!((limit.replicas, limit.reason.as_str()), (20, "budget all of 10 an hour leaves 20 to shop"));
    let mut free = policy("free", 50);
    free.operations.price_per_hour = 0.0;
    assert_eq!(quotas.ceiling(&free, 3, Duration::ZERO), None);
}

#[test]
fn property_16_what_was_taken_meanwhile_is_noticed() {
    let quotas = Quotas::default();
    quotas.set(&[quota(Amount::Replicas(10))], &[], Duration::ZERO);
    let (a, b) = (policy("a", 50), policy("b", 50));
    // Both look before either settles.
    assert_eq!(
        (
            quotas.ceiling(&a, 2, Duration::ZERO).map(|l| l.replicas),
            quotas.ceiling(&b, 2, Duration::ZERO).map(|l| l.replicas)
        ),
        (Some(10), Some(10))
    );
    assert!(quotas.settle(&a, Settled { current: 2, intent: 8, to: 8 }));
    assert!(!quotas.settle(&b, Settled { current: 2, intent: 8, to: 8 }));
    assert_eq!(round(&quotas, &b, 2, 8), 2);
    quotas.retain(|service| service == "b");
    assert_eq!(round(&quotas, &b, 2, 8), 8);
}

#[test]
fn property_16_more_than_a_tenth_trimmed_is_alarmed() {
    for (current, intent, to, alarmed) in
        [(10, 20, 20, false), (10, 20, 19, false), (10, 20, 18, true), (10, 11, 10, true), (10, 5, 5, false)]
    {
        assert_eq!(alarm(Settled { current, intent, to }).is_some(), alarmed, "{current} {intent} {to}");
    }
}

#[test]
fn property_12_a_new_book_lets_nothing_grow_before_it_has_heard_of_all() {
    let (quotas, limit) = (Quotas::default(), [quota(Amount::Replicas(10))]);
    let (a, b) = (policy("a", 50), policy("b", 50));
    quotas.set(&limit, &[a.clone(), b.clone()], Duration::ZERO);
    assert_eq!(round(&quotas, &a, 2, 10), 2, "b may hold eight");
    assert_eq!(round(&quotas, &b, 5, 5), 5);
    assert_eq!(round(&quotas, &a, 2, 10), 5);
    // The same quota again keeps its book; one that never hears of a service stops waiting.
    quotas.set(&limit, &[a.clone(), b.clone()], Duration::from_secs(9));
    assert_eq!(
        quotas.ceiling(&a, 5, Duration::from_secs(9)).map(|l| l.reason),
        Some("quota all of 10 replicas leaves 5 to a".into())
    );
    quotas.set(&[], &[], Duration::ZERO);
    quotas.set(&limit, &[a.clone(), b], Duration::ZERO);
    let most = [1, 29, 30].map(|s| quotas.ceiling(&a, 2, Duration::from_secs(s)).map(|l| l.replicas));
    assert_eq!(most, [Some(2), Some(2), Some(10)]);
}

proptest! {
    #[test]
    fn property_16_no_quota_is_ever_passed_by_growth(
        limit in 0..200u32,
        rounds in prop::collection::vec((0..6usize, 0..100u32), 1..200),
    ) {
        let quotas = Quotas::default();
        quotas.set(&[quota(Amount::Replicas(limit))], &[], Duration::ZERO);
        let policies: Vec<Policy> = (0..6).map(|i| policy(&format!("s{i}"), i * 10)).collect();
        let mut have = [0u32; 6];
        for (index, intent) in rounds {
            have[index] = round(&quotas, &policies[index], have[index], intent);
            prop_assert!(have.iter().sum::<u32>() <= limit);
        }
        // Everyone content: the whole quota is there for one.
        for index in 1..6 {
            have[index] = round(&quotas, &policies[index], have[index], 0);
            quotas.settle(&policies[index], Settled { current: 0, intent: 0, to: 0 });
        }
        prop_assert_eq!(round(&quotas, &policies[0], have[0], 500), limit.max(have[0]));
    }
}
