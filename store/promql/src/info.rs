//! `info()`: labels of info series joined to other series.

use hashbrown::HashMap;
use vocab::labels::{LabelsBuilder, METRIC_NAME};
use vocab::matcher::MatchOp;
use vocab::ports::Querier;
use vocab::ports::query::{SelectHints, SelectRequest, StepGrid};
use vocab::{Ctx, Labels, Matcher};

use crate::ast::{Call, Expr, VectorSelector};
use crate::engine::{Engine, LeafData, Reads};
use crate::error::QueryError;
use crate::eval::{Evaluator, merge_by_labels};
use crate::plan::{Leaf, LeafKind, NodeId};
use crate::timing::{QueryTimes, Timing, effective_grid};
use crate::value::{SampleValue, Series, Value};

/// The info metric when none is named.
const TARGET_INFO: &str = "target_info";
/// Labels that say which series an info series belongs to.
const IDENTIFYING: &[&str] = &["instance", "job"];

/// Reads the info series of all `info()` calls in a query.
pub(crate) async fn read(
    engine: &Engine,
    querier: &dyn Querier,
    ctx: &Ctx,
    root: &Expr,
    grid: &StepGrid,
    times: &QueryTimes,
    reads: &mut Reads,
) -> Result<(), QueryError> {
    let mut calls = Vec::new();
    find_calls(root, grid, reads, &mut calls);
    for (expr, call, grid) in calls {
        let selector = call.args.get(1).and_then(selector_of);
        let matchers = info_matchers(selector);
        let timing = base_timing(&call.args[0], times)?.unwrap_or(Timing { at_ms: None, offset_ms: 0 });
        let (first, last) = timing.bounds(&grid);
        let lookback_ms = engine.options().lookback_ms;
        let request = SelectRequest {
            matchers,
            start_ms: first.saturating_sub(lookback_ms).saturating_add(1),
            end_ms: last,
            hints: SelectHints { function: "info".to_owned(), ..SelectHints::default() },
        };
        let kind = LeafKind::Instant { lookback_ms, times: false, smoothed: false };
        let leaf = Leaf { node: NodeId::of(expr), kind, grid, timing, request, histogram_stats: false };
        let data = engine.select(querier, ctx, &leaf, &mut reads.stats).await?;
        reads.info.insert(leaf.node, data);
    }
    Ok(())
}

fn selector_of(expr: &Expr) -> Option<&VectorSelector> {
    match expr {
        Expr::Vector(selector) => Some(selector),
        _ => None,
    }
}

fn info_matchers(selector: Option<&VectorSelector>) -> Vec<Matcher> {
    let given = selector.map(|s| s.matchers.as_slice()).unwrap_or_default();
    let mut matchers: Vec<Matcher> = given.iter().filter(|m| m.name == METRIC_NAME).cloned().collect();
    if matchers.is_empty() {
        matchers.push(Matcher::equal(METRIC_NAME, TARGET_INFO));
    } else if !matchers.iter().any(|m| matches!(m.op, MatchOp::Equal | MatchOp::Regex)) {
        // Only negated names: info metrics are known by their suffix.
        matchers.extend(Matcher::new(MatchOp::Regex, METRIC_NAME, ".+_info"));
    }
    matchers
}

/// Info series are read at the times that the base series are read at.
fn base_timing(expr: &Expr, times: &QueryTimes) -> Result<Option<Timing>, QueryError> {
    match expr {
        Expr::Vector(s) => Ok(Some(times.timing(s.at, &s.offset, &s.span)?)),
        Expr::Matrix(m) => Ok(Some(times.timing(m.selector.at, &m.selector.offset, &m.span)?)),
        Expr::Subquery(s) => Ok(Some(times.timing(s.at, &s.offset, &s.span)?)),
        other => {
            for child in other.children() {
                if let Some(timing) = base_timing(child, times)? {
                    return Ok(Some(timing));
                }
            }
            Ok(None)
        }
    }
}

fn find_calls<'e>(expr: &'e Expr, grid: &StepGrid, reads: &Reads, out: &mut Vec<(&'e Expr, &'e Call, StepGrid)>) {
    let grid = match expr {
        Expr::Subquery(_) => reads.subqueries.get(&NodeId::of(expr)).copied().unwrap_or(*grid),
        _ => effective_grid(expr, grid),
    };
    if let Expr::Call(call) = expr
        && call.function.name == "info"
    {
        out.push((expr, call, grid));
    }
    for child in expr.children() {
        find_calls(child, &grid, reads, out);
    }
}

