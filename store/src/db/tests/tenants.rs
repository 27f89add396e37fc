//! Limits and retention of single tenants, and a thousand of them.

use std::time::Duration;

use vocab::limits::{Limits, LimitsTable, TenantLimits};

use super::*;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn ctx(name: &str) -> Ctx {
    Ctx::new(tenant(name), vocab::MemoryReservation::unlimited())
}

fn config(dir: &Path, defaults: TenantLimits, small: TenantLimits) -> MetricStoreConfig {
    let overrides = [(tenant("small"), small)].into();
    let tenants = Limits::new(LimitsTable { defaults, overrides });
    MetricStoreConfig { tenants, ..MetricStoreConfig::new(dir.to_owned()) }
}

#[tokio::test]
async fn each_tenant_has_its_own_limits_and_they_can_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    let defaults = TenantLimits { labels_per_series: Some(3), ..TenantLimits::default() };
    let small = TenantLimits { series: Some(2), label_value_bytes: Some(4), ..TenantLimits::default() };
    let config = config(dir.path(), defaults.clone(), small);
    let table = Arc::clone(&config.tenants);
    let store = open_with(config, &budget(), &SimClock::at(NOON_MS)).await;
    let check = async |who: &str, pairs: &[(&str, &str)], expect: Option<(RejectReason, &str)>| {
        let mut batch = WriteBatch { origin: Origin::Write, ..WriteBatch::default() };
        batch.push(Labels::from_pairs(pairs.iter().copied()), NOON_MS, 1.0);
        let outcome = store.append(&ctx(who), &batch).await.unwrap();
        assert_eq!(outcome.rejected == 0, expect.is_none(), "{who} {pairs:?} {:?}", outcome.rejections);
        if let Some((reason, words)) = expect {
            let rejection = &outcome.rejections[0];
            assert!(rejection.reason == reason && rejection.message.contains(words), "{rejection:?}");
            assert_eq!(outcome.limited, u64::from(reason == RejectReason::SeriesLimit));
        }
    };
    let four = [("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")];
    for who in ["small", "large"] {
        check(who, &four, Some((RejectReason::InvalidLabels, "max_labels_per_series"))).await;
    }
    check("large", &[("a", "longer")], None).await;
    check("small", &[("a", "longer")], Some((RejectReason::InvalidLabels, "max_label_value_bytes"))).await;
    for value in ["1", "2", "3"] {
        check("large", &[("a", value)], None).await;
        let over = Some((RejectReason::SeriesLimit, "the 2 that tenant small may have (max_series)"));
        check("small", &[("a", value)], over.filter(|_| value == "3")).await;
    }
    check("small", &[("a", "1")], None).await;
    table.replace(LimitsTable { defaults, ..LimitsTable::default() });
    check("small", &[("a", "3")], None).await;
}

#[tokio::test]
async fn a_limit_is_named_even_behind_many_other_mistakes() {
    let dir = tempfile::tempdir().unwrap();
    let limits = TenantLimits { series: Some(1), ..TenantLimits::default() };
    let store = open_with(config(dir.path(), limits, TenantLimits::default()), &budget(), &SimClock::at(NOON_MS)).await;
    append(&store, &counters("a", 1, 1, NOON_MS)).await;
    let mut batch = WriteBatch::default();
    for step in 0..30 {
        batch.push(series("a", 0), NOON_MS - step * 3_600_000 - 1_800_001, 1.0);
    }
    batch.push(series("b", 0), NOON_MS, 1.0);
    let outcome = append(&store, &batch).await;
    assert_eq!((outcome.rejected, outcome.limited), (31, 1));
    assert!(outcome.rejections.iter().any(|r| r.reason == RejectReason::SeriesLimit), "{:?}", outcome.rejections);
}

