//! Services on the process orchestrator outlive Tidewatch: one that was killed finds them again when it starts, and neither
//! starts them twice nor forgets one that died meanwhile.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use demo::servers::wait_for;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::{Tidewatch, binary, scratch};

const SERVICE: &str = "outliving";
const REPLICAS: usize = 3;
/// How long replicas may take to be as many as they should, on a busy machine.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// How often and how many times it is looked that they stay that many.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOKS: usize = 80;

/// The replicas of this test, found by the access log that only they were told to write; ended with the test.
struct Replicas {
    mark: String,
}

impl Replicas {
    fn pids(&self) -> BTreeSet<i32> {
        let entries = std::fs::read_dir("/proc").expect("procfs");
        let pid = |entry: std::fs::DirEntry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let command = std::fs::read(entry.path().join("cmdline")).ok()?;
            let is_service = command.split(|b| *b == 0).next()?.ends_with(b"demo-service");
            (is_service && String::from_utf8_lossy(&command).contains(&self.mark)).then_some(pid)
        };
        entries.filter_map(Result::ok).filter_map(pid).collect()
    }

    fn kill(&self, pid: i32) {
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it runs");
    }
}

impl Drop for Replicas {
    fn drop(&mut self) {
        for pid in self.pids() {
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

fn configuration(dir: &Path) -> String {
    let (program, dir) = (binary("demo-service").expect("built"), dir.display());
    format!(
        r#"sources: {{self: {{}}}}
process:
  - name: {SERVICE}
    command: ["{program}", --port, "{{port}}", --log, "{dir}/access.log"]
    replicas: {REPLICAS}
    health: {{path: /health, interval: 200ms}}
autoscaling:
  - service: {SERVICE}
    orchestrator: process
    min: {REPLICAS}
    max: 6
    interval: 1s
    targets:
      - {{kind: promql, query: vector(1), value: 1}}
"#,
        program = program.display(),
    )
}

async fn ready(tidewatch: &Tidewatch) -> Option<u64> {
    let answer = tidewatch.api.get("/api/v1/scaling/services").await.ok()?;
    answer["services"].as_array()?.iter().find(|s| s["service"] == SERVICE)?["ready"].as_u64()
}

async fn settled(tidewatch: &Tidewatch, replicas: &Replicas) -> BTreeSet<i32> {
    wait_for("all replicas are ready", SETTLED_WITHIN, || async {
        ready(tidewatch).await == Some(REPLICAS as u64) && replicas.pids().len() == REPLICAS
    })
    .await
    .unwrap_or_else(|e| panic!("{e:#}: {:?} run\n{}", replicas.pids(), tidewatch.log()));
    replicas.pids()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_tidewatch_finds_its_processes_again_and_never_doubles_them() {
    let dir = scratch().expect("a folder");
    let replicas = Replicas { mark: dir.path().display().to_string() };
    let config = dir.path().join("tidewatch.yaml");
    std::fs::write(&config, configuration(dir.path())).expect("written");
    let args = ["--config", config.to_str().expect("a text")];

    let mut tidewatch = Tidewatch::start(dir.path(), &args).await.expect("starts");
    let first = settled(&tidewatch, &replicas).await;

    tidewatch.server.kill().expect("killed");
    assert_eq!(replicas.pids(), first, "the replicas outlive the killed Tidewatch");

    let mut tidewatch = Tidewatch::start(dir.path(), &args).await.expect("starts again");
    let mut most = first.clone();
    wait_for("all are adopted", SETTLED_WITHIN, || {
        most.extend(replicas.pids());
        async { ready(&tidewatch).await == Some(REPLICAS as u64) }
    })
    .await
    .unwrap_or_else(|e| panic!("{e:#}\n{}", tidewatch.log()));
    for _look in 0..LOOKS {
        most.extend(replicas.pids());
        #[allow(clippy::disallowed_methods, reason = "looking at real processes from time to time")]
        tokio::time::sleep(LOOK_EVERY).await;
    }
    assert_eq!(most, first, "one was started beside those that run\n{}", tidewatch.log());

    // One dies while nobody watches: the others are adopted, it is replaced.
    tidewatch.server.kill().expect("killed");
    let lost = *first.first().expect("one");
    replicas.kill(lost);
    let mut tidewatch = Tidewatch::start(dir.path(), &args).await.expect("starts once more");
    let second = settled(&tidewatch, &replicas).await;
    assert!(!second.contains(&lost), "{lost} is dead");
    assert_eq!(second.intersection(&first).count(), REPLICAS - 1, "those that ran were kept: {first:?}, {second:?}");

    // An orderly stop leaves them alone as well.
    assert_eq!(tidewatch.server.stop().expect("stops"), 0);
    assert_eq!(replicas.pids(), second, "the replicas outlive the stopped Tidewatch");
}
