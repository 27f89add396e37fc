//! Tokens to expressions: precedence climbing, modifiers, types.

mod call;
mod check;
mod cursor;
mod duration;
mod matching;
mod modifiers;
mod selector;
mod text;

use vocab::Matcher;

use crate::ast::{BinaryOp, Expr, NumberLiteral, Paren, RangeEdge, Span, StringLiteral, Unary};
use crate::error::ParseError;
use crate::lexer::{LexError, Op, Token, TokenKind, tokenize};
use crate::number::{parse_duration_ms, parse_number};

/// Deepest nesting of an expression. Parsing and evaluation recurse, so this bounds their stack.
pub const DEPTH_MAX: usize = 250;
/// Longest query text, in bytes.
pub const QUERY_BYTES_MAX: usize = 1024 * 1024;

/// What the parser accepts.
#[derive(Debug, Clone)]
pub struct ParseOptions {
    /// Functions and aggregations that Prometheus has behind `promql-experimental-functions`.
    pub experimental_functions: bool,
    /// Arithmetic in ranges and offsets.
    pub duration_expressions: bool,
    /// `anchored` and `smoothed`.
    pub extended_range_selectors: bool,
    /// `fill`, `fill_left`, `fill_right`.
    pub fill_modifiers: bool,
}

impl Default for ParseOptions {
    /// Everything is accepted.
    fn default() -> Self {
        Self {
            experimental_functions: true,
            duration_expressions: true,
            extended_range_selectors: true,
            fill_modifiers: true,
        }
    }
}

impl ParseOptions {
    /// Only what Prometheus accepts without feature flags.
    pub fn stable() -> Self {
        Self {
            experimental_functions: false,
            duration_expressions: false,
            extended_range_selectors: false,
            fill_modifiers: false,
        }
    }
}

/// Reads a PromQL expression.
///
/// # Errors
/// What is wrong, where, as Prometheus words it.
pub fn parse(text: &str, options: &ParseOptions) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(text, options)?;
    if parser.kind() == TokenKind::Eof && parser.lex_error.is_none() {
        return Err(parser.error(0..0, "no expression found in input"));
    }
    let expr = parser.expression(0)?;
    parser.expect_end()?;
    check::check(text, &expr)?;
    Ok(expr)
}

/// Reads a series selector such as those of `match[]`.
///
/// # Errors
/// As [`parse`].
pub fn parse_metric_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    let options = ParseOptions::stable();
    let mut parser = Parser::new(text, &options)?;
    if parser.kind() == TokenKind::Eof && parser.lex_error.is_none() {
        return Err(parser.error(0..0, "no expression found in input"));
    }
    let starts_selector = parser.kind() == TokenKind::LeftBrace || parser.is_metric_identifier();
    if !starts_selector {
        return Err(parser.unexpected("", ""));
    }
    let selector = parser.vector_selector()?;
    parser.expect_end()?;
    check::check_matchers(text, &selector)?;
    Ok(selector.matchers)
}

pub(crate) struct Parser<'a> {
    text: &'a str,
    options: &'a ParseOptions,
    tokens: Vec<Token>,
    lex_error: Option<LexError>,
    index: usize,
    depth: usize,
    /// End of the last token taken.
    last_end: usize,
}

type Parsed<T> = Result<T, ParseError>;

impl<'a> Parser<'a> {
    fn new(text: &'a str, options: &'a ParseOptions) -> Parsed<Self> {
        if text.len() > QUERY_BYTES_MAX {
            let message = format!("query of {} bytes is longer than {QUERY_BYTES_MAX}", text.len());
            return Err(ParseError::new(text, 0..0, message));
        }
        let (tokens, lex_error) = tokenize(text);
        Ok(Self { text, options, tokens, lex_error, index: 0, depth: 0, last_end: 0 })
    }

    fn expression(&mut self, min_precedence: u8) -> Parsed<Expr> {
        self.deeper()?;
        let depth = self.depth;
        let mut lhs = self.unary()?;
        while let Some(op) = self.binary_operator().filter(|op| op.precedence() >= min_precedence) {
            // A chain of operators grows the tree at its left end.
            self.deeper()?;
            self.advance();
            let modifiers = self.binary_modifiers(op)?;
            let right_associative = op == BinaryOp::Pow;
            let rhs = self.expression(op.precedence() + u8::from(!right_associative))?;
            let span = lhs.span().start..rhs.span().end;
            lhs = modifiers.build(op, lhs, rhs, span);
        }
        self.depth = depth - 1;
        Ok(lhs)
    }