#[tokio::test]
async fn pushed_samples_have_a_rate_and_scraped_ones_have_none() {
    let dir = tempfile::tempdir().unwrap();
    let small = TenantLimits { samples_per_second: Some(10), ..TenantLimits::default() };
    let clock = SimClock::at(NOON_MS);
    let store = open_with(config(dir.path(), TenantLimits::default(), small), &budget(), &clock).await;
    let batch = |origin, end_ms| WriteBatch { origin, ..counters("r", 1, 60, end_ms) };
    store.append(&ctx("small"), &batch(Origin::Write, NOON_MS)).await.unwrap();
    let error = store.append(&ctx("small"), &batch(Origin::Write, NOON_MS + 1)).await.expect_err("too fast");
    assert_eq!(error.kind(), ErrorKind::Limit);
    let words = ["tenant small", "10 samples per second", "max_samples_per_second"];
    assert!(words.iter().all(|w| error.message().contains(w)), "{error}");
    for origin in [Origin::Scrape, Origin::Internal] {
        store.append(&ctx("small"), &batch(origin, NOON_MS + 15_000)).await.unwrap();
    }
    store.append(&ctx("large"), &batch(Origin::Write, NOON_MS)).await.unwrap();
    store.append(&ctx("large"), &batch(Origin::Write, NOON_MS)).await.unwrap();
    clock.advance(Duration::from_secs(2));
    store.append(&ctx("small"), &batch(Origin::Write, NOON_MS + 1)).await.unwrap();
}

#[tokio::test]
async fn retention_of_one_tenant_leaves_the_others_alone() {
    let dir = tempfile::tempdir().unwrap();
    let day_ms = 24 * 3_600_000;
    let small = TenantLimits { retention_time: Some(Duration::from_secs(36 * 3600)), ..TenantLimits::default() };
    let config = config(dir.path(), TenantLimits::default(), small);
    let table = Arc::clone(&config.tenants);
    let store = open_with(config, &budget(), &SimClock::at(NOON_MS)).await;
    let days = async |who: &str| store.label_values(&ctx(who), "__name__", all_time()).await.unwrap();
    for age in [3, 1, 0] {
        for who in ["small", "large"] {
            let batch = counters(&format!("day{age}"), 3, 10, NOON_MS - age * day_ms);
            let outcome = store.append(&ctx(who), &batch).await.unwrap();
            let too_old = outcome.rejections.first().map(|r| r.reason) == Some(RejectReason::BeyondRetention);
            assert_eq!(too_old, who == "small" && age == 3);
        }
        store.flush().await.unwrap();
    }
    store.compact().await.unwrap();
    assert_eq!(days("small").await, ["day0", "day1"]);
    assert_eq!(days("large").await, ["day0", "day1", "day3"]);
    let of_size = |bytes| TenantLimits { retention_bytes: Some(bytes), ..TenantLimits::default() };
    let size = store.sources.blocks.of(&tenant("large")).iter().map(|b| b.meta().num_bytes()).sum::<u64>();
    table.replace(LimitsTable { overrides: [(tenant("large"), of_size(size - 1))].into(), ..LimitsTable::default() });
    store.compact().await.unwrap();
    assert_eq!(days("large").await, ["day0", "day1"]);
    table.replace(LimitsTable { defaults: of_size(1), ..LimitsTable::default() });
    store.compact().await.unwrap();
    assert_eq!((days("small").await.len(), days("large").await.len(), store.status().blocks), (0, 0, 0));
}

