//! Against a server that behaves as an API server does.

mod api;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use vocab::error::chain;
use vocab::{Clock, ErrorKind, Problems};

use self::api::Api;
use super::KubernetesOrchestrator;
use super::config::{KubernetesConfig, RawKubernetes, check};
use super::kubeconfig::{self, service_account};
use crate::orchestrator::{Orchestrator, ScaleChange};
use crate::orchestrators::rest::Auth;
use crate::orchestrators::secret::Secret;
use crate::testing::{Conformance, FAULT_TIMEOUT, Fault, Faults, RunningClock, conformance, faults};

const TOKEN: &str = "hush-hush-7";

struct Given {
    api: Api,
    dir: tempfile::TempDir,
}

impl Given {
    async fn new() -> Self {
        let (api, dir) = (Api::start(TOKEN).await, tempfile::tempdir().expect("a directory"));
        let text = kubeconfig(api.server.address(), &format!("token: {TOKEN}"), "");
        std::fs::write(dir.path().join("config"), text).expect("written");
        Self { api, dir }
    }

    fn config(&self, yaml: &str) -> KubernetesConfig {
        let path = self.dir.path().join("config");
        config(&format!("kubeconfig: {}\n{yaml}", path.display()))
    }

    fn orchestrator(&self, yaml: &str) -> KubernetesOrchestrator {
        KubernetesOrchestrator::new(self.config(yaml), Arc::new(RunningClock::default()))
    }
}

fn config(yaml: &str) -> KubernetesConfig {
    let raw: RawKubernetes = serde_saphyr::from_str(yaml).expect("well formed");
    let mut problems = Problems::default();
    let config = check(&raw, "local", "kubernetes[0]", &mut problems);
    assert_eq!(problems, Problems::default());
    config
}

fn kubeconfig(server: &str, user: &str, cluster: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\npreferences: {{}}\n\
         contexts: [{{name: here, context: {{cluster: c, user: u, namespace: shop}}}}, {{name: bare, context: {{cluster: c, user: nobody}}}}]\n\
         clusters:\n- name: c\n  cluster:\n    server: {server}\n    {cluster}\n\
         users:\n- name: u\n  user:\n    {user}\n"
    )
}

fn given(patience: Duration) -> Conformance {
    let clock = Arc::new(RunningClock::default());
    Conformance { service: "web".into(), patience, has_addresses: true, clock }
}

#[tokio::test]
async fn it_passes_the_suite() {
    let k8s = Given::new().await;
    let orchestrator = k8s.orchestrator("");
    orchestrator.state("web").await.expect("known by name alone");
    conformance(&orchestrator, &given(Duration::from_secs(20))).await;
    let writes: Vec<_> = k8s.api.server.seen().into_iter().filter(|r| r.method == "PUT").collect();
    assert!(writes.iter().all(|w| w.path == "/apis/apps/v1/namespaces/shop/deployments/web/scale"), "{writes:?}");
    assert!(
        writes.iter().all(|w| w.query == "fieldManager=tidewatch" && w.header("content-type") == "application/json")
    );
    let first = writes[0].json();
    assert_eq!((&first["kind"], &first["spec"]["replicas"]), (&"Scale".into(), &4.into()));
    let events = k8s.api.events();
    assert!(events.iter().any(|e| e["note"] == "scaled from 1 to 4" && e["reason"] == "ScaledOut"), "{events:?}");
}

#[tokio::test]
async fn it_stands_a_server_that_misbehaves() {
    let k8s = Given::new().await;
    let timeout = vocab::duration::format_duration(FAULT_TIMEOUT);
    let orchestrator = k8s.orchestrator(&format!("timeout: {timeout}\nevents: false\ncheck_other_scalers: false"));
    let with = Faults {
        server: &k8s.api.server,
        read: "GET /scale",
        write: "PUT",
        replace: "DELETE",
        stale: Some(Fault::Status(
            409,
            r#"{"kind":"Status","reason":"Conflict","message":"the object has been modified","code":409}"#.into(),
        )),
        stale_tries: 5,
        secret: TOKEN,
    };
    faults(&orchestrator, &given(Duration::from_secs(20)), &with).await;
}

