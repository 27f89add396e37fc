//! Writes the configuration of the demo's Tidewatch.

use std::path::PathBuf;

use anyhow::Result;

use crate::haproxy::{BACKEND, HaProxy};
use crate::run::Options;
use crate::scenario::Orchestrator;
use crate::swarm::{LINGER_SECONDS, SERVICE};

/// What the configuration is made from.
#[derive(Debug)]
pub struct Settings<'a> {
    /// The run.
    pub options: &'a Options,
    /// The running HAProxy.
    pub haproxy: &'a HaProxy,
    /// Where Tidewatch receives HAProxy's log.
    pub syslog_port: u16,
}

/// Writes `tidewatch.yaml` and its rule file; gives the configuration's path.
///
/// # Errors
/// When the files cannot be written.
pub fn write(settings: &Settings<'_>) -> Result<PathBuf> {
    let dir = &settings.options.dir;
    let path = dir.join("tidewatch.yaml");
    std::fs::write(dir.join("rules.yml"), rules(settings))?;
    std::fs::write(&path, configuration(settings))?;
    Ok(path)
}

fn rules(settings: &Settings<'_>) -> String {
    let scenario = &settings.options.scenario;
    let threshold = scenario.high_rps / 2.0;
    format!(
        r#"groups:
  - name: demo
    interval: 1s
    rules:
      - record: service:http_requests:rate10s
        expr: sum by (service) (rate(haproxy_backend_http_requests_total{{proxy="{BACKEND}"}}[10s]))
      - alert: WebTrafficHigh
        expr: sum by (service) (rate(haproxy_backend_http_requests_total{{proxy="{BACKEND}"}}[10s])) > {threshold}
        for: 3s
        labels: {{severity: warning}}
        annotations:
          summary: "{{{{ $labels.service }}}} gets {{{{ $value | humanize }}}} requests/s"
          description: "More than {threshold} requests per second for 3 s."
"#
    )
}

fn configuration(settings: &Settings<'_>) -> String {
    let (options, haproxy) = (settings.options, settings.haproxy);
    let scenario = &options.scenario;
    let hold = scenario.policy_hold.as_secs();
    let (stats, socket, syslog) = (haproxy.stats_port, haproxy.socket.display(), settings.syslog_port);
    let rules = options.dir.join("rules.yml");
    let orchestrator = options.orchestrator.as_str();
    let runs = match options.orchestrator {
        Orchestrator::Process => format!(
            r#"process:
  - name: {SERVICE}
    command: ["{service}", --port, "{{port}}", --cpu-ms, "{cpu}", --linger-seconds, "{LINGER_SECONDS}", --log, "{log}"]
    health: {{path: /health, interval: 500ms}}
    stop_grace: 30s
    stop_with: tidewatch
"#,
            service = options.service.display(),
            cpu = scenario.cpu_ms,
            log = options.dir.join("web-access.log").display(),
        ),
        Orchestrator::Swarm => format!(
            r#"swarm:
  socket: "{socket}"
  services:
    - name: {SERVICE}
      port: {port}
      health: {{path: /health, interval: 500ms}}
"#,
            socket = options.docker_socket.display(),
            port = crate::swarm::PORT,
        ),
    };
    format!(
        r#"# Written by the demo.
global:
  scrape_interval: 1s
  scrape_timeout: 900ms
  evaluation_interval: 1s
sources: {{host: {{interval: 5s}}, containers: {{interval: 1s}}, self: {{interval: 5s}}, system_logs: {{}}}}
scrape_configs:
  - job_name: haproxy
    static_configs:
      - targets: ["127.0.0.1:{stats}"]
syslog:
  listen: 127.0.0.1:{syslog}
rule_files: ["{rules}"]
{runs}balancers:
  - kind: haproxy
    service: {SERVICE}
    socket: "{socket}"
    backend: {BACKEND}
autoscaling:
  - service: {SERVICE}
    orchestrator: {orchestrator}
    min: 1
    max: {max}
    interval: 1s
    scrape_interval: 1s
    targets:
      - {{kind: rps, value: {target}}}
    hold: {hold}s
    cooldown: 5s
    turn_pause: {hold}s
    scale_in: {{percent: 100, period: 5s}}
    notes: ["holds {hold} s only, for a demonstration"]
"#,
        rules = rules.display(),
        max = scenario.max,
        target = scenario.target_rps,
    )
}
