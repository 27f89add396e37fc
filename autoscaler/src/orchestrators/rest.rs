//! Calls to an orchestrator's API: bounded in time and size, credentials in no text.

use std::fmt;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{ClientBuilder, Method, redirect};
use serde::de::DeserializeOwned;

use super::retry::CallError;
use super::secret::Secret;
use crate::error::OrchestratorError;
use crate::http;

/// Longest wait for a whole answer when nobody says otherwise.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a connection: a dead host must not cost a whole call.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of an answer: a page of 500 pods of some 20 KiB is a third of it.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most characters of a server's words that are repeated.
const WORDS_CHARS_MAX: usize = 400;
/// Silence after which the other end of a connection is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// How a request says who it is from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Auth {
    /// It does not.
    #[default]
    None,
    /// User and password.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// `Authorization: <scheme><secret>`; the scheme includes what separates it, such as `Bearer ` or `token=`.
    Scheme {
        /// What stands before the secret.
        scheme: &'static str,
        /// The secret.
        secret: Secret,
    },
    /// A header of its own.
    Header {
        /// Its name, in lower case.
        name: &'static str,
        /// The secret.
        secret: Secret,
    },
}

/// A server's words, shortened and without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words(pub(crate) String);

/// An answer, whole.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
    /// What must not be repeated.
    hidden: Vec<String>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "answer {} of {} bytes", self.status, self.body.len())
    }
}

impl Answer {
    /// Whether the status is 2xx.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON of a shape.
    pub(crate) fn json<T: DeserializeOwned>(&self, kind: &'static str, missing: &'static str) -> Result<T, CallError> {
        serde_json::from_slice(&self.body)
            .map_err(|_| CallError::never(OrchestratorError::Malformed { orchestrator: kind, missing }))
    }

    /// The body in a few words: the string at `pointer` of a JSON body, else the text.
    pub(crate) fn words(&self, pointer: &str) -> Words {
        let value = serde_json::from_slice::<serde_json::Value>(&self.body).ok();
        let text = value.as_ref().and_then(|v| v.pointer(pointer)).and_then(|v| v.as_str()).map(str::to_owned);
        let text = text.unwrap_or_else(|| String::from_utf8_lossy(&self.body).trim().to_owned());
        let text = hide(text, &self.hidden);
        match text.chars().take(WORDS_CHARS_MAX).collect::<String>() {
            text if text.is_empty() => Words("no reason given".to_owned()),
            text => Words(text),
        }
    }
}

/// What is sent along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Body<'a> {
    /// Empty when there is no body, only headers.
    pub(crate) content_type: &'static str,
    pub(crate) bytes: &'a [u8],
    /// Further headers; an `accept` among them takes the place of JSON.
    pub(crate) headers: &'a [(&'static str, String)],
}

impl<'a> Body<'a> {
    /// Headers alone.
    pub(crate) fn headers(headers: &'a [(&'static str, String)]) -> Self {
        Self { content_type: "", bytes: &[], headers }
    }

    /// A JSON body.
    pub(crate) fn json(bytes: &'a [u8]) -> Self {
        Self { content_type: "application/json", bytes, headers: &[] }
    }
}

/// An API below one address.
#[derive(Debug, Clone)]
pub(crate) struct Rest {
    kind: &'static str,
    /// Without a slash at its end.
    base: String,
    /// Where it is, in messages.
    shown: String,
    client: reqwest::Client,
    auth: Auth,
}

/// A client's builder with the bounds of every call.
pub(crate) fn builder(timeout: Duration) -> ClientBuilder {
    stream_builder().timeout(timeout).connect_timeout(CONNECT_TIMEOUT.min(timeout))
}

/// The same for answers that never end: whoever uses it bounds their silence.
pub(crate) fn stream_builder() -> ClientBuilder {
    http::client()
        .connect_timeout(CONNECT_TIMEOUT)
        // Credentials go where the configuration says and nowhere else.
        .redirect(redirect::Policy::none())
        .tcp_keepalive(KEEPALIVE)
        .user_agent(concat!("tidewatch/", env!("CARGO_PKG_VERSION")))
}

impl Rest {
    /// An API at `base`, asked with a client.
    pub(crate) fn new(kind: &'static str, base: &str, client: reqwest::Client, auth: Auth) -> Self {
        let base = base.trim_end_matches('/').to_owned();
        Self { kind, shown: base.clone(), base, client, auth }
    }

    /// The same, with other words for where it is.
    pub(crate) fn shown_as(self, shown: String) -> Self {
        Self { shown, ..self }
    }

