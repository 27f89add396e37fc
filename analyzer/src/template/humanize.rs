//! Numbers for people, as Prometheus writes them.

use super::format::format_g;

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];
const BINARY: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];

/// With a metric prefix: `1.235k`, `12.35m`.
pub fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format_g(value, 4);
    }
    if value.abs() >= 1.0 { scaled(value, 1000.0, &LARGE, "") } else { shrunk(value, "") }
}

/// With a binary prefix: `1.5ki`.
pub fn humanize_1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() { format_g(value, 4) } else { scaled(value, 1024.0, &BINARY, "") }
}

/// Seconds as `1d 2h 3m 4s`, `12.35ms`.
pub fn humanize_duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return format_g(seconds, 4);
    }
    if seconds == 0.0 {
        return format!("{}s", format_g(seconds, 4));
    }
    if seconds.abs() < 1.0 {
        return shrunk(seconds, "s");
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    #[allow(clippy::cast_possible_truncation, reason = "a float saturates when it becomes a whole number")]
    let whole = seconds.abs() as i64;
    let (s, m, h, d) = (whole % 60, whole / 60 % 60, whole / 3600 % 24, whole / 86_400);
    if d != 0 {
        format!("{sign}{d}d {h}h {m}m {s}s")
    } else if h != 0 {
        format!("{sign}{h}h {m}m {s}s")
    } else if m != 0 {
        format!("{sign}{m}m {s}s")
    } else {
        format!("{sign}{}s", format_g(seconds.abs(), 4))
    }
}

/// Seconds since the Unix epoch as a date in UTC.
///
/// # Errors
/// When the time is out of range.
pub fn humanize_timestamp(seconds: f64) -> Result<String, String> {
    if !seconds.is_finite() {
        return Ok(format_g(seconds, 4));
    }
    #[allow(clippy::cast_possible_truncation, reason = "a float saturates; a time out of range is refused below")]
    let ms = (seconds * 1000.0) as i64;
    let time = jiff::Timestamp::from_millisecond(ms)
        .map_err(|_| format!("{} cannot be represented as a timestamp", format_g(seconds, 6)))?;
    let fraction = match ms.rem_euclid(1000) {
        0 => String::new(),
        ms => format!(".{ms:03}").trim_end_matches('0').to_owned(),
    };
    Ok(format!("{}{fraction} +0000 UTC", time.strftime("%Y-%m-%d %H:%M:%S")))
}

fn scaled(mut value: f64, step: f64, prefixes: &[&str], unit: &str) -> String {
    let mut prefix = "";
    for p in prefixes {
        if value.abs() < step {
            break;
        }
        prefix = p;
        value /= step;
    }
    format!("{}{prefix}{unit}", format_g(value, 4))
}

fn shrunk(mut value: f64, unit: &str) -> String {
    let mut prefix = "";
    for p in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = p;
        value *= 1000.0;
    }
    format!("{}{prefix}{unit}", format_g(value, 4))
}
