//! Parses the query language: `or` binds loosest, then side by side (and), then negation.

use vocab::{MatchOp, Matcher, PortError, Severity};

use super::lexer::{Located, Operator, Piece, error_at, pieces};
use super::{Comparison, Leaf, Node, Property, ValueTest, property_of};
use crate::logs::tokens::tokens_of;

/// Longest accepted query text, in bytes: far beyond what people write, and small enough to parse in no time.
pub(super) const QUERY_BYTES_MAX: usize = 16 * 1024;
/// Deepest nesting of parentheses and negations: keeps recursion within any stack.
pub(super) const QUERY_DEPTH_MAX: usize = 64;
/// Most memory that one compiled pattern on the body may take, in bytes.
const REGEX_COMPILED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Parses a query text; an empty one matches everything.
pub(super) fn parse(text: &str) -> Result<Node, PortError> {
    if text.len() > QUERY_BYTES_MAX {
        return Err(PortError::invalid(format!(
            "query text of {} bytes is over the limit of {QUERY_BYTES_MAX}",
            text.len()
        )));
    }
    let pieces = pieces(text)?;
    let mut parser = Parser { text, pieces: &pieces, next: 0 };
    if pieces.is_empty() {
        return Ok(Node::And(Vec::new()));
    }
    let node = parser.any(0)?;
    match parser.peek() {
        None => Ok(node),
        Some(located) => Err(error_at(text, located.at, "unexpected `)`: no parenthesis is open here")),
    }
}

