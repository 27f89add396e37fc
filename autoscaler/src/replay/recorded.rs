//! A load as a running Tidewatch has recorded it: what to ask for, and what the answers say.

use jiff::Timestamp;
use serde_json::Value;
use vocab::TimestampMs;
use vocab::duration::{format_duration, parse_duration};

use super::world::Trace;
use super::{TICK, TICKS_MAX};
use crate::policy::{Policy, ms};

/// Most points of one question: Prometheus refuses more than 11,000.
const POINTS_MAX: i64 = 10_000;
/// Longest time without a point that is bridged without a word, in milliseconds.
const GAP_MS: i64 = 60_000;

/// One question for `query_range`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// PromQL of the load.
    pub query: String,
    /// First time, in milliseconds.
    pub start_ms: TimestampMs,
    /// Last time, in milliseconds.
    pub end_ms: TimestampMs,
    /// Time between points, in seconds.
    pub step_seconds: i64,
}

/// Reads a moment: RFC 3339, Unix seconds, or how long ago (`7d`).
///
/// # Errors
/// What it is not, in words.
pub fn moment(text: &str, now_ms: TimestampMs) -> Result<TimestampMs, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.as_millisecond());
    }
    if let Ok(seconds) = text.parse::<i64>() {
        return Ok(seconds.saturating_mul(1000));
    }
    let ago = parse_duration(text).map_err(|_| {
        format!("not a time: {text:?}; want 2026-11-20T00:00:00Z, Unix seconds, or how long ago such as 7d")
    })?;
    Ok(now_ms.saturating_sub(ms(ago)))
}

/// The questions that bring the load of a policy's first target over a time.
///
/// # Errors
/// The policy has no such target, or the time is empty or longer than a year.
pub fn questions(policy: &Policy, start_ms: TimestampMs, end_ms: TimestampMs) -> Result<Vec<Question>, String> {
    let target = policy.targets.first().filter(|t| t.kind.is_demand());
    let query =
        &target.ok_or("want a first target of kind rps, log_rate, volume or promql, whose load can be replayed")?.query;
    let step_ms = ms(TICK);
    let ticks = i64::try_from(TICKS_MAX).unwrap_or(i64::MAX);
    if end_ms <= start_ms || (end_ms - start_ms) / step_ms > ticks {
        return Err("want a begin before the end, and at most a year between them".into());
    }
    let mut asked = Vec::new();
    let mut from_ms = start_ms;
    while from_ms <= end_ms {
        let to_ms = (from_ms + (POINTS_MAX - 1) * step_ms).min(end_ms);
        asked.push(Question { query: query.clone(), start_ms: from_ms, end_ms: to_ms, step_seconds: step_ms / 1000 });
        from_ms = to_ms - (to_ms - from_ms) % step_ms + step_ms;
    }
    Ok(asked)
}

/// A load that is put together from answers, in the order of the questions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recorded {
    /// Milliseconds and values.
    points: Vec<(TimestampMs, f64)>,
}

impl Recorded {
    /// Takes in an answer of `query_range`.
    ///
    /// # Errors
    /// It is no matrix, or has more series than one.
    pub fn take(&mut self, answer: &Value) -> Result<(), String> {
        let result = answer["data"]["result"].as_array().filter(|_| answer["data"]["resultType"] == "matrix");
        let series = result.ok_or("the answer is no matrix of samples")?;
        if series.len() > 1 {
            return Err(format!("the query gives {} series, not one; sum them", series.len()));
        }
        for pair in series.iter().filter_map(|s| s["values"].as_array()).flatten() {
            let at_ms = pair[0].as_f64().map(|seconds| (seconds * 1000.0).round());
            let value = pair[1].as_str().and_then(|text| text.parse::<f64>().ok());
            let Some((at_ms, value)) = at_ms.zip(value) else { continue };
            #[allow(clippy::cast_possible_truncation, reason = "a time in milliseconds; the cast saturates")]
            self.push(at_ms as TimestampMs, value);
        }
        Ok(())
    }

    /// Takes in a point; what is no load, or not after the last one, is left out.
    pub(super) fn push(&mut self, at_ms: TimestampMs, value: f64) {
        if value.is_finite() && value >= 0.0 && self.points.last().is_none_or(|last| at_ms > last.0) {
            self.points.push((at_ms, value));
        }
    }

    /// When it begins.
    pub(super) fn begin_ms(&self) -> Option<TimestampMs> {
        self.points.first().map(|(at_ms, _)| *at_ms)
    }

