//! The plan on tables, and the conversation with a real HAProxy.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::slots::{Slot, SlotPlan, parse, plan};
use super::{Endpoint, HaproxyBackend};
use crate::balancer::{Balancer, Reconciled};
use crate::error::BalancerError;
use crate::orchestrator::Replica;

fn address(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn replica(port: u16, what: &str) -> Replica {
    Replica {
        id: format!("r{port}"),
        address: Some(address(port)),
        ready: what != "starting",
        leaving: what == "leaving",
        ..Replica::default()
    }
}

fn slot(number: u16, port: u16, what: &str) -> Slot {
    let (admin_state, op_state, sessions) = match what {
        "empty" => (5, 0, 0),
        "up" => (4, 2, 1),
        "down" => (0, 0, 0),
        "drains" => (8, 2, 1),
        "drained" => (8, 2, 0),
        other => panic!("{other}"),
    };
    Slot { name: format!("web{number}"), address: Some(address(port)), admin_state, op_state, sessions }
}

/// One line: the steps, then what else came out.
fn words(plan: &SlotPlan) -> String {
    let steps: Vec<String> = plan.steps.iter().map(super::Step::words).collect();
    format!("{} | {} serve, drained {:?}, unplaced {:?}", steps.join(", "), plan.serving, plan.drained, plan.unplaced)
}

#[test]
fn slots_follow_the_replicas() {
    let check = |slots: &[(u16, &str)], replicas: &[(u16, &str)], waited: u64, expect: &str| {
        let slots: Vec<Slot> = (1u16..).zip(slots).map(|(i, (port, what))| slot(i, *port, what)).collect();
        let replicas: Vec<Replica> = replicas.iter().map(|(port, what)| replica(*port, what)).collect();
        let waited = Duration::from_secs(waited);
        let drained_for: HashMap<_, _> =
            slots.iter().filter(|s| s.is_draining()).map(|s| (s.name.clone(), waited)).collect();
        let plan = plan(&slots, &replicas, &drained_for, Duration::from_secs(30));
        assert_eq!(words(&plan), expect, "{slots:?} {replicas:?}");
    };
    let none = "drained [], unplaced []";
    // Ready replicas are added, starting ones are not.
    check(
        &[(1, "empty"), (1, "empty")],
        &[(81, "ready"), (82, "starting")],
        0,
        &format!("r81 added as web1 (127.0.0.1:81) | 1 serve, {none}"),
    );
    // Nothing to do twice.
    check(&[(81, "up"), (1, "empty")], &[(81, "ready")], 0, &format!(" | 1 serve, {none}"));
    // One that fails its check stays: HAProxy's own check decides.
    check(&[(81, "down")], &[(81, "starting")], 0, &format!(" | 0 serve, {none}"));
    // A leaving one drains, waits for its sessions, and may then stop.
    check(&[(81, "up"), (82, "up")], &[(81, "ready"), (82, "leaving")], 0, &format!("web2 drains | 1 serve, {none}"));
    check(&[(81, "up"), (82, "drains")], &[(81, "ready"), (82, "leaving")], 5, &format!(" | 1 serve, {none}"));
    check(&[(81, "up"), (82, "drained")], &[(81, "ready"), (82, "leaving")], 0, &format!(" | 1 serve, {none}"));
    check(
        &[(81, "up"), (82, "drained")],
        &[(81, "ready"), (82, "leaving")],
        1,
        " | 1 serve, drained [\"r82\"], unplaced []",
    );
    check(
        &[(81, "up"), (82, "drains")],
        &[(81, "ready"), (82, "leaving")],
        30,
        " | 1 serve, drained [\"r82\"], unplaced []",
    );
    // Gone: its slot drains and is emptied.
    check(&[(81, "up"), (82, "down")], &[(81, "ready")], 0, &format!("web2 drains | 1 serve, {none}"));
    check(&[(81, "up"), (82, "drained")], &[(81, "ready")], 1, &format!("web2 emptied | 1 serve, {none}"));
    // The last one that serves is never taken away, not even when all are leaving.
    check(&[(81, "up")], &[(81, "leaving")], 0, &format!(" | 1 serve, {none}"));
    check(&[(81, "up")], &[], 0, &format!(" | 1 serve, {none}"));
    check(&[(81, "up"), (82, "up")], &[], 0, &format!("web2 drains | 1 serve, {none}"));
    // It came back before it had left.
    check(
        &[(81, "up"), (82, "drains")],
        &[(81, "ready"), (82, "ready")],
        3,
        &format!("r82 is back at web2 | 2 serve, {none}"),
    );
    // More replicas than slots.
    check(&[(81, "up")], &[(81, "ready"), (82, "ready")], 0, " | 1 serve, drained [], unplaced [\"r82\"]");
    // A leaving one that never had a slot may stop at once.
    check(&[(81, "up")], &[(81, "ready"), (82, "leaving")], 0, " | 1 serve, drained [\"r82\"], unplaced []");
}

#[test]
fn tables_are_read_by_column_name() {
    let state = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_port\n\
                 3 web 1 web1 127.0.0.1 2 0 8080\n3 web 2 web2 127.0.0.1 0 5 1\n3 web 3 other 10.0.0.1 2 0 80\n";
    let statistics = "# pxname,svname,qcur,qmax,scur,\nweb,web1,1,0,4,\nweb,web2,,,0,\n";
    let slots = parse(state, statistics, "web");
    assert_eq!(slots.len(), 2, "{slots:?}");
    assert_eq!((slots[0].address, slots[0].sessions, slots[0].is_empty()), (Some(address(8080)), 5, false));
    assert!(slots[1].is_empty());
    assert!(parse("", "", "web").is_empty());
    assert!(parse("# srv_name srv_admin_state\nweb1 x\n", "x", "web").is_empty());
}

/// A web server of one thread per connection that says its name until its health is turned off.
struct Web {
    port: u16,
    healthy: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
}

impl Web {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let (healthy, answered) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
        let (is_healthy, count) = (Arc::clone(&healthy), Arc::clone(&answered));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut head = [0; 2048];
                let Ok(read) = stream.read(&mut head) else { continue };
                let is_check = head[..read].starts_with(b"OPTIONS") || head[..read].starts_with(b"GET /health");
                let code = if is_check && !is_healthy.load(Ordering::Relaxed) { "503 No" } else { "200 OK" };
                count.fetch_add(u64::from(!is_check), Ordering::Relaxed);
                let _gone = write!(stream, "HTTP/1.1 {code}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
            }
        });
        Self { port, healthy, answered }
    }

    fn replica(&self, leaving: bool) -> Replica {
        let ready = self.healthy.load(Ordering::Relaxed);
        let address = Some(address(self.port));
        Replica { id: format!("r{}", self.port), address, ready, leaving, ..Replica::default() }
    }
}

