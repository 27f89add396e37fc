//! How many replicas the observed load needs: pure arithmetic, no history.

use models::load::Costs;
use vocab::scaling::Candidate;

use crate::hpa;
use crate::observation::{Observation, ReplicaCounts, sane};
use crate::policy::{Policy, Target, TargetKind, replicas, short};
use crate::predict::{FLOOR_SHARE, Predictor, floor};

/// How far above the measured load a forecast is believed, as a factor.
const FORECAST_FACTOR_MAX: f64 = 4.0;
/// From this share of saturation on a saturating load counts as a lower bound only.
const SATURATED_SHARE: f64 = 0.9;

/// What the targets, the planner and the forecast ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Recommendation {
    /// One entry per target, one more for the forecast.
    pub candidates: Vec<Candidate>,
    /// The largest known need; `None` when every target is unknown.
    pub wanted: Option<u32>,
    /// What the measured loads need, whatever is planned: this is what is held for a while before it is given back.
    pub measured: Option<u32>,
    /// Names of the targets whose load is unknown, each with the reason.
    pub unknown: Vec<String>,
    /// The reason of the largest need.
    pub reason: String,
}

/// What is asked for besides the arithmetic on loads: it depends on what was tried before, and on the calendar.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Wishes {
    /// Of targets that are levels, parallel to the policy's targets.
    pub levels: Vec<Option<Candidate>>,
    /// Of steps and schedules.
    pub others: Vec<Candidate>,
    /// Steps whose metric is unknown, each with the reason.
    pub unknown: Vec<String>,
}

/// Recommends a number of replicas. `wanted` may lie outside the policy's bounds; guards see to that.
pub fn recommend(
    policy: &Policy,
    observation: &Observation,
    counts: ReplicaCounts,
    predictor: Option<&Predictor>,
    wishes: Wishes,
) -> Recommendation {
    let planned = predictor.zip(policy.costs());
    let mut candidates = Vec::with_capacity(policy.targets.len() + 1);
    let mut unknown = wishes.unknown;
    let is_idle = no_requests(policy, observation);
    let mut levels = wishes.levels;
    for (index, target) in policy.targets.iter().enumerate() {
        let load = observation.load(index);
        // Without requests there is no latency: that is no missing measurement.
        if load.is_none() && !(is_idle && target.kind.is_level()) {
            let note = observation.loads.get(index).map_or("", |m| m.note.as_str());
            let note = if note.is_empty() { "no usable value" } else { note };
            unknown.push(format!("{} ({note})", target.kind.as_str()));
        }
        candidates.push(match (&planned, load) {
            (Some((_, costs)), Some(load)) if index == 0 => floor_candidate(target, load, costs, policy.max),
            _ => match (&policy.behavior, levels.get_mut(index).and_then(Option::take)) {
                (Some(behavior), _) => hpa::candidate(behavior, target, observation, index, counts),
                (None, Some(level)) => level,
                (None, None) => candidate(policy, target, load, observation, index, counts),
            },
        });
    }
    candidates.extend(wishes.others);
    if policy.targets.is_empty() {
        let reason = format!("nothing else asks for more than the minimum of {}", policy.min);
        candidates.push(Candidate { name: "min".into(), replicas: Some(policy.min), reason });
    }
    let listed = largest_of(&candidates);
    let mut measured = candidates.iter().filter_map(|c| c.replicas).max();
    if let (Some((predictor, _)), Some(load)) = (planned, observation.load(0)) {
        let kept = policy.targets.first().map(|t| need(load / (1.0 + policy.tolerance), t.value));
        measured = measured.max(kept);
        candidates.extend(plan_candidate(predictor, counts));
    }
    if let Some(forecast) = &observation.forecast
        && let Some(target) = policy.targets.first()
    {
        candidates.push(forecast_candidate(policy, target, sane(forecast), observation.load(0), counts));
    }
    // The forecast only adds: alone, without any measured load, it does not speak for the service.
    let measured_known = measured.is_some();
    let best = candidates.iter().filter(|_| measured_known).max_by_key(|c| c.replicas);
    Recommendation {
        wanted: best.and_then(|c| c.replicas),
        measured,
        reason: best.map(|c| format!("{}{listed}", c.reason)).unwrap_or_default(),
        unknown,
        candidates,
    }
}

/// Whether a load says that nobody asks anything of the service.
fn no_requests(policy: &Policy, observation: &Observation) -> bool {
    let demands = policy.targets.iter().enumerate().filter(|(_, target)| target.kind.is_demand());
    demands.map(|(index, _)| observation.load(index)).any(|load| load == Some(0.0))
}

/// Of several wishes the largest counts: which there were, in words; nothing for one alone.
fn largest_of(candidates: &[Candidate]) -> String {
    let known = candidates.iter().filter_map(|c| Some(format!("{} {}", c.name, c.replicas?)));
    let known: Vec<String> = known.collect();
    if known.len() < 2 { String::new() } else { format!("; the largest of {} counts", known.join(", ")) }
}

