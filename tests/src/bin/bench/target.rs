//! A server under measurement: started in a folder of its own, asked over HTTP, its cost read from /proc.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use demo::servers::{Server, free_port};
use tests::memory::PeakMemory;

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
                command.arg(format!("-promscrape.config={}", config.display()));
                command.args(["-retentionPeriod=100y", "-search.latencyOffset=0s", "-loggerLevel=WARN"]);
                command
            }
        };
        command.current_dir(dir);
        Ok(command)
    }
}

/// VictoriaMetrics writes what it holds in memory every five seconds.
const DISK_WITHIN: Duration = Duration::from_secs(6);
/// How often anonymous memory is looked at.
const MEMORY_EVERY: Duration = Duration::from_millis(50);
/// A program that spends less of a second than this is idle.
const IDLE_BELOW: f64 = 0.05;
/// Programs that never rest are not waited for longer.
const IDLE_WITHIN: Duration = Duration::from_secs(15);

/// A running program.
#[derive(Debug)]
pub(crate) struct Target {
    program: Program,
    dir: PathBuf,
    asker: Asker,
    server: Server,
    memory: PeakMemory,
}

/// Asks a program over HTTP.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    base: String,
    client: reqwest::Client,
}

impl Target {
    /// Starts a program with a configuration (Prometheus's form).
    ///
    /// # Errors
    /// When it does not come up.
    pub(crate) async fn start(program: Program, dir: &Path, config: &str) -> Result<Self> {
        let port = free_port()?;
        let file = dir.join("bench.yml");
        std::fs::write(&file, format!("global: {{}}\n{config}"))?;
        let mut command = program.command(dir, &file, port)?;
        let server = Server::start(program.name(), &mut command, &dir.join("log"), Duration::from_secs(60))?;
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(120)).build()?;
        let asker = Asker { base: format!("http://127.0.0.1:{port}"), client };
        let memory = PeakMemory::watch(server.pid(), MEMORY_EVERY);
        let target = Self { program, dir: dir.to_owned(), asker, server, memory };
        // Ten times a second would hide what the fast ones need.
        wait_until(Duration::from_secs(60), || target.asker.get(program.ready_path(), &[]))
            .await
            .with_context(|| std::fs::read_to_string(dir.join("log")).unwrap_or_default())?;
        Ok(target)
    }

    /// Something that asks it, for a task of its own.
    pub(crate) fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// The most anonymous memory it was seen with, MiB.
    pub(crate) fn peak_anon_mib(&self) -> f64 {
        self.memory.mib()
    }

    /// Waits until it has nothing left to do.
    ///
    /// # Errors
    /// When /proc cannot be read.
    #[allow(clippy::disallowed_methods, reason = "watches a real process")]
    pub(crate) async fn idle(&self) -> Result<()> {
        let began = Instant::now();
        let mut before = self.cpu_seconds()?;
        while began.elapsed() < IDLE_WITHIN {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = self.cpu_seconds()?;
            if now - before < IDLE_BELOW {
                break;
            }
            before = now;
        }
        Ok(())
    }

    /// Sends a body.
    ///
    /// # Errors
    /// When it is not answered with 2xx.
    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Result<()> {
        let mut request = self.asker.client.post(format!("{}{path}", self.asker.base)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path}: {status}: {text}");
        Ok(())
    }

    /// Asks a path.
    ///
    /// # Errors
    /// When it is not answered with 2xx.
    pub(crate) async fn get(&self, path: &str, params: &[(&str, &str)]) -> Result<()> {
        self.asker.get(path, params).await
    }

    /// Has everything moved into its files and merged, where a program has a way to ask for it; gives the bytes of the data folder.
    ///
    /// # Errors
    /// When it refuses.
    #[allow(clippy::disallowed_methods, reason = "watches a real process")]
    pub(crate) async fn settle(&self) -> Result<Option<u64>> {
        match self.program {
            Program::Prometheus => return Ok(None),
            Program::Tidewatch => {
                for path in ["/api/v1/admin/flush", "/api/v1/admin/compact"] {
                    self.post(path, &[("content-type", "application/json")], b"{}".to_vec()).await?;
                }
            }
            Program::VictoriaMetrics => {
                self.get("/internal/force_flush", &[]).await?;
                // That makes samples searchable; they go to disk a few seconds later.
                tokio::time::sleep(DISK_WITHIN).await;
                self.get("/internal/force_merge", &[]).await?;
            }
        }
        self.idle().await?;
        Ok(Some(bytes_below(&self.dir.join("data"))?))
    }

    /// Ends it as a crash would.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub(crate) fn crash(&mut self) -> Result<()> {
        self.server.kill()
    }

    /// The CPU time it has spent, user and system, in seconds.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.server.pid()))?;
        let fields: Vec<&str> = stat.rsplit_once(')').context("an odd stat line")?.1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        // The kernel's clock tick has been 100 Hz on every Linux that this runs on.
        Ok(ticks as f64 / 100.0)
    }
}

impl Asker {
    /// Asks a path.
    ///
    /// # Errors
    /// When it is not answered with 2xx.
    pub(crate) async fn get(&self, path: &str, params: &[(&str, &str)]) -> Result<()> {
        self.text(path, params).await.map(drop)
    }

    /// Asks a query, whose answer must hold something: an empty one is quick for the wrong reason.
    ///
    /// # Errors
    /// When it is not answered with 2xx, or with nothing.
    pub(crate) async fn query(&self, path: &str, params: &[(&str, &str)]) -> Result<String> {
        let text = self.text(path, params).await?;
        ensure!(!text.contains("\"result\":[]"), "{path} {params:?}: an empty answer");
        Ok(text)
    }

    /// Asks a path and gives what it answers.
    ///
    /// # Errors
    /// When it is not answered with 2xx.
    pub(crate) async fn text(&self, path: &str, params: &[(&str, &str)]) -> Result<String> {
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.base), params)?;
        let answer = self.client.get(url).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{path} {params:?}: {status}: {text}");
        Ok(text)
    }
}

/// Asks again and again until it is answered well.
#[allow(clippy::disallowed_methods, reason = "waits for a real server")]
async fn wait_until<F: Future<Output = Result<()>>>(within: Duration, mut ask: impl FnMut() -> F) -> Result<()> {
    let began = Instant::now();
    loop {
        match ask().await {
            Ok(()) => return Ok(()),
            Err(error) if began.elapsed() > within => return Err(error.context("not ready in time")),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
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
