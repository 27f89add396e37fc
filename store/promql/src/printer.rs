//! Expressions back to text: canonical on one line, and broken over lines.

use std::fmt;

use vocab::Matcher;

use crate::ast::{
    Aggregate, At, Binary, Cardinality, DurationExpr, DurationKind, DurationValue, Expr, MatrixSelector, NumberLiteral,
    RangeEdge, Subquery, VectorSelector,
};
use crate::lexer::quote_text;
use crate::number::{format_duration_ms, format_plain};

/// Longest expression that pretty printing leaves on one line, in characters.
const PRETTY_WIDTH: usize = 100;

/// Breaks an expression over lines where it is longer than 100 characters.
pub fn pretty(expr: &Expr) -> String {
    pretty_width(expr, PRETTY_WIDTH)
}

/// [`pretty`] with another width.
pub fn pretty_width(expr: &Expr, width: usize) -> String {
    let mut out = String::new();
    write_pretty(expr, 0, width, &mut out);
    out
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write_number(number, f),
            Self::String(string) => f.write_str(&quote_text(&string.value)),
            Self::Vector(selector) => {
                f.write_str(&selector_core(selector))?;
                f.write_str(edge_suffix(selector.edge))?;
                f.write_str(&modifiers(selector.at, &selector.offset))
            }
            Self::Matrix(matrix) => f.write_str(&matrix_text(matrix)),
            Self::Subquery(subquery) => {
                write!(f, "{}{}", subquery.expr, subquery_suffix(subquery))
            }
            Self::Call(call) => {
                write!(f, "{}(", call.function.name)?;
                for (index, arg) in call.args.iter().enumerate() {
                    write!(f, "{}{arg}", if index > 0 { ", " } else { "" })?;
                }
                f.write_str(")")
            }
            Self::Aggregate(aggregate) => {
                write!(f, "{}(", aggregate_head(aggregate))?;
                if let Some(param) = &aggregate.param {
                    write!(f, "{param}, ")?;
                }
                write!(f, "{})", aggregate.expr)
            }
            Self::Binary(binary) => {
                write!(f, "{} {}{} {}", binary.lhs, binary.op.as_str(), matching_text(binary), binary.rhs)
            }
            Self::Unary(unary) => write!(f, "{}{}", if unary.negate { '-' } else { '+' }, unary.expr),
            Self::Paren(paren) => write!(f, "({})", paren.expr),
        }
    }
}

fn write_number(number: &NumberLiteral, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if number.duration {
        f.write_str(&format_duration_ms((number.value * 1000.0).round() as i64))
    } else {
        f.write_str(&format_plain(number.value))
    }
}

fn is_legacy_label(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_ascii_alphabetic())
        && chars.all(|c| c == '_' || c.is_ascii_alphanumeric())
}

fn is_legacy_metric(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c == '_' || c == ':' || c.is_ascii_alphabetic())
        && chars.all(|c| c == '_' || c == ':' || c.is_ascii_alphanumeric())
}

fn label_text(name: &str) -> String {
    if is_legacy_label(name) { name.to_owned() } else { quote_text(name) }
}

fn matcher_text(matcher: &Matcher) -> String {
    format!("{}{}{}", label_text(&matcher.name), matcher.op.as_str(), quote_text(&matcher.value))
}

fn selector_core(selector: &VectorSelector) -> String {
    let mut inside: Vec<String> = Vec::new();
    let mut outside = "";
    if let Some(name) = &selector.name {
        if is_legacy_metric(name) {
            outside = name;
        } else {
            inside.push(quote_text(name));
        }
    }
    let own = selector.matchers.len() - usize::from(selector.name.is_some());
    let named = inside.len();
    inside.extend(selector.matchers[..own].iter().map(matcher_text));
    inside[named..].sort_unstable();
    if inside.is_empty() { outside.to_owned() } else { format!("{outside}{{{}}}", inside.join(",")) }
}

fn edge_suffix(edge: RangeEdge) -> &'static str {
    match edge {
        RangeEdge::Plain => "",
        RangeEdge::Anchored => " anchored",
        RangeEdge::Smoothed => " smoothed",
    }
}

fn modifiers(at: Option<At>, offset: &DurationValue) -> String {
    let mut out = String::new();
    match at {
        None => {}
        Some(At::Time(ms)) => out.push_str(&format!(" @ {:.3}", ms as f64 / 1000.0)),
        Some(At::Start) => out.push_str(" @ start()"),
        Some(At::End) => out.push_str(" @ end()"),
    }
    if !offset.is_zero() {
        out.push_str(&format!(" offset {}", duration_text(offset)));
    }
    out
}

fn duration_text(duration: &DurationValue) -> String {
    match duration {
        DurationValue::Fixed(ms) => format_duration_ms(*ms),
        DurationValue::Computed(expr) => duration_expr_text(expr),
    }
}

