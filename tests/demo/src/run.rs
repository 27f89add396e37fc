//! Walks the whole way and says what happened.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::api::Api;
use crate::haproxy::HaProxy;
use crate::load::{Phase, Tally, drive};
use crate::scenario::{Orchestrator, Scenario};
use crate::servers::{Server, wait_for};
use crate::settings::{self, Settings};
use crate::swarm::Swarm;

/// How long Tidewatch may take to stop: it drains, and its demo replicas linger.
const STOP_GRACE: Duration = Duration::from_secs(40);
/// How often Tidewatch is asked what is new.
const POLL: Duration = Duration::from_millis(500);

/// What to run and where.
#[derive(Debug)]
pub struct Options {
    /// The load.
    pub scenario: Scenario,
    /// Who runs the service.
    pub orchestrator: Orchestrator,
    /// Folder for configurations, logs, data and the report.
    pub dir: PathBuf,
    /// The `tidewatch` binary.
    pub tidewatch: PathBuf,
    /// The `demo-service` binary.
    pub service: PathBuf,
    /// The Docker engine's socket, for Swarm.
    pub docker_socket: PathBuf,
    /// Port of Tidewatch.
    pub port: u16,
}

/// What happened.
#[derive(Debug, Default)]
pub struct Outcome {
    /// (seconds since the load began, replicas wanted, replicas ready) whenever one of them changed.
    pub replicas: Vec<(f64, u64, u64)>,
    /// Seconds from the moment at which the load passed what one replica should carry until another one was ready; below 0 when it
    /// was foreseen.
    pub seconds_to_another: Option<f64>,
    /// Requests sent.
    pub requests_sent: u64,
    /// Requests answered with 200.
    pub requests_ok: u64,
    /// Requests that failed; must be 0.
    pub requests_failed: u64,
    /// Why the first ones failed.
    pub failures: Vec<String>,
    /// All decisions, oldest first, as the API gives them.
    pub decisions: Vec<Value>,
    /// All alerts of the run.
    pub alerts: Vec<Value>,
    /// All tickets of the run.
    pub tickets: Vec<Value>,
    /// The inspection report.
    pub report_html: PathBuf,
    /// The same as Markdown.
    pub report_markdown: PathBuf,
    /// Tidewatch's exit code after SIGTERM.
    pub exit_code: i32,
}

/// Runs the scenario; `say` gets a line per event.
///
/// # Errors
/// When something does not start or the API fails. Failed requests are part of the outcome, not an error.
pub async fn run(options: &Options, say: &mut (dyn FnMut(String) + Send)) -> Result<Outcome> {
    let scenario = &options.scenario;
    std::fs::create_dir_all(&options.dir)?;
    let syslog_port = udp_port()?;
    let slots = scenario.max + 4;
    let mut haproxy = HaProxy::start(&options.dir, slots, syslog_port).await?;
    say(format!(
        "HAProxy listens on 127.0.0.1:{}, its page is http://127.0.0.1:{}/haproxy",
        haproxy.port, haproxy.stats_port
    ));

    let swarm = match options.orchestrator {
        Orchestrator::Process => None,
        Orchestrator::Swarm => Some(Swarm::create_service(options, scenario).await?),
    };
    let config = settings::write(&Settings { options, haproxy: &haproxy, syslog_port })?;
    let mut tidewatch = start_tidewatch(options, &config)?;
    let api = Api::new(&format!("http://127.0.0.1:{}", options.port))?;
    wait_for("tidewatch is ready", Duration::from_secs(60), || api.ready())
        .await
        .with_context(|| log_tail(&options.dir))?;
    say(format!("Tidewatch watches at {}; open {}/autoscaling to follow", api.base(), api.base()));
    let entry = format!("http://127.0.0.1:{}/", haproxy.port);
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
    wait_for("the first replica answers through HAProxy", Duration::from_secs(60), || async {
        matches!(client.get(&entry).send().await, Ok(a) if a.status().is_success())
    })
    .await
    .with_context(|| log_tail(&options.dir))?;
    say("the first replica answers through HAProxy".to_owned());

    let mut outcome = watch(scenario, &api, &entry, say).await?;
    write_report(&api, &options.dir, &mut outcome).await?;
    say(format!("report: {}", outcome.report_html.display()));
    outcome.exit_code = tidewatch.stop()?;
    if let Some(swarm) = swarm {
        swarm.remove_service().await?;
    }
    haproxy.stop()?;
    Ok(outcome)
}

