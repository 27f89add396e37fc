//! Who decides, when it changes, and who believes what meanwhile.

use vocab::telemetry::Telemetry;
use vocab::testing::{MemCatalog, SimClock};

use super::*;
use crate::metrics::Metrics;

fn leader(holder: &str, catalog: &MemCatalog, clock: &SimClock) -> Leader {
    let metrics = Metrics::new(&Telemetry::new()).leader;
    Leader::new("l".into(), holder.into(), Arc::new(catalog.clone()), Arc::new(clock.clone()), metrics)
}

#[tokio::test]
async fn property_11_one_of_two_decides_and_the_other_takes_over_after_the_lease() {
    let clock = SimClock::at(1_000_000);
    let catalog = MemCatalog::new(Arc::new(clock.clone()));
    let (first, second) = (leader("first", &catalog, &clock), leader("second", &catalog, &clock));
    first.begin().await.expect("asked");
    second.begin().await.expect("asked");
    assert!(first.fence().is_some() && second.fence().is_none());
    // Renewed in time, it stays.
    for _ in 0..10 {
        clock.advance(TTL / RENEWALS);
        first.renew().await.expect("asked");
        second.renew().await.expect("asked");
        assert!(first.fence().is_some() && second.fence().is_none());
    }
    // It sleeps: it stops believing before another may believe.
    let mut both = 0;
    let mut taken = None;
    for second_passed in 1..=TTL.as_secs() {
        clock.advance(Duration::from_secs(1));
        second.renew().await.expect("asked");
        both += u32::from(first.fence().is_some() && second.fence().is_some());
        taken = taken.or(second.fence().map(|_| second_passed));
    }
    assert_eq!((both, taken), (0, Some(TTL.as_secs())));
    first.renew().await.expect("asked");
    assert!(first.fence().is_none() && first.terms().borrow().is_none());
}

#[tokio::test]
async fn property_11_a_clean_stop_hands_over_at_once() {
    let clock = SimClock::at(1_000_000);
    let catalog = MemCatalog::new(Arc::new(clock.clone()));
    let (first, second) = (leader("first", &catalog, &clock), leader("second", &catalog, &clock));
    first.begin().await.expect("asked");
    let old = first.fence().expect("it leads");
    first.resign().await;
    second.renew().await.expect("asked");
    let new = second.fence().expect("it leads");
    assert!(first.fence().is_none() && new.token > old.token);
}

#[tokio::test]
async fn property_12_a_restart_does_not_wait_and_fences_off_its_life_before() {
    let clock = SimClock::at(1_000_000);
    let catalog = MemCatalog::new(Arc::new(clock.clone()));
    let before = leader("same", &catalog, &clock);
    before.begin().await.expect("asked");
    let old = before.fence().expect("it leads");
    let after = leader("same", &catalog, &clock);
    after.begin().await.expect("asked");
    assert!(after.fence().expect("at once").token > old.token);
    // Were the life before still there (a copy of the folder), it gives way under another name.
    before.renew().await.expect("asked");
    assert!(before.fence().is_none());
    before.renew().await.expect("asked");
    assert!(before.fence().is_none() && after.fence().is_some());
    after.renew().await.expect("asked");
    assert!(after.fence().is_some());
}

#[test]
fn an_installation_keeps_its_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let first = instance(&dir.path().join("a"));
    assert_eq!(instance(&dir.path().join("a")), first);
    assert_ne!(instance(&dir.path().join("b")), first);
}