fn identity(labels: &Labels) -> Labels {
    labels.keep(IDENTIFYING)
}

impl Evaluator<'_> {
    pub(crate) fn info(&self, expr: &Expr, call: &Call, grid: &StepGrid) -> Result<Value, QueryError> {
        let mut base = self.eval_vector(&call.args[0], grid)?;
        let selector = call.args.get(1).and_then(selector_of);
        let names = info_matchers(selector);
        let data: Vec<&Matcher> =
            selector.map(|s| s.matchers.iter().filter(|m| m.name != METRIC_NAME).collect()).unwrap_or_default();
        let infos = match self.take_info(expr) {
            Some(LeafData::Vector(vector)) => vector.series,
            _ => Vec::new(),
        };
        let mut by_identity: HashMap<Labels, Vec<&Series>> = HashMap::new();
        for info in &infos {
            by_identity.entry(identity(&info.labels)).or_default().push(info);
        }
        let mut out: Vec<Series> = Vec::new();
        for series in std::mem::take(&mut base.series) {
            // Info series themselves are not enriched.
            if names.iter().all(|m| m.matches_labels(&series.labels)) {
                out.push(series);
                continue;
            }
            let candidates = by_identity.get(&identity(&series.labels)).map(Vec::as_slice).unwrap_or_default();
            self.enrich(&series, candidates, &data, grid, call, &mut out)?;
        }
        drop(base);
        self.vector(merge_by_labels(out).map_err(|e| e.at(&call.span))?)
    }

    fn enrich(
        &self,
        series: &Series,
        candidates: &[&Series],
        data: &[&Matcher],
        grid: &StepGrid,
        call: &Call,
        out: &mut Vec<Series>,
    ) -> Result<(), QueryError> {
        let mut variants: Vec<(Vec<usize>, Option<usize>)> = Vec::new();
        for step in 0..grid.num_steps() {
            let Some(value) = series.get(step) else { continue };
            let chosen = choose(candidates, step).map_err(|e| e.at(&call.span))?;
            let slot = match variants.iter().position(|(c, _)| *c == chosen) {
                Some(slot) => slot,
                None => {
                    let labels = joined(series, &chosen, candidates, data)?;
                    let output = labels.map(|labels| {
                        out.push(Series::empty(labels, series.drop_name, grid.num_steps()));
                        out.len() - 1
                    });
                    variants.push((chosen, output));
                    variants.len() - 1
                }
            };
            if let Some(output) = variants[slot].1 {
                out[output].set(step, value);
            }
        }
        Ok(())
    }
}

/// The info series of each metric that are there at a step; of several with the same name the newest would be right,
/// which a gauge of 1 does not tell: they must not differ.
fn choose(candidates: &[&Series], step: usize) -> Result<Vec<usize>, QueryError> {
    let mut chosen: Vec<usize> = Vec::new();
    for (index, info) in candidates.iter().enumerate() {
        if !matches!(info.get(step), Some(SampleValue::Float(_))) {
            continue;
        }
        let name = info.labels.metric_name();
        if let Some(other) = chosen.iter().find(|c| candidates[**c].labels.metric_name() == name) {
            let message = format!(
                "found duplicate series for info metric: existing {}, new {}",
                candidates[*other].labels, info.labels
            );
            return Err(QueryError::execution(message));
        }
        chosen.push(index);
    }
    Ok(chosen)
}

/// The series' labels with those of its info series; `None` when a matcher asks for a label that is not there.
fn joined(
    series: &Series,
    chosen: &[usize],
    candidates: &[&Series],
    data: &[&Matcher],
) -> Result<Option<Labels>, QueryError> {
    let matching: Vec<&Series> = chosen
        .iter()
        .map(|c| candidates[*c])
        .filter(|info| data.iter().all(|m| m.matches_labels(&info.labels)))
        .collect();
    let mut builder = LabelsBuilder::from(&series.labels);
    for info in &matching {
        for (name, value) in info.labels.iter() {
            let wanted = data.is_empty() || data.iter().any(|m| m.name == name);
            if name == METRIC_NAME || IDENTIFYING.contains(&name) || !wanted || series.labels.get(name).is_some() {
                continue;
            }
            if builder.get(name).is_some_and(|other| other != value) {
                let message = format!("conflicting label: {name}");
                return Err(QueryError::execution(message));
            }
            builder.set(name, value);
        }
    }
    if matching.is_empty() && data.iter().any(|m| !m.matches_empty()) {
        return Ok(None);
    }
    Ok(Some(builder.build()))
}