struct Parser<'a> {
    text: &'a str,
    pieces: &'a [Located],
    next: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Located> {
        self.pieces.get(self.next)
    }

    fn error(&self, at: usize, message: impl std::fmt::Display) -> PortError {
        error_at(self.text, at, message)
    }

    fn any(&mut self, depth: usize) -> Result<Node, PortError> {
        let mut nodes = vec![self.all(depth)?];
        while self.peek().is_some_and(|l| l.piece == Piece::Or) {
            self.next += 1;
            nodes.push(self.all(depth)?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Or(nodes) })
    }

    fn all(&mut self, depth: usize) -> Result<Node, PortError> {
        let mut nodes = vec![self.one(depth)?];
        while let Some(located) = self.peek() {
            match located.piece {
                Piece::Or | Piece::Close => break,
                Piece::And => self.next += 1,
                _ => {}
            }
            nodes.push(self.one(depth)?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::And(nodes) })
    }

    fn one(&mut self, depth: usize) -> Result<Node, PortError> {
        let wanted = "a word, a \"phrase\", a condition or `(` is expected";
        let Some(located) = self.peek() else {
            return Err(self.error(self.text.trim_end().len(), format!("{wanted}, but the query ends")));
        };
        if depth > QUERY_DEPTH_MAX {
            return Err(self.error(located.at, format!("nested deeper than {QUERY_DEPTH_MAX} levels")));
        }
        self.next += 1;
        match &located.piece {
            Piece::Open => {
                let node = self.any(depth + 1)?;
                match self.peek() {
                    Some(close) if close.piece == Piece::Close => {
                        self.next += 1;
                        Ok(node)
                    }
                    _ => Err(self.error(located.at, "this `(` is not closed")),
                }
            }
            Piece::Not => Ok(Node::Not(Box::new(self.one(depth + 1)?))),
            Piece::Word(word) => Ok(text_node(word)),
            Piece::Quoted(phrase) => Ok(phrase_node(phrase)),
            Piece::Condition(name, operator) => self.condition(located.at, name, *operator),
            Piece::Close => Err(self.error(located.at, format!("{wanted}, not `)`"))),
            Piece::Or => Err(self.error(located.at, format!("{wanted}, not `OR`"))),
            Piece::And => Err(self.error(located.at, format!("{wanted}, not `AND`"))),
        }
    }

    fn condition(&mut self, at: usize, name: &str, operator: Operator) -> Result<Node, PortError> {
        let (value, quoted, value_at) = match self.peek() {
            Some(Located { piece: Piece::Word(value), at }) => (value.as_str(), false, *at),
            Some(Located { piece: Piece::Quoted(value), at }) => (value.as_str(), true, *at),
            Some(located) => return Err(self.error(located.at, format!("a value for `{name}` is expected"))),
            None => {
                return Err(self.error(
                    self.text.trim_end().len(),
                    format!("a value for `{name}` is expected, but the query ends"),
                ));
            }
        };
        self.next += 1;
        let target = Target::of(name);
        let node = match operator {
            Operator::Has if matches!(target, Target::Body) => {
                if quoted {
                    phrase_node(value)
                } else {
                    text_node(value)
                }
            }
            Operator::Has => target.leaf(match value.strip_suffix('*').filter(|_| !quoted) {
                Some("") => ValueTest::Present,
                Some(prefix) => ValueTest::Prefix(prefix.to_owned()),
                None => self.equal(&target, value, value_at)?,
            }),
            Operator::Equal | Operator::NotEqual => match target {
                Target::Body => Node::Leaf(Leaf::BodyEqual(value.to_owned())),
                _ => target.leaf(self.equal(&target, value, value_at)?),
            },
            Operator::Regex | Operator::NotRegex => match target {
                Target::Body => Node::Leaf(Leaf::BodyRegex(self.body_pattern(value, value_at)?)),
                _ => target.leaf(ValueTest::Regex(
                    Matcher::new(MatchOp::Regex, name, value).map_err(|e| self.error(value_at, e))?,
                )),
            },
            Operator::Less => self.compare(at, &target, Comparison::Less, value, value_at)?,
            Operator::LessOrEqual => self.compare(at, &target, Comparison::LessOrEqual, value, value_at)?,
            Operator::Greater => self.compare(at, &target, Comparison::Greater, value, value_at)?,
            Operator::GreaterOrEqual => self.compare(at, &target, Comparison::GreaterOrEqual, value, value_at)?,
        };
        Ok(match operator {
            Operator::NotEqual | Operator::NotRegex => Node::Not(Box::new(node)),
            _ => node,
        })
    }

    /// Equality; a severity may be written in any way that programs write it.
    fn equal(&self, target: &Target<'_>, value: &str, at: usize) -> Result<ValueTest, PortError> {
        match target {
            Target::Property(Property::Severity) => Ok(ValueTest::Equal(self.severity(value, at)?.as_str().to_owned())),
            _ => Ok(ValueTest::Equal(value.to_owned())),
        }
    }

    fn compare(
        &self,
        at: usize,
        target: &Target<'_>,
        comparison: Comparison,
        value: &str,
        value_at: usize,
    ) -> Result<Node, PortError> {
        match target {
            Target::Body => {
                Err(self.error(at, "the body cannot be compared; use body:\"…\", body=\"…\" or body=~\"…\""))
            }
            Target::Property(Property::Severity) => {
                Ok(target.leaf(ValueTest::Severity(comparison, self.severity(value, value_at)?)))
            }
            _ => match value.trim().parse::<f64>() {
                Ok(number) if !number.is_nan() => Ok(target.leaf(ValueTest::Number(comparison, number))),
                _ => Err(self.error(value_at, format!("{value:?} is not a number to compare with"))),
            },
        }
    }

    fn severity(&self, word: &str, at: usize) -> Result<Severity, PortError> {
        word.parse().map_err(|()| {
            let words: Vec<&str> = Severity::ALL.iter().map(|s| s.as_str()).collect();
            self.error(at, format!("{word:?} is not a severity: want one of {}", words.join(", ")))
        })
    }

    fn body_pattern(&self, pattern: &str, at: usize) -> Result<regex::Regex, PortError> {
        regex::RegexBuilder::new(pattern)
            .dot_matches_new_line(true)
            .size_limit(REGEX_COMPILED_BYTES_MAX)
            .build()
            .map_err(|e| self.error(at, format!("invalid regular expression: {e}")))
    }
}

enum Target<'a> {
    Body,
    Property(Property),
    Named(&'a str),
}

impl<'a> Target<'a> {
    fn of(name: &'a str) -> Self {
        match property_of(name) {
            Some(property) => Self::Property(property),
            None if name == "body" => Self::Body,
            None => Self::Named(name),
        }
    }

    fn leaf(&self, test: ValueTest) -> Node {
        Node::Leaf(match self {
            Self::Property(property) => Leaf::Property(*property, test),
            Self::Body => Leaf::Value("body".to_owned(), test),
            Self::Named(name) => Leaf::Value((*name).to_owned(), test),
        })
    }
}

/// A bare word: its tokens side by side, or with a star at the end the beginning of them.
fn text_node(word: &str) -> Node {
    match word.strip_suffix('*') {
        Some(beginning) if beginning.ends_with(char::is_alphanumeric) => {
            Node::Leaf(Leaf::Text { tokens: tokens_of(beginning), prefix: true })
        }
        _ => phrase_node(word),
    }
}

/// A phrase; without any letter or digit it is looked for literally.
fn phrase_node(phrase: &str) -> Node {
    let tokens = tokens_of(phrase);
    match tokens.is_empty() {
        true if phrase.is_empty() => Node::And(Vec::new()),
        true => Node::Leaf(Leaf::Literal(phrase.to_owned())),
        false => Node::Leaf(Leaf::Text { tokens, prefix: false }),
    }
}