#[tokio::test]
async fn targets_of_other_scalers_and_zeros_by_hand_are_left_alone() {
    let k8s = Given::new().await;
    let orchestrator = k8s.orchestrator("");
    k8s.api.add_hpa("apps/v1", "Deployment", "other");
    orchestrator.scale("web", ScaleChange { from: 1, to: 2 }).await.expect("another's HPA is no reason");
    k8s.api.add_hpa("apps/v1", "Deployment", "web");
    let again = k8s.orchestrator("");
    let error = again.scale("web", ScaleChange { from: 2, to: 3 }).await.expect_err("an HPA scales it");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(chain(&error).contains("HorizontalPodAutoscaler web scales it already"), "{}", chain(&error));
    k8s.orchestrator("check_other_scalers: false")
        .scale("web", ScaleChange { from: 2, to: 3 })
        .await
        .expect("asked for");

    // Its own zero is no hands-off, somebody's is; it is told by the managed fields, so that a restart changes nothing.
    k8s.api.remove_hpas();
    k8s.orchestrator("").scale("web", ScaleChange { from: 3, to: 0 }).await.expect("to zero");
    k8s.orchestrator("").scale("web", ScaleChange { from: 0, to: 2 }).await.expect("its own zero");
    k8s.api.set_by_hand("web", 0);
    let error = k8s.orchestrator("").scale("web", ScaleChange { from: 0, to: 1 }).await.expect_err("hands off");
    assert!(chain(&error).contains("hands off"), "{}", chain(&error));
    assert_eq!(k8s.orchestrator("").state("web").await.expect("readable").wanted, 0);
}

#[tokio::test]
async fn a_custom_resource_is_found_by_discovery() {
    let k8s = Given::new().await;
    let yaml = "targets: [{service: pay, kind: Rollout, api_version: argoproj.io/v1alpha1}, {service: pay2, kind: Rollout, api_version: argoproj.io, name: pay},
        {service: plain, kind: Analysis, api_version: argoproj.io/v1alpha1}, {service: none, kind: X, api_version: example.org/v1}]";
    let orchestrator = k8s.orchestrator(yaml);
    assert_eq!(orchestrator.state("pay").await.expect("found").wanted, 1);
    orchestrator.scale("pay2", ScaleChange { from: 1, to: 2 }).await.expect("by the preferred version");
    let seen = k8s.api.server.seen();
    let path = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/pay/scale";
    assert!(seen.iter().any(|r| r.method == "PUT" && r.path == path), "{seen:?}");
    for (service, expect) in
        [("plain", "has no scale subresource"), ("none", "the cluster does not know example.org/v1")]
    {
        let error = orchestrator.state(service).await.expect_err("not scalable");
        assert!(chain(&error).contains(expect), "{}", chain(&error));
    }
}

#[tokio::test]
async fn a_watch_keeps_pods_current_and_survives_its_faults() {
    let k8s = Given::new().await;
    let clock = RunningClock::default();
    let orchestrator = k8s.orchestrator("");
    let lists =
        || k8s.api.server.seen().iter().filter(|r| r.path.ends_with("/pods") && !r.query.contains("watch")).count();
    let until = |what: &'static str, holds: fn(&crate::orchestrator::ServiceState) -> bool| {
        let (orchestrator, clock) = (&orchestrator, &clock);
        async move {
            let start = clock.monotonic();
            loop {
                let state = orchestrator.state("web").await.expect("it answers");
                if holds(&state) {
                    return;
                }
                assert!(clock.monotonic() - start < Duration::from_secs(20), "{what}: {state:?}");
                clock.sleep(Duration::from_millis(20)).await;
            }
        }
    };
    until("ready", |s| s.counts().ready == 1).await;
    k8s.api.until_watched(&clock).await;
    until("watched", |s| s.counts().ready == 1).await;
    let before = lists();
    for _ in 0..10 {
        orchestrator.state("web").await.expect("it answers");
    }
    assert_eq!(lists(), before, "what is watched is not listed");

    // A change in the pods alone arrives by the watch; a container that dies is told.
    k8s.api.set_ready("web", false);
    until("not ready", |s| s.counts().ready == 0).await;
    k8s.api.restart_container("web");
    until("restarted", |s| s.replicas[0].note.contains("OOMKilled")).await;
    assert!(orchestrator.take_events()[0].summary.contains("a container died"), "told");
    k8s.api.set_ready("web", true);
    until("ready", |s| s.counts().ready == 1).await;

    // The stream ends, its version has expired, an error comes in it: each time it goes on.
    for expired in [false, true] {
        k8s.api.end_watches(expired);
        k8s.api.set_ready("web", false);
        until("not ready after the end", |s| s.counts().ready == 0).await;
        k8s.api.set_ready("web", true);
        until("ready after the end", |s| s.counts().ready == 1).await;
        k8s.api.until_watched(&clock).await;
    }
    let watches: Vec<_> = k8s.api.server.seen().into_iter().filter(|r| r.query.contains("watch=true")).collect();
    assert!(watches.iter().all(|w| w.query.contains("allowWatchBookmarks=true")), "{watches:?}");
}

