//! An odd replica with real HAProxy, on both orchestrators: healthy by its own check, but answering with errors. It is drained,
//! ended and replaced by another one, its siblings stay, and nobody's request is cut off by that. Processes stand behind two
//! HAProxies at once, which both have to let go of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use demo::haproxy::{BACKEND, HaProxy};
use demo::run::Options;
use demo::scenario::Orchestrator;
use demo::servers::{free_port, wait_for};
use demo::swarm::{PORT, SERVICE, Swarm};
use serde_json::Value;
use tests::dockerd::Dockerd;
use tests::{Tidewatch, demo_options, install_crypto, scratch};

/// How many replicas there are: as many as it takes to tell the odd one.
const REPLICAS: usize = 4;
/// How long each step may take on a busy machine.
const STEP_WITHIN: Duration = Duration::from_secs(180);
/// Requests at once, and the pause of each between two.
const CLIENTS: usize = 8;
const PAUSE: Duration = Duration::from_millis(40);

/// What clients were answered.
#[derive(Debug, Default)]
struct Answers {
    good: AtomicU64,
    odd: AtomicU64,
    /// Neither: no answer, or half of one.
    lost: AtomicU64,
    stop: AtomicBool,
}

impl Answers {
    fn get(&self) -> (u64, u64, u64) {
        let [good, odd, lost] = [&self.good, &self.odd, &self.lost].map(|n| n.load(Ordering::Relaxed));
        (good, odd, lost)
    }
}

async fn ask(url: String, answers: Arc<Answers>) {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(15)).build().expect("a client");
    while !answers.stop.load(Ordering::Relaxed) {
        let whole = async { client.get(&url).send().await?.error_for_status()?.bytes().await };
        let counted = match whole.await {
            Ok(_) => &answers.good,
            Err(error) if error.status().is_some_and(|s| s.as_u16() == 500) => &answers.odd,
            Err(error) => {
                println!("lost: {error:?}");
                &answers.lost
            }
        };
        counted.fetch_add(1, Ordering::Relaxed);
        #[allow(clippy::disallowed_methods, reason = "a client in real time")]
        tokio::time::sleep(PAUSE).await;
    }
}

