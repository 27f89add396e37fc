//! Aggregations and function calls.

use super::{Parsed, Parser};
use crate::ast::{Aggregate, AggregateOp, Call, Expr};
use crate::functions;
use crate::lexer::{Op, TokenKind, quote_text};

impl Parser<'_> {
    /// An aggregation's word is also a metric name, unless arguments or a grouping follow.
    pub(super) fn starts_aggregation(&self) -> bool {
        match self.peek(1) {
            TokenKind::LeftParen => true,
            TokenKind::Keyword => {
                let span = self.tokens.get(self.index + 1).map_or(0..0, |t| t.span.clone());
                let word = &self.text[span];
                word.eq_ignore_ascii_case("by") || word.eq_ignore_ascii_case("without")
            }
            // Only an aggregation can be meant here; the error then says what is in the way.
            TokenKind::Identifier | TokenKind::MetricIdentifier => true,
            _ => false,
        }
    }

    pub(super) fn aggregation(&mut self) -> Parsed<Expr> {
        let word = self.word();
        let start = self.advance().start;
        let op = AggregateOp::parse(word).ok_or_else(|| self.unexpected("", ""))?;
        let mut grouping = self.grouping_modifier()?;
        let args = self.arguments()?;
        if grouping.is_none() {
            grouping = self.grouping_modifier()?;
        }
        let span = start..self.last_end;
        if op.is_experimental() && !self.options.experimental_functions {
            let message = format!(
                "{}() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
                op.as_str()
            );
            return Err(self.error(span, message));
        }
        let (without, grouping) = grouping.unwrap_or_default();
        if args.is_empty() {
            return Err(self.error(span, "no arguments for aggregate expression provided"));
        }
        let wanted = if op.has_param() { 2 } else { 1 };
        if args.len() != wanted {
            let message = format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {}",
                args.len()
            );
            return Err(self.error(span, message));
        }
        let mut args = args.into_iter().rev();
        let expr = args.next().map(Box::new).ok_or_else(|| self.unexpected("", ""))?;
        let param = args.next().map(Box::new);
        Ok(Expr::Aggregate(Aggregate { op, expr, param, grouping, without, span }))
    }

    pub(super) fn grouping_modifier(&mut self) -> Parsed<Option<(bool, Vec<String>)>> {
        let without = match () {
            () if self.accept_keyword("by") => false,
            () if self.accept_keyword("without") => true,
            () => return Ok(None),
        };
        Ok(Some((without, self.grouping_labels()?)))
    }

    pub(super) fn grouping_labels(&mut self) -> Parsed<Vec<String>> {
        const CONTEXT: &str = "grouping opts";
        self.expect(TokenKind::LeftParen, CONTEXT, "\"(\"")?;
        let mut labels = Vec::new();
        while !self.accept(TokenKind::RightParen) {
            let is_label = match self.kind() {
                TokenKind::Identifier | TokenKind::Aggregator | TokenKind::Keyword => true,
                TokenKind::Op(op) => matches!(op, Op::And | Op::Or | Op::Unless | Op::Atan2),
                _ => false,
            };
            if self.kind() == TokenKind::String {
                let (label, span) = self.string()?;
                if label.is_empty() {
                    return Err(self.error(span, "invalid label name for grouping: \"\""));
                }
                labels.push(label);
            } else if is_label {
                labels.push(self.word().to_owned());
                self.advance();
            } else {
                return Err(self.unexpected(CONTEXT, "label"));
            }
            if self.kind() != TokenKind::RightParen && !self.accept(TokenKind::Comma) {
                return Err(self.unexpected(CONTEXT, "\",\" or \")\""));
            }
        }
        Ok(labels)
    }

    pub(super) fn arguments(&mut self) -> Parsed<Vec<Expr>> {
        self.expect(TokenKind::LeftParen, "", "")?;
        let mut args = Vec::new();
        if self.accept(TokenKind::RightParen) {
            return Ok(args);
        }
        loop {
            args.push(self.expression(0)?);
            if self.accept(TokenKind::RightParen) {
                return Ok(args);
            }
            let comma = self.expect(TokenKind::Comma, "", "")?;
            if self.kind() == TokenKind::RightParen {
                return Err(self.error(comma, "trailing commas not allowed in function call args"));
            }
        }
    }

    pub(super) fn call(&mut self) -> Parsed<Expr> {
        let name = self.word();
        let name_span = self.advance();
        let start = name_span.start;
        let function = functions::find(name);
        let Some(function) = function else {
            return Err(self.error(name_span, format!("unknown function with name {}", quote_text(name))));
        };
        if function.experimental && !self.options.experimental_functions {
            let message = format!(
                "function {} is not enabled; it is experimental and needs --enable-feature=promql-experimental-functions",
                quote_text(name)
            );
            return Err(self.error(name_span, message));
        }
        let args = self.arguments()?;
        Ok(Expr::Call(Call { function, args, span: start..self.last_end }))
    }
}
