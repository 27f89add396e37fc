//! Schedules: at least so many replicas at times of the calendar, early enough that they are ready by then.

use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use vocab::TimestampMs;
use vocab::duration::format_duration;
use vocab::scaling::Candidate;

use crate::cron::Cron;
use crate::policy::{ms, replicas};

/// How far back the begin of a schedule with an end of its own is looked for, in days: each comes once a year.
const DAYS_BACK_MAX: i64 = 366;
/// Longest lead: earlier than that is a schedule of its own.
pub const BEFORE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Days of the calendar, from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Days {
    /// The first.
    pub first: Date,
    /// The last, included.
    pub last: Date,
}

impl From<Days> for String {
    fn from(days: Days) -> Self {
        format!("{}..{}", days.first, days.last)
    }
}

impl TryFrom<String> for Days {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("not days: {text:?}; want 2026-10-01..2026-10-07"))
    }
}

impl Days {
    /// Reads `2026-10-01` or `2026-10-01..2026-10-07`.
    pub fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let days = Self { first: first.trim().parse().ok()?, last: last.trim().parse().ok()? };
        (days.first <= days.last).then_some(days)
    }

    fn contains(self, date: Date) -> bool {
        (self.first..=self.last).contains(&date)
    }
}

/// When a schedule ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ends {
    /// So long after its begin, by the local clock.
    After(Duration),
    /// At the first of these times after its begin.
    At(Cron),
}

/// One schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its name, for people.
    pub name: String,
    /// Replicas at least.
    pub min: u32,
    /// When they are to be there.
    pub begins: Cron,
    /// Until when.
    pub ends: Ends,
    /// How long before that they are asked for; `None`: as long as replicas take to start.
    pub before: Option<Duration>,
    /// Where the clock hangs.
    pub time_zone: String,
    /// Days on which it may begin; all when `None`.
    pub only: Option<Vec<Days>>,
    /// Days on which it does not begin.
    pub except: Vec<Days>,
}

impl Schedule {
    /// Whether it asks for its replicas at a moment, given how long a replica takes to start.
    pub fn asks(&self, now_ms: TimestampMs, startup_ms: i64) -> bool {
        self.looked_at(now_ms, startup_ms).unwrap_or(false)
    }

    /// `None` for a moment that no calendar has.
    fn looked_at(&self, now_ms: TimestampMs, startup_ms: i64) -> Option<bool> {
        let zone = TimeZone::get(&self.time_zone).ok()?;
        let local =
            |at_ms: TimestampMs| Timestamp::from_millisecond(at_ms).ok().map(|at| at.to_zoned(zone.clone()).datetime());
        let moment = |at: DateTime| zone.to_zoned(at).ok().map(|at| at.timestamp().as_millisecond());
        let lead_ms = self.before.map_or(startup_ms, ms).clamp(0, ms(BEFORE_MAX));
        let ahead = local(now_ms.checked_add(lead_ms)?)?;
        let days_back = match &self.ends {
            // A day for the rest of the time, and one for the lead.
            Ends::After(time) => i64::try_from(time.as_secs() / 86_400).unwrap_or(DAYS_BACK_MAX).min(DAYS_BACK_MAX) + 2,
            Ends::At(_) => DAYS_BACK_MAX,
        };
        let earliest = ahead.date().checked_sub(days_back.days()).ok()?;
        let Some(begin) = self.begins.last(ahead, earliest, |date| self.begins_on(date)) else { return Some(false) };
        Some(match &self.ends {
            Ends::After(time) => {
                let seconds = i64::try_from(time.as_secs()).ok()?;
                now_ms < moment(begin.checked_add(seconds.seconds()).ok()?)?
            }
            Ends::At(ends) => ends.last(local(now_ms)?, begin.date(), |_| true).is_none_or(|end| end <= begin),
        })
    }

    fn begins_on(&self, date: Date) -> bool {
        let on = |days: &[Days]| days.iter().any(|d| d.contains(date));
        self.only.as_ref().is_none_or(|days| on(days)) && !on(&self.except)
    }
}

/// What the schedules ask for now; nothing from those that are not on.
pub(crate) fn candidates(schedules: &[Schedule], now_ms: TimestampMs, startup_ms: i64) -> Vec<Candidate> {
    let asking = schedules.iter().filter(|s| s.asks(now_ms, startup_ms));
    asking
        .map(|schedule| {
            let lead = match schedule.before {
                Some(before) => format_duration(before),
                None => format!("{} s, as long as a replica takes to start,", startup_ms / 1000),
            };
            Candidate {
                name: format!("schedule {}", schedule.name),
                replicas: Some(schedule.min),
                reason: format!(
                    "schedule {} ({}) asks for {} from {lead} before it begins",
                    schedule.name,
                    schedule.time_zone,
                    replicas(schedule.min)
                ),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
