//! What follows a binary operator: `bool`, `on`, `ignoring`, `group_left`, `group_right`, `fill`.

use super::{Parsed, Parser};
use crate::ast::{Binary, BinaryOp, Cardinality, Expr, Matching, Span};
use crate::lexer::TokenKind;
use crate::number::{parse_duration_ms, parse_number};

impl Parser<'_> {
    pub(super) fn binary_modifiers(&mut self, op: BinaryOp) -> Parsed<BinaryModifiers> {
        let mut modifiers = BinaryModifiers::default();
        let bool_span = self.span();
        if self.accept_keyword("bool") {
            modifiers.return_bool = true;
            if !op.is_comparison() {
                return Err(self.error(bool_span, "bool modifier can only be used on comparison operators"));
            }
        }
        let on = self.is_keyword("on");
        if on || self.is_keyword("ignoring") {
            self.advance();
            modifiers.on = on;
            modifiers.matched = true;
            modifiers.labels = self.grouping_labels()?;
            let left = self.is_keyword("group_left");
            if left || self.is_keyword("group_right") {
                self.advance();
                modifiers.card = Some(if left { Cardinality::ManyToOne } else { Cardinality::OneToMany });
                if self.kind() == TokenKind::LeftParen {
                    modifiers.include = self.grouping_labels()?;
                }
            }
        }
        self.fill_modifiers(&mut modifiers)?;
        Ok(modifiers)
    }

    pub(super) fn fill_modifiers(&mut self, modifiers: &mut BinaryModifiers) -> Parsed<()> {
        loop {
            let (left, right) = match () {
                () if self.peek(1) != TokenKind::LeftParen => return Ok(()),
                () if self.is_keyword("fill") => (true, true),
                () if self.is_keyword("fill_left") => (true, false),
                () if self.is_keyword("fill_right") => (false, true),
                () => return Ok(()),
            };
            let span = self.advance();
            if !self.options.fill_modifiers {
                let message = "fill modifiers are experimental and need --enable-feature=promql-binop-fill-modifiers";
                return Err(self.error(span, message));
            }
            self.expect(TokenKind::LeftParen, "fill modifier", "\"(\"")?;
            let negative = self.sign();
            let word = self.word();
            let number = self.kind();
            if !matches!(number, TokenKind::Number | TokenKind::Duration) {
                return Err(self.unexpected("fill modifier", "number"));
            }
            let span = self.advance();
            let value = if number == TokenKind::Number {
                parse_number(word).map_err(|m| self.error(span, m))?
            } else {
                parse_duration_ms(word).map_err(|m| self.error(span, m))? as f64 / 1000.0
            };
            let value = if negative { -value } else { value };
            self.expect(TokenKind::RightParen, "fill modifier", "\")\"")?;
            if left {
                modifiers.fill_left = Some(value);
            }
            if right {
                modifiers.fill_right = Some(value);
            }
        }
    }
}

/// What was written.
#[derive(Default)]
pub(super) struct BinaryModifiers {
    return_bool: bool,
    matched: bool,
    on: bool,
    labels: Vec<String>,
    card: Option<Cardinality>,
    include: Vec<String>,
    fill_left: Option<f64>,
    fill_right: Option<f64>,
}

impl BinaryModifiers {
    pub(super) fn build(self, op: BinaryOp, lhs: Expr, rhs: Expr, span: Span) -> Expr {
        use crate::ast::ValueType::Vector;
        let vectors = lhs.value_type() == Vector && rhs.value_type() == Vector;
        let used = self.matched || self.fill_left.is_some() || self.fill_right.is_some();
        let card = match self.card {
            None if op.is_set() => Cardinality::ManyToMany,
            card => card.unwrap_or(Cardinality::OneToOne),
        };
        let matching = (vectors || used).then_some(Matching {
            card,
            labels: self.labels,
            on: self.on,
            include: self.include,
            fill_left: self.fill_left,
            fill_right: self.fill_right,
        });
        Expr::Binary(Binary {
            op,
            lhs: Box::new(lhs),
            rhs: Box::new(rhs),
            return_bool: self.return_bool,
            matching,
            span,
        })
    }
}
