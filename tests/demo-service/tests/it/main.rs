//! The program as a whole: it answers, counts, logs, and leaves politely.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

struct Running {
    child: Child,
    address: String,
}

impl Running {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_demo-service"))
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let address = line.trim().strip_prefix("http://").expect("an address").to_owned();
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("it accepts");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        stream
    }

    fn get(&self, path: &str) -> String {
        let mut stream = self.connect();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("it reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("it answers");
        text
    }

    fn terminate(&self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it runs");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[test]
fn it_fails_when_told_to_and_stays_healthy() {
    let service = Running::start(&["--cpu-ms", "0.1"]);
    assert!(service.get("/fail").starts_with("HTTP/1.1 404"), "a question tells it nothing");
    assert!(service.get("/").starts_with("HTTP/1.1 200"));
    let mut stream = service.connect();
    write!(stream, "POST /fail HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert!(service.get("/").starts_with("HTTP/1.1 500 Internal Server Error"));
    assert!(service.get("/health").starts_with("HTTP/1.1 200"));
}

#[test]
fn answers_counts_and_logs() {
    let dir = std::env::temp_dir().join(format!("demo-service-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let log = dir.join("access.log");
    let service = Running::start(&["--cpu-ms", "0.1", "--log", log.to_str().expect("a path")]);
    let mut stream = service.connect();
    for _ in 0..3 {
        // One connection carries several requests.
        write!(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
        let mut head = [0; 12];
        stream.read_exact(&mut head).expect("it answers");
        assert_eq!(&head, b"HTTP/1.1 200");
        let mut rest = [0; 1024];
        let read = stream.read(&mut rest).expect("the rest");
        assert!(String::from_utf8_lossy(&rest[..read]).contains("burnt "));
    }
    assert!(service.get("/nowhere").starts_with("HTTP/1.1 404"));
    assert!(service.get("/health").starts_with("HTTP/1.1 200"));
    let metrics = service.get("/metrics");
    assert!(metrics.contains("http_requests_total{handler=\"/\",code=\"200\"} 3"), "{metrics}");
    assert!(metrics.contains("http_request_duration_seconds_count 3"), "{metrics}");
    let lines = std::fs::read_to_string(&log).expect("a log");
    assert_eq!(lines.lines().count(), 4, "{lines}");
    assert!(lines.lines().all(|l| l.starts_with("{\"time\":\"20") && l.ends_with('}')), "{lines}");
    std::fs::remove_dir_all(&dir).expect("removed");
}

#[test]
fn lingers_after_sigterm_while_health_fails() {
    let mut service = Running::start(&["--cpu-ms", "0", "--linger-seconds", "2"]);
    assert!(service.get("/health").starts_with("HTTP/1.1 200"));
    service.terminate();
    // The signal is on its way: what must not happen is a refused request or an end before health has failed.
    let mut failed = false;
    for _ in 0..1000 {
        let health = service.get("/health");
        if health.starts_with("HTTP/1.1 503") {
            failed = true;
            break;
        }
    }
    assert!(failed, "health never failed");
    let answer = service.get("/");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Connection: close"), "{answer}");
    assert!(service.child.try_wait().expect("asked").is_none(), "it must still linger");
    let status = service.child.wait().expect("it ends");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn mistakes_end_with_2_and_a_sentence() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_demo-service")).args(["--port", "x"]).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("--port wants a number"), "{text}");
}