#[tokio::test]
async fn a_thousand_tenants_cost_little_and_never_see_each_other() {
    const TENANTS: usize = 1000;
    let dir = tempfile::tempdir().unwrap();
    let clock = SimClock::at(NOON_MS);
    let budget = budget();
    let store = open_with(MetricStoreConfig::new(dir.path().to_owned()), &budget, &clock).await;
    let name = |number: usize| format!("team-{number}");
    for round in 0..2 {
        for number in 0..TENANTS {
            let mut batch = counters("up", 3, 4, NOON_MS + round * 60_000);
            batch.push(Labels::from_pairs([("__name__", "owner"), ("team", &name(number))]), NOON_MS, number as f64);
            store.append(&ctx(&name(number)), &batch).await.unwrap();
        }
    }
    let used = budget.pool(HEAD_POOL).used_bytes();
    assert!(used / TENANTS < 16 << 10, "{used} bytes are counted for {TENANTS} small tenants");
    let check = async |store: &MetricStore| {
        for number in (0..TENANTS).step_by(37) {
            let found = store.label_values(&ctx(&name(number)), "team", all_time()).await.unwrap();
            assert_eq!(found, [name(number)]);
            assert_eq!(store.series(&ctx(&name(number)), all_time()).await.unwrap().len(), 4);
        }
    };
    check(&store).await;
    store.flush().await.unwrap();
    check(&store).await;
    assert_eq!(store.status().blocks, TENANTS as u64);
    let size = store.status().blocks_bytes;
    assert!(size / (TENANTS as u64) < 8 << 10, "{size} bytes of blocks");
    store.flush().await.unwrap();
    assert_eq!(store.sources.head.tenants().len(), 0, "a tenant that is quiet leaves memory");
    assert_eq!(budget.pool(HEAD_POOL).used_bytes(), 0);
    // A flush of nothing leaves no files behind.
    assert_eq!(store.status().blocks, TENANTS as u64);
    drop(store);
    let store = open_with(MetricStoreConfig::new(dir.path().to_owned()), &budget, &clock).await;
    check(&store).await;
    assert!(store.series(&ctx("team-1000"), all_time()).await.unwrap().is_empty());
}

#[tokio::test]
async fn cardinality_is_counted_from_head_and_blocks_alike() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SimClock::at(NOON_MS);
    let store = open_with(MetricStoreConfig::new(dir.path().to_owned()), &budget(), &clock).await;
    append(&store, &counters("a", 40, 2, NOON_MS)).await;
    append(&store, &counters("b", 3, 2, NOON_MS)).await;
    store.append(&ctx("other"), &counters("c", 99, 1, NOON_MS)).await.unwrap();
    clock.advance(Duration::from_secs(3600));
    store.round().await.unwrap();
    append(&store, &counters("d", 5, 1, NOON_MS + 3_600_000)).await;
    let report = store.cardinality(&Ctx::unlimited(), 2).await.unwrap();
    let rows = |list: &[(&str, u64)]| list.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect::<Vec<_>>();
    assert_eq!((report.series, report.num_pairs), (48, 3 + 40 + 1));
    assert_eq!(report.metrics, rows(&[("a", 40), ("d", 5)]));
    assert_eq!(report.labels, rows(&[("host", 40), ("__name__", 3)]));
    assert_eq!(report.pairs, rows(&[("job=test", 48), ("__name__=a", 40)]));
    assert_eq!(report.churn_metrics, rows(&[("a", 40), ("d", 5)]));
    let hours: Vec<_> = report.churn_hours.iter().map(|h| (h.start_ms, h.created)).collect();
    assert_eq!(hours, [(NOON_MS, 43), (NOON_MS + 3_600_000, 5)]);
    // The same from blocks, when nothing is in memory, and as whoever counts one by one has it.
    store.flush().await.unwrap();
    store.flush().await.unwrap();
    store.compact().await.unwrap();
    let of_blocks = store.cardinality(&Ctx::unlimited(), 2).await.unwrap();
    let all = store.series(&Ctx::unlimited(), all_time()).await.unwrap();
    let slow = vocab::ports::query::CardinalityReport::of(&all, 2);
    assert_eq!(
        vocab::ports::query::CardinalityReport { churn_hours: vec![], churn_metrics: vec![], ..of_blocks },
        slow
    );
    assert_eq!((slow.series, slow.metrics), (report.series, report.metrics));
}
