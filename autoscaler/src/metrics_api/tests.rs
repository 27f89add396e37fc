//! Requests as an API server's aggregator sends them, over real TLS.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use promql::EngineOptions;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use vocab::testing::{MemStore, SimClock};
use vocab::{Clock, MemoryPool, Problems, TenantId};

use super::config::{RawMetricsApi, check};
use super::{MetricsApi, MetricsApiConfig, MetricsApiDeps, MetricsServer, ObjectNames, Trust, manifest, subject};
use crate::testing::RunningClock;

const NOW_MS: i64 = 1_795_255_200_000;

#[derive(Debug)]
struct Pods;

#[async_trait]
impl ObjectNames for Pods {
    async fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<String>, String> {
        match (namespace, selector) {
            ("shop", "app=web") => Ok(vec!["web-1".into(), "web-2".into()]),
            ("shop", "app=none") => Ok(Vec::new()),
            _ => Err("the API server does not answer".into()),
        }
    }
}

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/metrics_api/testdata").join(name)
}

fn config(rules: &str) -> (Option<MetricsApiConfig>, Vec<String>) {
    let yaml = format!(
        "listen: 127.0.0.1:0\ncert_file: {}\nkey_file: {}\nclient_ca_file: {}\nallowed_names: [front-proxy-client]\n{rules}",
        testdata("server.pem").display(),
        testdata("server.key").display(),
        testdata("proxy-ca.pem").display()
    );
    let raw: RawMetricsApi = serde_saphyr::from_str(&yaml).expect("well formed");
    let mut problems = Problems::default();
    let config = check(&raw, &[], &mut problems);
    (config, problems.list.iter().map(|p| format!("{}: {}", p.path, p.message)).collect())
}

fn api() -> (MetricsApiConfig, Arc<MetricsApi>) {
    let (config, problems) = config(
        "external: [{name: queue_length, query: 'sum by (queue) (queue_length{namespace=\"$namespace\",$matchers})'}, {name: broken, query: 'sum(queue_length) / 0'}]
custom:
- {name: rps, query: 'sum by (pod) (rps{namespace=\"$namespace\",pod=~\"$names\",$matchers})'}
- {name: hits, resource: services, kind: Service, api_version: v1, query: 'hits{service=~\"$names\"}'}",
    );
    assert_eq!(problems, Vec::<String>::new());
    let config = config.expect("checked");
    let store = MemStore::new();
    for (labels, value) in [
        ([("__name__", "queue_length"), ("namespace", "shop"), ("queue", "orders")].as_slice(), 30.5),
        (&[("__name__", "queue_length"), ("namespace", "shop"), ("queue", "mails")], 2.0),
        (&[("__name__", "queue_length"), ("namespace", "other"), ("queue", "orders")], 999.0),
        (&[("__name__", "rps"), ("namespace", "shop"), ("pod", "web-1"), ("code", "200")], 10.0),
        (&[("__name__", "rps"), ("namespace", "shop"), ("pod", "web-2"), ("code", "200")], 20.0),
        (&[("__name__", "rps"), ("namespace", "shop"), ("pod", "web-10"), ("code", "200")], 99.0),
        (&[("__name__", "hits"), ("service", "web")], 7.0),
    ] {
        store.put(labels, NOW_MS - 1000, value);
    }
    let deps = MetricsApiDeps {
        querier: Arc::new(store),
        clock: Arc::new(SimClock::at(NOW_MS)),
        memory: MemoryPool::new("queries", usize::MAX),
        engine: EngineOptions { fragments: false, ..EngineOptions::default() },
        tenant: TenantId::default(),
        names: Some(Arc::new(Pods)),
    };
    let api = Arc::new(MetricsApi::new(&config, deps));
    (config, api)
}

