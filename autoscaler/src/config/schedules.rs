//! Schedules and holidays as they are written.

use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use vocab::Problems;

use super::freeze_windows::weekday;
use super::raw::{RawAutoscaler, RawPolicy};
use super::targets::NAME_BYTES_MAX;
use crate::cron::Cron;
use crate::schedule::{BEFORE_MAX, Days, Ends, Schedule};

/// Most schedules of one policy.
const SCHEDULES_MAX: usize = 64;
/// Most days and ranges of days of one calendar.
const DATES_MAX: usize = 1000;
/// Longest time of a schedule without an end of its own: thirty days.
const FOR_MAX: Duration = Duration::from_secs(30 * 86_400);

/// A calendar of holidays.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawHolidays {
    /// Its name, for schedules.
    pub name: String,
    /// Days such as `2026-10-01`, or `2026-10-01..2026-10-07`.
    pub dates: Vec<String>,
}

/// At least so many replicas at times of the calendar.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSchedule {
    /// Its name; its number by default.
    pub name: Option<String>,
    /// Replicas at least.
    pub min: u32,
    /// When they are to be there, as five fields of a crontab.
    pub cron: Option<String>,
    /// With `cron`: for how long.
    #[serde(rename = "for")]
    pub lasts: Option<String>,
    /// With `cron`: until when, as five fields of a crontab.
    pub until: Option<String>,
    /// When they are to be there, as a time of day.
    pub start: Option<String>,
    /// With `start`: until when; on the next day when not after the start.
    pub end: Option<String>,
    /// With `start`: days on which it begins, all by default.
    pub days: Vec<String>,
    /// How long before that they are asked for; as long as replicas take to start by default.
    pub before: Option<String>,
    /// Where the clock hangs, UTC by default.
    pub time_zone: Option<String>,
    /// Days, or calendars of holidays, on which alone it begins.
    pub only: Vec<String>,
    /// Days, or calendars of holidays, on which it does not begin.
    pub except: Vec<String>,
}

/// Checks the calendars; schedules look them up by name.
pub(super) fn check_holidays(raw: &[RawHolidays], problems: &mut Problems) {
    for (index, calendar) in raw.iter().enumerate() {
        let path = format!("scaling.holidays[{index}]");
        if calendar.name.is_empty() || raw[..index].iter().any(|c| c.name == calendar.name) {
            problems.add(format!("{path}.name"), "want a name that no other calendar has");
        }
        if calendar.dates.len() > DATES_MAX {
            problems.add(format!("{path}.dates"), format!("want at most {DATES_MAX}"));
        }
        for (number, date) in calendar.dates.iter().enumerate() {
            if Days::parse(date).is_none() {
                let message = format!("not a day: {date:?}; want 2026-10-01 or 2026-10-01..2026-10-07");
                problems.add(format!("{path}.dates[{number}]"), message);
            }
        }
    }
}

/// Checks a policy's schedules.
pub(super) fn check(raw: &RawPolicy, all: &RawAutoscaler, path: &str, problems: &mut Problems) -> Vec<Schedule> {
    if raw.schedules.len() > SCHEDULES_MAX {
        problems.add(path, format!("want at most {SCHEDULES_MAX}"));
    }
    let schedules = raw.schedules.iter().take(SCHEDULES_MAX).enumerate();
    schedules
        .filter_map(|(index, one)| check_one(one, index, raw.max, all, &format!("{path}[{index}]"), problems))
        .collect()
}

