//! `info()`: labels of info series joined to other series.

use hashbrown::{HashMap, HashSet};
use vocab::labels::{LabelsBuilder, METRIC_NAME};
use vocab::matcher::MatchOp;
use vocab::ports::Querier;
use vocab::ports::query::{SelectHints, SelectRequest, StepGrid};
use vocab::{Ctx, Labels, Matcher};

use crate::ast::{Call, Expr, VectorSelector};
use crate::engine::{Engine, LeafData, Reads};
use crate::error::QueryError;
use crate::eval::matching::braces;
use crate::eval::select::{Instant, Wanted};
use crate::eval::{Evaluator, merge_by_labels};
use crate::plan::{Leaf, LeafKind, NodeId};
use crate::timing::{QueryTimes, Timing, effective_grid};
use crate::value::{Series, Value, is_absent};

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
        let plain = Timing { at_ms: None, offset_ms: 0 };
        let timing = base_timing(&call.args[0], plain, times)?.unwrap_or(plain);
        let (first, last) = timing.bounds(&grid);
        let lookback_ms = engine.options().lookback_ms;
        let request = SelectRequest {
            matchers,
            start_ms: first.saturating_sub(lookback_ms).saturating_add(1),
            end_ms: last,
            hints: SelectHints { function: "info".to_owned(), ..SelectHints::default() },
        };
        let kind = LeafKind::Range;
        let leaf = Leaf { node: NodeId::of(expr), kind, grid, timing, request, histogram_stats: false };
        let LeafData::Raw(raw) = engine.select(querier, ctx, &leaf, &mut reads.stats).await? else { continue };
        if raw.series.iter().any(|s| !s.histograms.is_empty()) {
            return Err(QueryError::execution("info sample should be float").at(&call.span));
        }
        let instant = Instant::new(&grid, timing, lookback_ms, Wanted::Time);
        let mut infos: Vec<Series> = raw.series.iter().filter_map(|s| instant.evaluate(s)).collect();
        infos.sort_by(|a, b| a.labels.cmp(&b.labels));
        reads.info.insert(leaf.node, infos);
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

/// Info series are read at the times that the first selector in the base expression reads at.
fn base_timing(expr: &Expr, outer: Timing, times: &QueryTimes) -> Result<Option<Timing>, QueryError> {
    let (at, offset, span) = match expr {
        Expr::Vector(s) => (s.at, &s.offset, &s.span),
        Expr::Matrix(m) => (m.selector.at, &m.selector.offset, &m.span),
        Expr::Subquery(s) => (s.at, &s.offset, &s.span),
        other => {
            for child in other.children() {
                if let Some(timing) = base_timing(child, outer, times)? {
                    return Ok(Some(timing));
                }
            }
            return Ok(None);
        }
    };
    let own = times.timing(at, offset, span)?;
    // A subquery shifts what is inside it, unless that has a time of its own.
    let timing = match own.at_ms {
        Some(_) => own,
        None => Timing { at_ms: outer.at_ms, offset_ms: outer.offset_ms.saturating_add(own.offset_ms) },
    };
    match expr {
        Expr::Subquery(subquery) => base_timing(&subquery.expr, timing, times),
        _ => Ok(Some(timing)),
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
        let infos = self.take_info(expr);
        let is_info = |labels: &Labels| names.iter().all(|m| m.matches_labels(labels));
        let wanted = identities(base.series.iter().map(|s| &s.labels).filter(|l| !is_info(l)));
        let infos = infos.iter().filter(|info| {
            data.iter().all(|m| m.matches_labels(&info.labels))
                && wanted.iter().all(|(name, values)| values.contains(info.labels.get(name).unwrap_or("")))
        });
        let mut by_identity: HashMap<Labels, Vec<&Series>> = HashMap::new();
        for info in infos.filter(|_| !wanted.is_empty()) {
            by_identity.entry(identity(&info.labels)).or_default().push(info);
        }
        let mut out: Vec<Series> = Vec::new();
        for series in std::mem::take(&mut base.series) {
            // Info series themselves are not enriched.
            if is_info(&series.labels) {
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

/// Values that series have for each identifying label; labels that none has are left out.
fn identities<'l>(series: impl Iterator<Item = &'l Labels>) -> HashMap<&'static str, HashSet<String>> {
    let mut out: HashMap<&'static str, HashSet<String>> = HashMap::new();
    for labels in series {
        for name in IDENTIFYING {
            if let Some(value) = labels.get(name) {
                out.entry(*name).or_default().insert(value.to_owned());
            }
        }
    }
    out
}

/// The info series that count at a step: of those with the same name the one with the newest sample. Their columns
/// hold the times of their samples.
fn choose(candidates: &[&Series], step: usize) -> Result<Vec<usize>, QueryError> {
    let mut chosen: Vec<usize> = Vec::new();
    for (index, info) in candidates.iter().enumerate() {
        let time = info.floats[step];
        if is_absent(time) {
            continue;
        }
        let same_name = |c: &&mut usize| candidates[**c].labels.metric_name() == info.labels.metric_name();
        let Some(other) = chosen.iter_mut().find(same_name) else {
            chosen.push(index);
            continue;
        };
        let other_time = candidates[*other].floats[step];
        if other_time == time {
            let message = format!(
                "found duplicate series for info metric: existing {} @ {}, new {} @ {}",
                braces(&candidates[*other].labels),
                (other_time * 1000.0).round(),
                braces(&info.labels),
                (time * 1000.0).round()
            );
            return Err(QueryError::execution(message));
        }
        if other_time < time {
            *other = index;
        }
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
    if chosen.is_empty() && data.iter().any(|m| !m.matches_empty()) {
        return Ok(None);
    }
    let mut builder = LabelsBuilder::from(&series.labels);
    for info in chosen.iter().map(|c| candidates[*c]) {
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
    Ok(Some(builder.build()))
}
