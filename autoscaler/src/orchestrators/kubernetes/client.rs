//! The connection to an API server: made when it is first used, made anew when its credentials are refused.

use std::net::{IpAddr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, Identity, Method};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;
use vocab::Clock;

use super::config::KubernetesConfig;
use super::kubeconfig::{self, Connection, Exec};
use crate::error::OrchestratorError;
use crate::orchestrators::rest::{self, Answer, Auth, Body, Rest};
use crate::orchestrators::retry::CallError;
use crate::orchestrators::secret::Secret;

/// The orchestrator's kind.
pub(crate) const KIND: &str = "kubernetes";
/// A refused credential is read anew at most this often.
const RENEW_INTERVAL: Duration = Duration::from_secs(10);
/// A watch without a byte for this long is opened anew: the server sends a bookmark about once a minute.
const WATCH_SILENCE: Duration = Duration::from_secs(90);
/// Time between the questions whether a silent peer is still there, and how many go unanswered before it is given up.
const KEEPALIVE_INTERVAL: (Duration, u32) = (Duration::from_secs(5), 3);
/// Longest a credential plugin may take.
const EXEC_TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of a credential plugin's answer.
const EXEC_BYTES_MAX: u64 = 1024 * 1024;
/// A plugin's credential is renewed this long before it ends, in milliseconds.
const EXEC_MARGIN_MS: i64 = 60_000;

/// A connection that is in use.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) rest: Rest,
    watch: reqwest::Client,
    /// Namespace of objects that name none.
    pub(crate) namespace: String,
    connection: Connection,
    ends_at_ms: Option<i64>,
}

#[derive(Debug, Default)]
struct Held {
    live: Option<Arc<Live>>,
    /// When refused credentials were last read anew.
    renewed_at: Option<Duration>,
}

/// An API server.
#[derive(Debug)]
pub(crate) struct Client {
    config: KubernetesConfig,
    clock: Arc<dyn Clock>,
    held: Mutex<Held>,
}

impl Client {
    /// Nothing is read or asked before it is used.
    pub(crate) fn new(config: KubernetesConfig, clock: Arc<dyn Clock>) -> Self {
        Self { config, clock, held: Mutex::default() }
    }

    /// The connection.
    pub(crate) async fn live(&self) -> Result<Arc<Live>, CallError> {
        let mut held = self.held.lock().await;
        if let Some(live) = held.live.as_ref()
            && live.ends_at_ms.is_none_or(|end| self.clock.now_ms() < end - EXEC_MARGIN_MS)
        {
            return Ok(Arc::clone(live));
        }
        let misconfigured = |reason| CallError::never(OrchestratorError::Misconfigured { orchestrator: KIND, reason });
        let (connection, ends_at_ms) = self.load().await.map_err(misconfigured)?;
        let made = Arc::new(self.connect(&connection, ends_at_ms).map_err(misconfigured)?);
        held.live = Some(Arc::clone(&made));
        Ok(made)
    }

    /// Reads how the cluster is reached, and when that ends.
    async fn load(&self) -> Result<(Connection, Option<i64>), String> {
        let mut connection = kubeconfig::load(&self.config)?;
        let ends_at_ms = match connection.exec.take() {
            Some(exec) => self.run(&exec, &mut connection).await?,
            None => None,
        };
        Ok((connection, ends_at_ms))
    }

    fn connect(&self, connection: &Connection, ends_at_ms: Option<i64>) -> Result<Live, String> {
        let mut server = connection.server.clone();
        let mut name_at = None;
        if let Some(name) = &connection.server_name {
            let mut url = url::Url::parse(&server).map_err(|_| "the server's address cannot be read".to_owned())?;
            let ip: IpAddr = url
                .host_str()
                .and_then(|h| h.trim_matches(['[', ']']).parse().ok())
                .ok_or("tls-server-name needs a server given by its IP address")?;
            let port = url.port_or_known_default().unwrap_or(443);
            url.set_host(Some(name)).map_err(|_| format!("tls-server-name {name:?} is no host name"))?;
            url.as_str().trim_end_matches('/').clone_into(&mut server);
            name_at = Some((name.clone(), SocketAddr::new(ip, port)));
        }
        let build = |builder: reqwest::ClientBuilder| {
            let mut builder = builder;
            if let Some(pem) = &connection.authorities {
                let authorities = Certificate::from_pem_bundle(pem)
                    .ok()
                    .filter(|list| !list.is_empty())
                    .ok_or("the certificate authority is no PEM certificate")?;
                builder = builder.tls_certs_only(authorities);
            }
            if let Some(pem) = &connection.identity {
                let identity = Identity::from_pem(pem).map_err(|_| "the client certificate or its key is not PEM")?;
                builder = builder.identity(identity);
            }
            if connection.is_insecure {
                builder = builder.tls_danger_accept_invalid_certs(true);
            }
            if let Some((name, address)) = &name_at {
                builder = builder.resolve(name, *address);
            }
            builder.build().map_err(|e| format!("no client can be made: {}", vocab::error::chain(&e)))
        };
        let plain = build(rest::builder(self.config.timeout))?;
        // Watches have connections of their own, so that however many there are, calls never wait behind them.
        let watch = build(
            rest::stream_builder()
                .read_timeout(WATCH_SILENCE)
                .tcp_keepalive_interval(KEEPALIVE_INTERVAL.0)
                .tcp_keepalive_retries(KEEPALIVE_INTERVAL.1)
                .http1_only(),
        )?;
        Ok(Live {
            rest: Rest::new(KIND, &server, plain, connection.auth.clone()),
            watch,
            namespace: connection.namespace.clone(),
            connection: connection.clone(),
            ends_at_ms,
        })
    }

