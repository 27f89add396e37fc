//! A server under measurement: started in a folder of its own, asked over HTTP, its cost read from /proc.

use std::path::{Path, PathBuf};
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
    /// Debian's VictoriaMetrics.
    VictoriaMetrics,
}

impl Program {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tidewatch => "tidewatch",
            Self::Prometheus => "prometheus",
            Self::VictoriaMetrics => "victoria-metrics",
        }
    }

    /// Where it says that it is ready.
    fn ready_path(self) -> &'static str {
        match self {
            Self::Tidewatch | Self::Prometheus => "/-/ready",
            Self::VictoriaMetrics => "/health",
        }
    }

    /// What is asked of every query: nothing may come from a cache of answers.
    pub(crate) fn query_params(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Tidewatch | Self::Prometheus => &[],
            Self::VictoriaMetrics => &[("nocache", "1")],
        }
    }

    fn command(self, dir: &Path, config: &Path, port: u16) -> Result<Command> {
        let data = dir.join("data");
        let mut command = match self {
            Self::Tidewatch => {
                let mut command = Command::new(tests::binary("tidewatch")?);
                command.args(["--log", "warn", "--config"]).arg(config).arg("--data-dir").arg(data);
                command.arg("--listen").arg(format!("127.0.0.1:{port}"));
                command
            }
            Self::Prometheus => {
                let mut command = Command::new("prometheus");
                command.arg(format!("--config.file={}", config.display()));
                command.arg(format!("--storage.tsdb.path={}", data.display()));
                command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
                command.args(["--web.enable-remote-write-receiver", "--log.level=warn"]);
                command
            }
            Self::VictoriaMetrics => {
                let mut command = Command::new("victoria-metrics");
                command.arg(format!("-storageDataPath={}", data.display()));
                command.arg(format!("-httpListenAddr=127.0.0.1:{port}"));
                command.args(["-retentionPeriod=100y", "-search.latencyOffset=0s", "-loggerLevel=WARN"]);
                command
            }
        };
        command.current_dir(dir);
        Ok(command)
    }
}

/// A running program.
#[derive(Debug)]
pub(crate) struct Target {
    program: Program,
    dir: PathBuf,
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
        let mut command = program.command(dir, &config, port)?;
        let server = Server::start(program.name(), &mut command, &dir.join("log"), Duration::from_secs(60))?;
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(120)).build()?;
        let base = format!("http://127.0.0.1:{port}");
        let target = Self { program, dir: dir.to_owned(), base, server, client };
        wait_for("ready", Duration::from_secs(60), || async {
            let answer = target.client.get(format!("{}{}", target.base, program.ready_path())).send().await;
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

    /// Has everything moved into its files and merged, where a program has a way to ask for it; gives the bytes of the data folder.
    ///
    /// # Errors
    /// When it refuses.
    pub(crate) async fn settle(&self) -> Result<Option<u64>> {
        match self.program {
            Program::Prometheus => return Ok(None),
            Program::Tidewatch => {
                for path in ["/api/v1/admin/flush", "/api/v1/admin/compact"] {
                    self.post(path, &[("content-type", "application/json")], b"{}".to_vec()).await?;
                }
            }
            Program::VictoriaMetrics => {
                for path in ["/internal/force_flush", "/internal/force_merge"] {
                    self.get(path, &[]).await?;
                }
            }
        }
        Ok(Some(bytes_below(&self.dir.join("data"))?))
    }

    /// Ends it as a crash would.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub(crate) fn crash(mut self) -> Result<()> {
        self.server.kill()
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

/// Bytes of all files below a folder.
fn bytes_below(dir: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sum += bytes_below(&entry.path())?;
        } else if kind.is_file() {
            sum += entry.metadata()?.len();
        }
    }
    Ok(sum)
}
