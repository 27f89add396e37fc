//! Go's number and `printf` formats.

use super::value::Value;

/// As Go's `%v` prints a float: the shortest digits that read back, an exponent from 1e6 on and below 1e-4.
pub(super) fn format_default(value: f64) -> String {
    if let Some(word) = not_finite(value) {
        return word.to_owned();
    }
    let (digits, exponent) = shortest(value);
    layout(value.is_sign_negative(), &digits, exponent, 6)
}

/// As Go's `%.<precision>g`: that many significant digits, trailing zeros cut, an exponent when it is shorter.
pub fn format_g(value: f64, precision: usize) -> String {
    if let Some(word) = not_finite(value) {
        return word.to_owned();
    }
    let precision = precision.max(1);
    let (digits, exponent) = split(&format!("{:.*e}", precision - 1, value.abs()));
    let digits = digits.trim_end_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    layout(value.is_sign_negative(), digits, exponent, i32::try_from(precision).unwrap_or(i32::MAX))
}

fn not_finite(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value.is_infinite() {
        Some(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        None
    }
}

fn shortest(value: f64) -> (String, i32) {
    split(&format!("{:e}", value.abs()))
}

/// Digits without the point, and the decimal exponent of the first one.
fn split(scientific: &str) -> (String, i32) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    (mantissa.replace('.', ""), exponent.parse().unwrap_or(0))
}

fn layout(negative: bool, digits: &str, exponent: i32, exponent_limit: i32) -> String {
    let sign = if negative { "-" } else { "" };
    if exponent < -4 || exponent >= exponent_limit {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}{point}{rest}e{exponent_sign}{:02}", exponent.abs());
    }
    let whole = usize::try_from(exponent + 1).unwrap_or(0);
    if exponent < 0 {
        let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
        format!("{sign}0.{}{digits}", "0".repeat(zeros))
    } else if digits.len() <= whole {
        format!("{sign}{digits}{}", "0".repeat(whole - digits.len()))
    } else {
        format!("{sign}{}.{}", &digits[..whole], &digits[whole..])
    }
}

/// Widest field and longest precision of a verb: enough for any table, too little to exhaust memory.
const WIDTH_MAX: usize = 1024;

/// Go's `Sprintf` for the values that templates have.
pub(super) fn printf(format: &str, args: &[Value]) -> String {
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    let mut args = args.iter();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let (mut minus, mut plus, mut zero, mut sharp, mut space) = (false, false, false, false, false);
        while let Some(&flag) = chars.peek() {
            match flag {
                '-' => minus = true,
                '+' => plus = true,
                '0' => zero = true,
                '#' => sharp = true,
                ' ' => space = true,
                _ => break,
            }
            chars.next();
        }
        let number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut value = None;
            while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                value = Some((value.unwrap_or(0usize) * 10 + digit as usize).min(WIDTH_MAX));
                chars.next();
            }
            value
        };
        let width = number(&mut chars);
        let precision = if chars.peek() == Some(&'.') {
            chars.next();
            Some(number(&mut chars).unwrap_or(0))
        } else {
            None
        };
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        let Some(value) = args.next() else {
            out.push_str(&format!("%!{verb}(MISSING)"));
            continue;
        };
        let mut text = verb_text(verb, precision, sharp, value);
        let numeric = matches!(value, Value::Int(_) | Value::Float(_)) && !text.starts_with("%!");
        if numeric && plus && !text.starts_with(['-', '+']) {
            text.insert(0, '+');
        } else if numeric && space && !text.starts_with('-') {
            text.insert(0, ' ');
        }
        let missing = width.unwrap_or(0).saturating_sub(text.chars().count());
        if minus {
            out.push_str(&text);
            out.push_str(&" ".repeat(missing));
        } else if zero && numeric {
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+', ' '])));
            out.push_str(&format!("{sign}{}{digits}", "0".repeat(missing)));
        } else {
            out.push_str(&" ".repeat(missing));
            out.push_str(&text);
        }
    }
    let extra: Vec<String> = args.map(|a| format!("{}={}", a.type_name(), a.print())).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

fn verb_text(verb: char, precision: Option<usize>, sharp: bool, value: &Value) -> String {
    let wrong = || format!("%!{verb}({}={})", value.type_name(), value.print());
    match (verb, value) {
        ('v', Value::Nil) => "<nil>".to_owned(),
        ('v', Value::Float(f)) => precision.map_or_else(|| value.print(), |p| format_g(*f, p)),
        ('v', _) => value.print(),
        ('T', _) => value.type_name().to_owned(),
        ('s', Value::Int(_) | Value::Float(_) | Value::Bool(_)) => wrong(),
        ('s', _) => match precision {
            Some(p) => value.print().chars().take(p).collect(),
            None => value.print(),
        },
        ('q', Value::Text(t)) => format!("{t:?}"),
        ('t', Value::Bool(b)) => b.to_string(),
        ('d', Value::Int(i)) => i.to_string(),
        ('x', Value::Int(i)) if sharp => format!("{i:#x}"),
        ('x', Value::Int(i)) => format!("{i:x}"),
        ('X', Value::Int(i)) => format!("{i:X}"),
        ('o', Value::Int(i)) => format!("{i:o}"),
        ('b', Value::Int(i)) => format!("{i:b}"),
        ('c', Value::Int(i)) => u32::try_from(*i).ok().and_then(char::from_u32).unwrap_or('\u{fffd}').to_string(),
        ('x', Value::Text(t)) => t.bytes().map(|b| format!("{b:02x}")).collect(),
        ('f' | 'F', Value::Float(f)) => {
            not_finite(*f).map_or_else(|| format!("{:.*}", precision.unwrap_or(6), f), str::to_owned)
        }
        ('e', Value::Float(f)) => match not_finite(*f) {
            Some(word) => word.to_owned(),
            None => {
                let text = format!("{:.*e}", precision.unwrap_or(6), f);
                let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                let exponent: i32 = exponent.parse().unwrap_or(0);
                format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
            }
        },
        ('g', Value::Float(f)) => precision.map_or_else(|| format_default(*f), |p| format_g(*f, p)),
        _ => wrong(),
    }
}
