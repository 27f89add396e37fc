use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use vocab::telemetry::Telemetry;
use vocab::testing::SimClock;

use super::*;

fn alert(state: AlertState) -> Alert {
    Alert {
        group: "g".into(),
        rule: "Down".into(),
        fingerprint: "1".into(),
        labels: Labels::from_pairs([("alertname", "Down"), ("region", "own")]),
        annotations: Labels::from_pairs([("summary", "it is down")]),
        state,
        value: 0.0,
        expression: "up == 0".into(),
        active_at_ms: 0,
        fired_at_ms: Some(60_000),
        resolved_at_ms: (state == AlertState::Resolved).then_some(120_000),
        updated_at_ms: 120_000,
        ticket_id: None,
    }
}

/// The program installs one at its start; a second one is refused, which is fine.
fn install_crypto() {
    let _already = rustls::crypto::ring::default_provider().install_default();
}

/// Answers each request with the next status; gives the bodies.
async fn serve(listener: TcpListener, statuses: &[u16]) -> Vec<serde_json::Value> {
    let mut bodies = Vec::new();
    for status in statuses {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut data = Vec::new();
        let body = loop {
            let mut chunk = [0; 4096];
            let read = stream.read(&mut chunk).await.expect("a request");
            data.extend_from_slice(&chunk[..read]);
            let text = String::from_utf8_lossy(&data).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                assert!(head.starts_with("POST /am/api/v2/alerts HTTP/1.1"), "{head}");
                if let Ok(value) = serde_json::from_str(body) {
                    break value;
                }
            }
            assert!(read > 0, "the request ended early: {text}");
        };
        bodies.push(body);
        let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.expect("an answer");
    }
    bodies
}

#[tokio::test]
async fn alerts_are_posted_and_tried_again() {
    install_crypto();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let clock = SimClock::at(120_000);
    let metrics = Metrics::new(&Telemetry::new());
    let target =
        AlertmanagerConfig { url: format!("http://{address}/am/api/v2/alerts"), timeout: Duration::from_secs(30) };
    let external = Labels::from_pairs([("region", "west"), ("dc", "one")]);
    let (notifier, task) =
        Notifier::start(vec![target], external, "http://tide/".into(), Arc::new(clock.clone()), metrics.clone());
    let server = tokio::spawn(async move { serve(listener, &[500, 200, 200]).await });
    notifier.push(&alert(AlertState::Firing), 120_000, Duration::from_secs(240));
    while clock.num_sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    clock.advance(FIRST_PAUSE);
    while metrics.notifications_sent.get() == 0 {
        tokio::task::yield_now().await;
    }
    notifier.push(&alert(AlertState::Resolved), 120_000, Duration::from_secs(240));
    notifier.stop();
    task.expect("started").await.expect("ended");
    let bodies = server.await.expect("served");
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(bodies[1][0]["labels"], serde_json::json!({"alertname": "Down", "dc": "one", "region": "own"}));
    assert_eq!(bodies[1][0]["startsAt"], "1970-01-01T00:01:00Z");
    assert_eq!(bodies[1][0]["endsAt"], "1970-01-01T00:06:00Z");
    assert_eq!(bodies[1][0]["generatorURL"], "http://tide/graph?g0.expr=up+%3D%3D+0&g0.tab=1");
    assert_eq!(bodies[2][0]["endsAt"], "1970-01-01T00:02:00Z");
    assert_eq!((metrics.notification_failures.get(), metrics.notifications_sent.get()), (1, 2));
}

#[tokio::test]
async fn the_queue_is_bounded() {
    install_crypto();
    let metrics = Metrics::new(&Telemetry::new());
    let target = AlertmanagerConfig { url: "http://127.0.0.1:9/x".into(), timeout: Duration::from_secs(1) };
    let clock = Arc::new(SimClock::at(0));
    let (notifier, task) = Notifier::start(vec![target], Labels::empty(), String::new(), clock, metrics.clone());
    if let Some(task) = task {
        task.abort();
    }
    for _ in 0..QUEUE_MAX + 5 {
        notifier.push(&alert(AlertState::Firing), 0, Duration::from_secs(1));
    }
    assert_eq!((notifier.queue.lock().len(), metrics.notifications_dropped.get()), (QUEUE_MAX, 5));
    let (idle, none) = Notifier::start(Vec::new(), Labels::empty(), String::new(), Arc::new(SimClock::at(0)), metrics);
    idle.push(&alert(AlertState::Firing), 0, Duration::from_secs(1));
    assert!(none.is_none() && idle.queue.lock().is_empty());
}
