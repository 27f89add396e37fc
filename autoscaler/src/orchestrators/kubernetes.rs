//! Kubernetes: anything with a scale subresource.
//!
//! A target's number is read from and written to `…/scale`, as the HorizontalPodAutoscaler does: the object just read goes
//! back with one number changed and its `resourceVersion`, and a conflict is read and decided again. Ready replicas are the
//! pods of `status.selector`, watched per namespace.
//!
//! Hands off: a target that an HPA or a KEDA ScaledObject scales is refused, and so is one whose `spec.replicas` somebody
//! else has set to 0.
//!
//! [`config`] is the section, `kubeconfig` and `client` the connection, `resource` finds paths, `pods`, `watch` and `selector`
//! the replicas, `room`, `survey`, `nodes` and `requests` how many more fit, `rivals` other scalers, `events` and `lease` what
//! is written beside, `reader` what the metrics APIs ask.

mod client;
pub mod config;
mod events;
mod kubeconfig;
mod lease;
mod nodes;
mod pods;
mod reader;
mod requests;
mod resource;
mod rivals;
mod room;
mod selector;
mod survey;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};
use vocab::Clock;
use vocab::error::chain;

use self::client::{Client, KIND, refused};
pub use self::config::{KubernetesConfig, LeaseConfig, Target};
use self::events::Happened;
use self::lease::Lease;
use self::pods::Pod;
pub use self::reader::ClusterReader;
use self::resource::{Discovery, Resource};
use self::rivals::Rivals;
use self::selector::Selector;
use self::survey::Survey;
use self::watch::PodWatch;
use super::known::KnownServices;
use super::rest::{Body, segment};
use super::retry::{CallError, with_retries};
use crate::error::OrchestratorError;
use crate::orchestrator::{Orchestrator, OrchestratorEvent, Room, ScaleChange, ServiceState};

/// The name under which the API server notes our writes; whose last write it was tells a zero of ours from one by hand.
const FIELD_MANAGER: &str = "tidewatch";
/// Most events that wait to be taken.
const EVENTS_MAX: usize = 256;

/// Scales the workloads of a Kubernetes cluster.
#[derive(Debug)]
pub struct KubernetesOrchestrator {
    cluster: String,
    client: Arc<Client>,
    targets: BTreeMap<String, Target>,
    check_other_scalers: bool,
    writes_events: bool,
    discovery: Discovery,
    rivals: Rivals,
    watch: PodWatch,
    /// What the nodes have, where that counts.
    survey: Option<Survey>,
    /// Why it was last not known.
    blind: Mutex<String>,
    lease: Option<Arc<Lease>>,
    known: KnownServices,
    /// Container restarts of pods as last seen, by service.
    restarts: Mutex<HashMap<String, HashMap<String, u32>>>,
    events: Mutex<Vec<OrchestratorEvent>>,
    clock: Arc<dyn Clock>,
    _lease_ends_with_this: DropGuard,
}

/// A target's scale as it was read.
struct Read {
    resource: Arc<Resource>,
    namespace: String,
    path: String,
    scale: Value,
}

impl Read {
    fn wanted(&self) -> u32 {
        number(&self.scale["spec"]["replicas"])
    }
}

