//! HAProxy in front of the demo services: Prometheus endpoint, CSV page and runtime socket on, access log to Tidewatch.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::servers::{Server, free_port};

/// Name of the backend that Tidewatch fills.
pub const BACKEND: &str = "web";

/// A running HAProxy.
#[derive(Debug)]
pub struct HaProxy {
    /// Where the load of the first backend goes.
    pub port: u16,
    /// Where the load of each backend goes, in their order.
    pub ports: Vec<u16>,
    /// `/metrics` and the stats page.
    pub stats_port: u16,
    /// The runtime socket.
    pub socket: PathBuf,
    server: Server,
}

impl HaProxy {
    /// Starts HAProxy with an empty backend of `slots` servers; logs go to `syslog_port` on loopback.
    ///
    /// # Errors
    /// When HAProxy is not installed or does not come up.
    pub async fn start(dir: &Path, slots: u32, syslog_port: u16) -> Result<Self> {
        Self::start_with(dir, &[(BACKEND, BACKEND)], slots, syslog_port).await
    }

    /// The same with several backends, each with a port of its own: their names, and how those of their servers begin.
    ///
    /// # Errors
    /// When HAProxy is not installed or does not come up.
    pub async fn start_with(dir: &Path, backends: &[(&str, &str)], slots: u32, syslog_port: u16) -> Result<Self> {
        let stats_port = free_port()?;
        let ports = backends.iter().map(|_| free_port()).collect::<Result<Vec<u16>>>()?;
        let port = *ports.first().context("HAProxy needs a backend")?;
        let socket = dir.join("haproxy.sock");
        let config = dir.join("haproxy.cfg");
        std::fs::write(&config, configuration(backends, &ports, stats_port, &socket, slots, syslog_port))?;
        let program = ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy", "/usr/bin/haproxy"]
            .into_iter()
            .find(|p| Path::new(p).exists())
            .context("haproxy is missing: apt-get install haproxy")?;
        let server = Server::start(
            "haproxy",
            Command::new(program).arg("-db").arg("-f").arg(&config),
            &dir.join("haproxy.log"),
            Duration::from_secs(5),
        )?;
        crate::servers::wait_for("haproxy listens", Duration::from_secs(10), || async {
            tokio::net::TcpStream::connect(("127.0.0.1", stats_port)).await.is_ok()
        })
        .await?;
        Ok(Self { port, ports, stats_port, socket, server })
    }

    /// Stops it.
    ///
    /// # Errors
    /// When it had to be killed.
    pub fn stop(&mut self) -> Result<i32> {
        self.server.stop()
    }
}

fn configuration(
    backends: &[(&str, &str)],
    ports: &[u16],
    stats_port: u16,
    socket: &Path,
    slots: u32,
    syslog_port: u16,
) -> String {
    let socket = socket.display();
    let backends = backends.iter().zip(ports);
    let backends: String = backends.map(|((name, prefix), port)| backend(name, prefix, *port, slots)).collect();
    format!(
        "global
    maxconn 4000
    stats socket {socket} mode 600 level admin
    log 127.0.0.1:{syslog_port} format rfc5424 local0 info
    nbthread 1

defaults
    mode http
    log global
    option httplog
    option redispatch
    option http-server-close
    retries 3
    retry-on conn-failure empty-response 0rtt-rejected
    timeout connect 2s
    timeout client 30s
    timeout server 10s
    timeout queue 5s
    timeout http-keep-alive 10s

frontend stats
    bind 127.0.0.1:{stats_port}
    no log
    http-request use-service prometheus-exporter if {{ path /metrics }}
    stats enable
    stats uri /haproxy
{backends}"
    )
}

fn backend(name: &str, prefix: &str, port: u16, slots: u32) -> String {
    format!(
        "
frontend {name}-entry
    bind 127.0.0.1:{port}
    default_backend {name}

backend {name}
    balance leastconn
    option httpchk GET /health
    default-server check inter 500ms fall 1 rise 1 init-addr none
    server-template {prefix} {slots} 127.0.0.1:1 disabled
"
    )
}
