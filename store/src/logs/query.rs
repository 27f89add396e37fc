//! What a log query means: the parsed text, as a tree of conditions that a record satisfies or not.
//!
//! [`Query::matches`] is the definition. Splits narrow by their index first, but what they answer is what this function
//! would answer on every record.

mod lexer;
mod parser;
#[cfg(test)]
mod tests;

use vocab::ports::logs::LogQuery;
use vocab::{LogRecord, MatchOp, Matcher, PortError, Severity};

use crate::logs::tokens::TokenBuffer;

/// A compiled query.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    /// The conditions.
    pub(crate) node: Node,
    /// First time, included.
    pub(crate) start_ns: i64,
    /// Last time, excluded.
    pub(crate) end_ns: i64,
}

/// A condition or a combination of conditions.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// All of them; an empty list is always satisfied.
    And(Vec<Node>),
    /// One of them; an empty list never is.
    Or(Vec<Node>),
    /// Not this.
    Not(Box<Node>),
    /// A single condition.
    Leaf(Leaf),
}

/// A single condition.
#[derive(Debug, Clone)]
pub(crate) enum Leaf {
    /// The tokens stand side by side in the body; with `prefix` the last one may go on.
    Text {
        /// At least one.
        tokens: Vec<String>,
        /// Whether the last token is only the beginning of one.
        prefix: bool,
    },
    /// The body contains this literally (for words without any letter or digit).
    Literal(String),
    /// The body as a whole is this.
    BodyEqual(String),
    /// The pattern occurs somewhere in the body.
    BodyRegex(regex::Regex),
    /// A property of the record.
    Property(Property, ValueTest),
    /// A label of the record.
    Label(String, ValueTest),
    /// A label or a field of the record.
    Value(String, ValueTest),
}

/// Properties that every record has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Property {
    /// The service.
    Service,
    /// The severity's word.
    Severity,
    /// The pattern's number.
    PatternId,
}

/// A test of one value.
#[derive(Debug, Clone)]
pub(crate) enum ValueTest {
    /// It is this; an absent value counts as the empty one.
    Equal(String),
    /// It begins with this.
    Prefix(String),
    /// It is there.
    Present,
    /// The pattern fits all of it; an absent value counts as the empty one.
    Regex(Matcher),
    /// It is a number that compares so.
    Number(Comparison, f64),
    /// It is a severity that compares so.
    Severity(Comparison, Severity),
}

/// How values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    fn holds<T: PartialOrd>(self, left: &T, right: &T) -> bool {
        match self {
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

impl ValueTest {
    /// Whether a value satisfies the test.
    pub(crate) fn accepts(&self, value: &str) -> bool {
        match self {
            Self::Equal(wanted) => value == wanted,
            Self::Prefix(prefix) => value.starts_with(prefix.as_str()),
            Self::Present => true,
            Self::Regex(matcher) => matcher.matches(value),
            Self::Number(comparison, wanted) => {
                value.trim().parse::<f64>().is_ok_and(|number| comparison.holds(&number, wanted))
            }
            Self::Severity(comparison, wanted) => {
                value.parse::<Severity>().is_ok_and(|severity| comparison.holds(&severity, wanted))
            }
        }
    }

    /// Whether an absent value satisfies the test.
    pub(crate) fn accepts_absent(&self) -> bool {
        match self {
            Self::Equal(wanted) => wanted.is_empty(),
            Self::Regex(matcher) => matcher.matches_empty(),
            Self::Prefix(_) | Self::Present | Self::Number(..) | Self::Severity(..) => false,
        }
    }

    fn accepts_any<'a>(&self, values: impl Iterator<Item = &'a str>) -> bool {
        let mut absent = true;
        for value in values {
            absent = false;
            if self.accepts(value) {
                return true;
            }
        }
        absent && self.accepts_absent()
    }
}

