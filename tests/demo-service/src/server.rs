//! Accepting connections and answering requests, a thread for each connection and a bounded number of them.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::access_log::AccessLog;
use crate::burn::Burn;
use crate::lifetime::Lifetime;
use crate::numbers::Numbers;
use crate::request::{self, Refused, Request};
use crate::time;

/// Most connections served at once; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 256;
/// From here on connections are closed after one request, so that waiting ones get their turn.
const CONNECTIONS_CROWDED: usize = 192;
/// How long a connection may be silent between requests.
const IDLE_MAX: Duration = Duration::from_secs(15);
/// Stack of a connection's thread: parsing needs little.
const STACK_BYTES: usize = 128 * 1024;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) burn: Burn,
    pub(crate) numbers: Numbers,
    pub(crate) log: AccessLog,
    pub(crate) lifetime: Lifetime,
    /// Whether it was told to fail.
    pub(crate) fails: AtomicBool,
}

/// Counts connections and lets the acceptor wait for a free place.
#[derive(Debug, Default)]
struct Places {
    taken: Mutex<usize>,
    freed: Condvar,
}

impl Places {
    fn take(&self) {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self.freed.wait_while(taken, |t| *t >= CONNECTIONS_MAX).unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
    }

    fn free(&self) {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.freed.notify_one();
    }

    fn is_crowded(&self) -> bool {
        *self.taken.lock().unwrap_or_else(PoisonError::into_inner) > CONNECTIONS_CROWDED
    }
}

/// Starts the accepting thread.
pub(crate) fn start(service: Arc<Service>, listener: TcpListener) -> Result<(), String> {
    let spawned = std::thread::Builder::new().name("accept".into()).spawn(move || accept(&service, &listener));
    spawned.map(|_| ()).map_err(|e| format!("cannot start a thread: {e}"))
}

fn accept(service: &Arc<Service>, listener: &TcpListener) {
    let places = Arc::new(Places::default());
    loop {
        places.take();
        let accepted = listener.accept().and_then(|(stream, client)| {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(IDLE_MAX))?;
            stream.set_write_timeout(Some(IDLE_MAX))?;
            let (service, places) = (Arc::clone(service), Arc::clone(&places));
            std::thread::Builder::new().name("connection".into()).stack_size(STACK_BYTES).spawn(move || {
                serve(&service, &places, &stream, client);
                places.free();
            })
        });
        if accepted.is_err() {
            // Out of descriptors or threads, or a client that went away: others are worth a try in a moment.
            places.free();
            time::sleep(Duration::from_millis(5));
        }
    }
}

fn serve(service: &Service, places: &Places, stream: &TcpStream, client: SocketAddr) {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while !service.lifetime.is_closed() {
        let request = match request::read(&mut reader) {
            Ok(request) => request,
            Err(Refused::Gone) => return,
            Err(Refused::Bad(status)) => {
                service.numbers.count("other", status, Duration::ZERO);
                let _gone = writer.write_all(&answer(status, "", false, true));
                return;
            }
        };
        let start = time::now();
        let in_flight = service.numbers.begin();
        let (status, body) = respond(service, &request);
        let keep_alive = request.keep_alive && !service.lifetime.is_leaving() && !places.is_crowded();
        // Counted and logged before the answer leaves: a client that has its answer finds it in the numbers.
        let took = start.elapsed();
        service.numbers.count(&request.path, status, took);
        // Checks and scrapes would drown the requests of users.
        if request.path != "/health" && request.path != "/metrics" {
            service.log.line(client, &request.method, &request.path, status, body.len(), took);
        }
        let sent = writer.write_all(&answer(status, &body, keep_alive, request.method != "HEAD"));
        drop(in_flight);
        if sent.is_err() || !keep_alive {
            return;
        }
    }
}

fn respond(service: &Service, request: &Request) -> (u16, String) {
    match request.path.as_str() {
        "/health" if service.lifetime.is_leaving() => (503, "leaving\n".into()),
        "/health" => (200, "ok\n".into()),
        "/metrics" => (200, service.numbers.text()),
        // An odd replica, for those who look for one: healthy, and no good.
        "/fail" if request.method == "POST" => {
            service.fails.store(true, Ordering::Release);
            (200, "from now on / fails\n".into())
        }
        "/" if service.fails.load(Ordering::Acquire) => (500, "it was told to fail\n".into()),
        "/" if matches!(request.method.as_str(), "GET" | "HEAD" | "POST") => {
            (200, format!("burnt {:016x}\n", service.burn.run()))
        }
        "/" => (405, "use GET\n".into()),
        _ => (404, "nothing here; try /, /health or /metrics\n".into()),
    }
}

fn answer(status: u16, body: &str, keep_alive: bool, with_body: bool) -> Vec<u8> {
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        500 => "Internal Server Error",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    };
    let connection = if keep_alive { "keep-alive" } else { "close" };
    let mut text = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n",
        body.len()
    );
    if with_body {
        text.push_str(body);
    }
    text.into_bytes()
}
