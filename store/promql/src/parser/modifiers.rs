//! What follows an expression: ranges, subqueries, `offset`, `@`, `anchored`, `smoothed`.

use super::{Parsed, Parser};
use crate::ast::{At, DurationValue, Expr, MatrixSelector, RangeEdge, Span, Subquery};
use crate::error::ParseError;
use crate::lexer::TokenKind;
use crate::number::{parse_duration_ms, parse_number};

impl Parser<'_> {
    pub(super) fn brackets(&mut self, expr: Expr) -> Parsed<Expr> {
        let bracket = self.advance().start;
        let range = self.duration_expression(true)?;
        let has_colon = self.accept(TokenKind::Colon);
        if !has_colon {
            if self.kind() != TokenKind::RightBracket {
                return Err(self.unexpected("subquery or range", "\":\" or \"]\""));
            }
            let end = self.advance().end;
            return self.matrix(expr, range, bracket..end);
        }
        let mut step = DurationValue::ZERO;
        if self.kind() != TokenKind::RightBracket {
            step = self.duration_expression(true)?;
        }
        let end = self.expect(TokenKind::RightBracket, "subquery selector", "\"]\"")?.end;
        let span = expr.span().start..end;
        Ok(Expr::Subquery(Subquery { expr: Box::new(expr), range, step, offset: DurationValue::ZERO, at: None, span }))
    }

    pub(super) fn matrix(&mut self, expr: Expr, range: DurationValue, brackets: Span) -> Parsed<Expr> {
        let Expr::Vector(selector) = expr else {
            return Err(self.error(brackets, "ranges only allowed for vector selectors"));
        };
        if !selector.offset.is_zero() {
            return Err(self.error(brackets, "no offset modifiers allowed before range"));
        }
        if selector.at.is_some() {
            return Err(self.error(brackets, "no @ modifiers allowed before range"));
        }
        let span = selector.span.start..brackets.end;
        Ok(Expr::Matrix(MatrixSelector { selector, range, span }))
    }

    pub(super) fn offset(&mut self, mut expr: Expr) -> Parsed<Expr> {
        self.advance();
        let value = self.offset_duration()?;
        let end = self.last_end;
        let before = expr.span();
        let (offset, span) = match &mut expr {
            Expr::Vector(e) => (&mut e.offset, &mut e.span),
            Expr::Matrix(e) => (&mut e.selector.offset, &mut e.span),
            Expr::Subquery(e) => (&mut e.offset, &mut e.span),
            _ => {
                let message = "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery";
                return Err(self.error(before, message));
            }
        };
        if !offset.is_zero() {
            return Err(ParseError::new(self.text, before, "offset may not be set multiple times"));
        }
        *offset = value;
        span.end = end;
        Ok(expr)
    }

    pub(super) fn at(&mut self, mut expr: Expr) -> Parsed<Expr> {
        self.advance();
        let before = expr.span();
        let value = self.at_value(&before)?;
        let end = self.last_end;
        let (at, span) = match &mut expr {
            Expr::Vector(e) => (&mut e.at, &mut e.span),
            Expr::Matrix(e) => (&mut e.selector.at, &mut e.span),
            Expr::Subquery(e) => (&mut e.at, &mut e.span),
            _ => {
                let message =
                    "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery";
                return Err(self.error(before, message));
            }
        };
        if at.is_some() {
            return Err(ParseError::new(self.text, before, "@ <timestamp> may not be set multiple times"));
        }
        *at = Some(value);
        span.end = end;
        Ok(expr)
    }

    pub(super) fn at_value(&mut self, expr: &Span) -> Parsed<At> {
        for (word, at) in [("start", At::Start), ("end", At::End)] {
            if self.is_keyword(word) {
                self.advance();
                self.expect(TokenKind::LeftParen, "@", "timestamp")?;
                self.expect(TokenKind::RightParen, "@", "timestamp")?;
                return Ok(at);
            }
        }
        let negative = self.sign();
        let word = self.word();
        let seconds = match self.kind() {
            TokenKind::Number if self.index < self.tokens.len() => {
                let span = self.advance();
                parse_number(word).map_err(|m| self.error(span, m))?
            }
            TokenKind::Duration => {
                let span = self.advance();
                parse_duration_ms(word).map_err(|m| self.error(span, m))? as f64 / 1000.0
            }
            _ => return Err(self.unexpected("@", "timestamp")),
        };
        let seconds = if negative { -seconds } else { seconds };
        let ms = seconds * 1000.0;
        if !ms.is_finite() || ms.abs() >= i64::MAX as f64 {
            let message = format!("timestamp out of bounds for @ modifier: {}", crate::number::format_g(seconds));
            return Err(self.error(expr.clone(), message));
        }
        Ok(At::Time(ms.round() as i64))
    }

    pub(super) fn edge(&mut self, mut expr: Expr, edge: RangeEdge) -> Parsed<Expr> {
        let word = if edge == RangeEdge::Anchored { "anchored" } else { "smoothed" };
        let before = expr.span();
        let span = self.advance();
        if !self.options.extended_range_selectors {
            let message = format!(
                "{word} modifier is experimental and not enabled; it needs --enable-feature=promql-extended-range-selectors"
            );
            return Err(self.error(span, message));
        }
        let (slot, span_slot) = match &mut expr {
            Expr::Vector(e) if edge == RangeEdge::Smoothed => (&mut e.edge, &mut e.span),
            Expr::Matrix(e) => (&mut e.selector.edge, &mut e.span),
            Expr::Vector(_) => {
                return Err(self.error(before, "anchored modifier must be preceded by a range vector selector"));
            }
            _ => {
                let message =
                    format!("{word} modifier must be preceded by a vector selector, but is preceded by an expression");
                return Err(self.error(before, message));
            }
        };
        match (*slot, edge) {
            (RangeEdge::Plain, _) => {}
            (same, other) if same == other => {
                return Err(ParseError::new(self.text, before, format!("{word} may not be set multiple times")));
            }
            _ => {
                return Err(ParseError::new(
                    self.text,
                    before,
                    "anchored and smoothed modifiers cannot be used together",
                ));
            }
        }
        *slot = edge;
        span_slot.end = span.end;
        Ok(expr)
    }
}
