//! Durations as Prometheus writes them: `15s`, `1m30s`, `2h`, `1d`, `500ms`.

use std::time::Duration;

/// Units, largest first, in milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 31_536_000_000),
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Reads a duration: whole numbers with units from large to small, each unit at most once; `0` alone is allowed.
///
/// # Errors
/// A sentence that says what would be right.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("invalid duration {text:?}: want whole numbers with units y w d h m s ms, such as 15s or 1h30m");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut next_unit = 0;
    let mut total_ms = 0u64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        let position = UNITS.iter().position(|u| u.0 == unit).filter(|&p| p >= next_unit).ok_or_else(wrong)?;
        let value: u64 = number.parse().map_err(|_| wrong())?;
        total_ms = value.checked_mul(UNITS[position].1).and_then(|ms| total_ms.checked_add(ms)).ok_or_else(wrong)?;
        next_unit = position + 1;
        rest = after;
    }
    if text.is_empty() || i64::try_from(total_ms).is_err() { Err(wrong()) } else { Ok(Duration::from_millis(total_ms)) }
}

/// Writes a duration as Prometheus does: `1m30s`, `0s`.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, ms) in UNITS {
        // Years and weeks only when nothing is left over, so that 15 days stay 15d.
        let whole_only = matches!(unit, "y" | "w");
        if rest >= ms && (!whole_only || rest % ms == 0) {
            text.push_str(&format!("{}{unit}", rest / ms));
            rest %= ms;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_what_prometheus_does() {
        for (text, ms) in [
            ("15s", 15_000),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("500ms", 500),
            ("15d", 1_296_000_000),
            ("1w", 604_800_000),
            ("0", 0),
        ] {
            let duration = parse_duration(text).expect(text);
            assert_eq!(duration, Duration::from_millis(ms), "{text}");
            if text != "0" {
                assert_eq!(format_duration(duration), text);
            }
        }
        for bad in ["", "15", "s", "1s1m", "1m1m", "-1s", "1.5s", "1 s", "99999999999999999999y", "1x", "é"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
