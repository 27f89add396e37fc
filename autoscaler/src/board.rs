//! Where the loops of services that concern each other leave their numbers, and wake each other when they change.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::Notify;

use crate::dependencies::{Dependency, Needed, Parent, floor};
use crate::outside::Limit;
use crate::policy::Policy;

/// What a service's last round left.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Posted {
    /// Replicas it runs or was told to run; `None` while the orchestrator is silent.
    pub(crate) current: Option<u32>,
    /// Replicas it would have, were it not for its dependencies and batches.
    pub(crate) intent: u32,
    /// Most replicas it can have, and what stands against more.
    pub(crate) most: Option<(u32, String)>,
    /// Whether its decisions are acted on.
    pub(crate) acts: bool,
}

#[derive(Debug, Default)]
struct Links {
    /// By dependency: the parents and what they need of it.
    parents: HashMap<String, Vec<(String, Dependency)>>,
    wakes: HashMap<String, Arc<Notify>>,
}

/// The board.
#[derive(Debug, Default)]
pub(crate) struct Board {
    links: RwLock<Links>,
    posted: RwLock<HashMap<String, Posted>>,
}

impl Board {
    /// Takes the policies in force; numbers of services that are gone are forgotten.
    pub(crate) fn set_policies(&self, policies: &[Policy]) {
        let mut links = Links::default();
        for policy in policies {
            links.wakes.insert(policy.service.clone(), Arc::default());
            for dependency in &policy.operations.dependencies {
                let parents = links.parents.entry(dependency.service.clone()).or_default();
                parents.push((policy.service.clone(), dependency.clone()));
            }
        }
        self.posted.write().retain(|service, _| links.wakes.contains_key(service));
        *self.links.write() = links;
    }

    /// What wakes a service before its next round is due.
    pub(crate) fn wake(&self, service: &str) -> Arc<Notify> {
        self.links.read().wakes.get(service).cloned().unwrap_or_default()
    }

    /// Leaves a service's numbers. Its dependencies are woken when it intends more, its parents when it has more.
    pub(crate) fn post(&self, policy: &Policy, posted: Posted) {
        let before = self.posted.write().insert(policy.service.clone(), posted.clone()).unwrap_or_default();
        let links = self.links.read();
        let wake = |service: &str| {
            if let Some(notify) = links.wakes.get(service) {
                notify.notify_one();
            }
        };
        if posted.intent > before.intent {
            policy.operations.dependencies.iter().for_each(|d| wake(&d.service));
        }
        if posted.current > before.current {
            links.parents.get(&policy.service).into_iter().flatten().for_each(|(parent, _)| wake(parent));
        }
    }

    /// What its parents need of a service.
    pub(crate) fn floor(&self, service: &str) -> Option<Limit> {
        let links = self.links.read();
        let posted = self.posted.read();
        let parents: Vec<Parent<'_>> = links
            .parents
            .get(service)?
            .iter()
            .filter_map(|(parent, dependency)| {
                let numbers = posted.get(parent)?;
                // A parent whose orchestrator is silent still runs what it last ran: its intent holds that number.
                let current = numbers.current.unwrap_or(numbers.intent);
                let intent = if numbers.acts { numbers.intent } else { current };
                Some(Parent { service: parent, current, intent, dependency })
            })
            .collect();
        floor(&parents)
    }

    /// A policy's dependencies as they stand; `patient` while it is willing to wait for them.
    pub(crate) fn needed<'a>(&self, policy: &'a Policy, patient: bool) -> Vec<Needed<'a>> {
        let posted = self.posted.read();
        let needed = |dependency: &'a Dependency| match posted.get(&dependency.service) {
            Some(numbers) => Needed {
                dependency,
                current: numbers.current,
                most: numbers.most.clone().filter(|_| numbers.acts),
                awaited: patient && numbers.acts,
            },
            None => Needed { dependency, current: None, most: None, awaited: false },
        };
        policy.operations.dependencies.iter().map(needed).collect()
    }
}