/// The HAProxies before a service, by how the names of their servers begin.
type Gateways = Vec<(&'static str, HaProxy)>;

fn configuration(options: &Options, gateways: &Gateways) -> String {
    let stats: Vec<String> = gateways.iter().map(|(_, g)| format!("\"127.0.0.1:{}\"", g.stats_port)).collect();
    let balancer = |(prefix, gateway): &(&str, HaProxy)| {
        let socket = gateway.socket.display();
        format!(
            "  - {{kind: haproxy, service: {SERVICE}, socket: \"{socket}\", backend: {BACKEND}, server_template: {prefix}}}\n"
        )
    };
    let (stats, balancers) = (stats.join(", "), gateways.iter().map(balancer).collect::<String>());
    let orchestrator = options.orchestrator.as_str();
    let runs = match options.orchestrator {
        Orchestrator::Process => format!(
            r#"process:
  - name: {SERVICE}
    command: ["{service}", --port, "{{port}}", --cpu-ms, "0.1"]
    health: {{path: /health, interval: 500ms}}
    stop_with: tidewatch
"#,
            service = options.service.display(),
        ),
        Orchestrator::Swarm => format!(
            r#"swarm:
  socket: "{docker}"
  services: [{{name: {SERVICE}, port: {PORT}, health: {{path: /health, interval: 500ms}}}}]
"#,
            docker = options.docker_socket.display(),
        ),
    };
    format!(
        r#"global: {{scrape_interval: 1s, scrape_timeout: 900ms}}
sources: {{self: {{}}}}
scrape_configs:
  - job_name: haproxy
    static_configs: [{{targets: [{stats}]}}]
{runs}balancers:
{balancers}autoscaling:
  - service: {SERVICE}
    orchestrator: {orchestrator}
    min: {REPLICAS}
    max: 8
    interval: 1s
    scrape_interval: 1s
    targets: [{{kind: promql, query: vector(1), value: 1}}]
    odd_replica: {{window: 5s}}
"#
    )
}

/// The replicas that are ready, when they are as many as they should be and all others are gone.
async fn settled(tidewatch: &Tidewatch) -> Option<BTreeSet<String>> {
    let answer = tidewatch.api.get(&format!("/api/v1/services/{SERVICE}")).await.ok()?;
    let instances = answer["instances"].as_array()?;
    let ready = instances.iter().filter(|i| i["ready"] == true).filter_map(|i| i["id"].as_str());
    // Until it is known who sits where, an instance goes by the name of its server.
    let ready = ready.filter(|id| id.starts_with("web-") || id.starts_with("web."));
    let ready: BTreeSet<String> = ready.map(str::to_owned).collect();
    (ready.len() == REPLICAS && instances.len() == REPLICAS).then_some(ready)
}

async fn until_settled(tidewatch: &Tidewatch, holds: impl Fn(&BTreeSet<String>) -> bool) -> BTreeSet<String> {
    let waited = wait_for("all replicas are ready", STEP_WITHIN, || async {
        settled(tidewatch).await.is_some_and(|ready| holds(&ready))
    });
    if let Err(error) = waited.await {
        let shown = tidewatch.api.get(&format!("/api/v1/services/{SERVICE}")).await.unwrap_or_default();
        panic!("{error:#}: {}\n{}", shown["instances"], tidewatch.log());
    }
    settled(tidewatch).await.expect("just so")
}

async fn replaced(tidewatch: &Tidewatch) -> Vec<String> {
    let answer = tidewatch.api.get(&format!("/api/v1/services/{SERVICE}")).await.unwrap_or_default();
    let changes = answer["changes"].as_array().cloned().unwrap_or_default();
    let summary =
        |change: &Value| change["summary"].as_str().filter(|s| s.contains(" is replaced: ")).map(str::to_owned);
    changes.iter().filter_map(summary).collect()
}

async fn walk(dir: &Path, orchestrator: Orchestrator, docker_socket: &Path) {
    install_crypto();
    let options = demo_options(dir, orchestrator, docker_socket).unwrap_or_else(|e| panic!("{e:#}"));
    std::fs::create_dir_all(dir).expect("a folder");
    let prefixes: &[&str] = match orchestrator {
        Orchestrator::Process => &["north", "south"],
        Orchestrator::Swarm => &["web"],
    };
    let mut gateways = Gateways::new();
    for prefix in prefixes {
        let (dir, syslog) = (dir.join(prefix), free_port().expect("a port"));
        std::fs::create_dir_all(&dir).expect("a folder");
        let haproxy = HaProxy::start_with(&dir, &[(BACKEND, prefix)], 8, syslog).await.expect("HAProxy starts");
        gateways.push((prefix, haproxy));
    }
    let swarm = match orchestrator {
        Orchestrator::Process => None,
        Orchestrator::Swarm => Some(Swarm::create_service(&options, &options.scenario).await.expect("created")),
    };
    let config = dir.join("tidewatch.yaml");
    std::fs::write(&config, configuration(&options, &gateways)).expect("written");
    let args = ["--config", config.to_str().expect("a text")];
    let mut tidewatch = Tidewatch::start(dir, &args).await.expect("starts");
    let before = until_settled(&tidewatch, |_| true).await;

    let entries: Vec<String> = gateways.iter().map(|(_, g)| format!("http://127.0.0.1:{}/", g.port)).collect();
    let answers = Arc::new(Answers::default());
    let turns = entries.iter().cycle().take(CLIENTS);
    let clients: Vec<_> = turns.map(|entry| tokio::spawn(ask(entry.clone(), Arc::clone(&answers)))).collect();
    let enough = || async { answers.get().0 > 400 };
    wait_for("all are at work", STEP_WITHIN, enough).await.expect("answered");
    assert_eq!((answers.get().1, answers.get().2), (0, 0), "all is well before");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let told = client.post(format!("{}fail", entries[0])).send().await.expect("one of them answers");
    assert!(told.status().is_success(), "{told:?}");

    let noticed = || async { !replaced(&tidewatch).await.is_empty() };
    wait_for("it is noticed", STEP_WITHIN, noticed).await.unwrap_or_else(|e| panic!("{e:#}\n{}", tidewatch.log()));
    let after = until_settled(&tidewatch, |ready| *ready != before).await;
    let words = replaced(&tidewatch).await;
    assert_eq!(words.len(), 1, "{words:?}\n{}", tidewatch.log());
    assert_eq!(after.intersection(&before).count(), REPLICAS - 1, "{before:?} {after:?}");
    let odd = before.difference(&after).next().expect("one is gone");
    assert!(words[0].starts_with(odd.as_str()) && words[0].contains("% of its answers are errors"), "{words:?}");

    // Nobody fails any more, and nobody was cut off.
    let (good, failed, _) = answers.get();
    assert!(failed > 0, "it did fail");
    wait_for("more answers", STEP_WITHIN, || async { answers.get().0 > good + 400 }).await.expect("answered");
    answers.stop.store(true, Ordering::Relaxed);
    futures::future::join_all(clients).await;
    let (good, failed_by_now, lost) = answers.get();
    println!("{good} good, {failed_by_now} failed, {lost} lost; {}", words[0]);
    assert_eq!((failed_by_now, lost), (failed, 0));
    let wanted =
        tidewatch.api.get("/api/v1/scaling/services").await.expect("answered")["services"][0]["wanted"].clone();
    assert_eq!(wanted, REPLICAS, "the number stays");

    assert_eq!(tidewatch.server.stop().expect("stops"), 0);
    if let Some(swarm) = swarm {
        swarm.remove_service().await.expect("removed");
    }
    for (_, mut haproxy) in gateways {
        haproxy.stop().expect("stops");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_odd_process_is_drained_and_replaced() {
    let dir = scratch().expect("a folder");
    walk(dir.path(), Orchestrator::Process, Path::new("/nonexistent")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_odd_swarm_task_is_drained_and_replaced() {
    let dir = scratch().expect("a folder");
    let dockerd = Dockerd::start(&dir.path().join("docker")).await.unwrap_or_else(|e| panic!("{e:#}"));
    walk(&dir.path().join("demo"), Orchestrator::Swarm, &dockerd.socket).await;
    dockerd.stop().await.expect("dockerd stops");
}
