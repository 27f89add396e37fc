//! A query's tree as `parse_query` shows it.

use promql::Expr;
use promql::ast::{At, Cardinality, DurationValue, Matching, VectorSelector};
use serde_json::{Value, json};

/// A node with everything below it.
pub(crate) fn expr(node: &Expr) -> Value {
    match node {
        Expr::Number(n) => json!({"type": "numberLiteral", "val": promql::format_value(n.value)}),
        Expr::String(s) => json!({"type": "stringLiteral", "val": s.value}),
        Expr::Paren(p) => json!({"type": "parenExpr", "expr": expr(&p.expr)}),
        Expr::Unary(u) => json!({"type": "unaryExpr", "op": if u.negate { "-" } else { "+" }, "expr": expr(&u.expr)}),
        Expr::Vector(v) => {
            let mut value = selector(v);
            value["type"] = json!("vectorSelector");
            value
        }
        Expr::Matrix(m) => {
            let mut value = selector(&m.selector);
            value["type"] = json!("matrixSelector");
            value["range"] = duration(&m.range);
            value
        }
        Expr::Subquery(s) => json!({
            "type": "subquery",
            "expr": expr(&s.expr),
            "range": duration(&s.range),
            "step": duration(&s.step),
            "offset": duration(&s.offset),
            "timestamp": timestamp(s.at),
            "startOrEnd": start_or_end(s.at),
        }),
        Expr::Call(c) => json!({
            "type": "call",
            "func": {
                "name": c.function.name,
                "argTypes": c.function.args.iter().map(|a| a.as_str()).collect::<Vec<_>>(),
                "variadic": c.function.variadic,
                "returnType": c.function.returns.as_str(),
            },
            "args": c.args.iter().map(expr).collect::<Vec<_>>(),
        }),
        Expr::Aggregate(a) => json!({
            "type": "aggregation",
            "op": a.op.as_str(),
            "expr": expr(&a.expr),
            "param": a.param.as_deref().map(expr),
            "grouping": a.grouping,
            "without": a.without,
        }),
        Expr::Binary(b) => json!({
            "type": "binaryExpr",
            "op": b.op.as_str(),
            "lhs": expr(&b.lhs),
            "rhs": expr(&b.rhs),
            "matching": b.matching.as_ref().map(matching),
            "bool": b.return_bool,
        }),
    }
}

fn selector(selector: &VectorSelector) -> Value {
    let matchers: Vec<_> =
        selector.matchers.iter().map(|m| json!({"name": m.name, "value": m.value, "type": m.op.as_str()})).collect();
    json!({
        "name": selector.name.as_deref().unwrap_or_default(),
        "offset": duration(&selector.offset),
        "matchers": matchers,
        "timestamp": timestamp(selector.at),
        "startOrEnd": start_or_end(selector.at),
    })
}

fn matching(matching: &Matching) -> Value {
    let card = match matching.card {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    json!({"card": card, "labels": matching.labels, "on": matching.on, "include": matching.include})
}

/// Milliseconds; `null` for a duration that is computed when the query runs.
fn duration(value: &DurationValue) -> Value {
    match value {
        DurationValue::Fixed(ms) => json!(ms),
        DurationValue::Computed(_) => Value::Null,
    }
}

fn timestamp(at: Option<At>) -> Option<i64> {
    match at {
        Some(At::Time(ms)) => Some(ms),
        _ => None,
    }
}

fn start_or_end(at: Option<At>) -> Option<&'static str> {
    match at {
        Some(At::Start) => Some("start"),
        Some(At::End) => Some("end"),
        _ => None,
    }
}
