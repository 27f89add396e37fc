//! Levels, order and cycles.

use proptest::prelude::*;

use super::*;

fn dependency(service: &str, ratio: f64, elastic: u32) -> Dependency {
    Dependency { service: service.into(), ratio, elastic }
}

#[test]
fn property_14_dependencies_follow_the_level_form() {
    for (ratio, elastic, parent, need) in [
        (0.4, 0, 10, 4),
        (0.3, 0, 10, 3),
        (0.4, 2, 10, 6),
        (0.4, 0, 11, 5),
        (0.1, 0, 30, 3),
        (2.0, 1, 0, 1),
        (1e9, 0, u32::MAX, u32::MAX),
    ] {
        assert_eq!(dependency("d", ratio, elastic).need(parent), need, "{ratio} × {parent} + {elastic}");
    }
}

#[test]
fn property_14_ten_more_feeds_bring_four_users_and_three_cards() {
    let (user, card) = (dependency("user", 0.4, 0), dependency("card", 0.3, 0));
    let feed = |dependency| Parent { service: "feed", current: 20, intent: 30, dependency };
    assert_eq!(floor(&[feed(&user)]).map(|l| l.replicas), Some(12));
    assert_eq!(floor(&[feed(&card)]).map(|l| l.replicas), Some(9));
    // The largest of several parents' needs, not their sum.
    let shop = Parent { service: "shop", current: 50, intent: 40, dependency: &user };
    let most = floor(&[feed(&user), shop]).expect("a need");
    assert_eq!(
        (most.replicas, most.reason.as_str()),
        (20, "50 replicas of shop need 20 replicas: 0.4 each and 0 more")
    );
    assert_eq!(floor(&[]), None);
}

#[test]
fn property_14_dependencies_go_first_out_and_last_in() {
    let user = dependency("user", 0.4, 0);
    let needed = |current, awaited| Needed { dependency: &user, current, most: None, awaited };
    let held = first(50, &[needed(Some(8), true)]).expect("it waits");
    assert_eq!((held.guard.as_str(), held.replicas), ("dependency_first", 20));
    assert_eq!(held.reason, "user goes first: its 8 replicas carry 20 replicas");
    assert_eq!(first(50, &[needed(Some(12), true)]).map(|l| l.replicas), Some(30), "it is there: the parent follows");
    assert_eq!(first(50, &[needed(Some(8), false)]), None, "nothing to wait for");
    assert_eq!(first(50, &[needed(None, true)]), None, "an unknown dependency does not hold its parent");
    assert_eq!(first(50, &[needed(Some(20), true)]), None, "it carries all that the parent may have");
    // On the way in what the parent still runs counts, though it intends less.
    let feed = Parent { service: "feed", current: 30, intent: 10, dependency: &user };
    assert_eq!(floor(&[feed]).map(|l| l.replicas), Some(12));
}

#[test]
fn property_14_a_dependency_without_quota_limits_its_parent_and_says_so() {
    let (user, card) = (dependency("user", 0.4, 1), dependency("card", 0.3, 0));
    let full = Needed { dependency: &user, current: Some(9), most: Some((9, "quota shop".into())), awaited: true };
    let fine = Needed { dependency: &card, current: Some(9), most: None, awaited: true };
    let limit = limit(50, &[full, fine]).expect("a limit");
    assert_eq!((limit.guard.as_str(), limit.replicas), ("dependency_limit", 20));
    assert_eq!(limit.reason, "user can have 9 only (quota shop), which carries 20 replicas");
}

#[test]
fn property_14_cycles_are_named() {
    let check = |needs: &[(&'static str, &[&'static str])]| {
        cycle(&needs.iter().map(|(name, list)| (*name, list.to_vec())).collect())
    };
    assert_eq!(check(&[("feed", &["user", "card"]), ("user", &["card"]), ("card", &[])]), None);
    assert_eq!(check(&[("a", &["a"])]).as_deref(), Some("a → a"));
    let long = check(&[("a", &["b"]), ("b", &["c", "d"]), ("c", &[]), ("d", &["e"]), ("e", &["b"])]);
    assert_eq!(long.as_deref(), Some("b → d → e → b"));
    assert_eq!(check(&[("a", &["x", "b"]), ("b", &["x"])]), None, "two ways to one place are no cycle");
}

proptest! {
    #[test]
    fn property_14_a_limited_parent_is_carried_and_one_more_would_not_be(
        ratio in 0.001..20.0f64, elastic in 0..50u32, available in 0..5000u32, most in 0..10_000u32,
    ) {
        let dependency = dependency("d", ratio, elastic);
        let carried = dependency.carries(available, most);
        prop_assert!(carried <= most);
        if carried > 0 {
            prop_assert!(dependency.need(carried) <= available);
        }
        if carried < most {
            prop_assert!(dependency.need(carried + 1) > available);
        }
    }
}
