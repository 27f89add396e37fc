//! The sections of orchestrators behind HTTP: lists, since there may be many clusters of a kind.

use std::collections::BTreeSet;
use std::sync::Arc;

use vocab::{Clock, Problems};

use super::kubernetes::config::RawKubernetes;
use super::kubernetes::{self, KubernetesConfig, KubernetesOrchestrator};
use super::marathon::config::RawMarathon;
use super::marathon::{self, MarathonConfig, MarathonOrchestrator};
use super::nomad::config::RawNomad;
use super::nomad::{self, NomadConfig, NomadOrchestrator};
use super::webhook::config::RawWebhook;
use super::webhook::{self, WebhookConfig, WebhookOrchestrator};
use crate::orchestrator::Orchestrator;

/// Names that other sections have.
const TAKEN: [&str; 2] = ["process", "swarm"];

/// The sections as they stand in the file.
#[derive(Debug, Clone, Copy)]
pub struct RawSections<'a> {
    /// Section `kubernetes`.
    pub kubernetes: &'a [RawKubernetes],
    /// Section `marathon`.
    pub marathon: &'a [RawMarathon],
    /// Section `nomad`.
    pub nomad: &'a [RawNomad],
    /// Section `webhook`.
    pub webhook: &'a [RawWebhook],
}

impl RawSections<'_> {
    /// How policies name them, in the order of the sections.
    pub fn names(&self) -> Vec<String> {
        let name = |given: &Option<String>, kind: &str| given.clone().unwrap_or_else(|| kind.to_owned());
        let mut names: Vec<String> = self.kubernetes.iter().map(|k| name(&k.name, "kubernetes")).collect();
        names.extend(self.marathon.iter().map(|m| name(&m.name, "marathon")));
        names.extend(self.nomad.iter().map(|n| name(&n.name, "nomad")));
        names.extend(self.webhook.iter().map(|w| name(&w.name, "webhook")));
        names
    }
}

/// The checked sections.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Clusters {
    /// Kubernetes clusters.
    pub kubernetes: Vec<KubernetesConfig>,
    /// Marathons.
    pub marathon: Vec<MarathonConfig>,
    /// Nomads.
    pub nomad: Vec<NomadConfig>,
    /// Webhooks.
    pub webhook: Vec<WebhookConfig>,
}

impl Clusters {
    /// Checks the sections; mistakes are added to `problems`.
    pub fn check(raw: RawSections<'_>, cluster: &str, problems: &mut Problems) -> Self {
        let mut seen = BTreeSet::new();
        for name in raw.names() {
            if TAKEN.contains(&name.as_str()) || name.is_empty() || !seen.insert(name.clone()) {
                let message = format!("orchestrators need names of their own, and {name:?} is taken; set `name`");
                problems.add("kubernetes, marathon, nomad, webhook", message);
            }
        }
        let at = |section: &str, index: usize| format!("{section}[{index}]");
        let mut clusters = Self::default();
        for (index, one) in raw.kubernetes.iter().enumerate() {
            clusters.kubernetes.push(kubernetes::config::check(one, cluster, &at("kubernetes", index), problems));
        }
        for (index, one) in raw.marathon.iter().enumerate() {
            clusters.marathon.push(marathon::config::check(one, cluster, &at("marathon", index), problems));
        }
        for (index, one) in raw.nomad.iter().enumerate() {
            clusters.nomad.push(nomad::config::check(one, cluster, &at("nomad", index), problems));
        }
        for (index, one) in raw.webhook.iter().enumerate() {
            clusters.webhook.push(webhook::config::check(one, cluster, &at("webhook", index), problems));
        }
        clusters
    }

    /// Makes the orchestrators, with the names that policies use. Needs a Tokio runtime.
    pub fn start(&self, clock: &Arc<dyn Clock>) -> Vec<(String, Arc<dyn Orchestrator>)> {
        let mut all: Vec<(String, Arc<dyn Orchestrator>)> = Vec::new();
        for one in &self.kubernetes {
            all.push((one.name.clone(), Arc::new(KubernetesOrchestrator::new(one.clone(), Arc::clone(clock)))));
        }
        for one in &self.marathon {
            all.push((one.name.clone(), Arc::new(MarathonOrchestrator::new(one.clone(), Arc::clone(clock)))));
        }
        for one in &self.nomad {
            all.push((one.name.clone(), Arc::new(NomadOrchestrator::new(one.clone(), Arc::clone(clock)))));
        }
        for one in &self.webhook {
            all.push((one.name.clone(), Arc::new(WebhookOrchestrator::new(one.clone(), Arc::clone(clock)))));
        }
        all
    }
}
