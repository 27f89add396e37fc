//! The harness of the whole-program tests: a real `tidewatch` process on a free port, in a folder of its own.

pub mod dockerd;
pub mod memory;
pub mod volume;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use demo::api::Api;
use demo::run::Options;
use demo::scenario::{Orchestrator, Scenario};
use demo::servers::{Server, free_port, wait_for};
use tempfile::TempDir;

/// How long a start may take before a test calls it hanging; the goal is 10 s.
pub const START_WITHIN: Duration = Duration::from_secs(60);
/// How long draining may take before a test calls it hanging.
pub const STOP_WITHIN: Duration = Duration::from_secs(60);

/// The path of a binary of this workspace, built beside the running test.
///
/// # Errors
/// When it was not built.
pub fn binary(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let parent = test.parent().context("the test is in no target folder")?;
    // Tests run from `deps/`, programs from the folder above it.
    let dir = if parent.ends_with("deps") { parent.parent().unwrap_or(parent) } else { parent };
    let path = dir.join(name);
    ensure!(path.exists(), "{} is missing: cargo build --workspace --all-targets", path.display());
    Ok(path)
}

/// The workspace's root folder.
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// What the demonstration needs, in its short form, with the programs of this workspace.
///
/// # Errors
/// When they were not built, or no port is free.
pub fn demo_options(dir: &Path, orchestrator: Orchestrator, docker_socket: &Path) -> Result<Options> {
    Ok(Options {
        scenario: Scenario::short(),
        orchestrator,
        dir: dir.to_path_buf(),
        tidewatch: binary("tidewatch")?,
        service: binary("demo-service")?,
        docker_socket: docker_socket.to_path_buf(),
        port: free_port()?,
    })
}

/// Installs the TLS provider that HTTP clients need; a second call changes nothing.
pub fn install_crypto() {
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
}

/// A running Tidewatch.
#[derive(Debug)]
pub struct Tidewatch {
    /// Asks it.
    pub api: Api,
    /// Its port.
    pub port: u16,
    /// Its process.
    pub server: Server,
    log: PathBuf,
}

impl Tidewatch {
    /// Starts one on a free port with `args` behind `--data-dir` and `--listen`, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not come up; the error holds the end of its log.
    pub async fn start(dir: &Path, args: &[&str]) -> Result<Self> {
        install_crypto();
        let port = free_port()?;
        let log = dir.join(format!("tidewatch-{port}.log"));
        let mut command = Command::new(binary("tidewatch")?);
        command.arg("--data-dir").arg(dir.join("data")).arg("--listen").arg(format!("127.0.0.1:{port}")).args(args);
        let server = Server::start("tidewatch", &mut command, &log, STOP_WITHIN)?;
        let api = Api::new(&format!("http://127.0.0.1:{port}"))?;
        let tidewatch = Self { api, port, server, log };
        wait_for("tidewatch is ready", START_WITHIN, || tidewatch.api.ready())
            .await
            .with_context(|| tidewatch.log())?;
        Ok(tidewatch)
    }

    /// What it wrote so far to stdout and stderr.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// A folder that goes away with the test.
///
/// # Errors
/// When none can be made.
pub fn scratch() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("tidewatch-test-").tempdir()?)
}