    /// One call; any status is an answer.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Body<'_>>) -> Result<Answer, CallError> {
        let (mut answer, hidden) = self.open(&self.client, method, path, body).await?;
        let status = answer.status().as_u16();
        let header = answer.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse().ok());
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|e| self.unreachable(e, &hidden))? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                let missing = "an end within 32 MiB";
                return Err(OrchestratorError::Malformed { orchestrator: self.kind, missing }.into());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Answer { status, retry_after: header.map(Duration::from_secs), body: bytes, hidden })
    }

    /// Sends a request and gives its answer as soon as the headers are there, with the texts that must not be repeated.
    pub(crate) async fn open(
        &self,
        client: &reqwest::Client,
        method: Method,
        path: &str,
        body: Option<Body<'_>>,
    ) -> Result<(reqwest::Response, Vec<String>), CallError> {
        let mut request = client.request(method, format!("{}{path}", self.base));
        if !body.is_some_and(|b| b.headers.iter().any(|h| h.0 == "accept")) {
            request = request.header(ACCEPT, "application/json");
        }
        if let Some(body) = body {
            if !body.content_type.is_empty() {
                request = request.header(CONTENT_TYPE, body.content_type).body(body.bytes.to_vec());
            }
            for (name, value) in body.headers {
                request = request.header(*name, value);
            }
        }
        let misconfigured =
            |reason: String| CallError::never(OrchestratorError::Misconfigured { orchestrator: self.kind, reason });
        let secret = match &self.auth {
            Auth::None => None,
            Auth::Basic { password: secret, .. } | Auth::Scheme { secret, .. } | Auth::Header { secret, .. } => {
                Some(secret.read().await.map_err(misconfigured)?)
            }
        };
        let mut hidden = Vec::new();
        if let Some(secret) = secret {
            let sensitive = |text: String| {
                let mut value = HeaderValue::try_from(text)
                    .map_err(|_| misconfigured("a credential has characters that no header may have".to_owned()))?;
                value.set_sensitive(true);
                Ok::<_, CallError>(value)
            };
            request = match &self.auth {
                Auth::Basic { username, .. } => request.basic_auth(username, Some(&secret)),
                Auth::Header { name, .. } => request.header(HeaderName::from_static(name), sensitive(secret.clone())?),
                Auth::Scheme { scheme, .. } => request.header(AUTHORIZATION, sensitive(format!("{scheme}{secret}"))?),
                Auth::None => request,
            };
            hidden.push(secret);
        }
        match request.send().await {
            Ok(answer) => Ok((answer, hidden)),
            Err(error) => Err(self.unreachable(error, &hidden)),
        }
    }

    /// A call without a (whole) answer.
    pub(crate) fn unreachable(&self, error: reqwest::Error, hidden: &[String]) -> CallError {
        // The address may carry a query with credentials; the endpoint says where it was.
        let text = hide(vocab::error::chain(&error.without_url()), hidden);
        let source = Box::new(std::io::Error::other(text));
        CallError::broken(OrchestratorError::Unreachable {
            orchestrator: self.kind,
            endpoint: self.shown.clone(),
            source,
        })
    }
}

/// A text in which no credential stands.
fn hide(text: String, hidden: &[String]) -> String {
    hidden.iter().filter(|h| h.len() > 3).fold(text, |text, secret| text.replace(secret.as_str(), "<secret>"))
}

/// A text as one segment of a path or one value of a query.
pub(crate) fn segment(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    // A segment of dots alone is a step through the tree, even when the dots are escaped; escaped twice it names nothing.
    if matches!(text, "." | "..") {
        return text.replace('.', "%252E");
    }
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// An address without what may be secret in it: user, password, query.
pub(crate) fn plain_base(text: &str) -> Result<String, String> {
    let wrong = || format!("want an address such as https://10.0.0.1:6443, not {text:?}");
    let url = url::Url::parse(text).map_err(|_| "want an address such as https://10.0.0.1:6443".to_owned())?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("want an address without user, password, query and fragment".to_owned());
    }
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(wrong());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_cannot_leave_its_place() {
        for (given, expect) in
            [("web-1.a_b", "web-1.a_b"), ("../x", "..%2Fx"), ("..", "%252E%252E"), ("a b?", "a%20b%3F")]
        {
            assert_eq!(segment(given), expect);
        }
    }

    #[test]
    fn an_address_carries_no_credentials() {
        assert_eq!(plain_base("https://k8s:6443/").as_deref(), Ok("https://k8s:6443"));
        assert_eq!(
            plain_base("http://[::1]:8080/service/marathon").as_deref(),
            Ok("http://[::1]:8080/service/marathon")
        );
        for wrong in ["k8s:6443", "ftp://x", "https://", "https://me:hush@k8s", "https://k8s?token=hush", "x"] {
            let message = plain_base(wrong).expect_err(wrong);
            assert!(!message.contains("hush"), "{message}");
        }
    }
}
