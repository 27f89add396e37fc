//! Policies made of what other scalers were told: a HorizontalPodAutoscaler, a KEDA ScaledObject, marathon-lb-autoscale's
//! flags.
//!
//! What can be said in a policy is said; what cannot is a note, in the policy itself, so that nothing is lost in silence.

mod hpa;
mod keda;
mod marathon_lb;
pub(crate) mod quantity;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;

pub use self::marathon_lb::from_flags;
use crate::config::RawBehavior;

/// Largest text that is read: some thousand objects.
const TEXT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Why nothing could be imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// It is not YAML or JSON.
    #[error("not YAML or JSON: {0}")]
    Text(String),
    /// There is no object of a kind that is known.
    #[error("no HorizontalPodAutoscaler (autoscaling/v1, v2) and no ScaledObject (keda.sh/v1alpha1) in it; found {0}")]
    Nothing(String),
    /// An object lacks something.
    #[error("{object}: {reason}")]
    Object {
        /// Which.
        object: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A flag is not one of that tool, or its value is wrong.
    #[error("{0}")]
    Flag(String),
}

/// One load that a replica should carry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportedTarget {
    /// `rps`, `cpu`, `cpu_share`, `memory_share`, `level` or `promql`.
    pub kind: &'static str,
    /// Load per replica.
    pub value: f64,
    /// PromQL of the whole load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

/// At least so many replicas between two times of the calendar.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportedSchedule {
    /// Replicas.
    pub min: u32,
    /// When they are to be there.
    pub cron: String,
    /// Until when.
    pub until: String,
    /// How long before they are asked for.
    pub before: &'static str,
    /// Where the clock hangs.
    pub time_zone: String,
}

/// A policy, in the order in which people read it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImportedPolicy {
    /// The service.
    pub service: String,
    /// The policy's name: what it was made of.
    pub name: String,
    /// The orchestrator.
    pub orchestrator: String,
    /// Fewest replicas.
    pub min: u32,
    /// Most replicas.
    pub max: u32,
    /// How far it may go: `observe`, until a person has compared it with the scaler it is to take the place of.
    pub mode: &'static str,
    /// `hpa` for what the Horizontal Pod Autoscaler decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// Loads.
    pub targets: Vec<ImportedTarget>,
    /// Tolerance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// Time between rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// How long replicas are held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// The rules of a policy of kind `hpa`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behavior: Option<RawBehavior>,
    /// Least replicas by the calendar.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<ImportedSchedule>,
    /// What could not be carried over, and what to look at.
    pub notes: Vec<String>,
}

impl ImportedPolicy {
    fn new(service: &str, name: String, orchestrator: &str, (min, max): (u32, u32)) -> Self {
        Self {
            service: service.to_owned(),
            name,
            orchestrator: orchestrator.to_owned(),
            min,
            max,
            mode: "observe",
            kind: None,
            targets: Vec::new(),
            tolerance: None,
            interval: None,
            hold: None,
            behavior: None,
            schedules: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

/// What was imported: a section `autoscaling` of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Imported {
    /// The policies.
    pub autoscaling: Vec<ImportedPolicy>,
}

impl Imported {
    /// The section as YAML. Each line is `key: value` with a JSON value, which is YAML too.
    pub fn to_yaml(&self) -> String {
        let mut text = String::from("autoscaling:\n");
        for policy in &self.autoscaling {
            // A struct of plain fields always has a JSON form.
            let value = serde_json::to_value(policy).unwrap_or_default();
            let mut lead = "  - ";
            for key in FIELDS {
                let Some(value) = value.get(key) else { continue };
                match value.as_array().filter(|list| !list.is_empty()) {
                    None => push(&mut text, format_args!("{lead}{key}: {value}\n")),
                    Some(list) => {
                        push(&mut text, format_args!("{lead}{key}:\n"));
                        list.iter().for_each(|item| push(&mut text, format_args!("      - {item}\n")));
                    }
                }
                lead = "    ";
            }
        }
        text
    }
}

/// The fields of a policy in the order in which they are written.
const FIELDS: [&str; 14] = [
    "service",
    "name",
    "orchestrator",
    "min",
    "max",
    "mode",
    "kind",
    "targets",
    "tolerance",
    "interval",
    "hold",
    "behavior",
    "schedules",
    "notes",
];

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ok = text.write_fmt(line);
}

/// Imports the scalers in a text of YAML documents or JSON, a `List` of them included.
///
/// # Errors
/// [`ImportError`]: the text is none, nothing in it is known, or an object lacks what it needs.
pub fn from_text(text: &str) -> Result<Imported, ImportError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(ImportError::Text(format!("more than {TEXT_BYTES_MAX} bytes")));
    }
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|e| ImportError::Text(e.to_string()))?;
    let mut objects = Vec::new();
    for document in documents {
        match document.get("items").and_then(Value::as_array) {
            Some(items) => objects.extend(items.iter().cloned()),
            None => objects.push(document),
        }
    }
    let mut autoscaling = Vec::new();
    let mut others = Vec::new();
    for object in &objects {
        let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
        match (text("kind").as_str(), text("apiVersion").as_str()) {
            ("HorizontalPodAutoscaler", version) if version.starts_with("autoscaling/") => {
                autoscaling.push(hpa::policy(object)?);
            }
            ("ScaledObject", version) if version.starts_with("keda.sh/") => autoscaling.push(keda::policy(object)?),
            ("", "") => others.push("a document without kind".to_owned()),
            (kind, version) => others.push(format!("{kind} ({version})")),
        }
    }
    if autoscaling.is_empty() {
        let found = if others.is_empty() { "nothing".to_owned() } else { others.join(", ") };
        return Err(ImportError::Nothing(found));
    }
    Ok(Imported { autoscaling })
}

/// What both kinds of Kubernetes objects have: name, target and how the target is called as a service.
struct Subject {
    words: String,
    service: String,
    /// A note on the target when its name alone does not say it.
    target_note: Option<String>,
}

impl Subject {
    fn of(object: &Value, default_kind: &str) -> Result<Self, ImportError> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (kind, name) = (text(&object["kind"]), text(&object["metadata"]["name"]));
        let words = format!("{kind} {name}");
        let reference = &object["spec"]["scaleTargetRef"];
        let target = text(&reference["name"]);
        if target.is_empty() {
            let reason = "spec.scaleTargetRef.name is missing".to_owned();
            return Err(ImportError::Object { object: words, reason });
        }
        let target_kind = reference["kind"].as_str().unwrap_or(default_kind);
        let api_version = reference["apiVersion"].as_str().filter(|v| !v.is_empty()).unwrap_or("apps/v1");
        let namespace = object["metadata"]["namespace"].as_str().filter(|n| *n != "default" && !n.is_empty());
        let service = namespace.map_or(target.clone(), |n| format!("{n}/{target}"));
        let target_note = (target_kind != "Deployment").then(|| {
            let namespace = namespace.map(|n| format!(", namespace: {n}")).unwrap_or_default();
            format!(
                "add to the targets of section kubernetes: {{service: {service}, api_version: {api_version}, kind: {target_kind}, name: {target}{namespace}}}"
            )
        });
        Ok(Self { words, service, target_note })
    }

    /// The label that series of the service carry: its name, without the namespace.
    fn label(&self) -> &str {
        self.service.rsplit('/').next().unwrap_or(&self.service)
    }
}

/// A duration of whole seconds as the configuration writes it.
fn seconds(count: u64) -> String {
    vocab::duration::format_duration(std::time::Duration::from_secs(count))
}

/// A number of replicas.
fn replicas(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|n| u32::try_from(n).ok())
}
