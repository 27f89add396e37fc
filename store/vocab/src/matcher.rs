//! Label matchers with Prometheus's semantics.

use std::fmt;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::error::{ErrorKind, PortError};
use crate::labels::Labels;

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends
    Regex,
    /// `!~`, anchored at both ends
    NotRegex,
}

impl MatchOp {
    /// The operator as PromQL writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// Longest accepted regular expression, in bytes.
pub const REGEX_BYTES_MAX: usize = 16 * 1024;
/// Most memory that one compiled regular expression may take, in bytes.
const REGEX_COMPILED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A condition on one label. An absent label counts as the empty value.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "MatcherParts", into = "MatcherParts")]
pub struct Matcher {
    /// The label's name.
    pub name: String,
    /// The comparison.
    pub op: MatchOp,
    /// The literal or the pattern.
    pub value: String,
    test: Test,
}

#[derive(Clone)]
enum Test {
    Literal,
    /// A pattern that is a plain alternation of literals: `a|b|c`.
    OneOf(Vec<String>),
    Pattern(Regex),
}

#[derive(Serialize, Deserialize)]
struct MatcherParts {
    name: String,
    op: MatchOp,
    value: String,
}

impl Matcher {
    /// Builds a matcher and compiles its pattern.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the pattern does not compile or is too large.
    pub fn new(op: MatchOp, name: impl Into<String>, value: impl Into<String>) -> Result<Self, PortError> {
        let (name, value) = (name.into(), value.into());
        let test = match op {
            MatchOp::Equal | MatchOp::NotEqual => Test::Literal,
            MatchOp::Regex | MatchOp::NotRegex => compile(&value)?,
        };
        Ok(Self { name, op, value, test })
    }

    /// `name="value"`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), op: MatchOp::Equal, value: value.into(), test: Test::Literal }
    }

    /// Whether a value satisfies the condition; pass `""` for an absent label.
    pub fn matches(&self, value: &str) -> bool {
        let hit = match &self.test {
            Test::Literal => value == self.value,
            Test::OneOf(values) => values.iter().any(|v| v == value),
            Test::Pattern(regex) => regex.is_match(value),
        };
        match self.op {
            MatchOp::Equal | MatchOp::Regex => hit,
            MatchOp::NotEqual | MatchOp::NotRegex => !hit,
        }
    }

    /// Whether a label set satisfies the condition.
    pub fn matches_labels(&self, labels: &Labels) -> bool {
        self.matches(labels.get(&self.name).unwrap_or(""))
    }

    /// Whether an absent label satisfies the condition.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    /// The finite set of values that can match, when the condition is `=` or a plain alternation.
    pub fn literal_values(&self) -> Option<Vec<&str>> {
        match (&self.op, &self.test) {
            (MatchOp::Equal, _) => Some(vec![&self.value]),
            (MatchOp::Regex, Test::OneOf(values)) => Some(values.iter().map(String::as_str).collect()),
            _ => None,
        }
    }
}

/// RE2 metacharacters; a pattern without any but `|` is an alternation of literals.
const META: &[char] = &['\\', '.', '+', '*', '?', '(', ')', '[', ']', '{', '}', '^', '$'];

fn compile(pattern: &str) -> Result<Test, PortError> {
    if pattern.len() > REGEX_BYTES_MAX {
        return Err(PortError::new(
            ErrorKind::Invalid,
            format!("regular expression of {} bytes is over the limit of {REGEX_BYTES_MAX}", pattern.len()),
        ));
    }
    if !pattern.contains(META) {
        return Ok(Test::OneOf(pattern.split('|').map(str::to_owned).collect()));
    }
    // `s`: Prometheus 3 lets a dot match a newline.
    regex::RegexBuilder::new(&format!("^(?s:{pattern})$"))
        .size_limit(REGEX_COMPILED_BYTES_MAX)
        .build()
        .map(Test::Pattern)
        .map_err(|e| PortError::new(ErrorKind::Invalid, format!("invalid regular expression {pattern:?}: {e}")))
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.op.as_str(), self.value)
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.op == other.op && self.name == other.name && self.value == other.value
    }
}

impl Eq for Matcher {}

impl TryFrom<MatcherParts> for Matcher {
    type Error = PortError;
    fn try_from(parts: MatcherParts) -> Result<Self, Self::Error> {
        Self::new(parts.op, parts.name, parts.value)
    }
}

impl From<Matcher> for MatcherParts {
    fn from(matcher: Matcher) -> Self {
        Self { name: matcher.name, op: matcher.op, value: matcher.value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_anchored_and_absent_is_empty() {
        let check = |op, pattern: &str, value: &str, expect: bool| {
            let matcher = Matcher::new(op, "l", pattern).expect("a valid pattern");
            assert_eq!(matcher.matches(value), expect, "{matcher} on {value:?}");
        };
        check(MatchOp::Regex, "a", "ab", false);
        check(MatchOp::Regex, "a|b", "b", true);
        check(MatchOp::Regex, "a.|b", "xb", false);
        check(MatchOp::Regex, "a.*", "a\nb", true);
        check(MatchOp::Regex, "", "", true);
        check(MatchOp::Regex, ".*", "", true);
        check(MatchOp::NotRegex, ".+", "", true);
        check(MatchOp::NotEqual, "x", "", true);
        check(MatchOp::Equal, "", "", true);
    }

    #[test]
    fn a_bad_pattern_is_an_error() {
        assert!(Matcher::new(MatchOp::Regex, "l", "a(").is_err());
        assert!(Matcher::new(MatchOp::Regex, "l", "x".repeat(REGEX_BYTES_MAX + 1)).is_err());
    }
}
