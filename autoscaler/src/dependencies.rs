//! Dependencies between services: what a parent's replicas need of others, in the level form
//! `need = ceil(ratio × replicas) + elastic`, which gives the same answer however often it is asked.
//!
//! On the way out dependencies go first: a parent may want no more replicas than its dependencies can carry. On the way in
//! they go last: a dependency is held at what its parents still run.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::outside::Limit;
use crate::policy::replicas;

/// A service that another one needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dependency {
    /// The service that is needed.
    pub service: String,
    /// Its replicas per replica of the parent; positive.
    pub ratio: f64,
    /// Replicas beside those.
    pub elastic: u32,
}

impl Dependency {
    /// Replicas that a parent of `replicas` needs of it. Saturates instead of overflowing.
    pub fn need(&self, replicas: u32) -> u32 {
        // The small share forgives the last digits of a ratio such as 0.1 × 30.
        let exact = self.ratio * f64::from(replicas) * (1.0 - 1e-12);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates, as is meant")]
        let level = exact.ceil() as u32;
        level.saturating_add(self.elastic)
    }

    /// Most replicas of a parent, up to `most`, that `available` replicas of the dependency carry.
    pub fn carries(&self, available: u32, most: u32) -> u32 {
        // `need` never falls with more replicas, so the border is found by halving.
        let (mut fits, mut too_many) = (0, u64::from(most) + 1);
        while u64::from(fits) + 1 < too_many {
            let middle = u32::try_from((u64::from(fits) + too_many) / 2).unwrap_or(most);
            if self.need(middle) <= available { fits = middle } else { too_many = u64::from(middle) }
        }
        fits
    }
}

/// A parent as its dependency sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parent<'a> {
    /// Its service.
    pub service: &'a str,
    /// Replicas it runs or was told to run.
    pub current: u32,
    /// Replicas it would have, were it not for its dependencies.
    pub intent: u32,
    /// What it needs.
    pub dependency: &'a Dependency,
}

/// What the parents need of a service: the largest of their needs, now and as intended.
pub fn floor(parents: &[Parent<'_>]) -> Option<Limit> {
    let need = |p: &&Parent<'_>| p.dependency.need(p.current.max(p.intent));
    let most = parents.iter().max_by_key(need)?;
    let (need, by) = (need(&most), most.current.max(most.intent));
    let reason = format!(
        "{} of {} need {}: {} each and {} more",
        replicas(by),
        most.service,
        replicas(need),
        most.dependency.ratio,
        most.dependency.elastic
    );
    Some(Limit { guard: "dependency".into(), replicas: need, reason })
}

/// A dependency as its parent sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Needed<'a> {
    /// What is needed.
    pub dependency: &'a Dependency,
    /// Replicas it runs or was told to run; `None` while that is not known.
    pub current: Option<u32>,
    /// Most replicas it can have, and what stands against more; `None` when nothing is known to.
    pub most: Option<(u32, String)>,
    /// Whether it is still on its way: what it can have it will have, in a round or two.
    pub awaited: bool,
}

/// How many replicas a parent may have for what its dependencies can ever have: the tightest one, if any binds below `max`.
pub fn limit(max: u32, needed: &[Needed<'_>]) -> Option<Limit> {
    let limits = needed.iter().filter_map(|needed| {
        let (most, why) = needed.most.as_ref()?;
        let carried = needed.dependency.carries(*most, max);
        let name = &needed.dependency.service;
        let reason = format!("{name} can have {most} only ({why}), which carries {}", replicas(carried));
        (carried < max).then(|| Limit { guard: "dependency_limit".into(), replicas: carried, reason })
    });
    limits.min_by_key(|limit| limit.replicas)
}

/// How many replicas a parent may have for what its dependencies have now: they go first.
pub fn first(max: u32, needed: &[Needed<'_>]) -> Option<Limit> {
    let limits = needed.iter().filter(|n| n.awaited).filter_map(|needed| {
        let current = needed.current?;
        let carried = needed.dependency.carries(current, max);
        let name = &needed.dependency.service;
        let reason = format!("{name} goes first: its {} carry {}", replicas(current), replicas(carried));
        (carried < max).then(|| Limit { guard: "dependency_first".into(), replicas: carried, reason })
    });
    limits.min_by_key(|limit| limit.replicas)
}

/// The first cycle among services that need each other, as `a → b → a`; `None` when there is none.
pub fn cycle(needs: &BTreeMap<&str, Vec<&str>>) -> Option<String> {
    let mut done = BTreeSet::new();
    for start in needs.keys() {
        // Depth first without recursion: configurations may hold chains of thousands.
        let mut path: Vec<(&str, usize)> = vec![(start, 0)];
        while let Some((service, next)) = path.last().copied() {
            let child = needs.get(service).and_then(|list| list.get(next)).copied();
            let Some(child) = child else {
                done.insert(service);
                path.pop();
                continue;
            };
            if let Some(top) = path.last_mut() {
                top.1 += 1;
            }
            if let Some(at) = path.iter().position(|p| p.0 == child) {
                let mut names: Vec<&str> = path.iter().skip(at).map(|p| p.0).collect();
                names.push(child);
                return Some(names.join(" → "));
            }
            if !done.contains(child) {
                path.push((child, 0));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
