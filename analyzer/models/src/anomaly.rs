//! How unusual a value is.
//!
//! The score is a robust z-score: the distance from what was expected, in units of how far values usually lie from it.
//! 0 is normal, [`ANOMALY_THRESHOLD`] and more is unusual, [`SCORE_MAX`] is the most. With a season, what is expected is the
//! median of the same time (± a little) in earlier periods, and a value is unusual only as far as *both* hold: it is far from the
//! same time of earlier periods, and its distance from them is far from what that distance has been in the recent past. So the
//! morning's climb is normal, a climb that does not come is not, and a whole day on another level is an event at its
//! beginning, not for a day. Without a season only the recent past is asked.

use serde::{Deserialize, Serialize};

use crate::stats::{median, spread};

/// A score from here on is unusual: beyond 3.5 robust deviations.
pub const ANOMALY_THRESHOLD: f64 = 3.5;
/// The largest score: farther away means nothing more.
pub const SCORE_MAX: f64 = 100.0;
/// How many recent values are "the recent past".
const RECENT: usize = 60;
/// With fewer known values than this nothing is known.
const RECENT_MIN: usize = 12;
/// How many earlier periods are compared; older ones are forgotten.
const PERIODS_MAX: usize = 7;
/// Fewest earlier periods for the season to have a say.
const PERIODS_MIN: usize = 2;
/// Spread never counts as smaller than this part of the level: a counter that always says 5 may say 5.04.
const FLOOR_OF_LEVEL: f64 = 0.01;
/// Nor smaller than this part of the range of the recent past.
const FLOOR_OF_RANGE: f64 = 0.02;

/// A score with what it was measured against.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AnomalyScore {
    /// 0 normal, [`ANOMALY_THRESHOLD`] unusual, [`SCORE_MAX`] the most.
    pub score: f64,
    /// What was expected.
    pub expected: f64,
    /// How far values usually lie from it; above 0.
    pub spread: f64,
}

/// How unusual the last of equally spaced values is. Gaps are NaN; `season` is the period in steps.
///
/// `None` when the last value is a gap or fewer than 12 values of the recent past are known.
pub fn anomaly_score(values: &[f64], season: Option<usize>) -> Option<AnomalyScore> {
    let (&value, past) = values.split_last()?;
    if !value.is_finite() {
        return None;
    }
    let recent = &past[past.len().saturating_sub(RECENT)..];
    if recent.iter().filter(|v| v.is_finite()).count() < RECENT_MIN {
        return None;
    }
    let seasonal = season.filter(|&m| m >= 4).and_then(|m| seasonal_score(values, m));
    match seasonal {
        Some(score) => Some(score),
        None => judge(value, recent, recent),
    }
}

/// [`anomaly_score`] of every value, each by the values before it only.
pub fn anomaly_scores(values: &[f64], season: Option<usize>) -> Vec<Option<AnomalyScore>> {
    (1..=values.len()).map(|end| anomaly_score(&values[..end], season)).collect()
}

fn seasonal_score(values: &[f64], season: usize) -> Option<AnomalyScore> {
    let now = values.len() - 1;
    let (expected, same) = same_time(values, now, season)?;
    let by_season = judge(values[now], &same, &values[now.saturating_sub(season)..now])?;
    // How far the recent past lay from the same times of earlier periods.
    let from = now.saturating_sub(RECENT);
    let distances: Vec<f64> =
        (from..now).map(|t| same_time(values, t, season).map_or(f64::NAN, |(median, _)| values[t] - median)).collect();
    let distance = values[now] - expected;
    let score = if distances.iter().filter(|v| v.is_finite()).count() < RECENT_MIN || !distance.is_finite() {
        by_season.score
    } else {
        let center = median(&distances)?;
        let usual = spread(&distances)?.max(by_season.spread * 0.5);
        by_season.score.min(((distance - center).abs() / usual).min(SCORE_MAX))
    };
    Some(AnomalyScore { score: if score.is_finite() { score } else { SCORE_MAX }, ..by_season })
}

/// Median of the same time (± 1/96 of a period, 15 minutes of a day) in earlier periods, and the values behind it; `None`
/// with fewer than two earlier periods.
fn same_time(values: &[f64], at: usize, season: usize) -> Option<(f64, Vec<f64>)> {
    let reach = (season / 96).min(8);
    let mut same = Vec::with_capacity(PERIODS_MAX * (2 * reach + 1));
    let mut periods = 0;
    for k in 1..=PERIODS_MAX {
        let Some(center) = at.checked_sub(k * season) else { break };
        let before = same.len();
        // The neighbours to the right stay a period in the past, so nothing later than `at` is looked at.
        let window = &values[center.saturating_sub(reach)..=center + reach.min(season - 1)];
        same.extend(window.iter().copied().filter(|v| v.is_finite()));
        periods += usize::from(same.len() > before);
    }
    if periods < PERIODS_MIN {
        return None;
    }
    Some((median(&same)?, same))
}

/// Distance of `value` from the median of `sample` in units of its spread; `around` gives the floor of the spread.
fn judge(value: f64, sample: &[f64], around: &[f64]) -> Option<AnomalyScore> {
    let expected = median(sample)?;
    let sorted = crate::stats::sorted_finite(around);
    // 5 % cut off at both ends: one old outlier must not hide the next one.
    let high = crate::stats::quantile_sorted(&sorted, 0.95)?;
    let low = crate::stats::quantile_sorted(&sorted, 0.05)?;
    let floor = (FLOOR_OF_LEVEL * expected.abs()).max(FLOOR_OF_RANGE * (high - low)).max(f64::MIN_POSITIVE * 1e16);
    let spread = spread(sample)?.max(floor).min(f64::MAX);
    let distance = (value / 2.0 - expected / 2.0).abs() / (spread / 2.0);
    Some(AnomalyScore { score: distance.min(SCORE_MAX), expected, spread })
}

#[cfg(test)]
mod tests;
