//! A small HTTP server that answers as a test says, and misbehaves when the test asks it to.

use std::collections::VecDeque;
use std::fmt;
use std::future::ready;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};
use vocab::Clock;

use super::RunningClock;

/// Most bytes of a request.
const REQUEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Requests that are remembered.
const SEEN_MAX: usize = 100_000;

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `GET`.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// What follows the question mark.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|h| h.0 == name).map_or("", |h| h.1.as_str())
    }

    /// A query parameter, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_bytes()).find(|p| p.0 == name).map(|p| p.1.into_owned())
    }

    fn is_of(&self, kind: &str) -> bool {
        let (method, part) = kind.split_once(' ').unwrap_or((kind, ""));
        self.method == method && self.path.contains(part)
    }

    /// The body as JSON, `null` when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// An answer.
#[derive(Debug)]
pub enum Reply {
    /// Status and JSON.
    Json(u16, serde_json::Value),
    /// Status and text.
    Text(u16, String),
    /// Lines as they come, until the sender is dropped.
    Stream(mpsc::Receiver<Vec<u8>>),
    /// None, however long the peer waits.
    Never,
}

/// What goes wrong instead of a regular answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This status and body; nothing is done.
    Status(u16, String),
    /// 429 with `Retry-After`, in seconds; nothing is done.
    RetryAfter(u64),
    /// The regular answer, this much later.
    Slow(Duration),
    /// It is done, but half of the answer is sent.
    Half,
    /// The connection is closed before anything is done.
    Gone,
    /// The connection is closed after it was done.
    GoneAfter,
    /// 200, and words that are no JSON; nothing is done.
    Garbage,
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

#[derive(Default)]
struct Shared {
    faults: Mutex<VecDeque<(String, Fault, u32)>>,
    seen: Mutex<Vec<Request>>,
}

/// A running server; ends when it is dropped.
pub struct Server {
    address: String,
    shared: Arc<Shared>,
    _ends_with_this: DropGuard,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "test server at {}", self.address)
    }
}

impl Server {
    /// A server on a free port of this machine.
    pub async fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("a bound port"));
        Self::run(address, handler, tcp(listener).map(ready))
    }

    /// A server on a Unix socket.
    pub fn start_unix(path: &Path, handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = UnixListener::bind(path).expect("a socket");
        let accepted =
            stream::unfold(listener, |l| async { Some((l.accept().await.ok().map(|(stream, _)| stream), l)) });
        Self::run(path.display().to_string(), handler, accepted.map(ready))
    }

    /// A server behind TLS on a free port, at `https://localhost:…`.
    pub async fn start_tls(acceptor: TlsAcceptor, handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("https://localhost:{}", listener.local_addr().expect("a bound port").port());
        let accepted = tcp(listener).map(move |stream| {
            let acceptor = acceptor.clone();
            // A peer without the right certificate gets no further.
            async move { acceptor.accept(stream?).await.ok() }
        });
        Self::run(address, handler, accepted)
    }

    /// Serves connections as they come, each in a task of its own, in which it is also made ready.
    fn run<S, F>(
        address: String,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
        accepted: impl Stream<Item = F> + Send + 'static,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
        F: Future<Output = Option<S>> + Send + 'static,
    {
        let cancel = CancellationToken::new();
        let server = Self { address, shared: Arc::default(), _ends_with_this: cancel.clone().drop_guard() };
        let (shared, handler) = (Arc::clone(&server.shared), Arc::new(handler));
        let until = cancel.clone();
        let serving = accepted.for_each(move |stream| {
            let (shared, handler, cancel) = (Arc::clone(&shared), Arc::clone(&handler), cancel.clone());
            tokio::spawn(async move {
                if let Some(stream) = stream.await {
                    connection(stream, shared, handler, cancel).await;
                }
            });
            ready(())
        });
        tokio::spawn(async move { until.run_until_cancelled(serving).await });
        server
    }

    /// Where it is.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Lets the next requests of a kind go wrong: `PUT`, or `GET /scale` for those whose path contains that.
    pub fn fail(&self, kind: &str, times: u32, fault: Fault) {
        self.shared.faults.lock().push_back((kind.to_owned(), fault, times));
    }

    /// Ends all faults and forgets what was seen.
    pub fn reset(&self) {
        self.shared.faults.lock().clear();
        self.shared.seen.lock().clear();
    }

    /// Requests of a kind since the last reset.
    pub fn count(&self, kind: &str) -> usize {
        self.shared.seen.lock().iter().filter(|r| r.is_of(kind)).count()
    }

    /// All requests since the last reset.
    pub fn seen(&self) -> Vec<Request> {
        self.shared.seen.lock().clone()
    }
}