impl Query {
    /// Parses and compiles a query.
    ///
    /// # Errors
    /// `Invalid` with line and column of the mistake in the text.
    pub(crate) fn compile(query: &LogQuery) -> Result<Self, PortError> {
        let mut all = match parser::parse(&query.text)? {
            Node::And(all) => all,
            node => vec![node],
        };
        for matcher in &query.matchers {
            all.push(of_matcher(matcher)?);
        }
        Ok(Self { node: Node::And(all), start_ns: query.start_ns, end_ns: query.end_ns })
    }

    /// Everything in a time range.
    pub(crate) fn everything(start_ns: i64, end_ns: i64) -> Self {
        Self { node: Node::And(Vec::new()), start_ns, end_ns }
    }

    /// Whether a record of any time satisfies the conditions. `buffer` is scratch space.
    pub(crate) fn conditions_hold(&self, record: &LogRecord, buffer: &mut TokenBuffer) -> bool {
        let mut scratch = Scratch { filled: false, buffer };
        self.node.matches(record, &mut scratch)
    }

    /// Whether a record is in the time range and satisfies the conditions. `buffer` is scratch space.
    pub(crate) fn matches(&self, record: &LogRecord, buffer: &mut TokenBuffer) -> bool {
        (self.start_ns..self.end_ns).contains(&record.time_ns) && self.conditions_hold(record, buffer)
    }
}

/// A matcher of the query: on a label, or on what counts as one.
fn of_matcher(matcher: &Matcher) -> Result<Node, PortError> {
    let test = match matcher.op {
        MatchOp::Equal | MatchOp::NotEqual => ValueTest::Equal(matcher.value.clone()),
        MatchOp::Regex | MatchOp::NotRegex => {
            ValueTest::Regex(Matcher::new(MatchOp::Regex, matcher.name.as_str(), matcher.value.as_str())?)
        }
    };
    let leaf = Node::Leaf(match property_of(&matcher.name) {
        Some(property) => Leaf::Property(property, test),
        None => Leaf::Label(matcher.name.clone(), test),
    });
    Ok(match matcher.op {
        MatchOp::Equal | MatchOp::Regex => leaf,
        MatchOp::NotEqual | MatchOp::NotRegex => Node::Not(Box::new(leaf)),
    })
}

/// The property a name stands for, if any.
pub(crate) fn property_of(name: &str) -> Option<Property> {
    match name {
        "service" => Some(Property::Service),
        "severity" => Some(Property::Severity),
        "pattern_id" => Some(Property::PatternId),
        _ => None,
    }
}

struct Scratch<'a> {
    filled: bool,
    buffer: &'a mut TokenBuffer,
}

impl Node {
    fn matches(&self, record: &LogRecord, scratch: &mut Scratch<'_>) -> bool {
        match self {
            Self::And(nodes) => nodes.iter().all(|n| n.matches(record, scratch)),
            Self::Or(nodes) => nodes.iter().any(|n| n.matches(record, scratch)),
            Self::Not(node) => !node.matches(record, scratch),
            Self::Leaf(leaf) => leaf.matches(record, scratch),
        }
    }
}

impl Leaf {
    fn matches(&self, record: &LogRecord, scratch: &mut Scratch<'_>) -> bool {
        match self {
            Self::Text { tokens, prefix } => {
                if !scratch.filled {
                    scratch.buffer.fill(&record.body);
                    scratch.filled = true;
                }
                scratch.buffer.contains(tokens, *prefix)
            }
            Self::Literal(text) => record.body.contains(text.as_str()),
            Self::BodyEqual(text) => record.body == *text,
            Self::BodyRegex(regex) => regex.is_match(&record.body),
            Self::Property(Property::Service, test) => test.accepts(&record.service),
            Self::Property(Property::Severity, test) => test.accepts(record.severity.as_str()),
            Self::Property(Property::PatternId, test) => test.accepts(&record.pattern_id.to_string()),
            Self::Label(name, test) => test.accepts_any(record.labels.get(name).into_iter()),
            Self::Value(name, test) => {
                let fields = record.fields.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
                test.accepts_any(record.labels.get(name).into_iter().chain(fields))
            }
        }
    }
}
