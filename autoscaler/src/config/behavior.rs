//! The `behavior` block of a policy of `kind: hpa`, in the words of Kubernetes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use vocab::Problems;

use super::raw::RawPolicy;
use crate::hpa::{Behavior, Rate, RateKind, Rules, Select};

/// Longest stabilization window that Kubernetes takes, in seconds.
const WINDOW_MAX: u32 = 3600;
/// Longest period that Kubernetes takes, in seconds.
const PERIOD_MAX: u32 = 1800;
/// Most rates of a direction.
const RATES_MAX: usize = 16;

/// Rules for both directions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct RawBehavior {
    /// Scaling out.
    pub scale_up: RawRules,
    /// Scaling in.
    pub scale_down: RawRules,
}

/// Rules for one direction.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct RawRules {
    /// For how long recommendations of the past count, 0 for scaling out and 300 for scaling in by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stabilization_window_seconds: Option<u32>,
    /// `Max` (default), `Min` or `Disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<String>,
    /// Rates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<RawRate>,
    /// How far the ratio may be off 1; the policy's by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<RawShareNumber>,
}

/// A share, which Kubernetes writes as a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RawShareNumber {
    /// `0.05`.
    Number(f64),
    /// `"0.05"`.
    Text(String),
}

/// One rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RawRate {
    /// `Pods` or `Percent`.
    #[serde(rename = "type")]
    pub kind: String,
    /// How many.
    pub value: u32,
    /// Within how many seconds.
    pub period_seconds: u32,
}

/// The behavior of a policy, when its kind has one.
pub(super) fn check(raw: &RawPolicy, tolerance: f64, path: &str, problems: &mut Problems) -> Option<Behavior> {
    let at = |key: &str| format!("{path}.{key}");
    match raw.kind.as_deref() {
        Some("hpa") => {}
        None | Some("targets") => {
            if raw.behavior.is_some() {
                problems.add(at("behavior"), "only kind: hpa has a behavior; others have hold, scale_in and scale_out");
            }
            return None;
        }
        Some(other) => {
            problems.add(at("kind"), format!("unknown {other:?}; want targets or hpa"));
            return None;
        }
    }
    let others = [
        ("hold", raw.hold.is_some()),
        ("stabilization_up", raw.stabilization_up.is_some()),
        ("cooldown", raw.cooldown.is_some()),
        ("turn_pause", raw.turn_pause.is_some()),
        ("scale_in", raw.scale_in.is_some()),
        ("scale_out", raw.scale_out.is_some()),
        ("predict", raw.predict.as_ref().is_some_and(|p| p.enabled != Some(false))),
    ];
    for (key, _) in others.into_iter().filter(|(_, is_set)| *is_set) {
        problems.add(at(key), "kind: hpa says this in its behavior; leave it out");
    }
    let defaults = Behavior::default();
    let given = raw.behavior.clone().unwrap_or_default();
    let mut rules = |key: &str, raw: &RawRules, default: Rules| {
        check_rules(raw, Rules { tolerance, ..default }, &format!("{path}.behavior.{key}"), problems)
    };
    let up = rules("scaleUp", &given.scale_up, defaults.up);
    let down = rules("scaleDown", &given.scale_down, defaults.down);
    Some(Behavior { up, down })
}

fn check_rules(raw: &RawRules, default: Rules, path: &str, problems: &mut Problems) -> Rules {
    let at = |key: &str| format!("{path}.{key}");
    let select = match raw.select_policy.as_deref() {
        None | Some("Max") => Select::Max,
        Some("Min") => Select::Min,
        Some("Disabled") => Select::Disabled,
        Some(other) => {
            problems.add(at("selectPolicy"), format!("unknown {other:?}; want Max, Min or Disabled"));
            Select::Max
        }
    };
    let window = raw.stabilization_window_seconds;
    if window.is_some_and(|w| w > WINDOW_MAX) {
        problems.add(at("stabilizationWindowSeconds"), format!("want 0 to {WINDOW_MAX}"));
    }
    if raw.policies.len() > RATES_MAX {
        problems.add(at("policies"), format!("want at most {RATES_MAX}"));
    }
    let mut rates = Vec::new();
    for (index, rate) in raw.policies.iter().take(RATES_MAX).enumerate() {
        let at = |key: &str| format!("{path}.policies[{index}].{key}");
        let kind = match rate.kind.as_str() {
            "Pods" => RateKind::Pods(rate.value),
            "Percent" => RateKind::Percent(rate.value),
            other => {
                problems.add(at("type"), format!("unknown {other:?}; want Pods or Percent"));
                continue;
            }
        };
        if rate.value == 0 {
            problems.add(at("value"), "want a number above 0");
        }
        if !(1..=PERIOD_MAX).contains(&rate.period_seconds) {
            problems.add(at("periodSeconds"), format!("want 1 to {PERIOD_MAX}"));
        }
        rates.push(Rate { kind, period: Duration::from_secs(rate.period_seconds.into()) });
    }
    let tolerance = match &raw.tolerance {
        None => Some(default.tolerance),
        Some(RawShareNumber::Number(number)) => Some(*number),
        Some(RawShareNumber::Text(text)) => text.parse().ok(),
    };
    let tolerance = tolerance.filter(|t| (0.0..1.0).contains(t)).unwrap_or_else(|| {
        problems.add(at("tolerance"), "want a share from 0 to 1, such as 0.05");
        default.tolerance
    });
    Rules {
        rates: if rates.is_empty() { default.rates } else { rates },
        select,
        window: window.map_or(default.window, |w| Duration::from_secs(w.into())),
        tolerance,
    }
}
