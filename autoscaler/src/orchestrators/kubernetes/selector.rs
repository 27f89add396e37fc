//! Label selectors as the API writes them: `app=web,tier in (a,b),!canary`.

use std::collections::BTreeMap;

/// One requirement on a label.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

/// A selector; all its requirements must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector(Vec<Requirement>);

impl Selector {
    /// Reads a selector; `None` when it is not one, or is empty and so would select everything.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut requirements = Vec::new();
        for part in split(text) {
            requirements.push(requirement(part.trim())?);
        }
        (!requirements.is_empty()).then_some(Self(requirements))
    }

    /// Whether labels fulfil it.
    pub(crate) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => labels.get(key).is_some_and(|v| values.contains(v)),
            Requirement::NotIn(key, values) => labels.get(key).is_none_or(|v| !values.contains(v)),
            Requirement::Exists(key) => labels.contains_key(key),
            Requirement::Absent(key) => !labels.contains_key(key),
        })
    }
}

/// Splits at the commas that are not within parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0u32, 0);
    for (index, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    if !text[start..].trim().is_empty() || !parts.is_empty() {
        parts.push(&text[start..]);
    }
    parts
}

fn requirement(part: &str) -> Option<Requirement> {
    let word = |text: &str| {
        let text = text.trim();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        text.chars().all(is_plain).then(|| text.to_owned())
    };
    let key = |text: &str| word(text).filter(|t| !t.is_empty());
    if let Some(rest) = part.strip_prefix('!') {
        return key(rest).map(Requirement::Absent);
    }
    if let Some((left, list)) = part.strip_suffix(')').and_then(|p| p.split_once('(')) {
        let values = list.split(',').map(word).collect::<Option<Vec<_>>>()?;
        let mut words = left.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(name), Some("in"), None) => Some(Requirement::In(key(name)?, values)),
            (Some(name), Some("notin"), None) => Some(Requirement::NotIn(key(name)?, values)),
            _ => None,
        };
    }
    for operator in ["!=", "==", "="] {
        if let Some((name, value)) = part.split_once(operator) {
            let (name, values) = (key(name)?, vec![word(value)?]);
            return Some(if operator == "!=" {
                Requirement::NotIn(name, values)
            } else {
                Requirement::In(name, values)
            });
        }
    }
    key(part).map(Requirement::Exists)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_select_as_the_api_says() {
        let labels: BTreeMap<String, String> =
            [("app", "web"), ("tier", "a"), ("k8s.io/x", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        for (text, expect) in [
            ("app=web", Some(true)),
            ("app==web", Some(true)),
            ("app=api", Some(false)),
            ("app!=api,tier=a", Some(true)),
            ("none!=api", Some(true)),
            ("app!=web", Some(false)),
            ("tier in (a,b),app=web", Some(true)),
            ("tier in (b, c)", Some(false)),
            ("tier notin (b)", Some(true)),
            ("none notin (b)", Some(true)),
            ("tier", Some(true)),
            ("!tier", Some(false)),
            ("!none", Some(true)),
            ("k8s.io/x=", Some(true)),
            ("", None),
            (",", None),
            ("app=web,", None),
            ("tier within (a)", None),
            ("a b", None),
            ("=x", None),
        ] {
            assert_eq!(Selector::parse(text).map(|s| s.matches(&labels)), expect, "{text}");
        }
    }
}
