use vocab::Clock;
use vocab::LogRecord;
use vocab::ports::Catalog;
use vocab::ports::catalog::ChangeFilter;
use vocab::testing::MemLogs;

use super::*;
use crate::testing::Room;

fn batch(service: &str, lines: &[&str], now_ms: i64) -> LogBatch {
    let record = |body: &&str| LogRecord {
        time_ns: now_ms * 1_000_000,
        service: service.to_owned(),
        body: (*body).to_owned(),
        ..LogRecord::default()
    };
    LogBatch { records: lines.iter().map(record).collect(), position: None }
}

async fn news(room: &Room) -> Vec<String> {
    let changes = room.catalog.changes(&TenantId::default(), &ChangeFilter::default()).await.expect("in memory");
    changes.into_iter().map(|c| c.summary).collect()
}

#[tokio::test]
async fn records_are_stamped_and_news_is_told_once_after_learning() {
    let room = Room::new();
    let logs = MemLogs::new();
    let store = Arc::new(PatternStore::new(Arc::clone(&room.shared), MinerLimits::default()));
    let stage = PatternStage::new(Arc::clone(&store), Arc::new(logs.clone()));
    let ctx = Ctx::unlimited();
    stage
        .append(&ctx, batch("web", &["took 5 ms", "took 7 ms", "started"], room.clock.now_ms()))
        .await
        .expect("stored");
    assert_eq!(news(&room).await, Vec::<String>::new(), "a service is learnt first");
    room.clock.advance(Duration::from_secs(61));
    stage.append(&ctx, batch("web", &["took 9 ms", "disk is gone"], room.clock.now_ms())).await.expect("stored");
    stage.append(&ctx, batch("web", &["disk is gone"], room.clock.now_ms())).await.expect("stored");
    assert_eq!(news(&room).await, ["new log pattern: disk is gone"]);
    let ids: Vec<u64> = logs.dump(&TenantId::default()).iter().map(|r| r.pattern_id).collect();
    assert!(ids.iter().all(|&id| id != 0));
    assert_eq!([ids[1], ids[3]], [ids[0]; 2]);
    let listed = store.list(&TenantId::default(), &ids[..1]).await;
    assert_eq!((listed[0].template.as_str(), listed[0].count), ("took <*> ms", 3));

    // A restart keeps ids, and nothing is news again.
    store.save().await.expect("saved");
    let again = Arc::new(PatternStore::new(Arc::clone(&room.shared), MinerLimits::default()));
    let stage = PatternStage::new(again, Arc::new(logs.clone()));
    let many: Vec<String> = (0..200).map(|i| format!("took {i} ms")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    stage.append(&ctx, batch("web", &many, room.clock.now_ms())).await.expect("stored");
    assert_eq!(logs.dump(&TenantId::default()).last().map(|r| r.pattern_id), Some(ids[0]));
    assert_eq!(news(&room).await.len(), 1);
}

#[tokio::test]
async fn a_flood_of_new_patterns_is_told_in_part() {
    let room = Room::new();
    let store = Arc::new(PatternStore::new(Arc::clone(&room.shared), MinerLimits::default()));
    let stage = PatternStage::new(store, Arc::new(MemLogs::new()));
    let ctx = Ctx::unlimited();
    stage.append(&ctx, batch("web", &["started"], room.clock.now_ms())).await.expect("stored");
    room.clock.advance(Duration::from_secs(100));
    let letters = |i: u32| -> String { (0..4).map(|k| char::from(b'a' + ((i >> (k * 2)) & 3) as u8)).collect() };
    let flood: Vec<String> = (0..100).map(|i| format!("{}x {} {}y", letters(i), letters(i), letters(i))).collect();
    let flood: Vec<&str> = flood.iter().map(String::as_str).collect();
    stage.append(&ctx, batch("web", &flood, room.clock.now_ms())).await.expect("stored");
    assert_eq!(news(&room).await.len(), EVENTS_PER_MINUTE_MAX as usize);
}

#[tokio::test]
async fn stored_lines_are_counted_by_service() {
    let room = Room::new();
    let store = Arc::new(PatternStore::new(Arc::clone(&room.shared), MinerLimits::default()));
    let stage = PatternStage::new(Arc::clone(&store), Arc::new(MemLogs::new()));
    let append = async |ctx: &Ctx, service: &str, lines: &[&str]| {
        stage.append(ctx, batch(service, lines, room.clock.now_ms())).await.expect("stored");
    };
    let ctx = Ctx::unlimited();
    append(&ctx, "web", &["a", "b"]).await;
    append(&ctx, "db", &["c"]).await;
    append(&ctx, "web", &["d"]).await;
    append(&ctx, "", &["of nobody"]).await;
    let other = Ctx::new(TenantId::new("other").expect("a tenant"), vocab::MemoryReservation::unlimited());
    append(&other, "web", &["not ours"]).await;
    let counted = |service: &str| {
        let labels = vec![("service", service.to_owned())];
        room.shared.metrics.service_log_lines.get_or_create(&labels).get()
    };
    assert_eq!((counted("web"), counted("db")), (3, 1));
    assert_eq!(store.counted.lock().len(), 2);
    for service in 0..SERVICES_COUNTED_MAX + 5 {
        store.count([(format!("s{service}"), 1)].into());
    }
    assert_eq!(store.counted.lock().len(), SERVICES_COUNTED_MAX);
}
