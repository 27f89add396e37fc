//! OTLP's names and units as Prometheus writes them.

use crate::config::Translation;

/// What a metric's type adds to its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A monotonic sum: `_total`.
    Counter,
    /// A gauge: `_ratio` when its unit is `1`.
    Gauge,
    /// Anything else adds nothing.
    Other,
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

/// The metric's name; `None` when nothing of it is left.
pub(super) fn metric_name(name: &str, unit: &str, kind: Kind, translation: Translation) -> Option<String> {
    let (main, per) = unit_suffixes(unit);
    let built = match translation {
        Translation::UnderscoreEscapingWithSuffixes => {
            let mut tokens: Vec<String> =
                name.split(|c| !is_name_char(c)).filter(|t| !t.is_empty()).map(str::to_owned).collect();
            let (main, per) = (cleaned(&main), cleaned(&per));
            let main = if tokens.contains(&main) { String::new() } else { main };
            let per = if per == "per_" { "" } else { per.trim_end_matches('_') };
            let per = if tokens.iter().any(|t| t == per) { "" } else { per };
            let main = if per.is_empty() { main.as_str() } else { main.trim_end_matches('_') };
            tokens.extend([main, per].iter().filter(|t| !t.is_empty()).map(|t| (*t).to_owned()));
            for (wanted, word) in [(kind == Kind::Counter, "total"), (kind == Kind::Gauge && unit == "1", "ratio")] {
                if wanted {
                    tokens.retain(|t| t != word);
                    tokens.push(word.to_owned());
                }
            }
            digit_guard(tokens.join("_"))
        }
        Translation::UnderscoreEscapingWithoutSuffixes => {
            let parts: Vec<&str> = name.split(|c| !is_name_char(c) && c != '_').filter(|t| !t.is_empty()).collect();
            digit_guard(parts.join("_"))
        }
        Translation::NoUtf8EscapingWithSuffixes => suffixed(name, &main, &per, unit, kind),
        Translation::NoTranslation => name.to_owned(),
    };
    let usable = built == name || built.chars().any(|c| c != '_');
    (!built.is_empty() && usable).then_some(built)
}

fn digit_guard(name: String) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// The name with its suffixes, each exactly once and in their order.
fn suffixed(name: &str, main: &str, per: &str, unit: &str, kind: Kind) -> String {
    let without = |name: &str, suffix: &str| {
        let cut = name.strip_suffix(suffix).filter(|rest| rest.len() > 1);
        // The character in front is the separator.
        cut.and_then(|rest| rest.char_indices().last().map(|(at, _)| rest[..at].to_owned()))
            .unwrap_or_else(|| name.to_owned())
    };
    let outer = match kind {
        Kind::Counter => "total",
        Kind::Gauge if unit == "1" => "ratio",
        Kind::Gauge | Kind::Other => "",
    };
    let mut built = if outer.is_empty() { name.to_owned() } else { without(name, outer) };
    if !per.is_empty() {
        built = without(&built, per);
    }
    if !main.is_empty() && !built.ends_with(main) {
        built = format!("{built}_{main}");
    }
    for suffix in [per, outer].iter().filter(|s| !s.is_empty()) {
        built = format!("{built}_{suffix}");
    }
    built
}

/// `By/s` → (`bytes`, `per_second`). Units in braces are remarks and add nothing.
fn unit_suffixes(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let known = |text: &str| {
        let text = text.trim();
        (!text.is_empty() && !text.contains(['{', '}'])).then(|| text.to_owned())
    };
    let main = known(main).map(|m| main_unit(&m).map_or(m, str::to_owned)).unwrap_or_default();
    let per = known(per).map(|p| format!("per_{}", per_unit(&p).unwrap_or(&p))).unwrap_or_default();
    (main, per)
}

fn main_unit(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "d" => "days",
        "h" => "hours",
        "min" => "minutes",
        "s" => "seconds",
        "ms" => "milliseconds",
        "us" => "microseconds",
        "ns" => "nanoseconds",
        "By" => "bytes",
        "KiBy" => "kibibytes",
        "MiBy" => "mebibytes",
        "GiBy" => "gibibytes",
        "TiBy" => "tibibytes",
        "KBy" => "kilobytes",
        "MBy" => "megabytes",
        "GBy" => "gigabytes",
        "TBy" => "terabytes",
        "m" => "meters",
        "V" => "volts",
        "A" => "amperes",
        "J" => "joules",
        "W" => "watts",
        "g" => "grams",
        "Cel" => "celsius",
        "Hz" => "hertz",
        "1" => "",
        "%" => "percent",
        _ => return None,
    })
}

