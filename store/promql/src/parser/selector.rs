//! Vector selectors and their matchers.

use vocab::labels::METRIC_NAME;
use vocab::{MatchOp, Matcher};

use super::{Parsed, Parser};
use crate::ast::{DurationValue, RangeEdge, VectorSelector};
use crate::lexer::{Op, TokenKind, quote_text};

impl Parser<'_> {
    /// Words that can be metric names: identifiers, aggregation operators and some keywords.
    pub(super) fn is_metric_identifier(&self) -> bool {
        match self.kind() {
            TokenKind::Identifier | TokenKind::MetricIdentifier | TokenKind::Aggregator => true,
            TokenKind::Op(op) => matches!(op, Op::And | Op::Or | Op::Unless),
            TokenKind::Keyword => {
                let word = self.word().to_ascii_lowercase();
                !matches!(word.as_str(), "bool" | "on" | "ignoring" | "group_left" | "group_right")
            }
            _ => false,
        }
    }

    pub(super) fn vector_selector(&mut self) -> Parsed<VectorSelector> {
        let start = self.span().start;
        let mut name = None;
        if self.kind() != TokenKind::LeftBrace {
            name = Some(self.word().to_owned());
            self.advance();
        }
        let mut matchers = Vec::new();
        let mut quoted_name: Option<String> = None;
        if self.accept(TokenKind::LeftBrace) {
            while !self.accept(TokenKind::RightBrace) {
                self.matcher(&mut matchers, &mut quoted_name)?;
                if self.kind() != TokenKind::RightBrace && !self.accept(TokenKind::Comma) {
                    return Err(self.unexpected("label matching", "\",\" or \"}\""));
                }
            }
        }
        let span = start..self.last_end;
        if let Some(first) = &name {
            let second = quoted_name
                .as_deref()
                .or_else(|| matchers.iter().find(|m| m.name == METRIC_NAME).map(|m| m.value.as_str()));
            if let Some(second) = second {
                let message =
                    format!("metric name must not be set twice: {} or {}", quote_text(first), quote_text(second));
                return Err(self.error(span, message));
            }
        }
        let name = name.or(quoted_name);
        if let Some(name) = &name {
            matchers.push(Matcher::equal(METRIC_NAME, name.as_str()));
        }
        Ok(VectorSelector { name, matchers, offset: DurationValue::ZERO, at: None, edge: RangeEdge::Plain, span })
    }

    fn matcher(&mut self, matchers: &mut Vec<Matcher>, quoted_name: &mut Option<String>) -> Parsed<()> {
        const CONTEXT: &str = "label matching";
        let quoted = self.kind() == TokenKind::String;
        let (name, name_span) = match self.kind() {
            TokenKind::String => self.string()?,
            TokenKind::Identifier => (self.word().to_owned(), self.advance()),
            _ => return Err(self.unexpected(CONTEXT, "identifier or \"}\"")),
        };
        let op = match self.kind() {
            TokenKind::Equal => MatchOp::Equal,
            TokenKind::Op(Op::Neq) => MatchOp::NotEqual,
            TokenKind::Op(Op::EqlRegex) => MatchOp::Regex,
            TokenKind::Op(Op::NeqRegex) => MatchOp::NotRegex,
            TokenKind::Comma | TokenKind::RightBrace if quoted => {
                if let Some(first) = quoted_name {
                    let message =
                        format!("metric name must not be set twice: {} or {}", quote_text(first), quote_text(&name));
                    return Err(self.error(name_span, message));
                }
                *quoted_name = Some(name);
                return Ok(());
            }
            _ => return Err(self.unexpected(CONTEXT, "label matching operator")),
        };
        self.advance();
        if self.kind() != TokenKind::String {
            return Err(self.unexpected(CONTEXT, "string"));
        }
        let (value, value_span) = self.string()?;
        let matcher =
            Matcher::new(op, name, value).map_err(|e| self.error(name_span.start..value_span.end, e.to_string()))?;
        matchers.push(matcher);
        Ok(())
    }
}