    /// What was known at so many rounds from a time on: the last point before the middle of each. `None` where less than nine
    /// of ten rounds are known.
    pub(super) fn at_rounds(&self, begin_ms: TimestampMs, rounds: usize) -> Option<Vec<u32>> {
        let (mut next, mut known, mut list) = (0, 0, Vec::with_capacity(rounds));
        let mut last = self.points.first()?.1;
        for round in 0..rounds {
            let at_ms = begin_ms + i64::try_from(round).unwrap_or(i64::MAX).saturating_mul(ms(TICK)) + ms(TICK) / 2;
            let before = next;
            while let Some((_, value)) = self.points.get(next).filter(|point| point.0 <= at_ms) {
                last = *value;
                next += 1;
            }
            known += usize::from(next > before);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "replicas; the cast saturates")]
            list.push(last.round() as u32);
        }
        (known * 10 >= rounds * 9).then_some(list)
    }

    /// Times of more than a minute without a load, which a replay bridges with straight lines: how many, and the longest.
    pub fn gaps(&self) -> Option<String> {
        let gaps = self.points.windows(2).map(|pair| pair[1].0 - pair[0].0).filter(|gap| *gap > GAP_MS);
        let (count, longest) = gaps.fold((0, 0), |(count, longest), gap| (count + 1, longest.max(gap)));
        let time = std::time::Duration::from_millis(u64::try_from(longest).unwrap_or(0));
        (count > 0).then(|| {
            let gaps = if count == 1 { "gap" } else { "gaps" };
            let longest = format_duration(time);
            format!("{count} {gaps} in the recorded load, the longest {longest}, bridged by straight lines")
        })
    }

    /// The load.
    ///
    /// # Errors
    /// Nothing was recorded.
    pub fn trace(&self) -> Result<Trace, String> {
        let first_ms = self.begin_ms().ok_or("nothing was recorded of this load in that time")?;
        #[allow(clippy::cast_precision_loss, reason = "times since the first point, within a year")]
        let points = self.points.iter().map(|(at_ms, value)| ((at_ms - first_ms) as f64 / 1000.0, *value)).collect();
        Trace::recorded(points, first_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Target, TargetKind};
    use serde_json::json;

    const START: i64 = 1_700_000_000_000;

    fn policy() -> Policy {
        let target = Target { query: "sum(load)".into(), ..Target::demand(TargetKind::Rps, 100.0) };
        let mut policy = Policy::untuned("shop", target);
        policy.max = 50;
        policy
    }

    /// What a server answers that has a load of `value(minute)`.
    fn answer(question: &Question, value: impl Fn(i64) -> Option<f64>) -> Value {
        let step_ms = question.step_seconds * 1000;
        let times = (0..=(question.end_ms - question.start_ms) / step_ms).map(|n| question.start_ms + n * step_ms);
        let values =
            times.filter_map(|at| Some(json!([at as f64 / 1000.0, value((at - START) / 60_000)?.to_string()])));
        json!({"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": values.collect::<Vec<_>>()}]}})
    }

    #[test]
    fn a_recorded_load_is_asked_for_in_pieces_and_replayed_by_the_clocks_on_the_wall() {
        let end = START + 3 * 86_400_000;
        let asked = questions(&policy(), START, end).expect("a range");
        assert_eq!((asked.len(), asked[0].step_seconds, asked[1].end_ms), (2, 15, end));
        assert_eq!(asked[1].start_ms - asked[0].end_ms, 15_000);
        let mut recorded = Recorded::default();
        for question in &asked {
            assert!((question.end_ms - question.start_ms) / 15_000 < POINTS_MAX);
            let load =
                |minute: i64| (!(600..630).contains(&minute)).then(|| 1000.0 + 500.0 * (minute as f64 / 200.0).sin());
            recorded.take(&answer(question, load)).expect("a matrix");
        }
        let words = "1 gap in the recorded load, the longest 30m15s, bridged by straight lines";
        assert_eq!(recorded.gaps().as_deref(), Some(words));
        let mut policy = policy();
        policy.schedules = vec![crate::schedule::Schedule {
            name: "noon".into(),
            min: 40,
            begins: crate::cron::Cron::parse("0 12 * * *").expect("a time"),
            ends: crate::schedule::Ends::After(std::time::Duration::from_secs(3600)),
            before: Some(std::time::Duration::ZERO),
            time_zone: "UTC".into(),
            only: None,
            except: Vec::new(),
        }];
        let outcomes = super::super::replay(&policy, &recorded.trace().expect("a load")).expect("replayed");
        // It began at 22:13:20: noon is 13 h 46 min 40 s later, and so on each day.
        let at = |seconds: i64| outcomes[0].wanted[usize::try_from(seconds / 15).expect("positive")];
        let noon = 13 * 3600 + 46 * 60 + 40;
        assert!(at(noon - 120) < 30 && at(noon + 120) == 40 && at(noon + 86_400 + 120) == 40);
        assert!(at(noon + 4 * 3600) < 30);
    }

    #[test]
    fn what_is_not_there_is_said() {
        let no_demand = Policy::untuned("shop", Target { kind: TargetKind::Latency, ..policy().targets[0].clone() });
        assert!(questions(&no_demand, 0, 1).expect_err("latency").contains("want a first target of kind rps"));
        assert!(questions(&policy(), 5, 5).expect_err("empty").contains("before the end"));
        assert!(questions(&policy(), 0, i64::MAX / 2).expect_err("long").contains("at most a year"));
        let mut recorded = Recorded::default();
        assert!(recorded.take(&json!({"data": {"resultType": "vector", "result": []}})).is_err());
        let two = json!({"data": {"resultType": "matrix", "result": [{"values": []}, {"values": []}]}});
        assert_eq!(recorded.take(&two), Err("the query gives 2 series, not one; sum them".into()));
        let odd =
            json!({"data": {"resultType": "matrix", "result": [{"values": [[1, "NaN"], [2, "-1"], ["x", "1"], [3]]}]}});
        assert_eq!(recorded.take(&odd), Ok(()));
        assert_eq!(recorded.trace(), Err("nothing was recorded of this load in that time".into()));
    }

    #[test]
    fn moments_on_a_table() {
        let now = 1_000_000_000_000;
        for (text, expect) in [
            ("2026-11-20T00:00:00Z", Some(1_795_132_800_000)),
            ("2026-11-20T08:00:00+08:00", Some(1_795_132_800_000)),
            ("1795132800", Some(1_795_132_800_000)),
            ("1d", Some(now - 86_400_000)),
            ("yesterday", None),
        ] {
            assert_eq!(moment(text, now).ok(), expect, "{text}");
        }
    }
}