fn per_unit(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "s" => "second",
        "m" => "minute",
        "h" => "hour",
        "d" => "day",
        "w" => "week",
        "mo" => "month",
        "y" => "year",
        _ => return None,
    })
}

/// A suffix in the plain alphabet, without runs of underscores and without one in front.
fn cleaned(suffix: &str) -> String {
    let mut out = String::new();
    for c in suffix.chars().map(|c| if is_name_char(c) { c } else { '_' }) {
        if c != '_' || !out.ends_with('_') {
            out.push(c);
        }
    }
    out.trim_start_matches('_').to_owned()
}

/// An attribute's name as a label; `None` when nothing of it is left.
pub(super) fn label_name(name: &str, translation: Translation) -> Option<String> {
    if !translation.escapes() {
        return name.chars().any(|c| c != '_').then(|| name.to_owned());
    }
    let mut plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if plain.starts_with(|c: char| c.is_ascii_digit()) {
        plain.insert_str(0, "key_");
    } else if plain.starts_with('_') && !plain.starts_with("__") {
        plain.insert_str(0, "key");
    }
    plain.chars().any(|c| c != '_').then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_names_are_translated_as_prometheus_does() {
        use Translation::{
            NoTranslation, NoUtf8EscapingWithSuffixes, UnderscoreEscapingWithSuffixes,
            UnderscoreEscapingWithoutSuffixes,
        };
        for (name, unit, kind, translation, expect) in [
            ("otl.request.time", "s", Kind::Counter, UnderscoreEscapingWithSuffixes, "otl_request_time_seconds_total"),
            ("system.network.io", "By", Kind::Counter, UnderscoreEscapingWithSuffixes, "system_network_io_bytes_total"),
            ("net.io", "By/s", Kind::Gauge, UnderscoreEscapingWithSuffixes, "net_io_bytes_per_second"),
            ("requests.total", "{request}", Kind::Counter, UnderscoreEscapingWithSuffixes, "requests_total"),
            ("cpu.utilization", "1", Kind::Gauge, UnderscoreEscapingWithSuffixes, "cpu_utilization_ratio"),
            ("a.b", "1", Kind::Counter, UnderscoreEscapingWithSuffixes, "a_b_total"),
            ("duration.seconds", "s", Kind::Other, UnderscoreEscapingWithSuffixes, "duration_seconds"),
            ("3xx..count__x", "", Kind::Other, UnderscoreEscapingWithSuffixes, "_3xx_count_x"),
            ("disk", "%", Kind::Gauge, UnderscoreEscapingWithSuffixes, "disk_percent"),
            ("x", "foo/{bar}", Kind::Gauge, UnderscoreEscapingWithSuffixes, "x_foo"),
            ("x", "m/s²", Kind::Gauge, UnderscoreEscapingWithSuffixes, "x_meters_per_s"),
            ("a.b__c", "s", Kind::Counter, UnderscoreEscapingWithoutSuffixes, "a_b__c"),
            (
                "http.server.duration",
                "s",
                Kind::Counter,
                NoUtf8EscapingWithSuffixes,
                "http.server.duration_seconds_total",
            ),
            ("a.total", "s", Kind::Counter, NoUtf8EscapingWithSuffixes, "a_seconds_total"),
            ("a.b", "s", Kind::Counter, NoTranslation, "a.b"),
        ] {
            assert_eq!(metric_name(name, unit, kind, translation).as_deref(), Some(expect), "{name} {unit}");
        }
        for bad in ["", "...", "é"] {
            assert_eq!(metric_name(bad, "", Kind::Other, UnderscoreEscapingWithSuffixes), None, "{bad}");
        }
    }

    #[test]
    fn label_names_are_translated_as_prometheus_does() {
        let with = Translation::UnderscoreEscapingWithSuffixes;
        for (name, expect) in [
            ("http.method", Some("http_method")),
            ("1st", Some("key_1st")),
            ("_x", Some("key_x")),
            ("__x", Some("__x")),
            ("a..b", Some("a__b")),
            ("", None),
            ("..", None),
        ] {
            assert_eq!(label_name(name, with).as_deref(), expect, "{name}");
        }
        assert_eq!(label_name("a.b", Translation::NoTranslation).as_deref(), Some("a.b"));
    }
}