fn check_one(
    raw: &RawSchedule,
    index: usize,
    max: u32,
    all: &RawAutoscaler,
    path: &str,
    problems: &mut Problems,
) -> Option<Schedule> {
    let before = problems.list.len();
    let at = |key: &str| format!("{path}.{key}");
    if raw.min == 0 || raw.min > max {
        problems.add(at("min"), format!("want replicas from 1 to the policy's max ({max})"));
    }
    let name = raw.name.clone().unwrap_or_else(|| (index + 1).to_string());
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        problems.add(at("name"), format!("want a name of 1 to {NAME_BYTES_MAX} bytes"));
    }
    let time_zone = raw.time_zone.clone().unwrap_or_else(|| "UTC".to_owned());
    if TimeZone::get(&time_zone).is_err() {
        problems.add(at("time_zone"), format!("unknown {time_zone:?}; want a name such as Asia/Shanghai"));
    }
    let mut time = |key: &str, text: &str, most: Duration| {
        let time = vocab::duration::parse_duration(text);
        match &time {
            Err(message) => problems.add(at(key), message.clone()),
            Ok(time) if *time > most => {
                problems.add(at(key), format!("want at most {}", vocab::duration::format_duration(most)));
            }
            Ok(_) => {}
        }
        time.ok()
    };
    let lead = raw.before.as_deref().map(|text| time("before", text, BEFORE_MAX));
    let lasts = raw.lasts.as_deref().map(|text| time("for", text, FOR_MAX));
    let mut cron = |key: &str, text: &str| {
        let cron = Cron::parse(text);
        if let Err(message) = &cron {
            problems.add(at(key), message.clone());
        }
        cron.ok()
    };
    let span = match (&raw.cron, &raw.start) {
        (Some(begins), None) if raw.end.is_none() && raw.days.is_empty() => {
            let begins = cron("cron", begins);
            let ends = match (lasts, &raw.until) {
                (Some(lasts), None) => lasts.map(Ends::After),
                (None, Some(until)) => cron("until", until).map(Ends::At),
                _ => {
                    problems.add(path, "cron wants either for (such as 2h) or until (another five fields)");
                    None
                }
            };
            begins.zip(ends)
        }
        (None, Some(start)) if lasts.is_none() && raw.until.is_none() => daily(raw, start, path, problems),
        _ => {
            problems.add(path, "want cron with for or until, or start and end (times of day) with days");
            None
        }
    };
    let mut dates = |key: &str, list: &[String]| -> Vec<Days> {
        let found = list.iter().enumerate();
        found.flat_map(|(number, entry)| days_of(entry, all, &format!("{path}.{key}[{number}]"), problems)).collect()
    };
    let (only, except) = (dates("only", &raw.only), dates("except", &raw.except));
    let (begins, ends) = span.filter(|_| problems.list.len() == before)?;
    let only = (!raw.only.is_empty()).then_some(only);
    Some(Schedule { name, min: raw.min, begins, ends, before: lead.flatten(), time_zone, only, except })
}

/// A day, a range of days, or the name of a calendar.
fn days_of(entry: &str, all: &RawAutoscaler, path: &str, problems: &mut Problems) -> Vec<Days> {
    if let Some(days) = Days::parse(entry) {
        return vec![days];
    }
    match all.scaling.holidays.iter().find(|c| c.name == entry) {
        Some(calendar) => calendar.dates.iter().filter_map(|d| Days::parse(d)).collect(),
        None => {
            problems.add(path, format!("{entry:?} is no day and no calendar of scaling.holidays"));
            Vec::new()
        }
    }
}

fn daily(raw: &RawSchedule, start: &str, path: &str, problems: &mut Problems) -> Option<(Cron, Ends)> {
    let mut read = |key: &str, text: &str| {
        let time = text.parse::<Time>().ok().filter(|t| t.second() == 0);
        if time.is_none() {
            problems.add(format!("{path}.{key}"), format!("not a time of day: {text:?}; want such as '22:30'"));
        }
        time
    };
    let (start, end) = (read("start", start), read("end", raw.end.as_deref().unwrap_or_default()));
    let mut days = Vec::new();
    for (index, name) in raw.days.iter().enumerate() {
        match weekday(name) {
            Some(day) => days.push(day.to_sunday_zero_offset()),
            None => {
                let message = format!("unknown {name:?}; want mon, tue, wed, thu, fri, sat or sun");
                problems.add(format!("{path}.days[{index}]"), message);
            }
        }
    }
    if raw.days.is_empty() {
        days.extend(0..7);
    }
    let (start, end) = start.zip(end)?;
    let minutes = |time: Time| u64::try_from(i64::from(time.hour()) * 60 + i64::from(time.minute())).unwrap_or(0);
    const DAY: u64 = 24 * 60;
    let length = match (minutes(end) + DAY - minutes(start)) % DAY {
        0 => DAY,
        length => length,
    };
    let ends = Ends::After(Duration::from_secs(length * 60));
    Some((Cron::daily(start.hour(), start.minute(), days), ends))
}