    fn binary_operator(&self) -> Option<BinaryOp> {
        let TokenKind::Op(op) = self.kind() else { return None };
        Some(match op {
            Op::Add => BinaryOp::Add,
            Op::Sub => BinaryOp::Sub,
            Op::Mul => BinaryOp::Mul,
            Op::Div => BinaryOp::Div,
            Op::Mod => BinaryOp::Mod,
            Op::Pow => BinaryOp::Pow,
            Op::Atan2 => BinaryOp::Atan2,
            Op::Eql => BinaryOp::Eql,
            Op::Neq => BinaryOp::Neq,
            Op::Lss => BinaryOp::Lss,
            Op::Lte => BinaryOp::Lte,
            Op::Gtr => BinaryOp::Gtr,
            Op::Gte => BinaryOp::Gte,
            Op::And => BinaryOp::And,
            Op::Or => BinaryOp::Or,
            Op::Unless => BinaryOp::Unless,
            Op::TrimUpper => BinaryOp::TrimUpper,
            Op::TrimLower => BinaryOp::TrimLower,
            Op::At | Op::EqlRegex | Op::NeqRegex => return None,
        })
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let negate = match self.kind() {
            TokenKind::Op(Op::Sub) => true,
            TokenKind::Op(Op::Add) => false,
            _ => return self.postfix(),
        };
        self.deeper()?;
        let start = self.advance().start;
        // A sign binds like a product: only powers bind tighter.
        let expr = self.expression(BinaryOp::Pow.precedence())?;
        self.depth -= 1;
        let span = start..expr.span().end;
        if let Expr::Number(number) = expr {
            let value = if negate { -number.value } else { number.value };
            return Ok(Expr::Number(NumberLiteral { value, duration: number.duration, span }));
        }
        Ok(Expr::Unary(Unary { negate, expr: Box::new(expr), span }))
    }

    fn postfix(&mut self) -> Parsed<Expr> {
        let mut expr = self.primary()?;
        let depth = self.depth;
        loop {
            expr = match self.kind() {
                TokenKind::LeftBracket => {
                    self.deeper()?;
                    self.brackets(expr)?
                }
                TokenKind::Op(Op::At) => self.at(expr)?,
                TokenKind::Keyword if self.is_keyword("offset") => self.offset(expr)?,
                TokenKind::Keyword if self.is_keyword("anchored") => self.edge(expr, RangeEdge::Anchored)?,
                TokenKind::Keyword if self.is_keyword("smoothed") => self.edge(expr, RangeEdge::Smoothed)?,
                _ => break,
            };
        }
        self.depth = depth;
        Ok(expr)
    }

    fn primary(&mut self) -> Parsed<Expr> {
        match self.kind() {
            TokenKind::Number => {
                let word = self.word();
                let span = self.advance();
                let value = parse_number(word).map_err(|m| self.error(span.clone(), m))?;
                Ok(Expr::Number(NumberLiteral { value, duration: false, span }))
            }
            TokenKind::Duration => {
                let word = self.word();
                let span = self.advance();
                let ms = parse_duration_ms(word).map_err(|m| self.error(span.clone(), m))?;
                Ok(Expr::Number(NumberLiteral { value: ms as f64 / 1000.0, duration: true, span }))
            }
            TokenKind::String => {
                let (value, span) = self.string()?;
                Ok(Expr::String(StringLiteral { value, span }))
            }
            TokenKind::LeftParen => {
                let start = self.advance().start;
                let expr = self.expression(0)?;
                let end = self.expect(TokenKind::RightParen, "", "")?.end;
                Ok(Expr::Paren(Paren { expr: Box::new(expr), span: start..end }))
            }
            TokenKind::LeftBrace => self.vector_selector().map(Expr::Vector),
            TokenKind::Aggregator if self.starts_aggregation() => self.aggregation(),
            TokenKind::Identifier | TokenKind::Keyword if self.peek(1) == TokenKind::LeftParen => self.call(),
            _ if self.is_metric_identifier() => self.vector_selector().map(Expr::Vector),
            _ => Err(self.unexpected("", "")),
        }
    }

    fn string(&mut self) -> Parsed<(String, Span)> {
        let word = self.word();
        let span = self.advance();
        let value = text::unquote(word).map_err(|m| self.error(span.clone(), m))?;
        Ok((value, span))
    }
}

/// Reads the text of a quoted string, for other readers of PromQL's notation.
///
/// # Errors
/// What is wrong with it.
pub fn unquote(quoted: &str) -> Result<String, String> {
    text::unquote(quoted)
}

#[cfg(test)]
mod tests;