/// Connections as they are accepted; `None` for one that broke off.
fn tcp(listener: TcpListener) -> impl Stream<Item = Option<TcpStream>> + Send {
    stream::unfold(listener, |l| async { Some((l.accept().await.ok().map(|(stream, _)| stream), l)) })
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    shared: Arc<Shared>,
    handler: Arc<Handler>,
    cancel: CancellationToken,
) {
    tokio::select! {
        // A peer that goes away is part of the game.
        _ended = serve(stream, &shared, handler.as_ref()) => {}
        () = cancel.cancelled() => {}
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    shared: &Shared,
    handler: &Handler,
) -> std::io::Result<()> {
    let Some(request) = read(&mut stream).await? else { return Ok(()) };
    {
        let mut seen = shared.seen.lock();
        if seen.len() < SEEN_MAX {
            seen.push(request.clone());
        }
    }
    let fault = take(&mut shared.faults.lock(), &request);
    let reply = match &fault {
        Some(Fault::Status(status, body)) => Reply::Text(*status, body.clone()),
        Some(Fault::Garbage) => Reply::Text(200, "<html>no".to_owned()),
        Some(Fault::RetryAfter(seconds)) => {
            let head = format!(
                "HTTP/1.1 429 Too Many Requests\r\nRetry-After: {seconds}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            return stream.write_all(head.as_bytes()).await;
        }
        Some(Fault::Gone) => return Ok(()),
        Some(Fault::Slow(duration)) => {
            RunningClock::default().sleep(*duration).await;
            handler(&request)
        }
        Some(Fault::Half | Fault::GoneAfter) | None => handler(&request),
    };
    if fault == Some(Fault::GoneAfter) {
        return Ok(());
    }
    let (status, kind, body) = match reply {
        Reply::Json(status, value) => (status, "application/json", value.to_string()),
        Reply::Text(status, text) => (status, "text/plain", text),
        Reply::Stream(mut lines) => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            stream.flush().await?;
            while let Some(line) = lines.recv().await {
                stream.write_all(format!("{:x}\r\n", line.len()).as_bytes()).await?;
                stream.write_all(&line).await?;
                stream.write_all(b"\r\n").await?;
                stream.flush().await?;
            }
            return stream.write_all(b"0\r\n\r\n").await;
        }
        // Until the peer goes away.
        Reply::Never => return stream.read_u8().await.map(|_byte| ()),
    };
    let head = format!(
        "HTTP/1.1 {status} Status\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    let bytes = body.as_bytes();
    let sent = if fault == Some(Fault::Half) { &bytes[..bytes.len() / 2] } else { bytes };
    stream.write_all(sent).await?;
    stream.flush().await
}

fn take(faults: &mut VecDeque<(String, Fault, u32)>, request: &Request) -> Option<Fault> {
    let index = faults.iter().position(|f| request.is_of(&f.0) && f.2 > 0)?;
    let fault = faults.get_mut(index)?;
    fault.2 -= 1;
    let (fault, is_over) = (fault.1.clone(), fault.2 == 0);
    if is_over {
        faults.remove(index);
    }
    Some(fault)
}

async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end;
        }
        if bytes.len() > REQUEST_BYTES_MAX || stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: Vec<(String, String)> = lines
        .filter_map(|l| l.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|h| h.0 == "content-length").and_then(|h| h.1.parse().ok()).unwrap_or(0usize);
    let body_start = head_end + 4;
    while bytes.len() < body_start + length.min(REQUEST_BYTES_MAX) {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
    let body = bytes[body_start..].to_vec();
    Ok(Some(Request { method, path: path.to_owned(), query: query.to_owned(), headers, body }))
}
