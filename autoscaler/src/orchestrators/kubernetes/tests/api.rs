//! A server that answers as an API server does, as far as scaling needs it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use vocab::Clock;

use crate::testing::{Reply, Request, RunningClock, Server};

#[derive(Default)]
struct Workload {
    replicas: u64,
    version: u64,
    manager: String,
    pods: Vec<Pod>,
}

struct Pod {
    name: String,
    is_ready: bool,
    restarts: u64,
}

#[derive(Default)]
struct State {
    version: u64,
    number: u64,
    workloads: BTreeMap<String, Workload>,
    hpas: Vec<Value>,
    quotas: Vec<Value>,
    forbids_quotas: bool,
    has_autoscaler: bool,
    /// `None` where they may not be listed.
    nodes: Option<Vec<Value>>,
    events: Vec<Value>,
    lease: Option<Value>,
    watches: Vec<mpsc::Sender<Vec<u8>>>,
    expired: bool,
}

pub(super) struct Api {
    pub(super) server: Server,
    state: Arc<Mutex<State>>,
}

impl Api {
    pub(super) async fn start(token: &'static str) -> Self {
        let state = Arc::new(Mutex::new(State { version: 100, ..State::default() }));
        for name in ["web", "pay"] {
            state.lock().set(name, 1, "kubectl");
        }
        let inner = Arc::clone(&state);
        let server = Server::start(move |request| {
            if request.header("authorization") != format!("Bearer {token}") {
                return status(401, "Unauthorized", "Unauthorized");
            }
            inner.lock().answer(request)
        });
        Self { server: server.await, state }
    }

    pub(super) fn events(&self) -> Vec<Value> {
        self.state.lock().events.clone()
    }

    pub(super) fn add_hpa(&self, api_version: &str, kind: &str, name: &str) {
        let hpa = json!({"metadata": {"name": name},
            "spec": {"scaleTargetRef": {"apiVersion": api_version, "kind": kind, "name": name}, "maxReplicas": 9}});
        self.state.lock().hpas.push(hpa);
    }

    pub(super) fn set_quota(&self, hard: &str, used: &str) {
        let quota = json!({"metadata": {"name": "team"}, "spec": {},
            "status": {"hard": {"requests.cpu": hard}, "used": {"requests.cpu": used}}});
        self.state.lock().quotas = vec![quota];
    }

    /// Lets a Cluster Autoscaler run.
    pub(super) fn add_autoscaler(&self) {
        self.state.lock().has_autoscaler = true;
    }

    /// Nodes by name and cores; all pods stand on node `a`, and each asks for half a core.
    pub(super) fn set_nodes(&self, nodes: &[(&str, &str)]) {
        let node = |(name, cpu): &(&str, &str)| {
            json!({"metadata": {"name": name}, "spec": {},
            "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "110"},
                       "conditions": [{"type": "Ready", "status": "True"}]}})
        };
        self.state.lock().nodes = Some(nodes.iter().map(node).collect());
    }

    pub(super) fn forbid_quotas(&self) {
        self.state.lock().forbids_quotas = true;
    }

    pub(super) fn remove_hpas(&self) {
        self.state.lock().hpas.clear();
    }

    pub(super) fn set_by_hand(&self, name: &str, replicas: u64) {
        self.state.lock().set(name, replicas, "kubectl");
    }

    pub(super) fn set_ready(&self, name: &str, is_ready: bool) {
        self.state.lock().change(name, |pod| pod.is_ready = is_ready);
    }

    pub(super) fn restart_container(&self, name: &str) {
        self.state.lock().change(name, |pod| pod.restarts += 1);
    }

    /// Ends all watches; the next one is told that its version has expired.
    pub(super) fn end_watches(&self, expired: bool) {
        let mut state = self.state.lock();
        state.watches.clear();
        state.expired = expired;
    }

    pub(super) async fn until_watched(&self, clock: &RunningClock) {
        let start = clock.monotonic();
        while self.state.lock().watches.iter().all(mpsc::Sender::is_closed) {
            assert!(clock.monotonic() - start < Duration::from_secs(20), "nobody watches");
            clock.sleep(Duration::from_millis(10)).await;
        }
    }
}

fn status(code: u16, reason: &str, message: &str) -> Reply {
    Reply::Json(
        code,
        json!({"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": code}),
    )
}

impl State {
    fn tell(&mut self, kind: &str, object: &Value) {
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        self.watches.retain(|w| w.try_send(line.clone().into_bytes()).is_ok());
    }

    fn set(&mut self, name: &str, replicas: u64, manager: &str) {
        let mut workload = self.workloads.remove(name).unwrap_or_default();
        if workload.replicas != replicas || workload.version == 0 {
            manager.clone_into(&mut workload.manager);
        }
        self.version += 1;
        (workload.replicas, workload.version) = (replicas, self.version);
        while workload.pods.len() > usize::try_from(replicas).expect("small") {
            let gone = workload.pods.pop().expect("there");
            self.version += 1;
            let object = self.pod(name, &gone);
            self.tell("DELETED", &object);
        }
        while workload.pods.len() < usize::try_from(replicas).expect("small") {
            self.number += 1;
            let pod = Pod { name: format!("{name}-7d9f8b6c5d-{:05}", self.number), is_ready: true, restarts: 0 };
            self.version += 1;
            let object = self.pod(name, &pod);
            self.tell("ADDED", &object);
            workload.pods.push(pod);
        }
        self.workloads.insert(name.to_owned(), workload);
    }

