//! The demo service on Docker Swarm: an image made from the static binary, a service without published ports.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::run::Options;
use crate::scenario::Scenario;

/// Name of the service, as Tidewatch's policy names it.
pub const SERVICE: &str = "web";
/// The image that is made locally; it is in no registry.
const IMAGE: &str = "tidewatch-demo:local";
/// Port of the service inside its containers.
pub const PORT: u16 = 8080;
/// How long a replica goes on answering after SIGTERM while its health check fails.
pub const LINGER_SECONDS: u64 = 5;

/// A Docker engine reached through its Unix socket.
#[derive(Debug, Clone)]
pub struct Engine {
    client: reqwest::Client,
}

impl Engine {
    /// The engine behind `socket`.
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub fn at(socket: &Path) -> Result<Self> {
        let client = reqwest::Client::builder()
            .unix_socket(socket.to_path_buf())
            .timeout(Duration::from_secs(60))
            .build()
            .context("cannot build a client for the Docker socket")?;
        Ok(Self { client })
    }

    /// Sends a request; answers JSON, or `Null` for an empty or non-JSON body.
    ///
    /// # Errors
    /// When the engine does not answer with 2xx.
    pub async fn call(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Result<Value> {
        let mut request = self.client.request(method.clone(), format!("http://docker/v1.41{path}"));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.with_context(|| format!("docker does not answer {method} {path}"))?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "docker: {method} {path}: {status}: {text}");
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Whether it is a Swarm manager.
    pub async fn is_manager(&self) -> bool {
        match self.call(reqwest::Method::GET, "/info", None).await {
            Ok(info) => info["Swarm"]["ControlAvailable"] == true,
            Err(_) => false,
        }
    }

    /// Makes the image from a static binary, as `FROM scratch` would.
    ///
    /// # Errors
    /// When the binary cannot be packed or the engine refuses it.
    pub async fn import_image(&self, binary: &Path) -> Result<()> {
        let dir = binary.parent().context("the binary has no folder")?;
        let packed = Command::new("tar").arg("-C").arg(dir).args(["-cf", "-", "demo-service"]).output()?;
        ensure!(packed.status.success(), "tar: {}", String::from_utf8_lossy(&packed.stderr));
        let path =
            "/images/create?fromSrc=-&repo=tidewatch-demo&tag=local&changes=ENTRYPOINT%20%5B%22%2Fdemo-service%22%5D";
        let answer = self
            .client
            .post(format!("http://docker/v1.41{path}"))
            .header("content-type", "application/x-tar")
            .body(packed.stdout)
            .send()
            .await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success() && !text.contains("\"error\""), "docker: import: {status}: {text}");
        Ok(())
    }
}

/// The demo service on a Swarm; [`Swarm::remove_service`] takes it away again.
#[derive(Debug)]
pub struct Swarm {
    engine: Engine,
}

impl Swarm {
    /// Makes the image and the service with one replica.
    ///
    /// # Errors
    /// When the engine does not answer, is no Swarm manager, or refuses.
    pub async fn create_service(options: &Options, scenario: &Scenario) -> Result<Self> {
        let engine = Engine::at(&options.docker_socket)?;
        if !engine.is_manager().await {
            bail!("the Docker engine at {} is not a Swarm manager: docker swarm init", options.docker_socket.display());
        }
        engine.import_image(&static_binary(&options.service)?).await?;
        let _old = engine.call(reqwest::Method::DELETE, &format!("/services/{SERVICE}"), None).await;
        let args = [
            "--listen".to_owned(),
            "0.0.0.0".to_owned(),
            "--port".to_owned(),
            PORT.to_string(),
            "--cpu-ms".to_owned(),
            scenario.cpu_ms.to_string(),
            "--linger-seconds".to_owned(),
            LINGER_SECONDS.to_string(),
        ];
        let spec = json!({
            "Name": SERVICE,
            "Labels": {"tidewatch.port": PORT.to_string()},
            "TaskTemplate": {
                "ContainerSpec": {"Image": IMAGE, "Args": args, "StopGracePeriod": 30_000_000_000u64},
                "RestartPolicy": {"Condition": "any", "Delay": 1_000_000_000u64},
            },
            "Mode": {"Replicated": {"Replicas": 1}},
        });
        engine.call(reqwest::Method::POST, "/services/create", Some(spec)).await?;
        Ok(Self { engine })
    }

    /// Removes the service.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn remove_service(&self) -> Result<()> {
        self.engine.call(reqwest::Method::DELETE, &format!("/services/{SERVICE}"), None).await?;
        Ok(())
    }
}

/// Builds the service once more, linked statically, beside the ordinary build; a later call finds it done.
fn static_binary(ordinary: &Path) -> Result<PathBuf> {
    let target =
        ordinary.parent().and_then(Path::parent).context("the service's binary is in no target folder")?.join("static");
    let built = Command::new("cargo")
        .args(["rustc", "--quiet", "--locked", "-p", "demo-service", "--bin", "demo-service", "--target-dir"])
        .arg(&target)
        .args(["--", "-C", "target-feature=+crt-static"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .context("cargo is needed to link the demo service statically")?;
    ensure!(
        built.status.success(),
        "the static demo service does not build: {}",
        String::from_utf8_lossy(&built.stderr)
    );
    Ok(target.join("debug").join("demo-service"))
}
