//! What the browser looks at: two services behind HAProxy under load, one scaled by Tidewatch, one that asks a person first.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use demo::haproxy::HaProxy;
use demo::load::{Phase, Tally, drive};
use demo::servers::wait_for;
use serde_json::{Value, json};
use tests::{Tidewatch, binary};
use tokio::task::JoinHandle;

/// Scaled at once.
pub(super) const ACTING: &str = "checkout";
/// Asks a person first.
pub(super) const ADVISING: &str = "search";
/// Runs, and has no policy until someone writes one on the page.
pub(super) const SPARE: &str = "spare";
/// Requests per second that a replica carries.
const TARGET_RPS: f64 = 50.0;
/// How long the load lasts at most; the browser is done long before.
const LOAD_LASTS: Duration = Duration::from_secs(560);
/// How long everything may take to be there, on a busy machine.
const ALIVE_WITHIN: Duration = Duration::from_secs(180);

/// The running stage; all of it ends when it is dropped.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) tidewatch: Tidewatch,
    _haproxy: HaProxy,
    tallies: Vec<Tally>,
    loads: Vec<JoinHandle<Result<()>>>,
}

impl Stage {
    /// Starts HAProxy, Tidewatch with its services, and the load, which takes `ramp` to come to its top.
    pub(super) async fn start(dir: &Path, ramp: Duration) -> Result<Self> {
        let syslog = std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let haproxy = HaProxy::start_with(dir, &[(ACTING, ACTING), (ADVISING, ADVISING)], 8, syslog).await?;
        let config = dir.join("tidewatch.yaml");
        std::fs::write(dir.join("rules.yml"), RULES)?;
        std::fs::write(&config, configuration(dir, &haproxy, syslog)?)?;
        let config = config.to_str().context("the folder's name is no text")?;
        let tidewatch = Tidewatch::start(dir, &["--config", config]).await?;
        let tops = [220.0, 130.0];
        let mut stage = Self { tidewatch, tallies: Vec::new(), loads: Vec::new(), _haproxy: haproxy };
        for (port, top) in stage._haproxy.ports.iter().zip(tops) {
            let url = format!("http://127.0.0.1:{port}/");
            let plan = [
                Phase { from_rps: 20.0, to_rps: top, lasts: ramp },
                Phase { from_rps: top, to_rps: top, lasts: LOAD_LASTS.saturating_sub(ramp) },
            ];
            let tally = Tally::default();
            stage.tallies.push(tally.clone());
            stage.loads.push(tokio::spawn(async move { drive(&url, &plan, &tally).await }));
        }
        Ok(stage)
    }

    /// Waits until every page has something to show: replicas were added, a decision waits, an alert fired, a report exists.
    pub(super) async fn come_alive(&self) -> Result<()> {
        let api = &self.tidewatch.api;
        wait_for("a decision is verified", ALIVE_WITHIN, || self.has_decision(ACTING, "verified"))
            .await
            .with_context(|| self.tidewatch.log())?;
        wait_for("a decision waits for approval", ALIVE_WITHIN, || self.has_decision(ADVISING, "awaiting_approval"))
            .await
            .with_context(|| self.tidewatch.log())?;
        wait_for("an alert opened a ticket", ALIVE_WITHIN, || async {
            matches!(api.get("/api/v1/tickets").await, Ok(a) if a["tickets"][0].is_object())
        })
        .await?;
        let session: Value = api.get("/api/v1/session").await?;
        let (from, to) = (session["started_at_ms"].as_i64(), session["now_ms"].as_i64());
        api.post("/api/v1/reports", &json!({"from_ms": from, "to_ms": to, "language": "en"})).await?;
        Ok(())
    }

    /// Whether a decision about a service was carried out.
    pub(super) async fn has_acted(&self, service: &str) -> bool {
        self.has_decision(service, "acted").await || self.has_decision(service, "verified").await
    }

    async fn has_decision(&self, service: &str, state: &str) -> bool {
        let path = format!("/api/v1/scaling/decisions?service={service}&changes_only=true");
        let Ok(answer) = self.tidewatch.api.get(&path).await else { return false };
        answer["decisions"].as_array().is_some_and(|list| list.iter().any(|d| d["state"] == state))
    }

    /// Ends the load and gives how many requests were answered and how many failed.
    pub(super) async fn end_load(&mut self) -> Result<(u64, u64)> {
        for tally in &self.tallies {
            tally.stop();
        }
        for load in self.loads.drain(..) {
            load.await??;
        }
        Ok((self.tallies.iter().map(Tally::ok).sum(), self.tallies.iter().map(Tally::failed).sum()))
    }
}

const RULES: &str = r#"groups:
  - name: traffic
    interval: 1s
    rules:
      - record: service:http_requests:rate10s
        expr: sum by (service) (rate(haproxy_backend_http_requests_total{service!=""}[10s]))
      - alert: TrafficHigh
        expr: service:http_requests:rate10s > 100
        for: 3s
        labels: {severity: warning}
        annotations:
          summary: "{{ $labels.service }} gets {{ $value | humanize }} requests/s"
          description: "More than 100 requests per second for 3 s."
"#;

fn configuration(dir: &Path, haproxy: &HaProxy, syslog: u16) -> Result<String> {
    let program = binary("demo-service")?;
    let program = program.display();
    let (socket, stats, dir) = (haproxy.socket.display(), haproxy.stats_port, dir.display());
    let each = |text: &dyn Fn(&str) -> String| [ACTING, ADVISING].map(text).concat();
    let process = each(&|name| {
        format!(
            r#"  - name: {name}
    command: ["{program}", --port, "{{port}}", --cpu-ms, "0.1", --linger-seconds, "2", --log, "{dir}/{name}-access.log"]
    health: {{path: /health, interval: 500ms}}
    stop_with: tidewatch
"#
        )
    });
    let spare = format!(
        r#"  - name: {SPARE}
    command: ["{program}", --port, "{{port}}"]
    health: {{path: /health, interval: 500ms}}
    stop_with: tidewatch
"#
    );
    let balancers =
        each(&|name| format!("  - {{kind: haproxy, service: {name}, socket: \"{socket}\", backend: {name}}}\n"));
    let policies = each(&|name| {
        let mode = if name == ACTING { "act" } else { "advise" };
        format!(
            r#"  - service: {name}
    orchestrator: process
    mode: {mode}
    min: 1
    max: 6
    interval: 1s
    scrape_interval: 1s
    hold: 1m
    targets:
      - {{kind: rps, value: {TARGET_RPS}}}
"#
        )
    });
    Ok(format!(
        r#"global: {{scrape_interval: 1s, scrape_timeout: 900ms, evaluation_interval: 1s}}
sources: {{host: {{interval: 2s}}, containers: {{interval: 2s}}, self: {{interval: 5s}}, system_logs: {{}}}}
scrape_configs:
  - job_name: haproxy
    static_configs:
      - targets: ["127.0.0.1:{stats}"]
syslog: {{listen: "127.0.0.1:{syslog}"}}
rule_files: ["{dir}/rules.yml"]
analysis:
  interval: 5s
  watch:
    - name: service_rps
      query: sum by (cluster, service) (rate(haproxy_backend_http_requests_total{{service!=""}}[10s]))
      step: 10s
      history: 1h
      horizon: 1m
process:
{process}{spare}balancers:
{balancers}autoscaling:
{policies}"#
    ))
}
