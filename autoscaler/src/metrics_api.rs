//! Kubernetes's metrics APIs, as pure requests and answers: `external.metrics.k8s.io/v1beta1` and
//! `custom.metrics.k8s.io/v1beta2`, so that an existing HorizontalPodAutoscaler can use what Tidewatch measures and forecasts.
//!
//! A metric is a rule of the configuration: a name and a PromQL template. What is unknown is an empty list, which the HPA takes
//! for "no metrics" and holds; it is never a zero. [`config`] is the section, `selector` makes matchers of label selectors,
//! `value` writes quantities, `serve` is TLS and who may ask, `manifest` what a cluster needs to ask.

pub mod config;
mod manifest;
mod selector;
mod serve;
mod subject;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use promql::{Engine, EngineOptions, ParseOptions, QueryValue, SampleValue};
use serde_json::{Value, json};
use vocab::error::chain;
use vocab::ports::Querier;
use vocab::{Clock, Ctx, Labels, MemoryPool, TenantId};

pub use self::config::{CustomRule, ExternalRule, MetricsApiConfig};
pub use self::manifest::manifest;
use self::selector::matchers;
pub(crate) use self::serve::run;
#[cfg(test)]
pub(crate) use self::serve::strict_acceptor;
pub use self::serve::{MetricsServer, Trust};

/// Group and version of external metrics.
pub const EXTERNAL: &str = "external.metrics.k8s.io/v1beta1";
/// Group and version of custom metrics.
pub const CUSTOM: &str = "custom.metrics.k8s.io/v1beta2";
/// Longest wait for one query: the API server itself gives up after some seconds more.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);
/// Most items of an answer.
const ITEMS_MAX: usize = 10_000;
/// Most object names that are written into one query.
const NAMES_MAX: usize = 5_000;

/// Finds the objects that a label selector means.
#[async_trait]
pub trait ObjectNames: Send + Sync + std::fmt::Debug {
    /// Names of the pods of a namespace that a selector selects.
    ///
    /// # Errors
    /// A sentence.
    async fn pods(&self, namespace: &str, selector: &str) -> Result<Vec<String>, String>;
}

/// An answer: status and body.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiAnswer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

/// What it needs of others.
#[derive(Debug, Clone)]
pub struct MetricsApiDeps {
    /// Reads series.
    pub querier: Arc<dyn Querier>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where queries count their memory.
    pub memory: Arc<MemoryPool>,
    /// How queries are evaluated.
    pub engine: EngineOptions,
    /// Whose series are read.
    pub tenant: TenantId,
    /// Finds pods of a selector; without it, selectors of objects are refused.
    pub names: Option<Arc<dyn ObjectNames>>,
}

/// Answers metrics requests.
#[derive(Debug)]
pub struct MetricsApi {
    deps: MetricsApiDeps,
    external: BTreeMap<String, ExternalRule>,
    custom: Vec<CustomRule>,
}

/// Which objects a request is about.
#[derive(Debug, Clone, Copy)]
struct Objects<'a> {
    namespace: Option<&'a str>,
    resource: &'a str,
    /// A name, or `*`.
    name: &'a str,
}

impl MetricsApi {
    /// The API of a configuration.
    pub fn new(config: &MetricsApiConfig, deps: MetricsApiDeps) -> Self {
        let external = config.external.iter().map(|r| (r.name.clone(), r.clone())).collect();
        Self { deps, external, custom: config.custom.clone() }
    }

    /// Answers a GET; `query` is what follows the question mark.
    pub async fn answer(&self, path: &str, query: &str) -> ApiAnswer {
        let parts: Vec<String> = path.trim_matches('/').split('/').map(decode).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let parameter = |name: &str| {
            let found = url::form_urlencoded::parse(query.as_bytes()).find(|p| p.0 == name);
            found.map(|p| p.1.into_owned()).filter(|v| !v.is_empty())
        };
        match parts.as_slice() {
            ["apis"] => ok(group_list()),
            ["apis", group] if is_group(group) => ok(group_of(group)),
            ["apis", "external.metrics.k8s.io", "v1beta1"] => ok(self.external_resources()),
            ["apis", "custom.metrics.k8s.io", "v1beta2"] => ok(self.custom_resources()),
            ["apis", "external.metrics.k8s.io", "v1beta1", "namespaces", namespace, metric] => {
                self.external(namespace, metric, parameter("labelSelector").as_deref()).await
            }
            ["apis", "custom.metrics.k8s.io", "v1beta2", rest @ ..] => {
                let (objects, metric) = match rest {
                    // Of a namespace itself: `metrics` stands where the objects of others do.
                    ["namespaces", name, "metrics", metric] => {
                        (Objects { namespace: None, resource: "namespaces", name }, metric)
                    }
                    ["namespaces", namespace, resource, name, metric] => {
                        (Objects { namespace: Some(namespace), resource, name }, metric)
                    }
                    [resource, name, metric] => (Objects { namespace: None, resource, name }, metric),
                    _ => return failure(404, "NotFound", "no such path"),
                };
                let metric_selector = parameter("metricLabelSelector");
                self.custom(objects, metric, parameter("labelSelector").as_deref(), metric_selector.as_deref()).await
            }
            _ => failure(404, "NotFound", "no such path"),
        }
    }