#[tokio::test]
async fn of_two_with_a_lease_one_writes() {
    let k8s = Given::new().await;
    let clock = RunningClock::default();
    let yaml = "lease: {duration: 5s}";
    let first = k8s.orchestrator(yaml);
    let start = clock.monotonic();
    while first.may_write().is_err() {
        assert!(clock.monotonic() - start < Duration::from_secs(20), "nobody takes the lease");
        clock.sleep(Duration::from_millis(20)).await;
    }
    let second = k8s.orchestrator(yaml);
    clock.sleep(Duration::from_millis(300)).await;
    assert!(second.may_write().is_err());
    let error = second.scale("web", ScaleChange { from: 1, to: 2 }).await.expect_err("not the holder");
    assert!(chain(&error).contains("is held by"), "{}", chain(&error));
    first.scale("web", ScaleChange { from: 1, to: 2 }).await.expect("the holder");
    // The holder that ends gives it back; the other takes it without waiting for its end.
    drop(first);
    let start = clock.monotonic();
    while second.may_write().is_err() {
        assert!(clock.monotonic() - start < Duration::from_secs(25), "the lease is not taken over");
        clock.sleep(Duration::from_millis(20)).await;
    }
    second.scale("web", ScaleChange { from: 2, to: 1 }).await.expect("the new holder");
}

#[test]
fn a_kubeconfig_is_read_as_kubectl_does() {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    write("ca.pem", "-----BEGIN CERTIFICATE-----");
    let load = |text: &str, more: &str| kubeconfig::from_files(&[write("config", text)], &config(more));
    let token =
        load(&kubeconfig("https://k:6443/", "token: hush", "certificate-authority: ca.pem"), "{}").expect("read");
    assert_eq!((token.server.as_str(), token.namespace.as_str()), ("https://k:6443", "shop"));
    assert_eq!(token.authorities.as_deref(), Some(b"-----BEGIN CERTIFICATE-----".as_slice()));
    assert_eq!(token.auth, Auth::Scheme { scheme: "Bearer ", secret: Secret::Text("hush".into()) });
    let file = load(&kubeconfig("https://k", "token: old\n    tokenFile: t", ""), "{namespace: x}").expect("read");
    let path: PathBuf = dir.path().join("t");
    assert_eq!(file.auth, Auth::Scheme { scheme: "Bearer ", secret: Secret::File(path) });
    assert_eq!(file.namespace, "x");
    let both = "client-certificate-data: QUJD\n    client-key-data: REVG";
    assert_eq!(load(&kubeconfig("https://k", both, ""), "{}").expect("read").identity, Some(b"ABC\nDEF".to_vec()));
    for (text, more, expect) in [
        (kubeconfig("https://k", "token: x", "insecure-skip-tls-verify: true"), "{}", "set allow_insecure_tls: true"),
        (kubeconfig("https://k", "token: x", "proxy-url: http://p"), "{}", "proxy-url, which is not supported"),
        (
            kubeconfig("https://k", "client-certificate-data: QUJD", ""),
            "{}",
            "needs both a client certificate and its key",
        ),
        (kubeconfig("https://k", "client-certificate-data: '*'", ""), "{}", "client-certificate-data is not base64"),
        (kubeconfig("https://me:hush@k", "token: x", ""), "{}", "without user, password"),
        (kubeconfig("https://k", "token: x", ""), "{context: there}", "has no context \"there\"; it has here, bare"),
        (kubeconfig("https://k", "token: x", ""), "{context: bare}", "has no user \"nobody\""),
        ("token: [hush".to_owned(), "{}", "is no kubeconfig"),
        ("{}".to_owned(), "{}", "has no current context"),
    ] {
        let error = load(&text, more).expect_err(expect);
        assert!(error.contains(expect) && !error.contains("hush"), "{error}");
    }
    let insecure = kubeconfig("https://k", "token: x", "insecure-skip-tls-verify: true");
    assert!(load(&insecure, "{allow_insecure_tls: true}").expect("allowed").is_insecure);
}