#[tokio::test]
async fn external_metrics_are_answered() {
    let (_, api) = api();
    let base = "/apis/external.metrics.k8s.io/v1beta1";
    let one = api.answer(&format!("{base}/namespaces/shop/queue_length"), "labelSelector=queue%3Dorders").await;
    assert_eq!(
        one.body,
        json!({"kind": "ExternalMetricValueList", "apiVersion": "external.metrics.k8s.io/v1beta1", "metadata": {}, "items": [
            {"metricName": "queue_length", "metricLabels": {"queue": "orders"}, "timestamp": "2026-11-21T10:00:00Z", "value": "30500m"}]})
    );
    let all = api.answer(&format!("{base}/namespaces/shop/queue_length"), "").await;
    assert_eq!(all.body["items"].as_array().map(Vec::len), Some(2));
    // Unknown is no zero: nothing there, and nothing that is a number, are empty lists.
    for (path, query) in [
        ("namespaces/none/queue_length", ""),
        ("namespaces/shop/queue_length", "labelSelector=queue=x"),
        ("namespaces/shop/broken", ""),
    ] {
        let answer = api.answer(&format!("{base}/{path}"), query).await;
        assert_eq!((answer.status, &answer.body["items"]), (200, &json!([])), "{path}");
    }
    for (path, query, status) in [
        ("namespaces/shop/none", "", 404),
        ("namespaces/shop/queue_length", "labelSelector=a%3D%22%7D", 400),
        ("namespaces/a%22%7D/queue_length", "", 400),
        ("x", "", 404),
    ] {
        let answer = api.answer(&format!("{base}/{path}"), query).await;
        assert_eq!((answer.status, &answer.body["kind"]), (status, &json!("Status")), "{path}");
    }
    let list = api.answer(base, "").await.body;
    assert_eq!(
        list["resources"][1],
        json!({"name": "queue_length", "singularName": "", "namespaced": true, "kind": "ExternalMetricValueList", "verbs": ["get"]})
    );
}

