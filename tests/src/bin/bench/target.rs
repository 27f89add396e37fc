//! A server under measurement: started in a folder of its own, asked over HTTP, its cost read from /proc.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use demo::servers::{Server, free_port, wait_for};

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// This one.
    Tidewatch,
    /// Debian's Prometheus.
    Prometheus,
}

impl Program {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tidewatch => "tidewatch",
            Self::Prometheus => "prometheus",
        }
    }
}

/// A running program.
#[derive(Debug)]
pub(crate) struct Target {
    base: String,
    server: Server,
    client: reqwest::Client,
}

/// What it has cost so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// CPU seconds, user and system.
    pub(crate) cpu_seconds: f64,
    /// Anonymous resident memory in MiB.
    pub(crate) anon_mib: f64,
}

impl Target {
    /// Starts a program.
    ///
    /// # Errors
    /// When it does not come up.
    pub(crate) async fn start(program: Program, dir: &Path) -> Result<Self> {
        let port = free_port()?;
        let config = dir.join("empty.yml");
        std::fs::write(&config, "global: {}\n")?;
        let mut command = match program {
            Program::Tidewatch => {
                let mut command = Command::new(tests::binary("tidewatch")?);
                command.args(["--log", "warn", "--config"]).arg(&config).arg("--data-dir").arg(dir.join("data"));
                command.arg("--listen").arg(format!("127.0.0.1:{port}"));
                command
            }
            Program::Prometheus => {
                let mut command = Command::new("prometheus");
                command.arg(format!("--config.file={}", config.display()));
                command.arg(format!("--storage.tsdb.path={}", dir.join("data").display()));
                command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
                command.args(["--web.enable-remote-write-receiver", "--log.level=warn"]);
                command
            }
        };
        let server = Server::start(program.name(), &mut command, &dir.join("log"), Duration::from_secs(60))?;
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(120)).build()?;
        let target = Self { base: format!("http://127.0.0.1:{port}"), server, client };
        wait_for("ready", Duration::from_secs(60), || async {
            let answer = target.client.get(format!("{}/-/ready", target.base)).send().await;
            matches!(answer, Ok(a) if a.status().is_success())
        })
        .await
        .with_context(|| std::fs::read_to_string(dir.join("log")).unwrap_or_default())?;
        Ok(target)
    }

    /// Sends a body.
    ///
    /// # Errors
    /// When it is not answered with 2xx.
    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Result<()> {
        let mut request = self.client.post(format!("{}{path}", self.base)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path}: {status}: {text}");
        Ok(())
    }

    /// Asks a path and gives the length of the answer.
    ///
    /// # Errors
    /// When it is not answered with 2xx.
    pub(crate) async fn get(&self, path: &str, params: &[(&str, &str)]) -> Result<usize> {
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.base), params)?;
        let answer = self.client.get(url).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path} {params:?}: {status}: {text}");
        Ok(text.len())
    }

    /// What it has cost so far.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub(crate) fn cost(&self) -> Result<Cost> {
        let pid = self.server.pid();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields: Vec<&str> = stat.rsplit_once(')').context("an odd stat line")?.1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let anon = status
            .lines()
            .find_map(|l| l.strip_prefix("RssAnon:"))
            .and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok());
        // The kernel's clock tick has been 100 Hz on every Linux that this runs on.
        Ok(Cost { cpu_seconds: ticks as f64 / 100.0, anon_mib: anon.unwrap_or(f64::NAN) / 1024.0 })
    }
}
