//! Label selectors as PromQL matchers.

/// The matchers of a selector, separated by commas; empty for an empty one, `None` when it cannot be read.
pub(super) fn matchers(selector: &str) -> Option<String> {
    let mut all = Vec::new();
    for part in split(selector) {
        let part = part.trim();
        if part.is_empty() {
            continue;
        }
        all.push(matcher(part)?);
    }
    Some(all.join(","))
}

fn matcher(part: &str) -> Option<String> {
    if let Some(name) = part.strip_prefix('!') {
        return Some(format!("{}=\"\"", label(name)?));
    }
    if let Some((left, list)) = part.strip_suffix(')').and_then(|p| p.split_once('(')) {
        let values: Vec<String> = list.split(',').map(value).collect::<Option<_>>()?;
        let pattern = values.join("|").replace('.', "\\\\.");
        let mut words = left.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(name), Some("in"), None) => Some(format!("{}=~\"{pattern}\"", label(name)?)),
            (Some(name), Some("notin"), None) => Some(format!("{}!~\"{pattern}\"", label(name)?)),
            _ => None,
        };
    }
    for (operator, ours) in [("!=", "!="), ("==", "="), ("=", "=")] {
        if let Some((name, text)) = part.split_once(operator) {
            return Some(format!("{}{ours}\"{}\"", label(name)?, value(text)?));
        }
    }
    Some(format!("{}!=\"\"", label(part)?))
}

/// Splits at the commas that are not within parentheses.
fn split(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth <= 0
    })
    .collect()
}

/// A label's name; what PromQL's plain names cannot say is an underscore in them.
fn label(text: &str) -> Option<String> {
    let text = text.trim();
    let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    if text.is_empty() || !text.chars().all(is_fit) || text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Some(text.replace(['-', '.', '/'], "_"))
}

/// A label's value; those that Kubernetes allows need no escapes.
fn value(text: &str) -> Option<String> {
    let text = text.trim();
    text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::matchers;

    #[test]
    fn selectors_become_matchers() {
        for (selector, expect) in [
            ("", Some("")),
            ("app=web", Some("app=\"web\"")),
            ("app==web,tier!=a", Some("app=\"web\",tier!=\"a\"")),
            ("q in (a.b, c),!x,y", Some("q=~\"a\\\\.b|c\",x=\"\",y!=\"\"")),
            ("q notin (a)", Some("q!~\"a\"")),
            ("app.kubernetes.io/name=web", Some("app_kubernetes_io_name=\"web\"")),
            ("a=\"} or vector(1)", None),
            ("a=b)c", None),
            ("{=x", None),
            ("a within (b)", None),
        ] {
            assert_eq!(matchers(selector).as_deref(), expect, "{selector}");
        }
    }
}