#[tokio::test]
async fn a_cluster_is_reached_over_tls_with_a_client_certificate() {
    use base64::Engine as _;
    let data = |name: &str| {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/metrics_api/testdata").join(name);
        std::fs::read(path).expect("there")
    };
    let encoded = |name: &str| base64::engine::general_purpose::STANDARD.encode(data(name));
    let acceptor = crate::metrics_api::strict_acceptor(&data("server.pem"), &data("server.key"), &data("proxy-ca.pem"));
    let server = crate::testing::Server::start_tls(acceptor, |_| {
        crate::testing::Reply::Json(
            200,
            serde_json::json!({"metadata": {"resourceVersion": "7"}, "spec": {"replicas": 2}, "status": {"selector": "app=web"}, "items": []}),
        )
    });
    let server = server.await;
    let dir = tempfile::tempdir().expect("a directory");
    let ask = async |address: &str, authority: &str, identity: &str, more: &str| {
        let user = format!("client-certificate-data: {0}\n    client-key-data: {0}", encoded(identity));
        let cluster = format!("certificate-authority-data: {}\n    {more}", encoded(authority));
        std::fs::write(dir.path().join("config"), kubeconfig(address, &user, &cluster)).expect("written");
        let config = config(&format!("kubeconfig: {}\ntimeout: 5s", dir.path().join("config").display()));
        let orchestrator = KubernetesOrchestrator::new(config, Arc::new(RunningClock::default()));
        orchestrator.state("web").await.map(|s| (s.wanted, s.version))
    };
    let localhost = server.address().to_owned();
    assert_eq!(ask(&localhost, "server-ca.pem", "front-proxy-client.pem", "").await.expect("trusted"), (2, 7));
    let by_ip = localhost.replace("localhost", "127.0.0.1");
    assert_eq!(ask(&by_ip, "server-ca.pem", "front-proxy-client.pem", "").await.expect("by its address"), (2, 7));
    assert_eq!(
        ask(&by_ip, "server-ca.pem", "front-proxy-client.pem", "tls-server-name: localhost")
            .await
            .expect("by the other name"),
        (2, 7)
    );
    for (authority, identity, more) in [
        ("other-ca.pem", "front-proxy-client.pem", ""),
        ("server-ca.pem", "impostor.pem", ""),
        ("server-ca.pem", "front-proxy-client.pem", "tls-server-name: elsewhere.example"),
    ] {
        let error = ask(&by_ip, authority, identity, more).await.expect_err("not trusted");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{authority} {identity} {more}: {}", chain(&error));
    }
}

#[test]
fn a_pod_uses_its_service_account() {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in [("ca.crt", "CA"), ("namespace", "ops\n"), ("token", "hush")] {
        std::fs::write(dir.path().join(name), text).expect("written");
    }
    let account = service_account(&config("{}"), dir.path(), "fd00::1", "443").expect("there");
    assert_eq!((account.server.as_str(), account.namespace.as_str()), ("https://[fd00::1]:443", "ops"));
    assert_eq!(account.auth, Auth::Scheme { scheme: "Bearer ", secret: Secret::File(dir.path().join("token")) });
    assert!(!format!("{account:?}").contains("hush"));
    assert!(service_account(&config("{}"), &dir.path().join("none"), "k", "443").is_err());
}

