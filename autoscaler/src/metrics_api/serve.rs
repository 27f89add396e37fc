//! The metrics APIs behind TLS, for the API server's aggregator and nobody else.
//!
//! A request counts only on a connection whose client certificate the proxy's authority has signed and whose name is allowed: that
//! is the API server, which has asked and checked its user already. `X-Remote-User` is believed there and nowhere else. Only `/livez`
//! and `/readyz` answer without, for the kubelet. One request is answered per connection; the aggregator opens as it needs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vocab::Clock;

use super::{ApiAnswer, MetricsApi, MetricsApiConfig, MetricsApiDeps, failure, subject};
use crate::orchestrators::kubernetes::ClusterReader;

/// Most connections at once: an API server keeps some tens.
const CONNECTIONS_MAX: usize = 256;
/// Longest head of a request.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Longest wait for a handshake and for a request's head together.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for the peer to take the answer.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Certificates are read anew this often, so that a renewed one takes effect.
const RELOAD_INTERVAL: Duration = Duration::from_secs(60);

/// Time between looks at who the proxy is, and between tries to begin.
const TRUST_INTERVAL: Duration = Duration::from_secs(600);
/// Wait after a failed try to begin.
const RETRY: Duration = Duration::from_secs(10);

/// Who may speak for users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The authority of the API server's proxy certificate, PEM.
    pub authorities: Vec<u8>,
    /// Names that certificate may have; any when empty.
    pub allowed_names: Vec<String>,
}

struct Tls {
    acceptor: TlsAcceptor,
    read_at: Duration,
}

/// A server that listens already.
pub struct MetricsServer {
    listener: TcpListener,
    files: (PathBuf, PathBuf),
    trust: Trust,
    tls: RwLock<Tls>,
    api: Arc<MetricsApi>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for MetricsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "metrics server at {:?}", self.listener.local_addr())
    }
}

impl MetricsServer {
    /// Reads the certificates and takes the address.
    ///
    /// # Errors
    /// A sentence that says what cannot be read or used.
    pub async fn bind(
        config: &MetricsApiConfig,
        trust: Trust,
        api: Arc<MetricsApi>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let files = (config.cert_file.clone(), config.key_file.clone());
        let acceptor = acceptor(&files, &trust)?;
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|e| format!("metrics_api.listen {}: cannot be listened on: {e}", config.listen))?;
        let tls = RwLock::new(Tls { acceptor, read_at: clock.monotonic() });
        Ok(Self { listener, files, trust, tls, api, clock })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let server = Arc::new(self);
        let turns = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let tasks = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                accepted = server.listener.accept() => accepted,
                () = cancel.cancelled() => break,
            };
            let Ok((stream, _)) = accepted else {
                // Out of files or the like: later there may be some again.
                server.clock.sleep(Duration::from_millis(100)).await;
                continue;
            };
            // Beyond the most, a connection is closed at once.
            let Ok(turn) = Arc::clone(&turns).try_acquire_owned() else { continue };
            server.reload();
            let (server, cancel) = (Arc::clone(&server), cancel.clone());
            tasks.spawn(async move {
                let _turn = turn;
                tokio::select! {
                    () = server.connection(stream) => {}
                    () = cancel.cancelled() => {}
                }
            });
        }
        tasks.close();
        tasks.wait().await;
    }

    fn reload(&self) {
        let now = self.clock.monotonic();
        if now.saturating_sub(self.tls.read().read_at) < RELOAD_INTERVAL {
            return;
        }
        let mut tls = self.tls.write();
        tls.read_at = now;
        match acceptor(&self.files, &self.trust) {
            Ok(acceptor) => tls.acceptor = acceptor,
            Err(error) => tracing::warn!(error, "the metrics API goes on with the certificate it has"),
        }
    }

    async fn connection(&self, stream: TcpStream) {
        let acceptor = self.tls.read().acceptor.clone();
        let begun = async {
            let mut stream = acceptor.accept(stream).await.ok()?;
            let head = read_head(&mut stream).await?;
            Some((stream, head))
        };
        let begun = tokio::select! {
            begun = begun => begun,
            () = self.clock.sleep(HEAD_TIMEOUT) => None,
        };
        let Some((mut stream, head)) = begun else { return };
        let answer = self.answer(&stream, &head).await;
        let bytes = encode(&answer);
        let sent = async {
            // A peer that goes away does not want the answer.
            let _sent = stream.write_all(&bytes).await;
            let _closed = stream.shutdown().await;
        };
        tokio::select! {
            () = sent => {}
            () = self.clock.sleep(SEND_TIMEOUT) => {}
        }
    }

    async fn answer(&self, stream: &TlsStream<TcpStream>, head: &str) -> ApiAnswer {
        let mut lines = head.lines();
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if method != "GET" {
            return failure(405, "MethodNotAllowed", "metrics are read only");
        }
        if matches!(path, "/livez" | "/readyz" | "/healthz") {
            return ApiAnswer { status: 200, body: "ok".into() };
        }
        let names = stream.get_ref().1.peer_certificates().and_then(|c| c.first()).map(|c| subject::common_names(c));
        let Some(names) = names else {
            return failure(401, "Unauthorized", "only the API server's proxy is answered");
        };
        let allowed = &self.trust.allowed_names;
        if !allowed.is_empty() && !names.iter().any(|n| allowed.contains(n)) {
            return failure(403, "Forbidden", "the client certificate's name is not allowed");
        }
        let is_discovery = path.trim_matches('/').split('/').count() <= 3;
        let mut headers = lines.filter_map(|l| l.split_once(':'));
        let has_user = headers.any(|h| h.0.eq_ignore_ascii_case("x-remote-user") && !h.1.trim().is_empty());
        if !is_discovery && !has_user {
            return failure(401, "Unauthorized", "the request names no user");
        }
        self.api.answer(path, query).await
    }
}

