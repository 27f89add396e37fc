//! A service behind a webhook that writes down what it is told: one load, replicas that are ready at once.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

/// The service.
pub const SERVICE: &str = "web";
/// Longest request that is read.
const REQUEST_BYTES_MAX: usize = 64 << 10;
/// How long an answer is kept back that never comes; the client is gone by then.
const NEVER: Duration = Duration::from_secs(600);

/// What a change of the number meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// It is taken and answered.
    #[default]
    Answers,
    /// It is taken, and the answer never comes.
    TakesAndHangs,
    /// It is not taken, and no answer comes.
    Hangs,
}

/// A change that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The number it starts from.
    pub from: u64,
    /// The number it asks for.
    pub to: u64,
    /// Whether it was taken.
    pub taken: bool,
}

#[derive(Debug)]
struct State {
    load: f64,
    wanted: u64,
    version: u64,
    behaviour: Behaviour,
    calls: Vec<Call>,
}

/// The webhook, which also exposes the load as the metric `load`.
#[derive(Debug, Clone)]
pub struct Hook {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Hook {
    /// Starts one on a free port, with one replica.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(load: f64) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let state = State { load, wanted: 1, version: 1, behaviour: Behaviour::Answers, calls: Vec::new() };
        let hook = Self { port: listener.local_addr()?.port(), state: Arc::new(Mutex::new(state)) };
        let own = hook.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let own = own.clone();
                // A client that breaks off is a killed process.
                tokio::spawn(async move { own.serve(stream).await.is_ok() });
            }
        });
        Ok(hook)
    }

    /// `127.0.0.1:<port>`
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Changes the load.
    pub async fn set_load(&self, load: f64) {
        self.state.lock().await.load = load;
    }

    /// Changes what the next calls meet.
    pub async fn set_behaviour(&self, behaviour: Behaviour) {
        self.state.lock().await.behaviour = behaviour;
    }

    /// The replicas that are wanted.
    pub async fn wanted(&self) -> u64 {
        self.state.lock().await.wanted
    }

    /// All changes that were asked for, in order.
    pub async fn calls(&self) -> Vec<Call> {
        self.state.lock().await.calls.clone()
    }

    async fn serve(&self, mut stream: TcpStream) -> Result<()> {
        let mut read = Vec::new();
        loop {
            let (head, body) = loop {
                if let Some(request) = whole(&read) {
                    break request;
                }
                anyhow::ensure!(read.len() < REQUEST_BYTES_MAX, "too long");
                anyhow::ensure!(stream.read_buf(&mut read).await? > 0, "closed");
            };
            let (status, text) = self.answer(&head, &body).await;
            let length = text.len();
            let answer =
                format!("HTTP/1.1 {status} OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all((answer + &text).as_bytes()).await?;
            let end = head.len() + body.len();
            read.drain(..end);
        }
    }

    async fn answer(&self, head: &str, body: &str) -> (u16, String) {
        let mut words = head.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let service = format!("/services/{SERVICE}");
        match (method, path) {
            ("GET", "/metrics") => (200, format!("load {}\n", self.state.lock().await.load)),
            ("GET", "/services") => (200, json!({"services": [SERVICE]}).to_string()),
            ("GET", path) if path == service => {
                let state = self.state.lock().await;
                let replicas: Vec<Value> =
                    (1..=state.wanted).map(|n| json!({"id": format!("{SERVICE}-{n}"), "ready": true})).collect();
                let state = json!({"version": state.version, "wanted": state.wanted, "replicas": replicas});
                (200, state.to_string())
            }
            ("POST", path) if *path == format!("{service}/scale") => self.scale(body).await,
            _ => (404, "{}".to_owned()),
        }
    }

    async fn scale(&self, body: &str) -> (u16, String) {
        let asked: Value = serde_json::from_str(body).unwrap_or_default();
        let (from, to) = (asked["from"].as_u64().unwrap_or_default(), asked["to"].as_u64().unwrap_or_default());
        let mut state = self.state.lock().await;
        let behaviour = state.behaviour;
        let taken = behaviour != Behaviour::Hangs && state.wanted == from;
        state.calls.push(Call { from, to, taken });
        if taken {
            (state.wanted, state.version) = (to, state.version + 1);
        }
        drop(state);
        if behaviour != Behaviour::Answers {
            wait(NEVER).await;
        }
        (if taken { 200 } else { 409 }, "{}".to_owned())
    }
}

/// The head with its empty line, and the body, once both are there.
fn whole(read: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(read).ok()?;
    let end = text.find("\r\n\r\n")? + 4;
    let head = &text[..end];
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let body = text.get(end..end + length.unwrap_or(0))?;
    Some((head.to_owned(), body.to_owned()))
}

#[allow(clippy::disallowed_methods, reason = "keeps a real client waiting")]
async fn wait(time: Duration) {
    tokio::time::sleep(time).await;
}

/// The configuration of a Tidewatch that scales this service and shares its catalog with others.
///
/// # Errors
/// When the file cannot be written.
pub fn write_config(file: &std::path::Path, hook: &Hook, catalog_url: &str, lease: Duration) -> Result<()> {
    let text = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 900ms}}\n\
         scrape_configs: [{{job_name: load, static_configs: [{{targets: ['{address}']}}]}}]\n\
         storage: {{catalog: {{url: '{catalog_url}'}}}}\n\
         scaling: {{lease: {lease}s}}\n\
         webhook: [{{url: 'http://{address}'}}]\n\
         autoscaling:\n\
         - {{service: {SERVICE}, orchestrator: webhook, max: 40, interval: 1s, scrape_interval: 1s, hold: 120s,\n\
         \x20  cooldown: 1s, targets: [{{kind: promql, value: 100, query: 'max(load)'}}]}}\n",
        address = hook.address(),
        lease = lease.as_secs(),
    );
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
