use vocab::ports::Catalog;
use vocab::ports::catalog::{AlertFilter, ChangeFilter, TicketFilter};
use vocab::ticket::{Ticket, TicketState};
use vocab::{TenantId, is_stale_nan};

use super::*;
use crate::rules::RuleFile;
use crate::testing::{Room, START_MS};

const RULES: &str = r#"
groups:
  - name: g
    rules:
      - record: service:rps:sum
        expr: sum by (service) (rps)
        labels: {origin: test}
      - alert: HighLoad
        expr: service:rps:sum > 100
        for: 20s
        labels: {severity: critical, level: "{{ if gt $value 500.0 }}very{{ end }}"}
        annotations:
          summary: "{{ $labels.service }} at {{ $value }}, of {{ with query \"sum(rps)\" }}{{ . | first | value }}{{ end }}"
"#;

struct Fixture {
    room: Room,
    group: GroupRunner,
    time_ms: i64,
}

fn runner(room: &Room, text: &str) -> GroupRunner {
    let file = RuleFile::parse("rules.yml", text).expect("good rules");
    let (notifier, _) = Notifier::start(
        Vec::new(),
        Labels::empty(),
        String::new(),
        Arc::new(room.clock.clone()),
        room.shared.metrics.clone(),
    );
    GroupRunner::new(
        "rules.yml",
        file.groups[0].clone(),
        Duration::from_secs(10),
        Arc::clone(&room.shared),
        notifier,
        Arc::new(Surroundings::default()),
        AlertBoard::default(),
    )
}

impl Fixture {
    fn new(text: &str) -> Self {
        let room = Room::new();
        let group = runner(&room, text);
        Self { room, group, time_ms: START_MS }
    }

    /// Ten seconds later, with these values of `rps` by service.
    async fn round(&mut self, rps: &[(&str, f64)]) -> usize {
        self.time_ms += 10_000;
        for (service, value) in rps {
            self.room.store.put(&[("__name__", "rps"), ("service", service), ("pod", "a")], self.time_ms, *value);
        }
        self.group.evaluate(self.time_ms).await
    }

    fn restart(&mut self, text: &str) {
        self.group = runner(&self.room, text);
    }

    fn values(&self, name: &str) -> Vec<(String, Vec<f64>)> {
        let series = self.room.store.dump(&TenantId::default());
        let named = series.into_iter().filter(|s| s.labels.metric_name() == name);
        named.map(|s| (s.labels.without_name().to_string(), s.values)).collect()
    }

    async fn tickets(&self) -> Vec<Ticket> {
        self.room.catalog.tickets(&TenantId::default(), &TicketFilter::default()).await.expect("in memory")
    }

    async fn rows(&self) -> Vec<Alert> {
        self.room.catalog.alerts(&TenantId::default(), &AlertFilter::default()).await.expect("in memory")
    }
}

#[tokio::test]
async fn an_alert_fires_opens_a_ticket_and_resolves() {
    let mut fixture = Fixture::new(RULES);
    fixture.round(&[("web", 50.0)]).await;
    fixture.round(&[("web", 600.0), ("api", 7.0)]).await;
    fixture.round(&[("web", 600.0), ("api", 7.0)]).await;
    assert!(fixture.tickets().await.is_empty());
    fixture.round(&[("web", 650.0), ("api", 7.0)]).await;
    let tickets = fixture.tickets().await;
    assert_eq!(tickets.len(), 1);
    assert_eq!((tickets[0].severity.as_str(), tickets[0].service.as_str()), ("critical", "web"));
    assert_eq!(tickets[0].title, "HighLoad: web at 650, of 657");
    assert_eq!(tickets[0].evidence[0], "service:rps:sum > 100");
    let rows = fixture.rows().await;
    assert_eq!((rows[0].state, rows[0].ticket_id), (AlertState::Firing, Some(tickets[0].id)));
    assert_eq!(rows[0].labels.get("level"), Some("very"));
    fixture.round(&[("web", 20.0), ("api", 7.0)]).await;
    let tickets = fixture.tickets().await;
    assert_eq!((tickets.len(), tickets[0].state), (1, TicketState::Resolved));
    assert_eq!(fixture.rows().await[0].state, AlertState::Resolved);
    let changes =
        fixture.room.catalog.changes(&TenantId::default(), &ChangeFilter::default()).await.expect("in memory");
    let kinds: Vec<&str> = changes.iter().map(|c| c.summary.split(':').next().unwrap_or("")).collect();
    assert_eq!(kinds, ["HighLoad resolved", "HighLoad fires"]);

    let recorded = fixture.values("service:rps:sum");
    assert_eq!(recorded[1], ("{origin=\"test\", service=\"web\"}".to_owned(), vec![50.0, 600.0, 600.0, 650.0, 20.0]));
    let alerts = fixture.values("ALERTS");
    let ends: Vec<bool> = alerts.iter().map(|(_, values)| values.last().is_some_and(|v| is_stale_nan(*v))).collect();
    assert_eq!(ends, [true, true], "both states end in a staleness marker: {alerts:?}");
    let since = fixture.values("ALERTS_FOR_STATE");
    assert_eq!(since[0].1[0], (START_MS / 1000 + 20) as f64);
}