fn duration_expr_text(expr: &DurationExpr) -> String {
    match &expr.kind {
        DurationKind::Literal(seconds, true) => format_duration_ms((seconds * 1000.0).round() as i64),
        DurationKind::Literal(seconds, false) => format_plain(*seconds),
        DurationKind::Step => "step()".to_owned(),
        DurationKind::Range => "range()".to_owned(),
        DurationKind::MinOf(a, b) => format!("min_of({}, {})", duration_expr_text(a), duration_expr_text(b)),
        DurationKind::MaxOf(a, b) => format!("max_of({}, {})", duration_expr_text(a), duration_expr_text(b)),
        DurationKind::Negate(a) => format!("-{}", duration_expr_text(a)),
        DurationKind::Paren(a) => format!("({})", duration_expr_text(a)),
        DurationKind::Binary(op, a, b, _) => {
            format!("{} {} {}", duration_expr_text(a), op.as_str(), duration_expr_text(b))
        }
    }
}

fn matrix_text(matrix: &MatrixSelector) -> String {
    let selector = &matrix.selector;
    format!(
        "{}[{}]{}{}",
        selector_core(selector),
        duration_text(&matrix.range),
        edge_suffix(selector.edge),
        modifiers(selector.at, &selector.offset)
    )
}

fn subquery_suffix(subquery: &Subquery) -> String {
    let step = if subquery.step.is_zero() { String::new() } else { duration_text(&subquery.step) };
    format!("[{}:{step}]{}", duration_text(&subquery.range), modifiers(subquery.at, &subquery.offset))
}

fn labels_text(labels: &[String]) -> String {
    labels.iter().map(|l| label_text(l)).collect::<Vec<_>>().join(", ")
}

fn aggregate_head(aggregate: &Aggregate) -> String {
    let op = aggregate.op.as_str();
    if aggregate.without {
        format!("{op} without ({}) ", labels_text(&aggregate.grouping))
    } else if aggregate.grouping.is_empty() {
        op.to_owned()
    } else {
        format!("{op} by ({}) ", labels_text(&aggregate.grouping))
    }
}

/// `bool`, `on (…)`, `group_left (…)`, `fill (…)`, each with a space before it.
fn matching_text(binary: &Binary) -> String {
    let mut out = if binary.return_bool { " bool".to_owned() } else { String::new() };
    let Some(matching) = &binary.matching else { return out };
    if matching.on || !matching.labels.is_empty() {
        let word = if matching.on { "on" } else { "ignoring" };
        out.push_str(&format!(" {word} ({})", labels_text(&matching.labels)));
    } else if matches!(matching.card, Cardinality::ManyToOne | Cardinality::OneToMany) {
        out.push_str(" ignoring ()");
    }
    match matching.card {
        Cardinality::ManyToOne => out.push_str(&format!(" group_left ({})", labels_text(&matching.include))),
        Cardinality::OneToMany => out.push_str(&format!(" group_right ({})", labels_text(&matching.include))),
        Cardinality::OneToOne | Cardinality::ManyToMany => {}
    }
    match (matching.fill_left, matching.fill_right) {
        (Some(left), Some(right)) if left.to_bits() == right.to_bits() => {
            out.push_str(&format!(" fill ({})", format_plain(left)));
        }
        (left, right) => {
            if let Some(left) = left {
                out.push_str(&format!(" fill_left ({})", format_plain(left)));
            }
            if let Some(right) = right {
                out.push_str(&format!(" fill_right ({})", format_plain(right)));
            }
        }
    }
    out
}

fn indent(level: usize) -> String {
    "  ".repeat(level)
}

fn write_pretty(expr: &Expr, level: usize, width: usize, out: &mut String) {
    let line = expr.to_string();
    let splits = line.chars().count() > width;
    let pad = indent(level);
    if !splits {
        out.push_str(&pad);
        out.push_str(&line);
        return;
    }
    match expr {
        Expr::Call(call) => {
            out.push_str(&format!("{pad}{}(", call.function.name));
            write_args(call.args.iter(), level, width, out);
        }
        Expr::Aggregate(aggregate) => {
            out.push_str(&format!("{pad}{}(", aggregate_head(aggregate)));
            write_args(aggregate.param.iter().chain([&aggregate.expr]).map(AsRef::as_ref), level, width, out);
        }
        Expr::Binary(binary) => {
            write_pretty(&binary.lhs, level + 1, width, out);
            out.push_str(&format!("\n{pad}{}{}\n", binary.op.as_str(), matching_text(binary)));
            write_pretty(&binary.rhs, level + 1, width, out);
        }
        Expr::Paren(paren) => {
            out.push_str(&format!("{pad}(\n"));
            write_pretty(&paren.expr, level + 1, width, out);
            out.push_str(&format!("\n{pad})"));
        }
        Expr::Unary(unary) => {
            let mut inner = String::new();
            write_pretty(&unary.expr, level, width, &mut inner);
            let sign = if unary.negate { '-' } else { '+' };
            out.push_str(&format!("{pad}{sign}{}", inner.trim_start()));
        }
        Expr::Subquery(subquery) => {
            write_pretty(&subquery.expr, level, width, out);
            out.push_str(&subquery_suffix(subquery));
        }
        Expr::Number(_) | Expr::String(_) | Expr::Vector(_) | Expr::Matrix(_) => {
            out.push_str(&pad);
            out.push_str(&line);
        }
    }
}

fn write_args<'a>(args: impl Iterator<Item = &'a Expr>, level: usize, width: usize, out: &mut String) {
    for (index, arg) in args.enumerate() {
        out.push_str(if index > 0 { ",\n" } else { "\n" });
        write_pretty(arg, level + 1, width, out);
    }
    out.push_str(&format!("\n{})", indent(level)));
}
