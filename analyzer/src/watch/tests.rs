use vocab::{Clock, Problems, TenantId, is_stale_nan};

use super::*;
use crate::config::{RawAnalysis, check_analysis};
use crate::testing::{Room, START_MS};

fn watcher(room: &Room, text: &str) -> Watcher {
    let raw: RawAnalysis = serde_saphyr::from_str(text).expect("well formed");
    let mut problems = Problems::default();
    let config = check_analysis(&raw, &mut problems);
    assert!(problems.is_empty(), "{problems}");
    Watcher::new(Arc::clone(&room.shared), config)
}

fn wave(minute: i64) -> f64 {
    100.0 + 40.0 * (minute as f64 / 120.0 * std::f64::consts::TAU).sin()
}

fn last(room: &Room, name: &str, quantile: &str) -> Option<f64> {
    let all = room.store.dump(&TenantId::default());
    let found =
        all.iter().find(|s| s.labels.metric_name() == name && s.labels.get("quantile").unwrap_or("") == quantile)?;
    found.values.last().copied()
}

#[tokio::test]
async fn a_watched_series_gets_a_score_and_a_forecast() {
    let room = Room::new();
    let minutes = 12 * 60;
    for minute in 0..=minutes {
        room.store.put(&[("__name__", "rps"), ("service", "web")], START_MS + minute * 60_000, wave(minute));
    }
    let mut watcher = watcher(&room, "{watch: [{name: load, query: rps, history: 12h, horizon: 10m}]}");
    let end = (START_MS + minutes * 60_000).div_euclid(60_000) * 60_000;
    assert_eq!(watcher.round(end).await.as_deref(), Ok("1 series scored"));
    assert!(last(&room, SCORE, "").expect("a score") < 3.5);
    let mean = last(&room, FORECAST, "mean").expect("a forecast");
    assert!((mean - wave(minutes + 10)).abs() < 5.0, "{mean} for {}", wave(minutes + 10));
    let (lower, upper) = (last(&room, FORECAST, "lower95"), last(&room, FORECAST, "upper95"));
    assert!(lower <= Some(mean) && Some(mean) <= upper, "{lower:?} {upper:?}");
    let series = room.store.dump(&TenantId::default());
    let forecast = series.iter().find(|s| s.labels.metric_name() == FORECAST).expect("written");
    assert_eq!(forecast.labels.get("horizon"), Some("10m"));
    assert_eq!((forecast.labels.get("service"), forecast.labels.get("watch")), (Some("web"), Some("load")));

    // The next minutes: the wave goes on, then the load is gone.
    for minute in minutes + 1..minutes + 4 {
        let value = if minute == minutes + 3 { 5.0 } else { wave(minute) };
        let time = START_MS + minute * 60_000;
        room.store.put(&[("__name__", "rps"), ("service", "web")], time, value);
        watcher.round(time.div_euclid(60_000) * 60_000 + 60_000).await.expect("a good round");
    }
    assert!(last(&room, SCORE, "").expect("a score") >= 3.5);
}

#[tokio::test]
async fn a_series_that_ends_gets_staleness_markers() {
    let room = Room::new();
    for minute in 0..30 {
        room.store.put(&[("__name__", "rps")], START_MS + minute * 60_000, 5.0);
    }
    let mut watcher = watcher(&room, "{watch: [{name: load, query: rps, history: 1h, horizon: 5m}]}");
    watcher.round(START_MS + 30 * 60_000).await.expect("a good round");
    assert_eq!(last(&room, SCORE, ""), Some(0.0));
    watcher.round(START_MS + 50 * 60_000).await.expect("a good round");
    assert!(last(&room, SCORE, "").is_some_and(is_stale_nan));
}

#[tokio::test]
async fn bounds_hold_and_failures_are_told() {
    let room = Room::new();
    for number in 0..SERIES_PER_WATCH_MAX + 7 {
        room.store.put(&[("__name__", "many"), ("n", &number.to_string())], START_MS, 1.0);
    }
    let mut watcher = watcher(
        &room,
        "{watch: [{name: many, query: many, history: 1h}, {name: bad, query: 'rps / on() group_left() (up or many)'}]}",
    );
    let result = watcher.round(START_MS + 1000 * 60).await;
    assert!(result.is_err() || result.is_ok_and(|r| r.contains("7 left out")));
    assert_eq!(room.shared.metrics.watched_series_over_limit.get(), 7);
    assert!(room.clock.now_ms() >= START_MS);
}