fn start_tidewatch(options: &Options, config: &Path) -> Result<Server> {
    Server::start(
        "tidewatch",
        Command::new(&options.tidewatch)
            .arg("--config")
            .arg(config)
            .arg("--data-dir")
            .arg(options.dir.join("data"))
            .arg("--listen")
            .arg(format!("127.0.0.1:{}", options.port)),
        &options.dir.join("tidewatch.log"),
        STOP_GRACE,
    )
}

/// The end of Tidewatch's log: what one wants to see when it did not come up.
fn log_tail(dir: &Path) -> String {
    let text = std::fs::read_to_string(dir.join("tidewatch.log")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    format!("tidewatch's log ends with:\n{}", lines[lines.len().saturating_sub(15)..].join("\n"))
}

fn udp_port() -> Result<u16> {
    Ok(std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn plan(scenario: &Scenario) -> Vec<Phase> {
    let (low, high) = (scenario.low_rps, scenario.high_rps);
    vec![
        Phase { from_rps: low, to_rps: low, lasts: scenario.warm_up },
        Phase { from_rps: low, to_rps: high, lasts: scenario.ramp },
        Phase { from_rps: high, to_rps: high, lasts: scenario.hold },
        Phase { from_rps: high, to_rps: low, lasts: scenario.fall },
        Phase { from_rps: low, to_rps: low, lasts: scenario.cool_down },
    ]
}

/// Drives the load and notes what changes until one replica is left and the alert has resolved.
#[allow(clippy::disallowed_methods, reason = "the demo follows real servers in real time")]
async fn watch(scenario: &Scenario, api: &Api, entry: &str, say: &mut (dyn FnMut(String) + Send)) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let tally = Tally::default();
    let phases = plan(scenario);
    let driver = {
        let (entry, tally) = (entry.to_owned(), tally.clone());
        tokio::spawn(async move { drive(&entry, &phases, &tally).await })
    };
    let started = Instant::now();
    let top_at = scenario.warm_up + scenario.ramp;
    let low_again_at = top_at + scenario.hold + scenario.fall;
    let mut seen = Seen::default();
    let mut said_top = false;
    while !driver.is_finished() {
        tokio::time::sleep(POLL).await;
        let elapsed = started.elapsed();
        let at = elapsed.as_secs_f64();
        if !said_top && elapsed >= top_at {
            said_top = true;
            say(format!("{at:6.1} s  load is at {} requests/s", scenario.high_rps));
        }
        // An answer that is late or missing shows as a gap, not as the end of the demo.
        if let Ok(services) = api.get("/api/v1/scaling/services").await {
            note_replicas(&services, at, &mut outcome, say);
            if outcome.seconds_to_another.is_none() && outcome.replicas.iter().any(|r| r.2 > 1) {
                let seconds = at - scenario.overloaded_at();
                outcome.seconds_to_another = Some(seconds);
                say(format!(
                    "{at:6.1} s  another replica serves, {seconds:.1} s after the load passed what one should carry"
                ));
            }
        }
        for line in seen.news(api).await {
            say(format!("{at:6.1} s  {line}"));
        }
        let settled = outcome.replicas.last().is_some_and(|&(_, wanted, ready)| wanted == 1 && ready == 1);
        if elapsed > low_again_at + Duration::from_secs(3) && settled && seen.alerts_resolved() {
            tally.stop();
        }
    }
    driver.await??;
    outcome.requests_sent = tally.sent();
    outcome.requests_ok = tally.ok();
    outcome.requests_failed = tally.failed();
    outcome.failures = tally.failures();
    let decisions = api.get("/api/v1/scaling/decisions?changes_only=true&limit=1000").await?;
    outcome.decisions = list(&decisions["decisions"]);
    outcome.decisions.reverse();
    outcome.alerts = list(&api.get("/api/v1/alerts/history?limit=100").await?["alerts"]);
    outcome.tickets = list(&api.get("/api/v1/tickets?limit=100").await?["tickets"]);
    Ok(outcome)
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn note_replicas(services: &Value, at: f64, outcome: &mut Outcome, say: &mut (dyn FnMut(String) + Send)) {
    let Some(service) = services["services"].as_array().and_then(|s| s.iter().find(|s| s["service"] == "web")) else {
        return;
    };
    let (Some(wanted), Some(ready)) = (service["wanted"].as_u64(), service["ready"].as_u64()) else { return };
    if outcome.replicas.last().is_none_or(|&(_, w, r)| (w, r) != (wanted, ready)) {
        outcome.replicas.push((at, wanted, ready));
        say(format!("{at:6.1} s  replicas: {ready} ready of {wanted} wanted"));
    }
}

/// What has been said already.
#[derive(Debug, Default)]
struct Seen {
    decisions: std::collections::HashMap<i64, String>,
    alerts: std::collections::HashMap<String, String>,
    tickets: std::collections::HashMap<i64, String>,
}

impl Seen {
    fn alerts_resolved(&self) -> bool {
        !self.alerts.is_empty() && self.alerts.values().all(|state| state == "resolved")
    }

    async fn news(&mut self, api: &Api) -> Vec<String> {
        let mut lines = Vec::new();
        if let Ok(answer) = api.get("/api/v1/scaling/decisions?changes_only=true&limit=50").await {
            for decision in list(&answer["decisions"]).iter().rev() {
                let (Some(id), Some(state)) = (decision["id"].as_i64(), decision["state"].as_str()) else { continue };
                let known = self.decisions.insert(id, state.to_owned());
                if known.is_none() {
                    let reason = decision["reason"].as_str().unwrap_or_default();
                    lines.push(format!("decision {id}: {} → {}: {reason}", decision["from"], decision["to"]));
                } else if known.as_deref() != Some(state) {
                    lines.push(format!("decision {id} {state}: {}", decision["result"].as_str().unwrap_or_default()));
                }
            }
        }
        if let Ok(answer) = api.get("/api/v1/alerts/history?limit=50").await {
            for alert in list(&answer["alerts"]).iter().rev() {
                let state = alert["state"].as_str().unwrap_or_default().to_owned();
                let key = format!("{}{}{}", alert["rule"], alert["fingerprint"], alert["active_at_ms"]);
                if state != "pending" && self.alerts.insert(key, state.clone()).as_deref() != Some(&state) {
                    lines.push(format!("alert {} {state}", alert["rule"].as_str().unwrap_or_default()));
                }
            }
        }
        if let Ok(answer) = api.get("/api/v1/tickets?limit=50").await {
            for ticket in list(&answer["tickets"]).iter().rev() {
                let (Some(id), Some(state)) = (ticket["id"].as_i64(), ticket["state"].as_str()) else { continue };
                if self.tickets.insert(id, state.to_owned()).as_deref() != Some(state) {
                    lines.push(format!("ticket {id} {state}: {}", ticket["title"].as_str().unwrap_or_default()));
                }
            }
        }
        lines
    }
}

async fn write_report(api: &Api, dir: &Path, outcome: &mut Outcome) -> Result<()> {
    let session = api.get("/api/v1/session").await?;
    let now = session["now_ms"].as_i64().context("the session has no time")?;
    let from = session["started_at_ms"].as_i64().unwrap_or(now - 300_000);
    let made = api.post("/api/v1/reports", &json!({"from_ms": from, "to_ms": now, "language": "en"})).await?;
    let report = api.get(&format!("/api/v1/reports/{}", made["id"])).await?;
    let html = report["html"].as_str().unwrap_or_default();
    let markdown = report["markdown"].as_str().unwrap_or_default();
    ensure!(!html.is_empty() && !markdown.is_empty(), "the report is empty");
    outcome.report_html = dir.join("report.html");
    outcome.report_markdown = dir.join("report.md");
    std::fs::write(&outcome.report_html, html)?;
    std::fs::write(&outcome.report_markdown, markdown)?;
    Ok(())
}