struct Haproxy {
    child: Child,
    port: u16,
}

impl Haproxy {
    fn start(dir: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let config = format!(
            "global\n  stats socket {0}/admin.sock level admin\n  maxconn 200\n\
             defaults\n  mode http\n  timeout connect 2s\n  timeout client 10s\n  timeout server 10s\n  option redispatch\n  retries 3\n\
             frontend in\n  bind 127.0.0.1:{port}\n  default_backend web\n\
             backend web\n  option httpchk GET /health\n  server-template web 1-4 127.0.0.1:1 check inter 200ms fall 2 rise 1 disabled\n",
            dir.display()
        );
        std::fs::write(dir.join("haproxy.cfg"), config).expect("a config");
        let child = Command::new("/usr/sbin/haproxy")
            .arg("-db")
            .arg("-f")
            .arg(dir.join("haproxy.cfg"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("haproxy is installed");
        Self { child, port }
    }

    fn get(&self) -> String {
        let mut text = String::new();
        let mut talk = || -> std::io::Result<()> {
            let mut stream = TcpStream::connect(address(self.port))?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            write!(stream, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
            stream.read_to_string(&mut text).map(|_| ())
        };
        match talk() {
            Ok(()) => text.lines().next().unwrap_or("").to_owned(),
            Err(error) => error.to_string(),
        }
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Reconciles until the condition holds.
async fn until(
    backend: &HaproxyBackend,
    replicas: &[Replica],
    clock: &mut u64,
    holds: impl Fn(&Result<Reconciled, BalancerError>) -> bool,
) -> Result<Reconciled, BalancerError> {
    for _ in 0..400 {
        *clock += 1;
        let result = backend.reconcile(replicas, Duration::from_secs(*clock)).await;
        if holds(&result) {
            return result;
        }
        tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_millis(50)).await;
    }
    panic!("never became so");
}

#[tokio::test]
async fn a_real_haproxy_is_filled_drained_and_filled_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut haproxy = Haproxy::start(dir.path());
    let endpoint = Endpoint::parse(dir.path().join("admin.sock").to_str().expect("a path")).expect("a socket");
    let backend = HaproxyBackend::new(endpoint.clone(), "web", "web", Duration::from_secs(1000));
    let (one, two) = (Web::start(), Web::start());
    let mut clock = 0;

    // Added, and served by both.
    let both = [one.replica(false), two.replica(false)];
    let filled = until(&backend, &both, &mut clock, Result::is_ok).await.expect("filled");
    assert_eq!((filled.serving, filled.changes.len()), (2, 2), "{filled:?}");
    for _ in 0..10 {
        assert_eq!(haproxy.get(), "HTTP/1.1 200 OK");
    }
    assert!(one.answered.load(Ordering::Relaxed) >= 3 && two.answered.load(Ordering::Relaxed) >= 3);
    let again = backend.reconcile(&both, Duration::from_secs(clock)).await.expect("again");
    assert!(again.changes.is_empty(), "{again:?}");

    // One leaves: no new requests, told drained, its slot emptied when it is gone.
    let leaving = [one.replica(false), two.replica(true)];
    let drained = until(&backend, &leaving, &mut clock, |r| r.as_ref().is_ok_and(|r| !r.drained.is_empty())).await;
    assert_eq!(drained.expect("drained").drained, [two.replica(true).id]);
    let before = two.answered.load(Ordering::Relaxed);
    for _ in 0..10 {
        assert_eq!(haproxy.get(), "HTTP/1.1 200 OK");
    }
    assert_eq!(two.answered.load(Ordering::Relaxed), before);
    let rest = [one.replica(false)];
    until(&backend, &rest, &mut clock, |r| r.as_ref().is_ok_and(|r| r.changes.iter().any(|c| c.contains("emptied"))))
        .await
        .expect("emptied");

    // The last one that serves stays, whatever is said of it.
    let last = [one.replica(true)];
    for _ in 0..3 {
        clock += 1;
        let kept = backend.reconcile(&last, Duration::from_secs(clock)).await.expect("kept");
        assert!(kept.changes.is_empty() && kept.drained.is_empty(), "{kept:?}");
    }
    assert_eq!(haproxy.get(), "HTTP/1.1 200 OK");

    // HAProxy restarts empty and is filled again.
    drop(haproxy);
    let gone = backend.reconcile(&rest, Duration::from_secs(clock)).await.expect_err("nobody there");
    assert!(matches!(gone, BalancerError::Unreachable { .. }), "{gone:?}");
    haproxy = Haproxy::start(dir.path());
    let filled = until(&backend, &rest, &mut clock, Result::is_ok).await.expect("filled again");
    assert_eq!(filled.serving, 1);
    assert_eq!(haproxy.get(), "HTTP/1.1 200 OK");

    // A backend without slots says what would be right.
    let wrong = HaproxyBackend::new(endpoint, "web", "shop", Duration::ZERO);
    let error = wrong.reconcile(&rest, Duration::ZERO).await.expect_err("no slots");
    assert!(error.to_string().contains("server-template shop 1-20"), "{error}");
}