/// TLS as the files say, taking client certificates of the trusted authorities.
fn acceptor(files: &(PathBuf, PathBuf), trust: &Trust) -> Result<TlsAcceptor, String> {
    let certificates =
        certificates(&read(&files.0)?).ok_or_else(|| format!("{} has no PEM certificate", files.0.display()))?;
    let key =
        PrivateKeyDer::from_pem_slice(&read(&files.1)?).map_err(|_| format!("{} has no PEM key", files.1.display()))?;
    let mut roots = RootCertStore::empty();
    let authorities = self::certificates(&trust.authorities).ok_or("the proxy's authority is no PEM certificate")?;
    for authority in authorities {
        roots.add(authority).map_err(|e| format!("the proxy's authority cannot be used: {e}"))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(|e| format!("the proxy's authority cannot be used: {e}"))?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates, key)
        .map_err(|e| format!("{} and {} cannot be used: {e}", files.0.display(), files.1.display()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// TLS that takes nobody without a certificate, for tests of clients.
#[cfg(test)]
pub(crate) fn strict_acceptor(certificate: &[u8], key: &[u8], authority: &[u8]) -> TlsAcceptor {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority).expect("PEM")).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().expect("made");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(certificate).expect("PEM"), PrivateKeyDer::from_pem_slice(key).expect("PEM"))
        .expect("made");
    TlsAcceptor::from(Arc::new(config))
}

fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    (!all.is_empty()).then_some(all)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))
}

/// The head of a request without a body; `None` when it is none.
async fn read_head(stream: &mut TlsStream<TcpStream>) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            return String::from_utf8(bytes[..end].to_vec()).ok();
        }
        if bytes.len() > HEAD_BYTES_MAX || stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn encode(answer: &ApiAnswer) -> Vec<u8> {
    let body = match &answer.body {
        serde_json::Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let reason = if answer.status == 200 { "OK" } else { "Error" };
    format!(
        "HTTP/1.1 {} {reason}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        answer.status,
        body.len()
    )
    .into_bytes()
}

/// Serves as configured until cancelled; a proxy certificate's authority that changes takes effect.
pub(crate) async fn run(
    config: MetricsApiConfig,
    reader: Option<Arc<ClusterReader>>,
    deps: MetricsApiDeps,
    cancel: CancellationToken,
) {
    let clock = Arc::clone(&deps.clock);
    let api = Arc::new(MetricsApi::new(&config, deps));
    while !cancel.is_cancelled() {
        let begun = async {
            let trust = trust(&config, reader.as_deref()).await?;
            let server = MetricsServer::bind(&config, trust.clone(), Arc::clone(&api), Arc::clone(&clock)).await?;
            Ok::<_, String>((trust, server))
        };
        let (trusted, server) = match begun.await {
            Ok(begun) => begun,
            Err(error) => {
                tracing::error!(error, "the Kubernetes metrics APIs are not served; tried again");
                tokio::select! {
                    () = clock.sleep(RETRY) => continue,
                    () = cancel.cancelled() => return,
                }
            }
        };
        tracing::info!(address = %config.listen, "the Kubernetes metrics APIs are served");
        let ends = cancel.child_token();
        let changed = async {
            loop {
                clock.sleep(TRUST_INTERVAL).await;
                // While it cannot be read, what is known counts.
                if trust(&config, reader.as_deref()).await.is_ok_and(|now| now != trusted) {
                    break;
                }
            }
        };
        let running = server.run(ends.clone());
        tokio::pin!(running);
        tokio::select! {
            () = &mut running => {}
            () = changed => {
                ends.cancel();
                running.await;
            }
        }
    }
}

async fn trust(config: &MetricsApiConfig, reader: Option<&ClusterReader>) -> Result<Trust, String> {
    let mut trust = match (&config.client_ca_file, reader) {
        (Some(path), _) => Trust { authorities: read(path)?, allowed_names: Vec::new() },
        (None, Some(reader)) => reader.front_proxy().await?,
        (None, None) => return Err("metrics_api needs client_ca_file or a cluster to read it from".to_owned()),
    };
    if !config.allowed_names.is_empty() {
        trust.allowed_names.clone_from(&config.allowed_names);
    }
    Ok(trust)
}