    fn external_resources(&self) -> Value {
        let resources = self.external.keys().map(|name| resource(name, "ExternalMetricValueList"));
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": EXTERNAL,
               "resources": resources.collect::<Vec<_>>()})
    }

    fn custom_resources(&self) -> Value {
        let resources = self.custom.iter().map(|rule| {
            let mut one = resource(&format!("{}/{}", rule.resource, rule.name), "MetricValueList");
            one["namespaced"] = json!(rule.resource != "namespaces");
            one
        });
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": CUSTOM,
               "resources": resources.collect::<Vec<_>>()})
    }

    async fn external(&self, namespace: &str, metric: &str, selector: Option<&str>) -> ApiAnswer {
        let Some(rule) = self.external.get(metric) else {
            return failure(404, "NotFound", &format!("there is no external metric {metric:?}"));
        };
        if !is_word(namespace) {
            return failure(400, "BadRequest", "the namespace is no name");
        }
        let Some(matchers) = matchers(selector.unwrap_or_default()) else {
            return failure(400, "BadRequest", "labelSelector cannot be read");
        };
        let query = rule.query.replace("$namespace", namespace).replace("$matchers", &matchers);
        let samples = match self.evaluate(&query).await {
            Ok(samples) => samples,
            Err(reason) => return failure(503, "ServiceUnavailable", &format!("{metric}: {reason}")),
        };
        let items = samples.into_iter().filter_map(|(labels, value)| {
            let labels: BTreeMap<&str, &str> = labels.iter().filter(|l| l.0 != "__name__").collect();
            Some(json!({"metricName": metric, "metricLabels": labels, "timestamp": self.time(),
                        "value": value::quantity(value)?}))
        });
        ok(json!({"kind": "ExternalMetricValueList", "apiVersion": EXTERNAL, "metadata": {},
                  "items": items.collect::<Vec<_>>()}))
    }

    async fn custom(
        &self,
        objects: Objects<'_>,
        metric: &str,
        selector: Option<&str>,
        metric_selector: Option<&str>,
    ) -> ApiAnswer {
        let is_same = |rule: &&CustomRule| rule.name == metric && rule.resource == plain(objects.resource);
        let Some(rule) = self.custom.iter().find(is_same) else {
            let words = format!("there is no custom metric {metric:?} of {}", objects.resource);
            return failure(404, "NotFound", &words);
        };
        if !objects.namespace.is_none_or(is_word) || !(objects.name == "*" || is_word(objects.name)) {
            return failure(400, "BadRequest", "namespace and name must be names of objects");
        }
        let Some(matchers) = matchers(metric_selector.unwrap_or_default()) else {
            return failure(400, "BadRequest", "metricLabelSelector cannot be read");
        };
        let names = match self.names(objects, selector).await {
            Ok(names) => names,
            Err(answer) => return answer,
        };
        if names.as_ref().is_some_and(Vec::is_empty) {
            return ok(metric_list(Vec::new()));
        }
        // Names of objects have one character that means something else in a regular expression.
        let pattern = names.as_ref().map_or(".+".to_owned(), |n| n.join("|").replace('.', "\\\\."));
        let query = rule
            .query
            .replace("$namespace", objects.namespace.unwrap_or_default())
            .replace("$matchers", &matchers)
            .replace("$names", &pattern);
        let samples = match self.evaluate(&query).await {
            Ok(samples) => samples,
            Err(reason) => return failure(503, "ServiceUnavailable", &format!("{metric}: {reason}")),
        };
        let single = names.as_ref().filter(|n| n.len() == 1).map(|n| n[0].clone());
        let mut items = Vec::new();
        for (labels, number) in &samples {
            let of_label = labels.get(&rule.label).filter(|n| !n.is_empty()).map(str::to_owned);
            let name = of_label.or_else(|| single.clone().filter(|_| samples.len() == 1));
            let Some(name) = name.filter(|n| names.as_ref().is_none_or(|all| all.contains(n))) else { continue };
            let Some(quantity) = value::quantity(*number) else { continue };
            let mut object = json!({"kind": rule.kind, "name": name, "apiVersion": rule.api_version});
            if let Some(namespace) = objects.namespace {
                object["namespace"] = json!(namespace);
            }
            items.push(json!({"describedObject": object, "metric": {"name": metric, "selector": null},
                              "timestamp": self.time(), "value": quantity}));
        }
        ok(metric_list(items))
    }

    /// The names that are asked about; `None` for all there are.
    async fn names(&self, objects: Objects<'_>, selector: Option<&str>) -> Result<Option<Vec<String>>, ApiAnswer> {
        if objects.name != "*" {
            return Ok(Some(vec![objects.name.to_owned()]));
        }
        let Some(selector) = selector else { return Ok(None) };
        let (Some(finder), "pods", Some(namespace)) = (&self.deps.names, objects.resource, objects.namespace) else {
            let words = "a label selector is understood for pods only, with a cluster in section kubernetes";
            return Err(failure(400, "BadRequest", words));
        };
        let mut names = finder.pods(namespace, selector).await.map_err(|e| failure(503, "ServiceUnavailable", &e))?;
        names.retain(|n| is_word(n));
        if names.len() > NAMES_MAX {
            return Err(failure(400, "BadRequest", &format!("the selector selects more than {NAMES_MAX} pods")));
        }
        Ok(Some(names))
    }

    async fn evaluate(&self, query: &str) -> Result<Vec<(Labels, f64)>, String> {
        let expr = promql::parse(query, &ParseOptions::default()).map_err(|e| e.to_string())?;
        let ctx = Ctx::new(self.deps.tenant.clone(), self.deps.memory.reservation("kubernetes metrics query"));
        let engine = Engine::new(self.deps.engine.clone());
        let answer = engine.instant(self.deps.querier.as_ref(), &ctx, &expr, self.deps.clock.now_ms());
        let answer = tokio::select! {
            answer = answer => answer.map_err(|e| chain(&e))?,
            () = self.deps.clock.sleep(QUERY_TIMEOUT) => {
                ctx.cancel.time_out();
                return Err(format!("the query took longer than {} s", QUERY_TIMEOUT.as_secs()));
            }
        };
        match answer.value {
            QueryValue::Scalar(_, value) => Ok(vec![(Labels::empty(), value)]),
            QueryValue::Vector(samples) if samples.len() > ITEMS_MAX => {
                Err(format!("the query gives more than {ITEMS_MAX} series"))
            }
            QueryValue::Vector(samples) => {
                let number = |value: &SampleValue| match value {
                    SampleValue::Float(value) => Some(*value),
                    SampleValue::Histogram(_) => None,
                };
                Ok(samples.into_iter().filter_map(|s| Some((s.labels.clone(), number(&s.value)?))).collect())
            }
            QueryValue::Matrix(_) | QueryValue::String(..) => Err("the query gives no number".into()),
        }
    }

    fn time(&self) -> String {
        let time = jiff::Timestamp::from_millisecond(self.deps.clock.now_ms()).unwrap_or_default();
        format!("{time:.0}")
    }
}