    /// Reads refused credentials anew; whether there are others now, with which a call is worth another try.
    async fn renew(&self, refused: &Arc<Live>) -> bool {
        let mut held = self.held.lock().await;
        if !held.live.as_ref().is_some_and(|l| Arc::ptr_eq(l, refused)) {
            return true;
        }
        let now = self.clock.monotonic();
        if held.renewed_at.is_some_and(|at| now.saturating_sub(at) < RENEW_INTERVAL) {
            return false;
        }
        held.renewed_at = Some(now);
        let Ok((connection, ends_at_ms)) = self.load().await else { return false };
        if connection == refused.connection {
            return false;
        }
        match self.connect(&connection, ends_at_ms) {
            Ok(made) => {
                held.live = Some(Arc::new(made));
                true
            }
            Err(_) => false,
        }
    }

    /// One call; any status is an answer, but a refused credential is read anew first.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Body<'_>>) -> Result<Answer, CallError> {
        let live = self.live().await?;
        let answer = live.rest.call(method.clone(), path, body).await?;
        if answer.status == 401 && self.renew(&live).await {
            return self.live().await?.rest.call(method, path, body).await;
        }
        Ok(answer)
    }

    /// GETs an object of a shape.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, missing: &'static str) -> Result<T, CallError> {
        let answer = self.call(Method::GET, path, None).await?;
        if answer.is_success() { answer.json(KIND, missing) } else { Err(refused(&answer)) }
    }

    /// Opens a stream.
    pub(crate) async fn watch(&self, path: &str) -> Result<reqwest::Response, CallError> {
        let live = self.live().await?;
        let (answer, _) = live.rest.open(&live.watch, Method::GET, path, None).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        if status == 401 {
            self.renew(&live).await;
        }
        let message = "the watch was refused".to_owned();
        Err(CallError::never(OrchestratorError::Refused { orchestrator: KIND, status, message }))
    }

    /// Runs a credential plugin; gives when its credential ends.
    async fn run(&self, exec: &Exec, connection: &mut Connection) -> Result<Option<i64>, String> {
        let fail = |reason: &str| format!("the credential plugin {:?} {reason}", exec.command);
        let mut child = tokio::process::Command::new(&exec.command)
            .args(exec.args.iter().flatten())
            .envs(exec.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| fail(&format!("cannot be started: {e}")))?;
        let mut output = Vec::new();
        let stdout = child.stdout.take().ok_or_else(|| fail("has no output"))?;
        let ended = async {
            let mut stdout = stdout.take(EXEC_BYTES_MAX);
            stdout.read_to_end(&mut output).await?;
            child.wait().await
        };
        let ended = tokio::select! {
            ended = ended => ended.map_err(|e| fail(&format!("broke off: {e}")))?,
            () = self.clock.sleep(EXEC_TIMEOUT) => return Err(fail("did not end within 30 s")),
        };
        if !ended.success() {
            return Err(fail(&format!("ended with {ended}")));
        }
        let answer: ExecCredential =
            serde_json::from_slice(&output).map_err(|_| fail("did not print an ExecCredential as JSON"))?;
        let status = answer.status;
        if let Some(token) = status.token.filter(|t| !t.is_empty()) {
            connection.auth = Auth::Scheme { scheme: "Bearer ", secret: Secret::Text(token) };
        }
        if let (Some(certificate), Some(key)) = (status.client_certificate_data, status.client_key_data) {
            connection.identity = Some(format!("{certificate}\n{key}").into_bytes());
        }
        if connection.auth == Auth::None && connection.identity.is_none() {
            return Err(fail("gave neither a token nor a certificate"));
        }
        Ok(status.expiration_timestamp.and_then(|t| t.parse::<jiff::Timestamp>().ok()).map(|t| t.as_millisecond()))
    }
}

#[derive(Deserialize)]
struct ExecCredential {
    status: ExecStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecStatus {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<String>,
}

/// The failure behind a status other than 2xx, in the API server's words.
pub(crate) fn refused(answer: &Answer) -> CallError {
    CallError::refused(KIND, answer, &answer.words("/message"))
}
