//! The Swarm orchestrator against a real Docker Engine of the test's own: own socket, data and exec root, own pid.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use autoscaler::health::HealthCheck;
use autoscaler::orchestrator::Orchestrator;
use autoscaler::orchestrators::swarm::{Engine, SwarmConfig, SwarmOrchestrator, SwarmService};
use autoscaler::testing::{Conformance, RunningClock, conformance};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use vocab::{Clock, ErrorKind};

/// Longest wait for the engine to answer.
const ENGINE_WAIT: Duration = Duration::from_secs(60);

/// A replica: answers every request, and ends at once when it is told to (a process 1 without a handler would not).
const REPLICA: &str = r#"
use std::io::{Read, Write};
fn main() {
    let listener = std::net::TcpListener::bind("0.0.0.0:8080").expect("a port");
    for mut stream in listener.incoming().flatten() {
        let _ = stream.read(&mut [0; 2048]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    }
}
"#;

struct Docker {
    child: Child,
    dir: tempfile::TempDir,
}

impl Docker {
    /// Starts an engine, or says why it cannot be.
    async fn start(clock: &RunningClock) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("engine.json"), "{}").expect("a configuration that says nothing");
        let log = std::fs::File::create(path("log")).expect("a log");
        let child = Command::new("/usr/sbin/dockerd")
            .arg("--data-root")
            .arg(path("data"))
            .arg("--exec-root")
            .arg(path("exec"))
            .arg("--pidfile")
            .arg(path("pid"))
            .arg("--config-file")
            .arg(path("engine.json"))
            .arg("-H")
            .arg(format!("unix://{}", path("sock").display()))
            // Its own bridge would clash with that of an engine of the machine.
            .args(["--bip", "172.29.77.1/24", "--fixed-cidr", "172.29.77.0/24"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let child = child.expect("dockerd cannot be started: install docker.io");
        let mut docker = Self { child, dir };
        let start = clock.monotonic();
        while docker.engine().get("/info").await.is_err() {
            let ended = docker.child.try_wait().expect("it can be asked");
            let waited = clock.monotonic().saturating_sub(start);
            assert!(
                ended.is_none() && waited < ENGINE_WAIT,
                "a Docker engine cannot run here (root, cgroups and network namespaces are needed): {}",
                docker.last_words()
            );
            clock.sleep(Duration::from_millis(100)).await;
        }
        docker
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn socket(&self) -> PathBuf {
        self.path("sock")
    }

    fn engine(&self) -> Engine {
        Engine::new(self.socket())
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Makes the image `FROM scratch` with one static program.
    fn import_image(&self) {
        let build = self.path("image");
        std::fs::create_dir(&build).expect("a directory");
        std::fs::write(build.join("replica.rs"), REPLICA).expect("a source");
        let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
        run(Command::new(rustc).current_dir(&build).args([
            "--edition",
            "2024",
            "-C",
            "target-feature=+crt-static",
            "-C",
            "strip=symbols",
            "replica.rs",
        ]));
        run(Command::new("tar").current_dir(&build).args(["-cf", "image.tar", "replica"]));
        run(Command::new("curl")
            .args(["-sSf", "--max-time", "60", "--unix-socket"])
            .arg(self.socket())
            .args(["-H", "Content-Type: application/x-tar", "--data-binary"])
            .arg(format!("@{}", build.join("image.tar").display()))
            .arg("http://docker/v1.41/images/create?fromSrc=-&repo=replica&tag=local"));
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // Its own pid only; containers end with it.
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX));
        let _ended = kill(pid, Signal::SIGTERM);
        let _reaped = self.child.wait();
        unmount_below(self.dir.path());
    }
}

/// The engine may leave network namespaces mounted in its exec root, which would keep the folder from being removed.
fn unmount_below(dir: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for mount in mounts.lines().filter_map(|l| l.split(' ').nth(1)).filter(|m| Path::new(m).starts_with(dir)) {
        let _gone = Command::new("umount").arg("-l").arg(mount).status();
    }
}

fn run(command: &mut Command) {
    let output = command.output();
    assert!(output.is_ok(), "{command:?}: {output:?}");
    let output = output.expect("it was started");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn spec(image: &str) -> serde_json::Value {
    json!({
        "Name": "web",
        "Labels": {"owner": "shop", "tidewatch.port": "8080"},
        "TaskTemplate": {
            "ContainerSpec": {"Image": image, "Command": ["/replica"], "StopGracePeriod": 1_000_000_000_i64,
                              "Env": ["KEPT=1"]},
            "RestartPolicy": {"Condition": "any", "Delay": 100_000_000}
        },
        "Mode": {"Replicated": {"Replicas": 1}}
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_swarm_passes_the_suite_and_keeps_its_specification() {
    let clock = RunningClock::default();
    let docker = Docker::start(&clock).await;
    docker.import_image();
    let engine = docker.engine();
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    let init = json!({"ListenAddr": format!("127.0.0.1:{port}"), "AdvertiseAddr": format!("127.0.0.1:{port}")});
    engine.post("/swarm/init", &init).await.unwrap_or_else(|e| panic!("{e}: {}", docker.last_words()));
    engine.post("/services/create", &spec("replica:local")).await.expect("the service is created");
    let before = engine.get("/services/web").await.expect("there")["Spec"].clone();

    let health = Some(HealthCheck { path: "/".into(), interval: Duration::from_millis(200) });
    let services = vec![SwarmService { name: "web".into(), port: None, health }];
    let config = SwarmConfig { socket: docker.socket(), services, timeout: None };
    let swarm = SwarmOrchestrator::new("test", config, Arc::new(clock.clone()));
    let given = Conformance {
        service: "web".into(),
        patience: Duration::from_secs(60),
        has_addresses: true,
        clock: Arc::new(clock.clone()),
    };
    conformance(&swarm, &given).await;

    // The number apart, nothing of the specification was lost on the way.
    let after = engine.get("/services/web").await.expect("there")["Spec"].clone();
    assert_eq!(before, after);

    // An engine that is gone is said to be so.
    drop(docker);
    let error = swarm.state("web").await.expect_err("nobody there");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}