/// A number of replicas; the API leaves a zero out.
fn number(value: &Value) -> u32 {
    value.as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

impl KubernetesOrchestrator {
    /// An orchestrator; nothing is asked before it is used, except for its lease. Needs a Tokio runtime.
    pub fn new(config: KubernetesConfig, clock: Arc<dyn Clock>) -> Self {
        let client = Arc::new(Client::new(config.clone(), Arc::clone(&clock)));
        let cancel = CancellationToken::new();
        let lease = config.lease.map(|lease| {
            let lease = Arc::new(Lease::new(lease, Arc::clone(&client), Arc::clone(&clock)));
            tokio::spawn(Arc::clone(&lease).run(cancel.clone()));
            lease
        });
        Self {
            cluster: config.cluster,
            watch: PodWatch::new(Arc::clone(&client), Arc::clone(&clock)),
            survey: config.count_nodes.then(|| Survey::new(Arc::clone(&client), Arc::clone(&clock))),
            blind: Mutex::default(),
            client,
            known: KnownServices::new(config.targets.iter().map(|t| &t.service)),
            targets: config.targets.into_iter().map(|t| (t.service.clone(), t)).collect(),
            check_other_scalers: config.check_other_scalers,
            writes_events: config.events,
            discovery: Discovery::default(),
            rivals: Rivals::default(),
            lease,
            restarts: Mutex::default(),
            events: Mutex::default(),
            clock,
            _lease_ends_with_this: cancel.drop_guard(),
        }
    }

    fn target(&self, service: &str) -> Result<Target, CallError> {
        let known = self.targets.get(service).cloned().or_else(|| Target::of_service(service));
        known.ok_or_else(|| CallError::never(unknown(service)))
    }

    async fn read(&self, target: &Target) -> Result<Read, CallError> {
        let resource = self.discovery.resource(&self.client, target).await?;
        let namespace = match &target.namespace {
            Some(namespace) => namespace.clone(),
            None => self.client.live().await?.namespace.clone(),
        };
        let path = format!("{}/scale", resource.path(&namespace, &target.name));
        let answer = self.client.call(Method::GET, &path, None).await?;
        match answer.status {
            404 => {
                self.discovery.forget(target);
                self.known.forget(&target.service);
                Err(CallError::never(unknown(&target.service)))
            }
            200 => Ok(Read { resource, namespace, path, scale: answer.json(KIND, "a Scale")? }),
            _ => Err(refused(&answer)),
        }
    }

    async fn state_once(&self, target: &Target) -> Result<ServiceState, CallError> {
        let read = self.read(target).await?;
        let text = read.scale["status"]["selector"].as_str().unwrap_or_default();
        let selector = Selector::parse(text).ok_or_else(|| {
            let reason = format!(
                "the scale of {} {} has no selector ({text:?}), so that its pods cannot be counted; a CustomResourceDefinition gives one by labelSelectorPath",
                target.kind, target.name
            );
            CallError::never(OrchestratorError::NotScalable { service: target.service.clone(), reason })
        })?;
        let is_counted = |p: &&Pod| !p.has_ended && !p.is_leaving;
        let watched = self.watch.pods(&read.namespace, &selector).filter(|pods| {
            // While the numbers differ things are moving, and a list of our own is the newest there is.
            pods.iter().filter(is_counted).count()
                == usize::try_from(number(&read.scale["status"]["replicas"])).unwrap_or(0)
        });
        let pods = match watched {
            Some(pods) => pods,
            None => pods::list(&self.client, &read.namespace, Some(text)).await?.0,
        };
        self.note_restarts(&target.service, &pods);
        let mut replicas: Vec<_> = pods.iter().filter(|p| !p.has_ended).map(|p| p.replica(target.port)).collect();
        replicas.sort_by(|a, b| a.id.cmp(&b.id));
        let version = read.scale["metadata"]["resourceVersion"].as_str().and_then(|v| v.parse().ok()).unwrap_or(0);
        Ok(ServiceState { version, wanted: read.wanted(), replicas })
    }

    /// Containers that were restarted since the last look are worth an event.
    fn note_restarts(&self, service: &str, pods: &[Pod]) {
        let now: HashMap<String, u32> = pods.iter().map(|p| (p.name.clone(), p.restarts)).collect();
        let Some(before) = self.restarts.lock().insert(service.to_owned(), now) else { return };
        let mut events = self.events.lock();
        for pod in pods {
            if before.get(&pod.name).is_none_or(|n| *n >= pod.restarts) {
                continue;
            }
            if events.len() >= EVENTS_MAX {
                events.remove(0);
            }
            let why = if pod.note.is_empty() { String::new() } else { format!(" ({})", pod.note) };
            events.push(OrchestratorEvent {
                time_ms: self.clock.now_ms(),
                service: service.to_owned(),
                replica: pod.name.clone(),
                summary: format!("a container died{why}, restarted by Kubernetes"),
            });
        }
    }

    async fn scale_once(&self, target: &Target, change: ScaleChange) -> Result<Option<Read>, CallError> {
        if let Some(lease) = &self.lease {
            lease.refuse(&target.service)?;
        }
        let mut read = self.read(target).await?;
        let found = read.wanted();
        if !change.is_due(&target.service, found)? {
            return Ok(None);
        }
        if found == 0 && !self.is_our_zero(target, &read).await? {
            return Err(CallError::never(OrchestratorError::NotScalable {
                service: target.service.clone(),
                reason: "spec.replicas was set to 0 by somebody else, which means hands off; set it to 1 or more to end that"
                    .to_owned(),
            }));
        }
        if self.check_other_scalers {
            let (client, clock) = (&self.client, self.clock.as_ref());
            self.rivals.check(client, clock, target, &read.resource, &read.namespace).await?;
        }
        if !read.scale["spec"].is_object() {
            read.scale["spec"] = json!({});
        }
        read.scale["spec"]["replicas"] = json!(change.to);
        let body = read.scale.to_string();
        let path = format!("{}?fieldManager={FIELD_MANAGER}", read.path);
        let answer = self.client.call(Method::PUT, &path, Some(Body::json(body.as_bytes()))).await?;
        match answer.status {
            200 | 201 => Ok(Some(read)),
            409 => Err(CallError::stale(refused(&answer).error)),
            404 => Err(CallError::never(unknown(&target.service))),
            _ => Err(refused(&answer)),
        }
    }

    /// Whether the zero that was found was written by us: the object's managed fields say who set its replicas last.
    async fn is_our_zero(&self, target: &Target, read: &Read) -> Result<bool, CallError> {
        let path = read.resource.path(&read.namespace, &target.name);
        let object: Value = self.client.get(&path, "an object").await?;
        let managers = object["metadata"]["managedFields"].as_array();
        Ok(managers.into_iter().flatten().any(|m| {
            m["manager"] == FIELD_MANAGER
                && m["subresource"] == "scale"
                && m["fieldsV1"].to_string().contains("f:replicas")
        }))
    }

    /// Ends one pod: its controller starts another one, wherever there is room. The uid keeps a second try from ending that
    /// one, which has the same name in a StatefulSet.
    async fn end_pod(&self, target: &Target, path: &str, uid: &str) -> Result<(), CallError> {
        if let Some(lease) = &self.lease {
            lease.refuse(&target.service)?;
        }
        let body = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": uid}}).to_string();
        let answer = self.client.call(Method::DELETE, path, Some(Body::json(body.as_bytes()))).await?;
        match answer.status {
            // Gone, or already another one of that name.
            200 | 202 | 404 | 409 => Ok(()),
            _ => Err(refused(&answer)),
        }
    }

    /// What the quotas of the target's namespace and the nodes leave; nothing where its template, or both, may not be read.
    async fn room_once(&self, target: &Target) -> Result<Option<Room>, CallError> {
        let read = self.read(target).await?;
        let object = read.resource.path(&read.namespace, &target.name);
        let quotas = format!("/api/v1/namespaces/{}/resourcequotas", segment(&read.namespace));
        let (object, quotas) = (self.readable(&object).await?, self.readable(&quotas).await?);
        let Some(object) = object else { return Ok(None) };
        let template = &object["spec"]["template"];
        let by_quota = quotas.and_then(|quotas| room::room(template, &quotas));
        let found = match &self.survey {
            Some(survey) => survey.nodes().await?,
            None => return Ok(by_quota),
        };
        self.note_blindness(found.as_ref().err());
        let selector = read.scale["status"]["selector"].as_str().and_then(Selector::parse);
        let by_nodes = found.map(|nodes| nodes.room(template, &read.namespace, selector.as_ref()));
        Ok(room::tighter(by_quota, by_nodes))
    }

    /// Says once that nobody knows what the nodes have, and why.
    fn note_blindness(&self, why: Option<&String>) {
        let now = why.cloned().unwrap_or_default();
        let mut before = self.blind.lock();
        if *before != now && !now.is_empty() {
            tracing::warn!(cluster = self.cluster, "what the nodes have free is not known: {now}");
        }
        *before = now;
    }

    /// An object; `None` when this Tidewatch has no right to it, or it is not there.
    async fn readable(&self, path: &str) -> Result<Option<Value>, CallError> {
        let answer = self.client.call(Method::GET, path, None).await?;
        match answer.status {
            200 => answer.json(KIND, "an object").map(Some),
            403 | 404 => Ok(None),
            _ => Err(refused(&answer)),
        }
    }

    /// Tells the target's readers.
    async fn tell(&self, target: &Target, read: Option<&Read>, level: &'static str, reason: &'static str, note: &str) {
        if !self.writes_events {
            return;
        }
        let read_now;
        let read = match read {
            Some(read) => read,
            None => match self.read(target).await {
                Ok(read) => {
                    read_now = read;
                    &read_now
                }
                // What cannot be read cannot be written to either; the failure itself is told by the caller.
                Err(_) => return,
            },
        };
        let happened = Happened {
            resource: &read.resource,
            kind: &target.kind,
            namespace: &read.namespace,
            name: &target.name,
            uid: read.scale["metadata"]["uid"].as_str(),
            level,
            reason,
            note,
        };
        if let Err(failed) = events::write(&self.client, self.clock.as_ref(), &happened).await {
            tracing::debug!(service = target.service, error = chain(&failed.error), "no event was written");
        }
    }
}

fn unknown(service: &str) -> OrchestratorError {
    OrchestratorError::UnknownService { orchestrator: KIND, service: service.to_owned() }
}

#[async_trait]
impl Orchestrator for KubernetesOrchestrator {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn cluster(&self) -> &str {
        &self.cluster
    }

    async fn services(&self) -> Result<Vec<String>, OrchestratorError> {
        Ok(self.known.names())
    }

    async fn state(&self, service: &str) -> Result<ServiceState, OrchestratorError> {
        let target = self.target(service).map_err(|e| e.error)?;
        let state = with_retries(self.clock.as_ref(), || self.state_once(&target)).await?;
        self.known.remember(service);
        Ok(state)
    }

    async fn scale(&self, service: &str, change: ScaleChange) -> Result<(), OrchestratorError> {
        self.scale_because(service, change, "").await
    }

    async fn scale_because(&self, service: &str, change: ScaleChange, reason: &str) -> Result<(), OrchestratorError> {
        let target = self.target(service).map_err(|e| e.error)?;
        let result = with_retries(self.clock.as_ref(), || self.scale_once(&target, change)).await;
        let ScaleChange { from, to } = change;
        let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        match result {
            Ok(None) => Ok(()),
            Ok(Some(read)) => {
                let word = if to > from { "ScaledOut" } else { "ScaledIn" };
                self.tell(&target, Some(&read), "Normal", word, &format!("scaled from {from} to {to}{why}")).await;
                Ok(())
            }
            Err(error) => {
                // An API server that does not answer would not take the event either.
                if error.kind() != vocab::ErrorKind::Unavailable && error.kind() != vocab::ErrorKind::NotFound {
                    let note = format!("not scaled from {from} to {to}: {}{why}", chain(&error));
                    self.tell(&target, None, "Warning", "ScaleFailed", &note).await;
                }
                Err(error)
            }
        }
    }

    async fn replace(&self, service: &str, replica: &str) -> Result<(), OrchestratorError> {
        let target = self.target(service).map_err(|e| e.error)?;
        let namespace = with_retries(self.clock.as_ref(), || self.read(&target)).await?.namespace;
        let uid = with_retries(self.clock.as_ref(), || pods::uid(&self.client, &namespace, replica)).await?;
        let Some(uid) = uid else { return Ok(()) };
        let path = format!("/api/v1/namespaces/{}/pods/{}", segment(&namespace), segment(replica));
        with_retries(self.clock.as_ref(), || self.end_pod(&target, &path, &uid)).await
    }

    async fn room(&self, service: &str) -> Result<Option<Room>, OrchestratorError> {
        let target = self.target(service).map_err(|e| e.error)?;
        with_retries(self.clock.as_ref(), || self.room_once(&target)).await
    }

    fn may_write(&self) -> Result<(), String> {
        self.lease.as_ref().map_or(Ok(()), |lease| lease.check())
    }

    async fn release(&self, _service: &str, _replicas: &[String]) {
        // Kubernetes chooses by itself, takes the pod out of its Services and waits for its grace period.
    }

    fn take_events(&self) -> Vec<OrchestratorEvent> {
        std::mem::take(&mut *self.events.lock())
    }
}