fn ok(body: Value) -> ApiAnswer {
    ApiAnswer { status: 200, body }
}

/// A failure as Kubernetes's clients read it.
pub fn failure(status: u16, reason: &str, message: &str) -> ApiAnswer {
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                      "reason": reason, "message": message, "code": status});
    ApiAnswer { status, body }
}

fn metric_list(items: Vec<Value>) -> Value {
    json!({"kind": "MetricValueList", "apiVersion": CUSTOM, "metadata": {}, "items": items})
}

fn resource(name: &str, kind: &str) -> Value {
    json!({"name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["get"]})
}

fn is_group(group: &str) -> bool {
    [EXTERNAL, CUSTOM].iter().any(|g| g.split_once('/').is_some_and(|g| g.0 == group))
}

fn group_of(group: &str) -> Value {
    let full = if EXTERNAL.starts_with(group) { EXTERNAL } else { CUSTOM };
    let version = json!({"groupVersion": full, "version": full.rsplit('/').next()});
    json!({"kind": "APIGroup", "apiVersion": "v1", "name": group, "versions": [version], "preferredVersion": version})
}

fn group_list() -> Value {
    let group = |full: &str| {
        let mut group = group_of(full.split('/').next().unwrap_or_default());
        if let Some(fields) = group.as_object_mut() {
            fields.remove("kind");
            fields.remove("apiVersion");
        }
        group
    };
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group(EXTERNAL), group(CUSTOM)]})
}

/// `deployments.apps` is a resource with its group.
fn plain(resource: &str) -> &str {
    resource.split('.').next().unwrap_or(resource)
}

/// Whether a text is the name of an object; it is then also safe in a query.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
}

/// A path segment without its escapes.
fn decode(segment: &str) -> String {
    // A plus is a plus in a path.
    let escaped = format!("x={}", segment.replace('+', "%2B").replace('&', "%26"));
    let decoded = url::form_urlencoded::parse(escaped.as_bytes()).next();
    decoded.map(|p| p.1.into_owned()).unwrap_or_default()
}
