//! Times as logs write them.

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

fn to_ns(timestamp: Timestamp) -> i64 {
    i64::try_from(timestamp.as_nanosecond()).unwrap_or(i64::MAX)
}

fn local_ns(time: DateTime) -> Option<i64> {
    time.to_zoned(TimeZone::system()).ok().map(|z| to_ns(z.timestamp()))
}

/// Reads RFC 3339 and its loose relatives (`2026-11-21 10:00:00,123`), a number of seconds, milliseconds, microseconds or
/// nanoseconds since the epoch, or the time of an access log. Times without a zone are local.
pub(crate) fn parse_time_ns(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return epoch_ns(number, text);
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Some(to_ns(timestamp));
    }
    let dotted = text.replace(',', ".");
    if let Ok(time) = dotted.parse::<DateTime>() {
        return local_ns(time);
    }
    access_log_time_ns(text)
}

/// The size of the number says its unit.
fn epoch_ns(number: f64, text: &str) -> Option<i64> {
    if !number.is_finite() || number <= 0.0 {
        return None;
    }
    let whole = text.parse::<i64>().ok();
    let scale: i64 = match number {
        n if n < 1e11 => 1_000_000_000,
        n if n < 1e14 => 1_000_000,
        n if n < 1e17 => 1000,
        _ => 1,
    };
    whole.map_or_else(|| Some((number * scale as f64) as i64), |w| w.checked_mul(scale))
}

/// `21/Nov/2026:10:00:00 +0000` (nginx, Apache), `21/Nov/2026:10:00:00.123` (HAProxy, local time).
pub(super) fn access_log_time_ns(text: &str) -> Option<i64> {
    if let Ok(zoned) = Zoned::strptime("%d/%b/%Y:%H:%M:%S %z", text) {
        return Some(to_ns(zoned.timestamp()));
    }
    local_ns(DateTime::strptime("%d/%b/%Y:%H:%M:%S%.f", text).ok()?)
}

/// `Nov 21 10:00:00`: the year is the one that brings it closest to now, never more than a day ahead.
pub(super) fn rfc3164_time_ns(text: &str, now_ns: i64) -> Option<i64> {
    const DAY_NS: i64 = 86_400_000_000_000;
    let now = Timestamp::from_nanosecond(i128::from(now_ns)).ok()?.to_zoned(TimeZone::system());
    let in_year = |year: i16| {
        let parsed = strtime::parse("%Y %b %e %H:%M:%S", format!("{year} {text}")).ok()?;
        local_ns(parsed.to_datetime().ok()?)
    };
    let this = in_year(now.year());
    match this {
        Some(ns) if ns > now_ns.saturating_add(DAY_NS) => in_year(now.year() - 1),
        // 29 February exists in one of the two years only.
        None => in_year(now.year() - 1),
        some => some,
    }
}

/// The time that a plain line begins with, if any.
pub(super) fn leading_time_ns(line: &str, now_ns: i64) -> Option<i64> {
    let line = line.trim_start_matches('[');
    let first = line.split([' ', ']']).next()?;
    // A bare number in front is a process id or a count more often than a time.
    if first.len() >= 19 && first.contains('T') {
        return parse_time_ns(first);
    }
    if let Some(head) = line.get(..15)
        && let Some(ns) = rfc3164_time_ns(head, now_ns)
    {
        return Some(ns);
    }
    let head = line.get(..19)?;
    head.parse::<DateTime>().ok().filter(|_| head.as_bytes()[10] == b' ')?;
    let fraction = line[19..].bytes().take_while(|c| c.is_ascii_digit() || matches!(c, b'.' | b',')).count();
    parse_time_ns(line[..19 + fraction].trim_end_matches(['.', ',']))
}
