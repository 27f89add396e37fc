//! Freeze windows as they are written.

use jiff::civil::{DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use vocab::Problems;

use super::raw::RawFreezeWindow;
use crate::freeze_window::{FreezeWindow, Span};

/// Most windows of a configuration.
const WINDOWS_MAX: usize = 1000;

/// Checks all windows.
pub(super) fn check(raw: &[RawFreezeWindow], problems: &mut Problems) -> Vec<FreezeWindow> {
    if raw.len() > WINDOWS_MAX {
        problems.add("scaling.freeze_windows", format!("want at most {WINDOWS_MAX}"));
    }
    let windows = raw.iter().take(WINDOWS_MAX).enumerate();
    windows.filter_map(|(i, w)| check_one(w, &format!("scaling.freeze_windows[{i}]"), problems)).collect()
}

fn check_one(raw: &RawFreezeWindow, path: &str, problems: &mut Problems) -> Option<FreezeWindow> {
    let before = problems.list.len();
    let at = |key: &str| format!("{path}.{key}");
    let time_zone = match &raw.time_zone {
        None => TimeZone::UTC,
        Some(name) => TimeZone::get(name).unwrap_or_else(|_| {
            problems.add(at("time_zone"), format!("unknown {name:?}; want a name such as Asia/Shanghai"));
            TimeZone::UTC
        }),
    };
    let (closes_in, closes_out) = match raw.closes.as_deref() {
        None | Some("both") => (true, true),
        Some("in") => (true, false),
        Some("out") => (false, true),
        Some(other) => {
            problems.add(at("closes"), format!("unknown {other:?}; want in, out or both"));
            (false, false)
        }
    };
    let span = match (&raw.from, &raw.to, &raw.start, &raw.end) {
        (Some(from), Some(to), None, None) if raw.days.is_empty() => once(from, to, &time_zone, path, problems),
        (None, None, Some(start), Some(end)) => weekly(raw, start, end, &time_zone, path, problems),
        _ => {
            problems.add(
                path,
                "want from and to (2026-11-10T20:00) for once, or start and end (23:30) with days for each week",
            );
            None
        }
    };
    let span = span.filter(|_| problems.list.len() == before)?;
    Some(FreezeWindow { name: raw.name.clone(), services: raw.services.clone(), closes_in, closes_out, span })
}

fn once(from: &str, to: &str, time_zone: &TimeZone, path: &str, problems: &mut Problems) -> Option<Span> {
    let mut read = |key: &str, text: &str| {
        let local = text.parse::<DateTime>().ok().and_then(|t| time_zone.to_zoned(t).ok());
        if local.is_none() {
            problems.add(format!("{path}.{key}"), format!("not a local time: {text:?}; want such as 2026-11-10T20:00"));
        }
        local.map(|t| t.timestamp().as_millisecond())
    };
    let (from_ms, to_ms) = (read("from", from), read("to", to));
    let (from_ms, to_ms) = from_ms.zip(to_ms)?;
    if from_ms >= to_ms {
        problems.add(format!("{path}.to"), "want a time after from");
    }
    Some(Span::Once { from_ms, to_ms })
}

fn weekly(
    raw: &RawFreezeWindow,
    start: &str,
    end: &str,
    time_zone: &TimeZone,
    path: &str,
    problems: &mut Problems,
) -> Option<Span> {
    let mut read = |key: &str, text: &str| {
        let time = text.parse::<Time>().ok();
        if time.is_none() {
            problems.add(format!("{path}.{key}"), format!("not a time of day: {text:?}; want such as '23:30'"));
        }
        time
    };
    let (start, end) = (read("start", start), read("end", end));
    let mut days = Vec::new();
    for (index, name) in raw.days.iter().enumerate() {
        match weekday(name) {
            Some(day) => days.push(day),
            None => {
                let message = format!("unknown {name:?}; want mon, tue, wed, thu, fri, sat or sun");
                problems.add(format!("{path}.days[{index}]"), message);
            }
        }
    }
    if raw.days.is_empty() {
        // Each day when none is named.
        days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"].into_iter().filter_map(weekday).collect();
    }
    let (start, end) = start.zip(end)?;
    Some(Span::Weekly { days, start, end, time_zone: time_zone.clone() })
}

pub(super) fn weekday(name: &str) -> Option<Weekday> {
    Some(match name {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        "sun" => Weekday::Sunday,
        _ => return None,
    })
}
