//! Talking to HAProxy's runtime socket: one connection per command, so that a restart is never noticed late.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::error::BalancerError;

/// Longest wait for an answer: HAProxy answers within milliseconds or is in trouble.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(3);
/// Most bytes of an answer: `show stat` of a large backend has some hundred bytes a server.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Where a runtime API listens; it must have `level admin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// `stats socket /path`.
    Unix(PathBuf),
    /// `stats socket ipv4@127.0.0.1:9999`.
    Tcp(String),
}

impl Endpoint {
    /// Reads `/path` or `host:port`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with('/') {
            return Some(Self::Unix(PathBuf::from(text)));
        }
        let (host, port) = text.rsplit_once(':')?;
        (!host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0)).then(|| Self::Tcp(text.to_owned()))
    }

    /// Sends a command and gives the whole answer.
    ///
    /// # Errors
    /// [`BalancerError::Unreachable`].
    pub(crate) async fn ask(&self, command: &str) -> Result<String, BalancerError> {
        let talk = async {
            match self {
                Self::Unix(path) => converse(UnixStream::connect(path).await?, command).await,
                Self::Tcp(address) => converse(TcpStream::connect(address).await?, command).await,
            }
        };
        let result = match tokio::time::timeout(ANSWER_WAIT_MAX, talk).await {
            Ok(result) => result,
            Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
        };
        result.map_err(|source| BalancerError::Unreachable { socket: self.to_string(), source })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(address) => f.write_str(address),
        }
    }
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, command: &str) -> io::Result<String> {
    stream.write_all(format!("{command}\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).await?;
    Ok(answer)
}
