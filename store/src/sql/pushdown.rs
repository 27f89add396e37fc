//! Which part of a WHERE clause the store can use to read less.
//!
//! Everything found here only narrows what is read; DataFusion applies the whole clause again, so a condition that is
//! understood too generously costs time and never correctness.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Expr, Like, Operator};
use vocab::{MatchOp, Matcher};

/// What a condition is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A text column of the table.
    Column(String),
    /// `labels['x']`
    Label(String),
    /// `fields['x']`
    Field(String),
}

/// The usable part of a WHERE clause.
#[derive(Debug, Clone, Default)]
pub(super) struct Pushdown {
    /// First time, included, in nanoseconds.
    pub(super) start_ns: Option<i64>,
    /// Last time, included.
    pub(super) end_ns: Option<i64>,
    /// Conditions on texts; an absent label counts as the empty text.
    pub(super) conditions: Vec<(Target, Matcher)>,
}

impl Pushdown {
    /// Takes what can be used from all filters.
    pub(super) fn of(filters: &[Expr]) -> Self {
        let mut pushdown = Self::default();
        for filter in filters {
            pushdown.take(filter);
        }
        pushdown
    }

    /// Whether anything of a filter can be used.
    pub(super) fn understands(filter: &Expr) -> bool {
        Self::default().take(filter)
    }

    /// Whether the time is bounded on one side at least.
    pub(super) fn is_time_bounded(&self) -> bool {
        self.start_ns.is_some() || self.end_ns.is_some()
    }

    fn take(&mut self, filter: &Expr) -> bool {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                // Both sides are looked at, whatever the first one gives.
                let (left, right) = (self.take(left), self.take(right));
                left || right
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                self.compare(left, *op, right) || op.swap().is_some_and(|op| self.compare(right, op, left))
            }
            Expr::Between(between) if !between.negated => {
                let low = self.compare(&between.expr, Operator::GtEq, &between.low);
                let high = self.compare(&between.expr, Operator::LtEq, &between.high);
                low || high
            }
            Expr::InList(InList { expr, list, negated: false }) => {
                let values: Option<Vec<String>> = list.iter().map(text_of).collect();
                let Some((target, values)) = target_of(expr).zip(values) else { return false };
                let pattern: Vec<String> = values.iter().map(|v| regex::escape(v)).collect();
                self.condition(target, MatchOp::Regex, pattern.join("|"))
            }
            Expr::Like(Like { negated: false, expr, pattern, escape_char: None, case_insensitive: false }) => {
                let Some((target, pattern)) = target_of(expr).zip(text_of(pattern)) else { return false };
                self.condition(target, MatchOp::Regex, regex_of_like(&pattern))
            }
            Expr::IsNotNull(inner) => match target_of(inner) {
                Some(target @ Target::Label(_)) => self.condition(target, MatchOp::NotEqual, String::new()),
                _ => false,
            },
            Expr::IsNull(inner) => match target_of(inner) {
                Some(target @ Target::Label(_)) => self.condition(target, MatchOp::Equal, String::new()),
                _ => false,
            },
            _ => false,
        }
    }

    fn compare(&mut self, left: &Expr, op: Operator, right: &Expr) -> bool {
        if is_time(left) {
            return time_of(right).is_some_and(|time| self.bound(op, time));
        }
        let Some((target, value)) = target_of(left).zip(text_of(right)) else { return false };
        match op {
            Operator::Eq => self.condition(target, MatchOp::Equal, value),
            Operator::NotEq => self.condition(target, MatchOp::NotEqual, value),
            // SQL's patterns may match anywhere; that a dot of ours also matches a line's end only reads more.
            Operator::RegexMatch => self.condition(target, MatchOp::Regex, format!(".*(?:{value}).*")),
            _ => false,
        }
    }

    fn bound(&mut self, op: Operator, time: i64) -> bool {
        let start = |this: &mut Self, time: i64| this.start_ns = Some(this.start_ns.map_or(time, |t| t.max(time)));
        let end = |this: &mut Self, time: i64| this.end_ns = Some(this.end_ns.map_or(time, |t| t.min(time)));
        match op {
            Operator::Gt | Operator::GtEq => start(self, time),
            Operator::Lt | Operator::LtEq => end(self, time),
            Operator::Eq => {
                start(self, time);
                end(self, time);
            }
            _ => return false,
        }
        true
    }

    fn condition(&mut self, target: Target, op: MatchOp, value: String) -> bool {
        let negative = matches!(op, MatchOp::NotEqual | MatchOp::NotRegex);
        // A label of the same name may hide a field, so what is said of a field can only be used when it is positive.
        if negative && matches!(target, Target::Field(_)) {
            return false;
        }
        // A pattern that our matcher does not take (too large, say) is left to DataFusion.
        let Ok(matcher) = Matcher::new(op, name_of(&target), value) else { return false };
        self.conditions.push((target, matcher));
        true
    }
}

fn name_of(target: &Target) -> &str {
    match target {
        Target::Column(name) | Target::Label(name) | Target::Field(name) => name,
    }
}

/// Whether an expression is the time column, perhaps made finer by a cast, which keeps its order.
fn is_time(expr: &Expr) -> bool {
    use datafusion::arrow::datatypes::{DataType, TimeUnit};
    match expr {
        Expr::Column(column) => column.name == "time",
        Expr::Cast(cast) => {
            matches!(
                cast.field.data_type(),
                DataType::Timestamp(TimeUnit::Nanosecond | TimeUnit::Millisecond | TimeUnit::Microsecond, _)
            ) && is_time(&cast.expr)
        }
        _ => false,
    }
}

/// A literal time in nanoseconds; beyond what those can say, the nearest they can.
fn time_of(expr: &Expr) -> Option<i64> {
    let Expr::Literal(value, _) = expr else { return None };
    match value {
        ScalarValue::TimestampNanosecond(time, _) => *time,
        ScalarValue::TimestampMicrosecond(time, _) => Some((*time)?.saturating_mul(1_000)),
        ScalarValue::TimestampMillisecond(time, _) => Some((*time)?.saturating_mul(1_000_000)),
        ScalarValue::TimestampSecond(time, _) => Some((*time)?.saturating_mul(1_000_000_000)),
        _ => None,
    }
}

fn target_of(expr: &Expr) -> Option<Target> {
    match expr {
        Expr::Column(column) if matches!(column.name.as_str(), "name" | "service" | "severity") => {
            Some(Target::Column(column.name.clone()))
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == "get_field" => match args.as_slice() {
            [Expr::Column(map), key] => match map.name.as_str() {
                "labels" => Some(Target::Label(text_of(key)?)),
                "fields" => Some(Target::Field(text_of(key)?)),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

fn text_of(expr: &Expr) -> Option<String> {
    let Expr::Literal(value, _) = expr else { return None };
    value.try_as_str().flatten().map(str::to_owned)
}

/// A LIKE pattern as a regular expression: `%` is any text, `_` any character, a backslash takes what follows literally.
fn regex_of_like(pattern: &str) -> String {
    let mut out = String::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => out.push_str(".*"),
            '_' => out.push('.'),
            '\\' => out.push_str(&regex::escape(&chars.next().unwrap_or('\\').to_string())),
            c => out.push_str(&regex::escape(&c.to_string())),
        }
    }
    out
}
