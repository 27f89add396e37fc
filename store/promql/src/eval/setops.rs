//! `and`, `or`, `unless`.

use hashbrown::HashMap;
use vocab::Labels;
use vocab::ports::query::StepGrid;

use super::Evaluator;
use super::matching::{Grouping, merge_by_labels};
use crate::ast::{Binary, BinaryOp, Matching};
use crate::error::QueryError;
use crate::value::{ABSENT, Series, Value};

impl Evaluator<'_> {
    pub(super) fn set_operation(
        &self,
        binary: &Binary,
        matching: &Matching,
        grid: &StepGrid,
    ) -> Result<Value, QueryError> {
        let mut left = self.eval_vector(&binary.lhs, grid)?;
        let mut right = self.eval_vector(&binary.rhs, grid)?;
        let grouping = Grouping::new(&matching.labels, !matching.on);
        let key = |series: &Series| grouping.key(&series.labels);
        let steps = grid.num_steps();
        if binary.op == BinaryOp::Or {
            let present = presence(&left.series, key, steps);
            hide(&mut right.series, key, |key, step| !present.get(key).is_some_and(|steps| steps[step]));
            let mut series = std::mem::take(&mut left.series);
            series.append(&mut right.series);
            drop((left, right));
            return self.vector(merge_by_labels(series).map_err(|e| e.at(&binary.span))?);
        }
        let present = presence(&right.series, key, steps);
        let wanted = binary.op == BinaryOp::And;
        hide(&mut left.series, key, |key, step| present.get(key).is_some_and(|steps| steps[step]) == wanted);
        Ok(Value::Vector(left))
    }
}

fn presence(series: &[Series], key: impl Fn(&Series) -> Labels, steps: usize) -> HashMap<Labels, Vec<bool>> {
    let mut out: HashMap<Labels, Vec<bool>> = HashMap::new();
    for one in series {
        let present = out.entry(key(one)).or_insert_with(|| vec![false; steps]);
        for (step, slot) in present.iter_mut().enumerate() {
            *slot |= one.has(step);
        }
    }
    out
}

/// Keeps the samples for which `keep(key, step)` holds, and the series that have any left.
fn hide(series: &mut Vec<Series>, key: impl Fn(&Series) -> Labels, keep: impl Fn(&Labels, usize) -> bool) {
    series.retain_mut(|one| {
        let key = key(one);
        for step in 0..one.floats.len() {
            if !keep(&key, step) {
                one.floats[step] = ABSENT;
                if let Some(slot) = one.histograms.get_mut(step) {
                    *slot = None;
                }
            }
        }
        !one.is_empty()
    });
}
