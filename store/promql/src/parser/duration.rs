//! Durations in brackets and after `offset`, with their arithmetic.

use super::{Parsed, Parser};
use crate::ast::{BinaryOp, DurationExpr, DurationKind, DurationValue, Span};
use crate::error::ParseError;
use crate::lexer::{Op, TokenKind};
use crate::number::{parse_duration_ms, parse_number};

/// Largest duration, in seconds: Prometheus counts nanoseconds in 64 bits.
const SECONDS_MAX: f64 = 9_223_372_036.0;

impl Parser<'_> {
    /// A duration expression in brackets.
    pub(super) fn duration_expression(&mut self, positive: bool) -> Parsed<DurationValue> {
        let expr = self.duration_operand(0)?;
        self.finish_duration(expr, positive)
    }

    /// A duration after `offset`: only signs, numbers, calls and parentheses belong to it.
    pub(super) fn offset_duration(&mut self) -> Parsed<DurationValue> {
        let expr = self.duration_primary("offset")?;
        self.finish_duration(expr, false)
    }

    fn finish_duration(&mut self, expr: DurationExpr, positive: bool) -> Parsed<DurationValue> {
        let seconds = match &expr.kind {
            DurationKind::Literal(seconds, _) => Some(*seconds),
            DurationKind::Negate(inner) => match &inner.kind {
                DurationKind::Literal(seconds, _) => Some(-seconds),
                _ => None,
            },
            _ => None,
        };
        let Some(seconds) = seconds else {
            if !self.options.duration_expressions {
                let message = "experimental duration expression parsing is disabled, enable it with --enable-feature=promql-duration-expr";
                return Err(self.error(expr.span, message));
            }
            return Ok(DurationValue::Computed(expr));
        };
        check_seconds(self.text, seconds, &expr.span, positive)?;
        Ok(DurationValue::Fixed((seconds * 1000.0).round() as i64))
    }

    fn duration_operand(&mut self, min_precedence: u8) -> Parsed<DurationExpr> {
        self.deeper()?;
        let depth = self.depth;
        let mut lhs = self.duration_primary("subquery or range selector")?;
        while let Some(op) = self
            .binary_operator()
            .filter(|op| !op.is_set() && !op.is_comparison() && op.precedence() >= min_precedence.max(4))
        {
            self.deeper()?;
            let op_span = self.advance();
            let rhs = self.duration_operand(op.precedence() + u8::from(op != BinaryOp::Pow))?;
            if let DurationKind::Literal(0.0, _) = rhs.kind {
                match op {
                    BinaryOp::Div => return Err(self.error(op_span, "division by zero")),
                    BinaryOp::Mod => return Err(self.error(op_span, "modulo by zero")),
                    _ => {}
                }
            }
            let span = lhs.span.start..rhs.span.end;
            lhs = DurationExpr { kind: DurationKind::Binary(op, Box::new(lhs), Box::new(rhs), op_span), span };
        }
        self.depth = depth - 1;
        Ok(lhs)
    }

    fn duration_primary(&mut self, context: &str) -> Parsed<DurationExpr> {
        let start = self.span().start;
        let word = self.word();
        let kind = match self.kind() {
            TokenKind::Op(op @ (Op::Sub | Op::Add)) => {
                self.deeper()?;
                self.advance();
                let inner = if context == "offset" {
                    self.duration_primary(context)?
                } else {
                    // A sign binds like a product: only powers bind tighter.
                    self.duration_operand(BinaryOp::Pow.precedence())?
                };
                self.depth -= 1;
                let span = start..inner.span.end;
                let kind = match (op, inner.kind) {
                    (Op::Sub, DurationKind::Literal(seconds, units)) => DurationKind::Literal(-seconds, units),
                    (Op::Sub, kind) => DurationKind::Negate(Box::new(DurationExpr { kind, span: inner.span })),
                    (_, kind) => kind,
                };
                return Ok(DurationExpr { kind, span });
            }
            TokenKind::Number if self.index < self.tokens.len() => {
                let span = self.advance();
                DurationKind::Literal(parse_number(word).map_err(|m| self.error(span, m))?, false)
            }
            TokenKind::Duration => {
                let span = self.advance();
                let ms = parse_duration_ms(word).map_err(|m| self.error(span, m))?;
                DurationKind::Literal(ms as f64 / 1000.0, true)
            }
            TokenKind::LeftParen => {
                self.advance();
                let inner = self.duration_operand(0)?;
                self.expect(TokenKind::RightParen, context, "\")\"")?;
                DurationKind::Paren(Box::new(inner))
            }
            TokenKind::Keyword | TokenKind::Identifier => self.duration_call(context)?,
            _ => return Err(self.unexpected(context, "number, duration, step(), or range()")),
        };
        Ok(DurationExpr { kind, span: start..self.last_end })
    }

    fn duration_call(&mut self, context: &str) -> Parsed<DurationKind> {
        let name = self.word().to_ascii_lowercase();
        if !matches!(name.as_str(), "step" | "range" | "min_of" | "max_of") {
            return Err(self.unexpected(context, "number, duration, step(), or range()"));
        }
        self.advance();
        self.expect(TokenKind::LeftParen, context, "\"(\"")?;
        let kind = match name.as_str() {
            "step" => DurationKind::Step,
            "range" => DurationKind::Range,
            _ => {
                let a = Box::new(self.duration_operand(0)?);
                self.expect(TokenKind::Comma, context, "\",\"")?;
                let b = Box::new(self.duration_operand(0)?);
                if name == "min_of" { DurationKind::MinOf(a, b) } else { DurationKind::MaxOf(a, b) }
            }
        };
        self.expect(TokenKind::RightParen, context, "\")\"")?;
        Ok(kind)
    }
}

