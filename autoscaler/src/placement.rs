//! Placement of a service over clusters: shares, spill, fail-over, return. Pure; [`crate::placed`] carries it out.
//!
//! A total is split by weight with the largest remainders, exactly, each cluster between its minimum and what it can hold.
//! What a full cluster cannot hold goes to the others. A cluster that fails its probes for a while is lost: the others take
//! its share at once. It comes back after it was well for a while, one cluster at a time in the order of the list, in steps.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use vocab::TimestampMs;

use crate::policy::ms;

/// Replicas that a cluster did not get ready for this long do not fit there.
const STUCK_MS: i64 = 180_000;

/// A cluster's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The orchestrator, by its name.
    pub orchestrator: String,
    /// Its weight among the shares: 6 and 4 are 6:4.
    pub weight: u32,
    /// Fewest replicas there, while it is not lost.
    pub min: u32,
    /// Most replicas there.
    pub max: u32,
    /// Addresses that answer while the cluster is well, besides the orchestrator itself.
    pub probes: Vec<String>,
}

/// Where a service's replicas go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The clusters; the first comes back first.
    pub shares: Vec<Share>,
    /// A cluster that fails its probes for this long is lost.
    pub lost_after: Duration,
    /// A lost cluster takes replicas again after it was well for this long.
    pub return_after: Duration,
    /// Time between the steps of a return; each gives it a tenth of its share, at least one replica.
    pub return_step: Duration,
}

/// A cluster as it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Whether it is well: the orchestrator answers and, where there are probes, most of all signs are good.
    pub well: bool,
    /// Replicas it was told to run; `None` while the orchestrator is silent.
    pub wanted: Option<u32>,
    /// Replicas that are ready.
    pub ready: u32,
    /// How many more it has room for, where it can say.
    pub room: Option<u32>,
}

/// Whether a cluster is well: more than one sign must be bad before it is not, where there is more than one.
pub fn is_well(answers: bool, probes: &[bool]) -> bool {
    let bad = probes.iter().filter(|p| !**p).count() + usize::from(!answers);
    let signs = probes.len() + 1;
    if signs == 1 { answers } else { bad < 2 || bad * 2 < signs }
}

/// What is remembered of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    /// Replicas it should run.
    pub target: u32,
    /// Since when it is not well.
    pub ill_since_ms: Option<TimestampMs>,
    /// Since when it is well again, while lost.
    pub well_since_ms: Option<TimestampMs>,
    /// Whether its share is with the others.
    pub lost: bool,
    /// While it comes back: most replicas it may have, and since when.
    pub admitted: Option<(u32, TimestampMs)>,
    /// Since when it has fewer ready than it should.
    pub short_since_ms: Option<TimestampMs>,
    /// What it can hold, and until when that is believed.
    pub full: Option<(u32, TimestampMs)>,
}

/// What is remembered of a placement.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Places {
    /// Replicas over all clusters.
    pub total: u32,
    /// The clusters, parallel to the shares.
    pub places: Vec<Place>,
}

impl Places {
    /// Replicas that have a place; fewer than the total when all clusters are full or lost.
    pub fn placed(&self) -> u32 {
        self.places.iter().filter(|p| !p.lost).map(|p| p.target).sum()
    }
}

/// Takes one step: what each cluster should run now, and what happened, in words.
pub fn step(placement: &Placement, places: &Places, seen: &[Seen], now: TimestampMs) -> (Places, Vec<String>) {
    let mut next = places.clone();
    next.places.resize(placement.shares.len(), Place::default());
    let mut events = Vec::new();
    for ((share, place), seen) in placement.shares.iter().zip(&mut next.places).zip(seen) {
        watch(placement, share, place, *seen, now, &mut events);
    }
    admit(placement, &mut next, now, &mut events);
    place(placement, &mut next);
    // What one has no room for goes to others, which may have too little as well.
    while fill(placement, &mut next, seen, now, &mut events) {
        place(placement, &mut next);
    }
    (next, events)
}

/// Gives each cluster its part of the total.
fn place(placement: &Placement, next: &mut Places) {
    let caps: Vec<u32> = placement.shares.iter().zip(&next.places).map(|(share, place)| cap(share, place)).collect();
    let mins = placement.shares.iter().zip(&caps).map(|(share, cap)| share.min.min(*cap)).collect::<Vec<_>>();
    let weights: Vec<u32> = placement.shares.iter().map(|s| s.weight).collect();
    let targets = split(next.total, &weights, &mins, &caps);
    for (place, target) in next.places.iter_mut().zip(targets) {
        place.target = target;
    }
}

/// Takes note of clusters that have no room for what they would get; whether there was one.
fn fill(placement: &Placement, next: &mut Places, seen: &[Seen], now: TimestampMs, events: &mut Vec<String>) -> bool {
    let mut is_news = false;
    for ((share, place), seen) in placement.shares.iter().zip(&mut next.places).zip(seen) {
        let Some(most) = seen.wanted.zip(seen.room).map(|(wanted, room)| wanted.saturating_add(room)) else { continue };
        if place.lost || place.target <= most || place.full.is_some_and(|(full, _)| full <= most) {
            continue;
        }
        place.full = Some((most, now.saturating_add(ms(placement.return_after))));
        events.push(format!(
            "{} has room for {most} of {} only: the rest goes elsewhere",
            share.orchestrator, place.target
        ));
        is_news = true;
    }
    is_news
}

