//! Cuts a query text into words, quoted texts, operators and parentheses, each with its position.

use vocab::PortError;

/// A piece of the query text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// `(`
    Open,
    /// `)`
    Close,
    /// `OR`, `or`
    Or,
    /// `AND`, `and`
    And,
    /// `-` before a condition, `NOT`
    Not,
    /// A word as written.
    Word(String),
    /// A quoted text, unescaped.
    Quoted(String),
    /// A name with the operator behind it: `status:`, `host=~`.
    Condition(String, Operator),
}

/// What stands between a name and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    /// `:`
    Has,
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// Operators by how they are written, the longer before what begins like it.
const OPERATORS: [(&str, Operator); 9] = [
    ("=~", Operator::Regex),
    ("!~", Operator::NotRegex),
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("=", Operator::Equal),
    ("<", Operator::Less),
    (">", Operator::Greater),
    (":", Operator::Has),
];

/// A piece and the byte at which it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    /// The piece.
    pub(super) piece: Piece,
    /// Its first byte.
    pub(super) at: usize,
}

/// An error at a byte of the text, with line and column (in characters, from 1) in front.
pub(super) fn error_at(text: &str, at: usize, message: impl std::fmt::Display) -> PortError {
    let before = &text[..at.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    PortError::invalid(format!("{line}:{column}: {message}"))
}

/// Cuts the text.
pub(super) fn pieces(text: &str) -> Result<Vec<Located>, PortError> {
    let mut pieces = Vec::new();
    let mut at = 0;
    // Right behind an operator the value is taken as written, even where it looks like a condition.
    let mut value_expected = false;
    while let Some(c) = text[at..].chars().next() {
        if c.is_whitespace() {
            at += c.len_utf8();
            value_expected = false;
            continue;
        }
        let (piece, end) = match c {
            '(' => (Piece::Open, at + 1),
            ')' => (Piece::Close, at + 1),
            '"' => quoted(text, at)?,
            '-' if !value_expected && text[at + 1..].starts_with(|c: char| !c.is_whitespace() && c != '-') => {
                (Piece::Not, at + 1)
            }
            _ => word_or_condition(text, at, value_expected),
        };
        value_expected = matches!(piece, Piece::Condition(..));
        pieces.push(Located { piece, at });
        at = end;
    }
    Ok(pieces)
}

fn word_or_condition(text: &str, at: usize, value_expected: bool) -> (Piece, usize) {
    let rest = &text[at..];
    if !value_expected && rest.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '@') {
        let name_end = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(name_end);
        let operator = OPERATORS.iter().find(|(written, _)| after.starts_with(written));
        if let Some(&(written, operator)) = operator
            && !(operator == Operator::Has && after.starts_with("://"))
        {
            return (Piece::Condition(name.to_owned(), operator), at + name_end + written.len());
        }
    }
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"')).unwrap_or(rest.len());
    let word = &rest[..end];
    let piece = match word {
        _ if value_expected => Piece::Word(word.to_owned()),
        "OR" | "or" => Piece::Or,
        "AND" | "and" => Piece::And,
        "NOT" | "not" => Piece::Not,
        _ => Piece::Word(word.to_owned()),
    };
    (piece, at + end)
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '.' | '@' | '-' | '/')
}

fn quoted(text: &str, at: usize) -> Result<(Piece, usize), PortError> {
    let mut value = String::new();
    let mut chars = text[at + 1..].char_indices();
    while let Some((offset, c)) = chars.next() {
        match c {
            '"' => return Ok((Piece::Quoted(value), at + 1 + offset + 1)),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, c @ ('"' | '\\'))) => value.push(c),
                // Anything else keeps its backslash, so that patterns such as "\d+" need not double it.
                Some((_, other)) => {
                    value.push('\\');
                    value.push(other);
                }
                None => break,
            },
            c => value.push(c),
        }
    }
    Err(error_at(text, at, "the quoted text is not closed: a \" is missing"))
}