#[tokio::test]
async fn a_plugin_gives_credentials() {
    let k8s = Given::new().await;
    let plugin = k8s.dir.path().join("plugin");
    let answer = format!(r#"{{"kind":"ExecCredential","status":{{"token":"{TOKEN}"}}}}"#);
    let script = format!("#!/bin/sh\ntest -n \"$KUBERNETES_EXEC_INFO\" && test \"$WORD\" = yes && echo '{answer}'\n");
    std::fs::write(&plugin, script).expect("written");
    let user = |word: &str| {
        format!(
            "exec: {{apiVersion: client.authentication.k8s.io/v1, command: sh, args: [{}], env: [{{name: WORD, value: '{word}'}}]}}",
            plugin.display()
        )
    };
    let write = |word: &str| {
        let text = kubeconfig(k8s.api.server.address(), &user(word), "");
        std::fs::write(k8s.dir.path().join("config"), text).expect("written");
    };
    write("yes");
    assert_eq!(k8s.orchestrator("").state("web").await.expect("it answers").wanted, 1);
    write("no");
    let error = k8s.orchestrator("").state("web").await.expect_err("no credential");
    assert!(chain(&error).contains("the credential plugin \"sh\" ended with"), "{}", chain(&error));
}

#[tokio::test]
async fn one_pod_is_replaced_and_the_number_stays() {
    let k8s = Given::new().await;
    k8s.api.set_by_hand("web", 3);
    let orchestrator = k8s.orchestrator("");
    let before = orchestrator.state("web").await.expect("it answers");
    let odd = before.replicas[1].id.clone();
    orchestrator.replace("web", &odd).await.expect("ended");
    // Told twice, it is as ended as before.
    orchestrator.replace("web", &odd).await.expect("ended");
    let after = orchestrator.state("web").await.expect("it answers");
    assert_eq!((after.wanted, after.replicas.len()), (3, 3));
    assert!(after.replicas.iter().all(|r| r.id != odd), "{after:?}");
}

#[tokio::test]
async fn room_is_what_the_quotas_leave_and_unknown_without_the_right_to_read_them() {
    let k8s = Given::new().await;
    let orchestrator = k8s.orchestrator("");
    assert_eq!(orchestrator.room("web").await.expect("no quota"), None);
    k8s.api.set_quota("4", "2500m");
    let room = orchestrator.room("web").await.expect("a quota").expect("known");
    let of_quota = "quota team leaves requests.cpu 1.5, and a pod takes 0.5: 3 more";
    let blind = format!("{of_quota}; what the nodes have free is not known: it may not list nodes");
    assert_eq!((room.more, room.reason), (3, blind));
    let without = k8s.orchestrator("count_nodes: false").room("web").await.expect("a quota").expect("known");
    assert_eq!((without.more, without.reason.as_str()), (3, of_quota));
    assert!(k8s.api.server.seen().iter().all(|r| r.path != "/api/v1/pods"), "not asked for in vain");
    k8s.api.forbid_quotas();
    assert_eq!(orchestrator.room("web").await.expect("forbidden is unknown"), None);
}

#[tokio::test]
async fn room_is_what_fits_on_the_nodes_and_a_survey_is_kept_for_a_while() {
    let k8s = Given::new().await;
    k8s.api.set_by_hand("web", 2);
    // Three pods of half a core stand on a: two more fit there, five on b, and none on c.
    k8s.api.set_nodes(&[("a", "2700m"), ("b", "2500m"), ("c", "400m")]);
    let orchestrator = k8s.orchestrator("");
    let room = orchestrator.room("web").await.expect("nodes").expect("known");
    let expect = "3 usable nodes have room for 7 more: a replica takes 0.5 cores";
    assert_eq!((room.more, room.reason.as_str()), (7, expect));
    assert_eq!(
        (k8s.api.server.count("GET /api/v1/nodes"), k8s.api.server.count("GET /api/v1/pods")),
        (2, 2),
        "in pages"
    );
    k8s.api.set_nodes(&[]);
    let again = orchestrator.room("pay").await.expect("kept").expect("known");
    assert_eq!((again.more, k8s.api.server.count("GET /api/v1/nodes")), (7, 2), "asked once for all services");
    k8s.api.set_quota("4", "2500m");
    let tighter = orchestrator.room("web").await.expect("a quota").expect("known");
    assert!(tighter.more == 3 && tighter.reason.starts_with("quota team leaves"), "{tighter:?}");
    let fresh = k8s.orchestrator("").room("web").await.expect("no nodes").expect("known");
    assert_eq!(
        (fresh.more, fresh.reason.as_str()),
        (0, "0 usable nodes have room for 0 more: a replica takes 0.5 cores")
    );
    // Where nodes are added for pods that do not fit, these must come to be.
    k8s.api.add_autoscaler();
    let growing = k8s.orchestrator("").room("web").await.expect("a quota").expect("known");
    assert!(growing.more == 3 && growing.reason.ends_with("the Cluster Autoscaler adds nodes"), "{growing:?}");
}
