//! A private Docker engine: own socket, data root and exec root; one Swarm node; stopped by its own process id.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use demo::servers::{Server, wait_for};
use demo::swarm::Engine;
use serde_json::json;

use crate::install_crypto;

/// How long the engine may take to come up or to stop before a test calls it hanging.
const WITHIN: Duration = Duration::from_secs(90);

/// A running engine that is a Swarm manager.
#[derive(Debug)]
pub struct Dockerd {
    /// Its socket.
    pub socket: PathBuf,
    engine: Engine,
    server: Server,
}

impl Dockerd {
    /// Starts one with everything below `dir`, which is made, and initialises a Swarm on loopback.
    ///
    /// # Errors
    /// When dockerd is not installed, may not run here (it needs root), or does not come up: with the end of its log.
    pub async fn start(dir: &Path) -> Result<Self> {
        install_crypto();
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let socket = dir.join("docker.sock");
        let log = dir.join("dockerd.log");
        let program = ["/usr/sbin/dockerd", "/usr/bin/dockerd", "/usr/local/bin/dockerd"]
            .into_iter()
            .find(|p| Path::new(p).exists())
            .context("dockerd is missing: apt-get install docker.io")?;
        let server = Server::start(
            "dockerd",
            Command::new(program)
                .arg("--data-root")
                .arg(dir.join("root"))
                .arg("--exec-root")
                .arg(dir.join("exec"))
                .arg("--pidfile")
                .arg(dir.join("docker.pid"))
                .arg("--host")
                .arg(format!("unix://{}", socket.display()))
                // vfs works on every file system; the one image is a few megabytes.
                .args(["--storage-driver", "vfs"])
                .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            &log,
            WITHIN,
        )?;
        let engine = Engine::at(&socket)?;
        let end_of_log = || {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            format!("dockerd's log ends with:\n{}", lines[lines.len().saturating_sub(10)..].join("\n"))
        };
        wait_for("dockerd answers", WITHIN, || async {
            engine.call(reqwest::Method::GET, "/info", None).await.is_ok()
        })
        .await
        .with_context(end_of_log)?;
        let init = json!({"ListenAddr": "127.0.0.1:0", "AdvertiseAddr": "127.0.0.1"});
        engine.call(reqwest::Method::POST, "/swarm/init", Some(init)).await.with_context(end_of_log)?;
        Ok(Self { socket, engine, server })
    }

    /// Leaves the Swarm, which stops its containers, and stops the engine.
    ///
    /// # Errors
    /// When the engine had to be killed.
    pub async fn stop(mut self) -> Result<()> {
        let _left = self.engine.call(reqwest::Method::POST, "/swarm/leave?force=true", None).await;
        tokio::task::spawn_blocking(move || self.server.stop()).await??;
        Ok(())
    }
}