/// Notes how a cluster is.
fn watch(
    placement: &Placement,
    share: &Share,
    place: &mut Place,
    seen: Seen,
    now: TimestampMs,
    events: &mut Vec<String>,
) {
    let name = &share.orchestrator;
    if seen.well {
        place.ill_since_ms = None;
        if place.lost {
            place.well_since_ms.get_or_insert(now);
        }
    } else {
        place.well_since_ms = None;
        let since = *place.ill_since_ms.get_or_insert(now);
        if !place.lost && now.saturating_sub(since) >= ms(placement.lost_after) {
            place.lost = true;
            place.admitted = None;
            events.push(format!("{name} fails its probes: the others take its {}", place.target));
        }
    }
    if place.full.is_some_and(|(_, until)| now >= until) {
        place.full = None;
    }
    let wanted = seen.wanted.unwrap_or(place.target);
    if place.lost || seen.ready >= place.target || wanted < place.target {
        place.short_since_ms = None;
    } else if now.saturating_sub(*place.short_since_ms.get_or_insert(now)) >= STUCK_MS {
        place.short_since_ms = None;
        place.full = Some((seen.ready, now.saturating_add(ms(placement.return_after))));
        events.push(format!("{name} is full at {} of {}: the rest goes elsewhere", seen.ready, place.target));
    }
}

/// Lets lost clusters come back: one at a time, by their order, in steps.
fn admit(placement: &Placement, next: &mut Places, now: TimestampMs, events: &mut Vec<String>) {
    let weights: u64 = placement.shares.iter().map(|s| u64::from(s.weight)).sum();
    let total = next.total;
    let mut busy = false;
    for (share, place) in placement.shares.iter().zip(&mut next.places) {
        let of_share = u64::from(total) * u64::from(share.weight) / weights.max(1);
        let step = u32::try_from(of_share.div_ceil(10)).unwrap_or(u32::MAX).max(1);
        if let Some((most, since)) = place.admitted {
            if u64::from(most) >= of_share.saturating_add(1) {
                place.admitted = None;
                events.push(format!("{} has its share again", share.orchestrator));
            } else {
                busy = true;
                if now.saturating_sub(since) >= ms(placement.return_step) {
                    place.admitted = Some((most.saturating_add(step), now));
                }
            }
            continue;
        }
        let is_stable = place.well_since_ms.is_some_and(|s| now.saturating_sub(s) >= ms(placement.return_after));
        if place.lost && is_stable && !busy {
            busy = true;
            place.lost = false;
            place.well_since_ms = None;
            place.admitted = Some((step, now));
            events.push(format!("{} is well again and comes back in steps", share.orchestrator));
        }
    }
}

/// Most replicas that a cluster may have now.
fn cap(share: &Share, place: &Place) -> u32 {
    if place.lost {
        return 0;
    }
    let admitted = place.admitted.map_or(u32::MAX, |(most, _)| most);
    let full = place.full.map_or(u32::MAX, |(most, _)| most);
    share.max.min(admitted).min(full)
}

/// Splits a total by weight with the largest remainders. The sum is the total, or all that the caps allow; each part is at
/// least its minimum unless the total is less than all minimums.
pub fn split(total: u32, weights: &[u32], mins: &[u32], caps: &[u32]) -> Vec<u32> {
    let sum = |list: &[u32]| list.iter().map(|n| u64::from(*n)).sum::<u64>();
    let total = u64::from(total).min(sum(caps));
    let no_mins = vec![0; mins.len()];
    let mins = if sum(mins) > total { no_mins.as_slice() } else { mins };
    let mut fixed: Vec<Option<u32>> = vec![None; weights.len()];
    loop {
        let taken: u64 = fixed.iter().flatten().map(|n| u64::from(*n)).sum();
        let open: Vec<usize> = (0..weights.len()).filter(|i| fixed[*i].is_none()).collect();
        let parts = largest_remainders(total.saturating_sub(taken), &open, weights);
        let over: u64 = open.iter().zip(&parts).map(|(i, part)| part.saturating_sub(u64::from(caps[*i]))).sum();
        let under: u64 = open.iter().zip(&parts).map(|(i, part)| u64::from(mins[*i]).saturating_sub(*part)).sum();
        for (i, part) in open.iter().zip(&parts) {
            // Too much in all is cut off before too little is filled up, so that each round fixes what stays fixed.
            let value = match (over, under) {
                (0, 0) => u32::try_from(*part).ok(),
                (over, under) if over >= under => (*part > u64::from(caps[*i])).then_some(caps[*i]),
                _ => (*part < u64::from(mins[*i])).then_some(mins[*i]),
            };
            fixed[*i] = value;
        }
        if (over, under) == (0, 0) {
            return fixed.into_iter().map(|n| n.unwrap_or(0)).collect();
        }
    }
}

/// Parts of a number by weight: rounded down, and the rest to the largest remainders, the earlier first.
fn largest_remainders(number: u64, open: &[usize], weights: &[u32]) -> Vec<u64> {
    let all: u64 = open.iter().map(|i| u64::from(weights[*i])).sum();
    // Without any weight all are alike.
    let weight = |i: usize| if all == 0 { 1 } else { u64::from(weights[i]) };
    let all = if all == 0 { open.len().max(1) as u64 } else { all };
    let mut parts: Vec<u64> = open.iter().map(|i| number * weight(*i) / all).collect();
    let rest = number.saturating_sub(parts.iter().sum());
    let mut order: Vec<usize> = (0..open.len()).collect();
    order.sort_by_key(|at| (std::cmp::Reverse(number * weight(open[*at]) % all), *at));
    for at in order.into_iter().cycle().take(usize::try_from(rest).unwrap_or(0)) {
        parts[at] += 1;
    }
    parts
}

#[cfg(test)]
mod tests;