    fn change(&mut self, name: &str, change: impl Fn(&mut Pod)) {
        let mut workload = self.workloads.remove(name).expect("there");
        for pod in &mut workload.pods {
            change(pod);
            self.version += 1;
            let object = self.pod(name, pod);
            self.tell("MODIFIED", &object);
        }
        self.workloads.insert(name.to_owned(), workload);
    }

    fn pod(&self, workload: &str, pod: &Pod) -> Value {
        let number: u64 = pod.name.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        json!({
            "metadata": {"name": pod.name, "uid": format!("uid-{number}"), "labels": {"app": workload}, "resourceVersion": self.version.to_string(),
                         "creationTimestamp": "2026-11-21T10:00:00Z"},
            "spec": {"nodeName": "a", "containers": [{"name": "main", "resources": {"requests": {"cpu": "500m"}},
                     "ports": [{"containerPort": 8080, "protocol": "TCP"}]}]},
            "status": {"phase": "Running", "podIP": format!("10.0.{}.{}", number / 250, number % 250 + 1),
                "conditions": [{"type": "Ready", "status": if pod.is_ready { "True" } else { "False" },
                                "lastTransitionTime": "2026-11-21T10:00:07Z"}],
                "containerStatuses": [{"containerID": "containerd://abc", "restartCount": pod.restarts, "state": {},
                    "lastState": if pod.restarts > 0 { json!({"terminated": {"reason": "OOMKilled", "exitCode": 137}}) } else { json!({}) }}]}
        })
    }