#[tokio::test]
async fn custom_metrics_are_answered() {
    let (_, api) = api();
    let base = "/apis/custom.metrics.k8s.io/v1beta2";
    let pods = api.answer(&format!("{base}/namespaces/shop/pods/*/rps"), "labelSelector=app%3Dweb").await;
    let items: Vec<(Value, Value)> = pods.body["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|i| (i["describedObject"]["name"].clone(), i["value"].clone()))
        .collect();
    assert_eq!(items, [("web-1".into(), "10".into()), ("web-2".into(), "20".into())], "{}", pods.body);
    assert_eq!(pods.body["kind"], "MetricValueList");
    let filtered = api
        .answer(&format!("{base}/namespaces/shop/pods/*/rps"), "labelSelector=app%3Dweb&metricLabelSelector=code%3D500")
        .await;
    assert_eq!((filtered.status, &filtered.body["items"]), (200, &json!([])));
    let one = api.answer(&format!("{base}/namespaces/shop/services/web/hits"), "").await;
    assert_eq!(
        one.body["items"][0]["describedObject"],
        json!({"kind": "Service", "name": "web", "apiVersion": "v1", "namespace": "shop"}),
        "{}",
        one.body
    );
    for (path, query, status) in [
        ("namespaces/shop/pods/*/none", "", 404),
        ("namespaces/shop/pods/*/rps", "labelSelector=app%3Dlost", 503),
        ("namespaces/shop/services/*/hits", "labelSelector=app%3Dweb", 400),
        ("namespaces/shop/pods/a%7Cb/rps", "", 400),
    ] {
        assert_eq!(api.answer(&format!("{base}/{path}"), query).await.status, status, "{path}");
    }
    let none = api.answer(&format!("{base}/namespaces/shop/pods/*/rps"), "labelSelector=app%3Dnone").await;
    assert_eq!((none.status, &none.body["items"]), (200, &json!([])));
    let groups = api.answer("/apis", "").await.body;
    assert_eq!(groups["groups"][1]["preferredVersion"]["groupVersion"], "custom.metrics.k8s.io/v1beta2");
}

fn client(identity: Option<&str>) -> reqwest::Client {
    let authority = std::fs::read(testdata("server-ca.pem")).expect("there");
    let authority = reqwest::Certificate::from_pem(&authority).expect("PEM");
    let mut builder = crate::http::client().tls_certs_only([authority]).timeout(Duration::from_secs(20));
    if let Some(name) = identity {
        let pem = std::fs::read(testdata(name)).expect("there");
        builder = builder.identity(reqwest::Identity::from_pem(&pem).expect("PEM"));
    }
    builder.build().expect("a client")
}

#[tokio::test]
async fn only_the_proxy_is_believed() {
    let (config, api) = api();
    let authorities = std::fs::read(testdata("proxy-ca.pem")).expect("there");
    let trust = Trust { authorities, allowed_names: config.allowed_names.clone() };
    let clock = Arc::new(RunningClock::default()) as Arc<dyn Clock>;
    let server = MetricsServer::bind(&config, trust, api, clock).await.expect("it listens");
    let base = format!("https://localhost:{}", server.local_addr().expect("bound").port());
    let cancel = CancellationToken::new();
    let running = tokio::spawn(server.run(cancel.clone()));
    let discovery = "/apis/external.metrics.k8s.io/v1beta1";
    let metric = "/apis/external.metrics.k8s.io/v1beta1/namespaces/shop/queue_length";
    let proxy = Some("front-proxy-client.pem");
    for (identity, path, user, expect) in [
        (None, "/livez", None, 200),
        (None, discovery, None, 401),
        (None, metric, Some("system:admin"), 401),
        (Some("another-client.pem"), metric, Some("system:admin"), 403),
        (proxy, discovery, None, 200),
        (proxy, metric, None, 401),
        (proxy, metric, Some(""), 401),
        (proxy, metric, Some("system:serviceaccount:kube-system:horizontal-pod-autoscaler"), 200),
    ] {
        let mut request = client(identity).get(format!("{base}{path}"));
        if let Some(user) = user {
            request = request.header("X-Remote-User", user);
        }
        let answer = request.send().await.expect("it answers");
        assert_eq!(answer.status().as_u16(), expect, "{identity:?} {path} {user:?}");
    }
    // A certificate of another authority does not get through the handshake.
    assert!(client(Some("impostor.pem")).get(format!("{base}{metric}")).send().await.is_err());
    let post = client(proxy).post(format!("{base}{metric}")).send().await.expect("it answers");
    assert_eq!(post.status().as_u16(), 405);
    cancel.cancel();
    running.await.expect("it ends");
}

#[test]
fn names_are_read_from_certificates() {
    for name in ["front-proxy-client", "another-client", "server", "proxy-ca"] {
        let pem = std::fs::read(testdata(&format!("{name}.pem"))).expect("there");
        use rustls::pki_types::pem::PemObject;
        let der = rustls::pki_types::CertificateDer::from_pem_slice(&pem).expect("PEM");
        assert_eq!(subject::common_names(&der), [name]);
        // A part of it is nothing, and no reason to fail.
        for end in 0..der.len() {
            let _names = subject::common_names(&der[..end]);
        }
    }
}

#[test]
fn mistakes_are_told() {
    let raw: RawMetricsApi = serde_saphyr::from_str(
        "{listen: here, cluster: west, external: [{name: 'a b', query: 'sum('}, {name: x, query: '1'}, {name: x, query: '1'}], custom: [{name: y, resource: services, query: '1'}]}",
    )
    .expect("well formed");
    let mut problems = Problems::default();
    assert_eq!(check(&raw, &["east".to_owned()], &mut problems), None);
    let words: Vec<String> = problems.list.iter().map(|p| format!("{}: {}", p.path, p.message)).collect();
    for expect in [
        "metrics_api.listen: want an address",
        "metrics_api.cert_file: want a PEM file",
        "metrics_api.cluster: section kubernetes has no \"west\"",
        "metrics_api.external[0].name: want letters",
        "metrics_api.external[0].query: not PromQL",
        "metrics_api.external[2].name: \"x\" is there twice",
        "metrics_api.custom[0].kind: services need kind",
    ] {
        assert!(words.iter().any(|w| w.starts_with(expect)), "{expect} is not in\n{}", words.join("\n"));
    }
}

#[test]
fn the_manifest_is_yaml_that_names_both_groups() {
    let text = manifest("tidewatch", "ops", 6443, b"CA");
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
    let kinds: Vec<&str> = documents.iter().filter_map(|d| d["kind"].as_str()).collect();
    assert_eq!(kinds, ["Service", "RoleBinding", "APIService", "APIService"]);
    assert_eq!(documents[2]["metadata"]["name"], "v1beta1.external.metrics.k8s.io");
    assert_eq!(documents[3]["spec"]["group"], "custom.metrics.k8s.io");
    assert_eq!(documents[3]["spec"]["caBundle"], "Q0E=");
    assert_eq!(documents[0]["spec"]["ports"][0]["targetPort"], 6443);
}