fn check_seconds(text: &str, seconds: f64, span: &Span, positive: bool) -> Parsed<()> {
    let message = if positive && seconds <= 0.0 {
        "duration must be greater than 0"
    } else if seconds.abs() > SECONDS_MAX || seconds.is_nan() {
        "duration out of range"
    } else {
        return Ok(());
    };
    Err(ParseError::new(text, span.clone(), message))
}

impl DurationExpr {
    /// Its value in milliseconds in a query with this step and range.
    ///
    /// # Errors
    /// What is wrong with the value, as Prometheus words it.
    pub fn resolve(&self, step_ms: i64, range_ms: i64, positive: bool) -> Result<i64, String> {
        let seconds = self.seconds(step_ms as f64 / 1000.0, range_ms as f64 / 1000.0)?;
        check_seconds("", seconds, &self.span, positive).map_err(|e| e.message)?;
        Ok((seconds * 1000.0).round() as i64)
    }

    fn seconds(&self, step: f64, range: f64) -> Result<f64, String> {
        Ok(match &self.kind {
            DurationKind::Literal(seconds, _) => *seconds,
            DurationKind::Step => step,
            DurationKind::Range => range,
            DurationKind::MinOf(a, b) => a.seconds(step, range)?.min(b.seconds(step, range)?),
            DurationKind::MaxOf(a, b) => a.seconds(step, range)?.max(b.seconds(step, range)?),
            DurationKind::Negate(a) => -a.seconds(step, range)?,
            DurationKind::Paren(a) => a.seconds(step, range)?,
            DurationKind::Binary(op, a, b, _) => {
                let (a, b) = (a.seconds(step, range)?, b.seconds(step, range)?);
                match op {
                    BinaryOp::Add => a + b,
                    BinaryOp::Sub => a - b,
                    BinaryOp::Mul => a * b,
                    BinaryOp::Div if b == 0.0 => return Err("division by zero".to_owned()),
                    BinaryOp::Div => a / b,
                    BinaryOp::Mod if b == 0.0 => return Err("modulo by zero".to_owned()),
                    BinaryOp::Mod => a % b,
                    BinaryOp::Pow => a.powf(b),
                    other => return Err(format!("unexpected operator {} in duration expression", other.as_str())),
                }
            }
        })
    }
}