    fn answer(&mut self, request: &Request) -> Reply {
        let parts: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["apis", "argoproj.io"]) => Reply::Json(
                200,
                json!({"kind": "APIGroup", "preferredVersion": {"groupVersion": "argoproj.io/v1alpha1", "version": "v1alpha1"}}),
            ),
            ("GET", ["apis", "argoproj.io", "v1alpha1"]) => Reply::Json(
                200,
                json!({"kind": "APIResourceList", "resources": [
                {"name": "rollouts", "kind": "Rollout", "namespaced": true},
                {"name": "rollouts/scale", "kind": "Scale", "group": "autoscaling", "version": "v1", "namespaced": true},
                {"name": "analyses", "kind": "Analysis", "namespaced": true}]}),
            ),
            (
                method,
                ["apis", "apps" | "argoproj.io", _, "namespaces", "shop", "deployments" | "rollouts", name, rest @ ..],
            ) => self.workload(method, name, rest, request),
            ("GET", ["api", "v1", "namespaces", "shop", "resourcequotas"]) if self.forbids_quotas => {
                status(403, "Forbidden", "resourcequotas is forbidden")
            }
            ("GET", ["api", "v1", "namespaces", "shop", "resourcequotas"]) => {
                Reply::Json(200, json!({"items": self.quotas}))
            }
            ("GET", ["api", "v1", "nodes"]) => match self.nodes.clone() {
                Some(nodes) => Self::page(nodes, request, json!({})),
                None => status(403, "Forbidden", "nodes is forbidden"),
            },
            ("GET", ["api", "v1", "namespaces", "kube-system", "configmaps", "cluster-autoscaler-status"])
                if self.has_autoscaler =>
            {
                Reply::Json(200, json!({"kind": "ConfigMap", "data": {"status": "autoscalerStatus: Running"}}))
            }
            ("GET", ["api", "v1", "pods"]) => Self::page(self.all_pods(None), request, json!({})),
            ("DELETE", ["api", "v1", "namespaces", "shop", "pods", name]) => self.end_pod(name, request),
            ("GET", ["api", "v1", "namespaces", "shop", "pods"]) => self.pods(request),
            ("GET", ["apis", "autoscaling", "v2", "namespaces", "shop", "horizontalpodautoscalers"]) => {
                Reply::Json(200, json!({"items": self.hpas}))
            }
            ("POST", ["apis", "events.k8s.io", "v1", "namespaces", "shop", "events"]) => {
                self.events.push(request.json());
                Reply::Json(201, request.json())
            }
            (method, ["apis", "coordination.k8s.io", "v1", "namespaces", "shop", "leases", ..]) => {
                self.lease(method, request)
            }
            _ => status(404, "NotFound", "the server could not find the requested resource"),
        }
    }

    fn end_pod(&mut self, pod: &str, request: &Request) -> Reply {
        let owner = self.workloads.iter().find(|(_, w)| w.pods.iter().any(|p| p.name == pod));
        let Some((name, replicas)) = owner.map(|(name, w)| (name.clone(), w.replicas)) else {
            return status(404, "NotFound", &format!("pods \"{pod}\" not found"));
        };
        let options = request.json();
        let number: u64 = pod.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        assert_eq!(options["kind"], "DeleteOptions");
        if options["preconditions"]["uid"] != format!("uid-{number}") {
            return status(409, "Conflict", "the UID in the precondition does not match the UID in record");
        }
        let workload = self.workloads.get_mut(&name).expect("there");
        let index = workload.pods.iter().position(|p| p.name == pod).expect("there");
        let gone = workload.pods.remove(index);
        let manager = workload.manager.clone();
        self.version += 1;
        let object = self.pod(&name, &gone);
        self.tell("DELETED", &object);
        self.set(&name, replicas, &manager);
        Reply::Json(200, object)
    }

    fn workload(&mut self, method: &str, name: &str, rest: &[&str], request: &Request) -> Reply {
        let Some(workload) = self.workloads.get(name) else {
            return status(404, "NotFound", &format!("deployments.apps \"{name}\" not found"));
        };
        if method == "GET" && rest.is_empty() {
            let fields = json!([{"manager": workload.manager, "operation": "Update",
                "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
            let containers = json!([{"name": "main", "resources": {"requests": {"cpu": "500m"}}}]);
            return Reply::Json(
                200,
                json!({"metadata": {"name": name, "managedFields": fields}, "spec": {"template": {"spec": {"containers": containers}}}}),
            );
        }
        if rest != ["scale"] {
            return status(404, "NotFound", "no such subresource");
        }
        if method == "PUT" {
            let body = request.json();
            if body["metadata"]["resourceVersion"].as_str() != Some(&workload.version.to_string()) {
                return status(
                    409,
                    "Conflict",
                    "the object has been modified; please apply your changes to the latest version",
                );
            }
            let Some(replicas) = body["spec"]["replicas"].as_u64() else {
                return status(422, "Invalid", "spec.replicas: Required value");
            };
            self.set(name, replicas, &request.parameter("fieldManager").unwrap_or_default());
        }
        let workload = &self.workloads[name];
        // As Go's omitempty has it, a zero is left out.
        let number = |n: u64| if n == 0 { json!({}) } else { json!({"replicas": n}) };
        let mut in_status = number(workload.replicas);
        in_status["selector"] = json!(format!("app={name}"));
        Reply::Json(
            200,
            json!({"kind": "Scale", "apiVersion": "autoscaling/v1",
            "metadata": {"name": name, "namespace": "shop", "uid": "u-1", "resourceVersion": workload.version.to_string()},
            "spec": number(workload.replicas), "status": in_status}),
        )
    }

    fn pods(&mut self, request: &Request) -> Reply {
        if request.parameter("watch").is_some() {
            if std::mem::take(&mut self.expired) {
                return status(410, "Expired", "too old resource version");
            }
            let (sender, receiver) = mpsc::channel(1000);
            let bookmark = json!({"metadata": {"resourceVersion": self.version.to_string()}});
            self.watches.push(sender);
            // What happened since the version that was asked for: here, simply all.
            for object in self.all_pods(None) {
                self.tell("ADDED", &object);
            }
            self.tell("BOOKMARK", &bookmark);
            return Reply::Stream(receiver);
        }
        let app = request.parameter("labelSelector").map(|s| s.trim_start_matches("app=").to_owned());
        let mut items = self.all_pods(app.as_deref());
        if let Some(name) = request.parameter("fieldSelector") {
            items.retain(|pod| {
                name == format!("metadata.name={}", pod["metadata"]["name"].as_str().unwrap_or_default())
            });
        }
        Self::page(items, request, json!({"resourceVersion": self.version.to_string()}))
    }

    /// Pages of two, to see that the next ones are asked for.
    fn page(items: Vec<Value>, request: &Request, mut metadata: Value) -> Reply {
        let start: usize = request.parameter("continue").and_then(|c| c.parse().ok()).unwrap_or(0);
        if items.len() > start + 2 {
            metadata["continue"] = json!((start + 2).to_string());
        }
        let items: Vec<Value> = items.into_iter().skip(start).take(2).collect();
        Reply::Json(200, json!({"kind": "List", "metadata": metadata, "items": items}))
    }

    fn all_pods(&self, app: Option<&str>) -> Vec<Value> {
        let workloads = self.workloads.iter().filter(|w| app.is_none_or(|app| app == w.0));
        workloads.flat_map(|(name, w)| w.pods.iter().map(|p| self.pod(name, p)).collect::<Vec<_>>()).collect()
    }

    fn lease(&mut self, method: &str, request: &Request) -> Reply {
        let mut body = request.json();
        self.version += 1;
        match (method, &self.lease) {
            ("GET", Some(lease)) => return Reply::Json(200, lease.clone()),
            ("GET", None) => return status(404, "NotFound", "leases.coordination.k8s.io \"tidewatch\" not found"),
            ("POST", Some(_)) => return status(409, "AlreadyExists", "it exists"),
            ("PUT", Some(lease)) if lease["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"] => {
                return status(409, "Conflict", "the object has been modified");
            }
            _ => {}
        }
        body["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.lease = Some(body.clone());
        Reply::Json(200, body)
    }
}
