use vocab::ports::Catalog;
use vocab::ports::catalog::{AlertFilter, TicketFilter};
use vocab::ticket::TicketState;
use vocab::{AlertState, is_stale_nan};

use super::*;
use crate::config::AnalysisConfig;
use crate::testing::{Room, START_MS};

fn config(rules: &str) -> AnalyzerConfig {
    AnalyzerConfig {
        rule_files: vec![RuleFile::parse("rules.yml", rules).expect("good rules")],
        default_rules: false,
        evaluation_interval: Duration::from_secs(10),
        analysis: AnalysisConfig { interval: Duration::from_secs(60), watch: Vec::new() },
        ..AnalyzerConfig::default()
    }
}

/// Moves the clock in small steps, letting the loops work in between.
async fn advance(room: &Room, seconds: u64) {
    for _ in 0..seconds {
        room.clock.advance(Duration::from_secs(1));
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

/// Advances until something holds; a test that never gets there fails by its deadline.
async fn until(room: &Room, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..300 {
        if holds().await {
            return;
        }
        advance(room, 1).await;
    }
    panic!("it did not happen within 300 simulated seconds");
}

const RULES: &str = "{groups: [{name: g, rules: [{record: twice, expr: 'x * 2'}, {alert: High, expr: 'x > 1'}]}]}";

#[tokio::test]
async fn the_loops_evaluate_reload_and_stop() {
    let room = Room::new();
    for second in 0..2000 {
        room.store.put(&[("__name__", "x")], START_MS + second * 1000, 5.0);
    }
    let analyzer = Analyzer::new(room.deps(), TenantId::default());
    analyzer.apply(config(RULES)).await;
    let view = analyzer.view();
    until(&room, async || !view.alerts().await.is_empty()).await;
    assert_eq!(view.alerts().await[0].state, AlertState::Firing);
    let groups = view.groups().await;
    assert_eq!((groups[0].name.as_str(), groups[0].rules.len(), groups[0].rules[0].health.as_str()), ("g", 2, "ok"));
    assert!(analyzer.tasks().iter().any(|t| t.name == "rules g" && !t.failed));

    // The same group again, with the recording rule gone: its series ends, the alert goes on without a second ticket.
    let without = "{groups: [{name: g, rules: [{alert: High, expr: 'x > 1'}]}]}";
    analyzer.apply(config(without)).await;
    assert_eq!(view.alerts().await.len(), 1);
    let twice = room.store.dump(&TenantId::default()).into_iter().find(|s| s.labels.metric_name() == "twice");
    assert!(twice.and_then(|s| s.values.last().copied()).is_some_and(is_stale_nan));
    advance(&room, 30).await;
    let tickets = room.catalog.tickets(&TenantId::default(), &TicketFilter::default()).await.expect("in memory");
    assert_eq!((tickets.len(), tickets[0].state), (1, TicketState::Open));

    // No rules any more: the alert is resolved.
    analyzer.apply(config("{groups: []}")).await;
    assert!(view.alerts().await.is_empty());
    let rows = room.catalog.alerts(&TenantId::default(), &AlertFilter::default()).await.expect("in memory");
    assert_eq!(rows[0].state, AlertState::Resolved);
    analyzer.stop().await;
    assert_eq!(room.clock.num_sleepers(), 0);
}

#[tokio::test]
async fn a_stop_leaves_alerts_to_be_taken_up_again() {
    let room = Room::new();
    for second in 0..2000 {
        room.store.put(&[("__name__", "x")], START_MS + second * 1000, 5.0);
    }
    let analyzer = Analyzer::new(room.deps(), TenantId::default());
    analyzer.apply(config(RULES)).await;
    let view = analyzer.view();
    until(&room, async || !view.alerts().await.is_empty()).await;
    analyzer.stop().await;
    let rows = room.catalog.alerts(&TenantId::default(), &AlertFilter::default()).await.expect("in memory");
    assert_eq!((rows.len(), rows[0].state), (1, AlertState::Firing));
}