#[tokio::test]
async fn a_restart_repeats_nothing_and_resolves_what_is_over() {
    let mut fixture = Fixture::new(RULES);
    for _ in 0..4 {
        fixture.round(&[("web", 200.0)]).await;
    }
    let before = fixture.tickets().await;
    fixture.restart(RULES);
    fixture.round(&[("web", 200.0)]).await;
    assert_eq!(fixture.tickets().await, before);
    assert_eq!(fixture.rows().await.len(), 1);
    fixture.restart(RULES);
    fixture.round(&[("web", 2.0)]).await;
    assert_eq!(fixture.tickets().await[0].state, TicketState::Resolved);
    assert_eq!(fixture.rows().await[0].state, AlertState::Resolved);
}

#[tokio::test]
async fn two_alerts_share_a_ticket_until_both_are_over() {
    let text = "
groups:
  - name: g
    rules:
      - {alert: Down, expr: 'rps < 1', labels: {team: a}}
";
    let mut fixture = Fixture::new(text);
    let put = |f: &Fixture, pod: &str, value: f64| {
        f.room.store.put(&[("__name__", "rps"), ("service", "web"), ("pod", pod)], f.time_ms + 10_000, value);
    };
    put(&fixture, "x", 0.0);
    put(&fixture, "y", 0.0);
    fixture.round(&[]).await;
    let tickets = fixture.tickets().await;
    assert_eq!((tickets.len(), tickets[0].timeline.len()), (1, 2));
    put(&fixture, "x", 5.0);
    put(&fixture, "y", 0.0);
    fixture.round(&[]).await;
    assert_eq!(fixture.tickets().await[0].state, TicketState::Open);
    put(&fixture, "x", 5.0);
    put(&fixture, "y", 5.0);
    fixture.round(&[]).await;
    assert_eq!(fixture.tickets().await[0].state, TicketState::Resolved);
}

#[tokio::test]
async fn a_failing_rule_says_why_and_others_go_on() {
    let text = "
groups:
  - name: g
    limit: 1
    rules:
      - {record: same, expr: 'label_replace(rps, \"service\", \"x\", \"\", \"\")', labels: {service: one}}
      - {alert: Many, expr: 'rps > 0'}
      - {record: good, expr: 'vector(1)'}
";
    let mut fixture = Fixture::new(text);
    assert_eq!(fixture.round(&[("a", 1.0), ("b", 1.0)]).await, 2);
    let status = fixture.group.status();
    let status = status.lock();
    let health: Vec<&str> = status.rules.iter().map(|r| r.health.as_str()).collect();
    assert_eq!(health, ["err", "err", "ok"]);
    assert!(status.rules[1].last_error.contains("exceeded limit of 1"), "{}", status.rules[1].last_error);
}

#[tokio::test]
async fn a_store_that_refuses_writes_is_reported() {
    let mut fixture = Fixture::new("{groups: [{name: g, rules: [{record: x, expr: '1'}]}]}");
    fixture.room.store.refuse_writes(Some(vocab::PortError::new(vocab::ErrorKind::Unavailable, "the disk is full")));
    assert_eq!(fixture.round(&[]).await, 1);
    let error = fixture.group.status().lock().rules[0].last_error.clone();
    assert_eq!(error, "results could not be written: the disk is full");
}
