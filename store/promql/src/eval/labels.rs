//! Functions that change or sort by labels.

use std::cmp::Ordering;

use vocab::labels::METRIC_NAME;
use vocab::ports::query::StepGrid;
use vocab::{ErrorKind, Labels};

use super::{Evaluator, merge_by_labels};
use crate::annotations::Note;
use crate::ast::Call;
use crate::error::QueryError;
use crate::lexer::quote_text;
use crate::value::{Series, Value, is_absent};

impl Evaluator<'_> {
    pub(super) fn label_replace(&self, call: &Call, grid: &StepGrid) -> Result<Value, QueryError> {
        let target = self.eval_string(&call.args[1])?;
        let replacement = self.eval_string(&call.args[2])?;
        let source = self.eval_string(&call.args[3])?;
        let pattern = self.eval_string(&call.args[4])?;
        let regex = regex::RegexBuilder::new(&format!("^(?s:{pattern})$"))
            .size_limit(8 * 1024 * 1024)
            .build()
            .map_err(|_| {
                QueryError::execution(format!("invalid regular expression in label_replace(): {pattern}"))
                    .at(&call.args[4].span())
            })?;
        if target.is_empty() {
            let message = format!("invalid destination label name in label_replace(): {target}");
            return Err(QueryError::execution(message).at(&call.args[1].span()));
        }
        let replacement = go_template(&replacement);
        self.relabel(call, grid, &target, |labels| {
            let value = labels.get(&source).unwrap_or("");
            let captures = regex.captures(value)?;
            let mut out = String::new();
            captures.expand(&replacement, &mut out);
            Some(out)
        })
    }

    pub(super) fn label_join(&self, call: &Call, grid: &StepGrid) -> Result<Value, QueryError> {
        let target = self.eval_string(&call.args[1])?;
        let separator = self.eval_string(&call.args[2])?;
        let sources = call.args[3..].iter().map(|a| self.eval_string(a)).collect::<Result<Vec<_>, _>>()?;
        if let Some(bad) = sources.iter().find(|s| s.is_empty()) {
            let message = format!("invalid source label name in label_join(): {bad}");
            return Err(QueryError::execution(message).at(&call.span));
        }
        if target.is_empty() {
            let message = format!("invalid destination label name in label_join(): {target}");
            return Err(QueryError::execution(message).at(&call.args[1].span()));
        }
        self.relabel(call, grid, &target, |labels| {
            let values: Vec<&str> = sources.iter().map(|s| labels.get(s).unwrap_or("")).collect();
            Some(values.join(&separator))
        })
    }

    fn relabel(
        &self,
        call: &Call,
        grid: &StepGrid,
        target: &str,
        value: impl Fn(&Labels) -> Option<String>,
    ) -> Result<Value, QueryError> {
        let mut vector = self.eval_vector(&call.args[0], grid)?;
        for series in &mut vector.series {
            let Some(new) = value(&series.labels) else { continue };
            series.labels = series.labels.with(target, &new);
            if target == METRIC_NAME {
                series.drop_name = false;
            }
        }
        let series = std::mem::take(&mut vector.series);
        drop(vector);
        self.vector(merge_by_labels(series).map_err(|e| e.at(&call.span))?)
    }

    pub(super) fn sort(&self, call: &Call, grid: &StepGrid) -> Result<Value, QueryError> {
        let mut vector = self.eval_vector(&call.args[0], grid)?;
        if self.times.step_ms() != 0 {
            self.note(Note::sort_in_range_query(), &call.span);
            // Sorting needs floats; the order itself would be lost.
            if matches!(call.function.name, "sort" | "sort_desc") {
                vector.series.iter_mut().for_each(|s| s.histograms = Vec::new());
                vector.series.retain(|s| !s.is_empty());
            }
            return Ok(Value::Vector(vector));
        }
        if grid.num_steps() != 1 {
            return Ok(Value::Vector(vector));
        }
        let descending = call.function.name.ends_with("_desc");
        if call.function.name.starts_with("sort_by_label") {
            let names = call.args[1..].iter().map(|a| self.eval_string(a)).collect::<Result<Vec<_>, _>>()?;
            vector.series.sort_by(|a, b| {
                let order = by_labels(a, b, &names);
                if descending { order.reverse() } else { order }
            });
        } else {
            vector.series.retain(|s| !is_absent(s.floats[0]));
            vector.series.sort_by(|a, b| nan_last(a.floats[0], b.floats[0], descending));
        }
        Ok(Value::Vector(vector))
    }
}

/// By value, NaN always behind.
pub(super) fn nan_last(a: f64, b: f64, descending: bool) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        _ => {
            let order = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
            if descending { order.reverse() } else { order }
        }
    }
}

fn by_labels(a: &Series, b: &Series, names: &[String]) -> Ordering {
    names
        .iter()
        .map(|name| natural(a.labels.get(name).unwrap_or(""), b.labels.get(name).unwrap_or("")))
        .find(|order| *order != Ordering::Equal)
        .unwrap_or_else(|| a.labels.cmp(&b.labels))
}

/// Natural order: runs of digits compare as numbers.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (chunks(a), chunks(b));
    loop {
        return match (a.next(), b.next()) {
            (None, None) => Ordering::Equal,
            (None, _) => Ordering::Less,
            (_, None) => Ordering::Greater,
            (Some(x), Some(y)) if x == y => continue,
            (Some(x), Some(y)) => {
                let numbers = x.parse::<u128>().ok().zip(y.parse::<u128>().ok());
                match numbers.map(|(x, y)| x.cmp(&y)) {
                    Some(Ordering::Equal) | None => x.cmp(y),
                    Some(order) => order,
                }
            }
        };
    }
}

fn chunks(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (chunk, after) = rest.split_at(end);
        rest = after;
        Some(chunk)
    })
}

/// Go's replacement syntax in the regex crate's: `$1x` means the group `1x` in both; `$` before anything else is
/// dropped in Go.
fn go_template(template: &str) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push_str("$$");
            rest = after;
        } else if rest.starts_with(|c: char| c == '_' || c.is_alphanumeric()) {
            let end = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
            out.push_str(&format!("${{{}}}", &rest[..end]));
            rest = &rest[end..];
        } else if rest.starts_with('{') {
            match rest.find('}') {
                Some(end) => {
                    out.push_str(&format!("${}", &rest[..=end]));
                    rest = &rest[end + 1..];
                }
                None => out.push_str("$$"),
            }
        } else {
            out.push_str("$$");
        }
    }
    out.push_str(rest);
    out
}

/// An error for a label name that cannot be.
pub(super) fn invalid_label_name(name: &str) -> QueryError {
    QueryError::new(ErrorKind::Execution, format!("invalid label name {}", quote_text(name)))
}
