//! Types and other rules that hold for a whole tree.

use crate::ast::{Aggregate, AggregateOp, Binary, Call, Cardinality, Expr, Span, ValueType, VectorSelector};
use crate::error::ParseError;
use crate::lexer::quote_text;

type Checked = Result<(), ParseError>;

/// Checks an expression and all below it; the innermost mistake is told first.
pub(super) fn check(text: &str, expr: &Expr) -> Checked {
    match expr {
        Expr::Number(_) | Expr::String(_) => Ok(()),
        Expr::Vector(selector) => check_matchers(text, selector),
        Expr::Matrix(matrix) => check_matchers(text, &matrix.selector),
        Expr::Paren(paren) => check(text, &paren.expr),
        Expr::Subquery(subquery) => {
            check(text, &subquery.expr)?;
            let ty = subquery.expr.value_type();
            if ty == ValueType::Vector {
                return Ok(());
            }
            let message = format!("subquery is only allowed on instant vector, got {} instead", ty.as_str());
            Err(ParseError::new(text, subquery.span.clone(), message))
        }
        Expr::Unary(unary) => {
            check(text, &unary.expr)?;
            let ty = unary.expr.value_type();
            if matches!(ty, ValueType::Scalar | ValueType::Vector) {
                return Ok(());
            }
            let message = format!(
                "unary expression only allowed on expressions of type scalar or instant vector, got {}",
                quote_text(ty.documented())
            );
            Err(ParseError::new(text, unary.span.clone(), message))
        }
        Expr::Aggregate(aggregate) => check_aggregate(text, aggregate),
        Expr::Call(call) => check_call(text, call),
        Expr::Binary(binary) => check_binary(text, binary),
    }
}

/// A selector must not select everything.
pub(super) fn check_matchers(text: &str, selector: &VectorSelector) -> Checked {
    if selector.matchers.iter().any(|m| !m.matches_empty()) {
        return Ok(());
    }
    let message = "vector selector must contain at least one non-empty matcher";
    Err(ParseError::new(text, selector.span.clone(), message))
}

fn expect_type(text: &str, expr: &Expr, wanted: ValueType, context: &str) -> Checked {
    check(text, expr)?;
    let got = expr.value_type();
    if got == wanted {
        return Ok(());
    }
    let message = format!("expected type {} in {context}, got {}", wanted.documented(), got.documented());
    Err(ParseError::new(text, expr.span(), message))
}

fn check_aggregate(text: &str, aggregate: &Aggregate) -> Checked {
    expect_type(text, &aggregate.expr, ValueType::Vector, "aggregation expression")?;
    let Some(param) = &aggregate.param else { return Ok(()) };
    let wanted = if aggregate.op == AggregateOp::CountValues { ValueType::String } else { ValueType::Scalar };
    expect_type(text, param, wanted, "aggregation parameter")
}

fn check_call(text: &str, call: &Call) -> Checked {
    let function = call.function;
    let (min, max, got) = (function.min_args(), function.max_args(), call.args.len());
    let quantity = match max {
        Some(max) if max == min && got != min => Some(format!("expected {min}")),
        _ if got < min => Some(format!("expected at least {min}")),
        Some(max) if got > max => Some(format!("expected at most {max}")),
        _ => None,
    };
    if let Some(quantity) = quantity {
        let message = format!("{quantity} argument(s) in call to {}, got {got}", quote_text(function.name));
        return Err(ParseError::new(text, call.span.clone(), message));
    }
    let context = format!("call to function {}", quote_text(function.name));
    for (index, arg) in call.args.iter().enumerate() {
        if function.name == "info" && index == 1 {
            check_info_selector(text, arg)?;
            continue;
        }
        let wanted = function.args[index.min(function.args.len() - 1)];
        expect_type(text, arg, wanted, &context)?;
    }
    Ok(())
}

fn check_info_selector(text: &str, arg: &Expr) -> Checked {
    let Expr::Vector(selector) = arg else {
        return Err(ParseError::new(text, arg.span(), "expected label selectors only"));
    };
    if selector.name.is_some() {
        let message = "expected label selectors only, got vector selector instead";
        return Err(ParseError::new(text, arg.span(), message));
    }
    Ok(())
}

fn check_binary(text: &str, binary: &Binary) -> Checked {
    check(text, &binary.lhs)?;
    check(text, &binary.rhs)?;
    let fail = |span: Span, message: String| Err(ParseError::new(text, span, message));
    let whole = || binary.span.clone();
    let (left, right) = (binary.lhs.value_type(), binary.rhs.value_type());
    let scalars = left == ValueType::Scalar && right == ValueType::Scalar;
    let word = quote_text(binary.op.as_str());
    if binary.op.is_comparison() && !binary.return_bool && scalars {
        return fail(operator_span(text, binary), "comparisons between scalars must use BOOL modifier".to_owned());
    }
    let matching = binary.matching.as_ref();
    if let Some(both) = matching.filter(|m| m.on).and_then(|m| m.labels.iter().find(|l| m.include.contains(l))) {
        return fail(whole(), format!("label {} must not occur in ON and GROUP clause at once", quote_text(both)));
    }
    for (side, ty) in [(&binary.lhs, left), (&binary.rhs, right)] {
        if !matches!(ty, ValueType::Scalar | ValueType::Vector) {
            return fail(side.span(), "binary expression must contain only scalar and instant vector types".to_owned());
        }
    }
    if left != ValueType::Vector || right != ValueType::Vector {
        if binary.op.is_set() {
            return fail(whole(), format!("set operator {word} not allowed in binary scalar expression"));
        }
        if let Some(matching) = matching {
            if matching.fill_left.is_some() || matching.fill_right.is_some() {
                return fail(whole(), "filling in missing series only allowed between instant vectors".to_owned());
            }
            if !matching.labels.is_empty() || matching.on {
                return fail(whole(), "vector matching only allowed between instant vectors".to_owned());
            }
        }
        return Ok(());
    }
    let Some(matching) = matching.filter(|_| binary.op.is_set()) else { return Ok(()) };
    if matches!(matching.card, Cardinality::OneToMany | Cardinality::ManyToOne) {
        return fail(whole(), format!("no grouping allowed for {word} operation"));
    }
    if matching.fill_left.is_some() || matching.fill_right.is_some() {
        return fail(whole(), "filling in missing series not allowed for set operators".to_owned());
    }
    Ok(())
}

/// The bytes between both sides, without white space.
fn operator_span(text: &str, binary: &Binary) -> Span {
    let (start, end) = (binary.lhs.span().end, binary.rhs.span().start);
    let between = text.get(start..end).unwrap_or("");
    let leading = between.len() - between.trim_start().len();
    start + leading..start + leading + between.trim().len()
}
