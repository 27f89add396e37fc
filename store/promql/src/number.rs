//! Numbers as Prometheus reads and writes them.

use crate::lexer::quote_text;

/// A value in Go's shortest form: `1e-07`, `1e+21`, `-0`, `0.30000000000000004`, `NaN`, `+Inf`.
pub fn format_value(value: f64) -> String {
    if let Some(word) = special(value) {
        return word.to_owned();
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) { exponent_form(value) } else { format!("{value}") }
}

/// A value without exponent, as expressions print it.
pub(crate) fn format_plain(value: f64) -> String {
    special(value).map_or_else(|| format!("{value}"), str::to_owned)
}

/// A value as Go's `%g` writes it: shortest digits, with an exponent below 1e-4 and from 1e6 on.
pub(crate) fn format_g(value: f64) -> String {
    if let Some(word) = special(value) {
        return word.to_owned();
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e6).contains(&magnitude) { exponent_form(value) } else { format!("{value}") }
}

fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value == f64::INFINITY {
        Some("+Inf")
    } else if value == f64::NEG_INFINITY {
        Some("-Inf")
    } else {
        None
    }
}

fn exponent_form(value: f64) -> String {
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// Reads a float as Go's `strconv.ParseFloat` does, hexadecimal excepted.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let magnitude = match digits.to_ascii_lowercase().as_str() {
        "inf" | "infinity" => f64::INFINITY,
        "nan" if digits.len() == text.len() => f64::NAN,
        other => {
            // Rust takes words such as "infinity" and signs of its own here: only digits may follow.
            if !other.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
                return None;
            }
            other.parse().ok()?
        }
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// Reads a number literal: decimal, `0x`, `0b`, `0o`, old octal (`0755`), `_` between digits, `Inf`, `NaN`.
///
/// # Errors
/// As Prometheus words it.
pub(crate) fn parse_number(text: &str) -> Result<f64, String> {
    let wrong = |why: &str| format!("error parsing number: strconv.ParseFloat: parsing {}: {why}", quote_text(text));
    if let Some(value) = parse_integer(text) {
        return Ok(value);
    }
    let plain = text.replace('_', "");
    if text.contains('_') && !underscores_are_between_digits(text) {
        return Err(wrong("invalid syntax"));
    }
    match parse_float(&plain) {
        Some(value) if value.is_infinite() && plain.contains(|c: char| c.is_ascii_digit()) => {
            Err(wrong("value out of range"))
        }
        Some(value) => Ok(value),
        None => Err(wrong("invalid syntax")),
    }
}

fn underscores_are_between_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'_')
        .all(|(i, _)| i > 0 && bytes[i - 1].is_ascii_hexdigit() && bytes.get(i + 1).is_some_and(u8::is_ascii_hexdigit))
}

/// Integers with Go's base prefixes, when they fit 64 bits.
fn parse_integer(text: &str) -> Option<f64> {
    if text.contains('_') && !underscores_are_between_digits(&text.replacen("0x_", "0x", 1)) {
        return None;
    }
    let plain = text.replace('_', "").to_ascii_lowercase();
    let value = if let Some(hex) = plain.strip_prefix("0x") {
        i64::from_str_radix(hex, 16)
    } else if let Some(binary) = plain.strip_prefix("0b") {
        i64::from_str_radix(binary, 2)
    } else if let Some(octal) = plain.strip_prefix("0o") {
        i64::from_str_radix(octal, 8)
    } else if plain.len() > 1 && plain.starts_with('0') && plain.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        i64::from_str_radix(&plain, 8)
    } else {
        plain.parse()
    };
    value.ok().map(|v| v as f64)
}

/// Reads a duration literal in milliseconds.
///
/// # Errors
/// As Prometheus words it.
pub(crate) fn parse_duration_ms(text: &str) -> Result<i64, String> {
    const UNITS: [&str; 7] = ["y", "w", "d", "h", "m", "s", "ms"];
    let mut rest = text;
    while !rest.is_empty() {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = rest.split_at(letters);
        if !UNITS.contains(&unit) {
            return Err(format!("unknown unit {} in duration {}", quote_text(unit), quote_text(text)));
        }
        rest = after;
    }
    let duration = vocab::duration::parse_duration(text)
        .map_err(|_| format!("not a valid duration string: {}", quote_text(text)))?;
    // Prometheus counts durations in nanoseconds of 64 bits.
    if duration.as_nanos() > i64::MAX as u128 {
        return Err("duration out of range".to_owned());
    }
    i64::try_from(duration.as_millis()).map_err(|_| "duration out of range".to_owned())
}

/// Milliseconds as Prometheus writes durations, signed.
pub(crate) fn format_duration_ms(ms: i64) -> String {
    let text = vocab::duration::format_duration(std::time::Duration::from_millis(ms.unsigned_abs()));
    if ms < 0 { format!("-{text}") } else { text }
}

/// Two significant digits, as Go's `%.2g` writes them.
pub(crate) fn format_two_digits(value: f64) -> String {
    if !value.is_finite() || value == 0.0 {
        return format_g(value);
    }
    let text = format!("{value:.1e}");
    let Some((digits, exponent)) = text.split_once('e').and_then(|(d, e)| Some((d, e.parse::<i32>().ok()?))) else {
        return text;
    };
    if (-4..2).contains(&exponent) {
        // What is left of the value after rounding to two digits prints shortest without more of them.
        return text.parse::<f64>().map_or_else(|_| text.clone(), |v| v.to_string());
    }
    let digits = digits.strip_suffix(".0").unwrap_or(digits);
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_in_gos_shortest_form() {
        for (value, expect) in [
            (1e-7, "1e-07"),
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
            (-0.0, "-0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (1.5e-10, "1.5e-10"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (0.000001, "0.000001"),
            (42.0, "42"),
        ] {
            assert_eq!(format_value(value), expect);
        }
    }

    #[test]
    fn number_literals() {
        for (text, expect) in [
            ("0xc", 12.0),
            ("0755", 493.0),
            ("089", 89.0),
            ("1_000", 1000.0),
            ("5e-3", 0.005),
            (".5", 0.5),
            ("0b11", 3.0),
            ("Inf", f64::INFINITY),
        ] {
            assert_eq!(parse_number(text), Ok(expect), "{text}");
        }
        assert!(parse_number("1__0").is_err());
        assert!(parse_number(&"9".repeat(310)).unwrap_err().ends_with("value out of range"));
    }
}