/// What one target asks for.
fn candidate(
    policy: &Policy,
    target: &Target,
    load: Option<f64>,
    observation: &Observation,
    index: usize,
    counts: ReplicaCounts,
) -> Candidate {
    let name = target.kind.as_str().to_owned();
    let Some(load) = load else {
        return Candidate { name, replicas: None, reason: format!("{} unknown", target.kind.unit()) };
    };
    let unit = target.kind.unit();
    // Requests that wait are demand of their own: they are not in the rate of those that were served.
    let waiting = match (target.kind, &observation.queue) {
        (TargetKind::Rps, Some(queue)) => sane(queue).unwrap_or(0.0),
        _ => 0.0,
    };
    let demand = load + waiting;
    let waiting_words = if waiting > 0.0 { format!(" and {} waiting", short(waiting)) } else { String::new() };
    if let Some(saturation) = target.saturation
        && counts.ready > 0
        && counts.ready >= counts.wanted
        && load / f64::from(counts.ready) >= SATURATED_SHARE * saturation
    {
        let need = counts.ready.saturating_mul(2).max(need(demand, target.value));
        return Candidate {
            name,
            replicas: Some(need),
            reason: format!(
                "{} {unit} keep all {} busy, so the true need is not visible: doubled to {need}",
                short(load),
                replicas(counts.ready)
            ),
        };
    }
    // Replicas without a sample count as loaded to their target on the way down, and as idle on the way up.
    let missing = observation.counted.get(index).copied().flatten().map_or(0, |n| counts.ready.saturating_sub(n));
    let assumed = demand + f64::from(missing) * target.value;
    let (demand, missing_words) = if missing > 0 && need(demand, target.value) < counts.wanted {
        let kept = assumed.min(target.value * f64::from(counts.wanted)).max(demand);
        (kept, format!(", {} without a sample taken as fully loaded", replicas(missing)))
    } else {
        (demand, String::new())
    };
    let ratio = demand / (target.value * f64::from(counts.wanted.max(1)));
    if counts.wanted > 0 && (ratio - 1.0).abs() <= policy.tolerance {
        return Candidate {
            name,
            replicas: Some(counts.wanted),
            reason: format!(
                "{} {unit}{waiting_words} is {} per replica, within {} % of {}{missing_words}",
                short(demand),
                short(demand / f64::from(counts.wanted)),
                short(policy.tolerance * 100.0),
                short(target.value)
            ),
        };
    }
    let need = need(demand, target.value);
    Candidate {
        name,
        replicas: Some(need),
        reason: format!(
            "{} {unit}{waiting_words} / {} per replica = {}, rounded up to {need}{missing_words}",
            short(load),
            short(target.value),
            short(demand / target.value)
        ),
    }
}

/// What the measured load asks for when a planner is there to ask for more: no replica near its saturation.
fn floor_candidate(target: &Target, load: f64, costs: &Costs, most: u32) -> Candidate {
    let unit = target.kind.unit();
    let floor = floor(load, costs, most);
    Candidate {
        name: target.kind.as_str().to_owned(),
        replicas: Some(floor),
        reason: format!(
            "{} {unit} / {} per replica at most = {floor}",
            short(load),
            short(f64::from(costs.capacity * FLOOR_SHARE))
        ),
    }
}

/// What the planner asks for.
fn plan_candidate(predictor: &Predictor, counts: ReplicaCounts) -> Option<Candidate> {
    let wish = predictor.wish()?;
    let to = if wish.up > counts.wanted { wish.up } else { wish.keep.min(counts.wanted) };
    let fell_back = if predictor.fell_back() { "; forecasts were worse than that lately" } else { "" };
    Some(Candidate {
        name: "plan".to_owned(),
        replicas: Some(to),
        reason: format!(
            "{} expected when replicas asked for now are ready, {to} planned ({}{fell_back})",
            short(f64::from(wish.soon)),
            predictor.words()
        ),
    })
}

/// What the forecast asks for: it is believed up to a factor above the measured load, and never lowers a need.
fn forecast_candidate(
    policy: &Policy,
    target: &Target,
    forecast: Option<f64>,
    load: Option<f64>,
    counts: ReplicaCounts,
) -> Candidate {
    let name = "forecast".to_owned();
    let (Some(forecast), Some(load)) = (forecast, load) else {
        return Candidate { name, replicas: None, reason: "no forecast to add".into() };
    };
    let unit = target.kind.unit();
    let believed = forecast.min(load * FORECAST_FACTOR_MAX);
    let ratio = believed / (target.value * f64::from(counts.wanted.max(1)));
    let need = if counts.wanted > 0 && (ratio - 1.0).abs() <= policy.tolerance {
        counts.wanted
    } else {
        need(believed, target.value)
    };
    let clipped = if believed < forecast { format!(" (clipped from {})", short(forecast)) } else { String::new() };
    Candidate {
        name,
        replicas: Some(need),
        reason: format!(
            "{} {unit} expected{clipped} / {} per replica need {}",
            short(believed),
            short(target.value),
            replicas(need)
        ),
    }
}

/// Replicas that carry a load. Saturates instead of overflowing; a load of 0 needs none.
pub(crate) fn need(load: f64, per_replica: f64) -> u32 {
    // The small share forgives the last digits of a rate that should be a whole multiple.
    let exact = load / per_replica * (1.0 - 1e-9);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, which is what is meant; loads are not negative"
    )]
    let need = exact.ceil() as u32;
    need
}
