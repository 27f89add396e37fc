//! Fetches a target's metrics over HTTP, with a time limit and a limit on the decompressed body.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use vocab::Clock;

use crate::config::{HttpConfig, Secret, TextOrFile};
use crate::error::FetchError;
use crate::exposition::Format;

/// Largest decompressed body when the job sets no limit: what a host of the largest kind exposes, times twenty.
pub const BODY_BYTES_MAX: u64 = 256 << 20;
/// Follow at most this many redirects, as Go's client does.
const REDIRECTS_MAX: usize = 10;

/// A fetched body.
#[derive(Debug)]
pub struct Fetched {
    /// The decompressed body.
    pub body: Bytes,
    /// `Content-Type`, or empty.
    pub content_type: String,
}

/// Fetches over HTTP for the targets of one job.
#[derive(Debug, Clone)]
pub struct Fetcher {
    client: reqwest::Client,
    authorization: Secret,
}

/// What one fetch asks for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The address.
    pub url: &'a str,
    /// The `Accept` header.
    pub accept: &'a str,
    /// How long it may take.
    pub timeout: Duration,
    /// Most decompressed bytes; 0 for [`BODY_BYTES_MAX`].
    pub body_bytes_max: u64,
}

impl Fetcher {
    /// Sets up the client.
    ///
    /// # Errors
    /// [`FetchError`] when the authority file cannot be read or the TLS library refuses it.
    pub fn new(config: &HttpConfig) -> Result<Self, FetchError> {
        let mut builder =
            reqwest::Client::builder().user_agent(concat!("Tidewatch/", env!("CARGO_PKG_VERSION"))).no_proxy();
        builder = builder.redirect(match config.follow_redirects {
            true => reqwest::redirect::Policy::limited(REDIRECTS_MAX),
            false => reqwest::redirect::Policy::none(),
        });
        if !config.compression {
            builder = builder.no_gzip().no_zstd();
        }
        if !config.http2 {
            builder = builder.http1_only();
        }
        if config.tls.insecure_skip_verify {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        if let Some(file) = &config.tls.ca_file {
            let pem = read_secret(file)?;
            let all = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(client_error)?;
            builder = builder.tls_certs_merge(all);
        }
        let client = builder.build().map_err(client_error)?;
        Ok(Self { client, authorization: config.authorization.clone() })
    }

    /// Fetches a body.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch(&self, clock: &Arc<dyn Clock>, request: Request<'_>) -> Result<Fetched, FetchError> {
        tokio::select! {
            result = self.fetch_untimed(request) => result,
            () = clock.sleep(request.timeout) => Err(FetchError::Timeout { url: request.url.to_owned() }),
        }
    }

    async fn fetch_untimed(&self, request: Request<'_>) -> Result<Fetched, FetchError> {
        let transport = |error: reqwest::Error| FetchError::Transport {
            url: request.url.to_owned(),
            reason: vocab::error::chain(&error.without_url()),
        };
        let mut get = self
            .client
            .get(request.url)
            .header(ACCEPT, request.accept)
            .header("X-Prometheus-Scrape-Timeout-Seconds", request.timeout.as_secs_f64().to_string());
        if let Some(value) = authorization(&self.authorization)? {
            get = get.header(AUTHORIZATION, value);
        }
        let response = get.send().await.map_err(transport)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status(response.status().to_string()));
        }
        let content_type =
            response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let limit = if request.body_bytes_max == 0 { BODY_BYTES_MAX } else { request.body_bytes_max };
        let mut body = BytesMut::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(transport)?;
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(FetchError::BodyLimit(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Fetched { body: body.freeze(), content_type })
    }
}

fn client_error(error: reqwest::Error) -> FetchError {
    FetchError::Client(vocab::error::chain(&error))
}

fn read_secret(file: &std::path::Path) -> Result<String, FetchError> {
    std::fs::read_to_string(file)
        .map_err(|e| FetchError::Secret { file: file.display().to_string(), reason: e.to_string() })
}

fn text_of(source: &TextOrFile) -> Result<String, FetchError> {
    match source {
        TextOrFile::Text(text) => Ok(text.clone()),
        TextOrFile::File(file) => Ok(read_secret(file)?.trim().to_owned()),
    }
}

fn authorization(secret: &Secret) -> Result<Option<HeaderValue>, FetchError> {
    use base64::Engine;
    let text = match secret {
        Secret::None => return Ok(None),
        Secret::Basic { username, password } => {
            let pair = format!("{}:{}", text_of(username)?, text_of(password)?);
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
        }
        Secret::Scheme { scheme, credentials } => format!("{scheme} {}", text_of(credentials)?),
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| FetchError::Client("credentials hold characters that no header may have".to_owned()))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The format that a content type names; `fallback` when it names none.
///
/// # Errors
/// [`FetchError::ContentType`] when it names another one and there is no fallback.
pub fn format_of(content_type: &str, fallback: Option<Format>) -> Result<Format, FetchError> {
    let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    match essence.as_str() {
        "text/plain" => Ok(Format::Prometheus),
        "application/openmetrics-text" => Ok(Format::OpenMetrics),
        "application/vnd.google.protobuf" if is_delimited_families(content_type) => Ok(Format::Protobuf),
        _ => fallback.ok_or_else(|| FetchError::ContentType(content_type.to_owned())),
    }
}

/// Whether a protobuf content type names the message and the encoding that Prometheus's clients send.
fn is_delimited_families(content_type: &str) -> bool {
    let mut params = content_type.split(';').skip(1).filter_map(|p| p.trim().split_once('='));
    params.all(|(name, value)| match name.trim() {
        "proto" => value.trim() == "io.prometheus.client.MetricFamily",
        "encoding" => value.trim() == "delimited",
        _ => true,
    })
}
