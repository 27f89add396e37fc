//! Where to listen, for whom, and how much a caller may ask for.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use promql::EngineOptions;
use vocab::limits::Limits;
use vocab::{Labels, Problems};

/// Shortest accepted token: shorter ones can be guessed.
const TOKEN_BYTES_MIN: usize = 16;
/// Most tokens in a file; each request is compared with all of them.
const TOKENS_MAX: usize = 64;

/// How the server is set up. Needs a restart to change.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who may call; `None` lets everybody who reaches the address.
    pub auth: Option<AuthTokens>,
    /// Host names, beside loopback and the listen address, under which the server may be called.
    pub allowed_hosts: Vec<String>,
    /// Longest evaluation of a query; a caller may ask for less.
    pub query_timeout: Duration,
    /// Queries evaluated at once.
    pub query_concurrency: usize,
    /// What tenants may push.
    pub limits: Arc<Limits>,
    /// Whether series may be deleted and snapshots taken through the API.
    pub enable_admin_api: bool,
    /// How PromQL is evaluated.
    pub engine: EngineOptions,
    /// Labels that federation adds to every series (`global.external_labels`); changed by a reload.
    pub external_labels: Arc<RwLock<Labels>>,
    /// The command line as `status/flags` shows it, without secrets.
    pub flags: BTreeMap<String, String>,
}

impl ServerConfig {
    /// The defaults for an address: no authentication, two minutes a query, twenty queries at once.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            auth: None,
            allowed_hosts: Vec::new(),
            query_timeout: Duration::from_secs(120),
            query_concurrency: 20,
            limits: Arc::default(),
            enable_admin_api: false,
            engine: EngineOptions::default(),
            external_labels: Arc::default(),
            flags: BTreeMap::new(),
        }
    }

    /// Notes what is wrong, under the flags' names.
    pub fn check(&self, problems: &mut Problems) {
        if !self.listen.ip().is_loopback() && self.auth.is_none() {
            let message = format!(
                "{} can be reached from other machines: give --auth-token-file, or listen on 127.0.0.1",
                self.listen.ip()
            );
            problems.add("--listen", message);
        }
        if self.query_concurrency == 0 {
            problems.add("--query-concurrency", "want at least 1");
        }
        for host in self.allowed_hosts.iter().filter(|h| h.is_empty() || h.contains(['/', ' ', '*'])) {
            problems.add("--allowed-host", format!("{host:?} is not a host name such as tidewatch.example.org"));
        }
    }
}

/// The tokens that open the door, as bearer token or as the password of basic authentication.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthTokens {
    tokens: Vec<String>,
}

impl AuthTokens {
    /// Reads a token file: one token a line; empty lines and lines that begin with `#` do not count.
    ///
    /// # Errors
    /// A sentence that says what would be right; it never repeats a token.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim).enumerate().filter(|(_, l)| !l.is_empty() && !l.starts_with('#'));
        let mut tokens = Vec::new();
        for (index, line) in lines {
            if line.len() < TOKEN_BYTES_MIN || !line.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(format!(
                    "line {}: want a token of at least {TOKEN_BYTES_MIN} printable ASCII characters without spaces",
                    index + 1
                ));
            }
            tokens.push(line.to_owned());
        }
        match tokens.len() {
            0 => Err("no token: want one per line".to_owned()),
            n if n > TOKENS_MAX => Err(format!("{n} tokens are over the limit of {TOKENS_MAX}")),
            _ => Ok(Self { tokens }),
        }
    }

    /// Whether this is one of the tokens. Takes the same time for every token of the same length.
    pub(crate) fn accept(&self, candidate: &str) -> bool {
        self.tokens.iter().fold(false, |found, token| found | same(token.as_bytes(), candidate.as_bytes()))
    }
}

/// Compares without stopping at the first difference.
fn same(a: &[u8], b: &[u8]) -> bool {
    let differences = a.iter().zip(b).fold(0u8, |acc, (x, y)| acc | (x ^ y));
    std::hint::black_box(differences) == 0 && a.len() == b.len()
}

impl fmt::Debug for AuthTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthTokens({} tokens)", self.tokens.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_file_is_checked_and_never_shown() {
        let tokens = AuthTokens::parse("# ours\n\n  0123456789abcdef  \nfedcba9876543210\n").expect("two tokens");
        assert!(tokens.accept("0123456789abcdef") && tokens.accept("fedcba9876543210"));
        for wrong in ["", "0123456789abcdeF", "0123456789abcde", "0123456789abcdef0", "# ours"] {
            assert!(!tokens.accept(wrong), "{wrong}");
        }
        assert!(!format!("{tokens:?}").contains("0123"));
        for (text, part) in
            [("", "one per line"), ("short\n", "line 1"), ("ok-ok-ok-ok-ok-ok\nwith a space in it", "line 2")]
        {
            let message = AuthTokens::parse(text).expect_err(text);
            assert!(message.contains(part), "{message}");
            assert!(!message.contains("short") && !message.contains("space in it"), "{message}");
        }
    }

    #[test]
    fn beyond_loopback_needs_tokens() {
        let check = |listen: &str, auth: bool, wrong: bool| {
            let mut config = ServerConfig::new(listen.parse().expect("an address"));
            config.auth = auth.then(|| AuthTokens::parse("0123456789abcdef").expect("a token"));
            let mut problems = Problems::default();
            config.check(&mut problems);
            assert_eq!(!problems.is_empty(), wrong, "{listen} {auth}: {problems}");
        };
        check("127.0.0.1:0", false, false);
        check("[::1]:0", false, false);
        check("0.0.0.0:80", false, true);
        check("[::]:80", false, true);
        check("192.0.2.1:80", false, true);
        check("192.0.2.1:80", true, false);
    }
}
