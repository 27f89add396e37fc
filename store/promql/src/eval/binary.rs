//! Binary operations.

use hashbrown::HashMap;
use vocab::Labels;
use vocab::labels::{LabelsBuilder, METRIC_NAME};
use vocab::ports::query::StepGrid;

use super::Evaluator;
use super::matching::{GroupIndex, Grouping, braces};
use super::operators::{self, Outcome, drops_name};
use crate::annotations::Note;
use crate::ast::{Binary, Cardinality, Matching};
use crate::error::QueryError;
use crate::value::{ABSENT, SampleValue, Series, Value, is_absent};

impl Evaluator<'_> {
    pub(super) fn binary(&self, binary: &Binary, grid: &StepGrid) -> Result<Value, QueryError> {
        use crate::ast::ValueType::Vector;
        match (binary.lhs.value_type(), binary.rhs.value_type(), &binary.matching) {
            (Vector, Vector, Some(matching)) if binary.op.is_set() => self.set_operation(binary, matching, grid),
            (Vector, Vector, Some(matching)) => self.vector_vector(binary, matching, grid),
            (Vector, _, _) => self.vector_scalar(binary, grid, false),
            (_, Vector, _) => self.vector_scalar(binary, grid, true),
            _ => {
                let (a, b) = (self.eval_scalar(&binary.lhs, grid)?, self.eval_scalar(&binary.rhs, grid)?);
                Ok(Value::Scalar(a.iter().zip(&b).map(|(a, b)| operators::scalar(binary.op, *a, *b)).collect()))
            }
        }
    }

    fn vector_scalar(&self, binary: &Binary, grid: &StepGrid, scalar_left: bool) -> Result<Value, QueryError> {
        let (vector_expr, scalar_expr) =
            if scalar_left { (&binary.rhs, &binary.lhs) } else { (&binary.lhs, &binary.rhs) };
        let mut vector = self.eval_vector(vector_expr, grid)?;
        let scalars = self.eval_scalar(scalar_expr, grid)?;
        let op = binary.op;
        let mut notes = Vec::new();
        for series in &mut vector.series {
            series.drop_name |= drops_name(op) || binary.return_bool;
            if series.histograms.is_empty() && drops_name(op) {
                for (value, scalar) in series.floats.iter_mut().zip(&scalars) {
                    if !crate::value::is_absent(*value) {
                        let (a, b) = if scalar_left { (*scalar, *value) } else { (*value, *scalar) };
                        *value = operators::scalar(op, a, b);
                    }
                }
                continue;
            }
            let mut out = Series::empty(series.labels.clone(), series.drop_name, grid.num_steps());
            for (step, scalar) in scalars.iter().enumerate() {
                let Some(sample) = series.get(step) else { continue };
                let scalar = SampleValue::Float(*scalar);
                let (a, b) = if scalar_left { (&scalar, &sample) } else { (&sample, &scalar) };
                let Some(mut outcome) = operators::samples(op, a, b, &mut notes) else { continue };
                if op.is_comparison() {
                    // A filter keeps the vector's side whatever side it stands on.
                    outcome.value = sample;
                }
                if let Some(value) = finished(outcome, binary.return_bool) {
                    out.set(step, value);
                }
            }
            *series = out;
        }
        self.notes(&mut notes, &binary.span);
        vector.series.retain(|s| !s.is_empty());
        Ok(Value::Vector(vector))
    }

    fn vector_vector(&self, binary: &Binary, matching: &Matching, grid: &StepGrid) -> Result<Value, QueryError> {
        let left = self.eval_vector(&binary.lhs, grid)?;
        let right = self.eval_vector(&binary.rhs, grid)?;
        // The "one" side is looked up; the "many" side is walked through.
        let flipped = matching.card == Cardinality::OneToMany;
        let (many, one) = if flipped { (&right.series, &left.series) } else { (&left.series, &right.series) };
        // As in Prometheus, `fill_left` and `fill_right` change sides with `group_right`.
        let (fill_many, fill_one) = (matching.fill_left, matching.fill_right);
        let mut join = Join {
            binary,
            matching,
            flipped,
            groups: Vec::new(),
            outputs: Vec::new(),
            index: HashMap::new(),
            pairs: HashMap::new(),
            latest: None,
            notes: Vec::new(),
            steps: grid.num_steps(),
        };
        join.collect(many, one);
        for group in 0..join.groups.len() {
            self.ctx.cancel.check()?;
            if join.whole_columns(group, many, one) {
                continue;
            }
            for step in 0..grid.num_steps() {
                join.step(group, step, many, one, fill_many, fill_one)?;
            }
        }
        let mut notes: Vec<Note> = std::mem::take(&mut join.notes);
        notes.dedup();
        self.notes(&mut notes, &binary.span);
        let mut out = join.outputs;
        out.retain(|s| !s.is_empty());
        self.vector(out)
    }
}

fn finished(outcome: Outcome, return_bool: bool) -> Option<SampleValue> {
    if return_bool {
        return Some(SampleValue::Float(if outcome.keep { 1.0 } else { 0.0 }));
    }
    outcome.keep.then_some(outcome.value)
}

/// Series of both sides with the same matching labels.
struct MatchGroup {
    labels: Labels,
    many: Vec<usize>,
    one: Vec<usize>,
}

struct Join<'a> {
    binary: &'a Binary,
    matching: &'a Matching,
    flipped: bool,
    groups: Vec<MatchGroup>,
    outputs: Vec<Series>,
    index: HashMap<Labels, usize>,
    /// Output of a (many, one) pair; `usize::MAX` stands for a filled side.
    pairs: HashMap<(usize, usize), usize>,
    /// The pair that was looked up last: the next step usually asks for it again.
    latest: Option<((usize, usize), usize)>,
    notes: Vec<Note>,
    steps: usize,
}

/// Index that stands for a filled side.
const FILLED: usize = usize::MAX;

const MANY_TO_ONE: &str = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";

impl Join<'_> {
    fn collect(&mut self, many: &[Series], one: &[Series]) {
        let mut index = GroupIndex::new(Grouping::new(&self.matching.labels, !self.matching.on));
        let sides = one.iter().enumerate().map(|(i, s)| (i, s, false));
        for (i, series, is_many) in sides.chain(many.iter().enumerate().map(|(i, s)| (i, s, true))) {
            let slot = index.slot(&series.labels);
            if slot == self.groups.len() {
                let labels = index.keys[slot].clone();
                self.groups.push(MatchGroup { labels, many: Vec::new(), one: Vec::new() });
            }
            let group = &mut self.groups[slot];
            if is_many { group.many.push(i) } else { group.one.push(i) }
        }
    }

    /// Computes all steps of a group at once when it is a matter of one column of numbers on either side.
    fn whole_columns(&mut self, group: usize, many: &[Series], one: &[Series]) -> bool {
        let MatchGroup { many: members, one: others, .. } = &self.groups[group];
        let (&[i], &[j]) = (members.as_slice(), others.as_slice()) else { return false };
        let (a, b) = (&many[i], &one[j]);
        let fills = self.matching.fill_left.is_some() || self.matching.fill_right.is_some();
        let op = self.binary.op;
        if fills || !drops_name(op) || !a.histograms.is_empty() || !b.histograms.is_empty() {
            return false;
        }
        let labels = self.result_labels(&a.labels, &b.labels);
        if self.index.contains_key(&labels) {
            return false;
        }
        let column = a.floats.iter().zip(&b.floats).map(|(x, y)| match (is_absent(*x), is_absent(*y)) {
            (false, false) if self.flipped => operators::scalar(op, *y, *x),
            (false, false) => operators::scalar(op, *x, *y),
            _ => ABSENT,
        });
        let floats = column.collect();
        self.index.insert(labels.clone(), self.outputs.len());
        self.pairs.insert((i, j), self.outputs.len());
        self.outputs.push(Series { labels, drop_name: a.drop_name, floats, histograms: Vec::new() });
        true
    }

    fn step(
        &mut self,
        group: usize,
        step: usize,
        many: &[Series],
        one: &[Series],
        fill_many: Option<f64>,
        fill_one: Option<f64>,
    ) -> Result<(), QueryError> {
        let mut matches = self.groups[group].one.iter().copied().filter(|i| one[*i].has(step));
        let first = matches.next();
        if let (Some(first), Some(second)) = (first, matches.next()) {
            return Err(self.duplicates(group, &one[first], &one[second]));
        }
        let (mut seen_many, mut emitted) = (0, 0);
        for at in 0..self.groups[group].many.len() {
            let i = self.groups[group].many[at];
            let Some(sample) = many[i].get(step) else { continue };
            seen_many += 1;
            let (other, other_index) = match (first, fill_one) {
                (Some(j), _) => (one[j].get(step), j),
                (None, Some(fill)) => (Some(SampleValue::Float(fill)), FILLED),
                (None, None) => continue,
            };
            let Some(other) = other else { continue };
            let kept =
                self.emit(step, group, (Some(&many[i]), i, &sample), (one.get(other_index), other_index, &other))?;
            emitted += usize::from(kept);
            if self.matching.card == Cardinality::OneToOne && emitted > 1 {
                return Err(QueryError::execution(MANY_TO_ONE).at(&self.binary.span));
            }
        }
        if let (0, Some(j), Some(fill)) = (seen_many, first, fill_many) {
            let Some(other) = one[j].get(step) else { return Ok(()) };
            let sample = SampleValue::Float(fill);
            self.emit(step, group, (None, FILLED, &sample), (Some(&one[j]), j, &other))?;
        }
        Ok(())
    }

    fn emit(
        &mut self,
        step: usize,
        group: usize,
        (many, many_index, many_value): (Option<&Series>, usize, &SampleValue),
        (one, one_index, one_value): (Option<&Series>, usize, &SampleValue),
    ) -> Result<bool, QueryError> {
        let op = self.binary.op;
        let (a, b) = if self.flipped { (one_value, many_value) } else { (many_value, one_value) };
        let Some(outcome) = operators::samples(op, a, b, &mut self.notes) else { return Ok(false) };
        let Some(value) = finished(outcome, self.binary.return_bool) else { return Ok(false) };
        let key = if many_index == FILLED { (FILLED, one_index) } else { (many_index, one_index) };
        let known = match self.latest {
            Some((latest, output)) if latest == key => Some(output),
            _ => self.pairs.get(&key).copied(),
        };
        let output = match known {
            Some(output) => output,
            None => {
                let group_labels = &self.groups[group].labels;
                let many_labels = many.map_or(group_labels, |s| &s.labels);
                let one_labels = one.map_or(group_labels, |s| &s.labels);
                let labels = self.result_labels(many_labels, one_labels);
                let drops = self.binary.return_bool || many.is_some_and(|s| s.drop_name);
                let output = *self.index.entry(labels.clone()).or_insert_with(|| {
                    self.outputs.push(Series::empty(labels, drops, self.steps));
                    self.outputs.len() - 1
                });
                self.pairs.insert(key, output);
                output
            }
        };
        self.latest = Some((key, output));
        if self.outputs[output].has(step) {
            let message = match self.matching.card {
                Cardinality::OneToOne => MANY_TO_ONE,
                _ => "multiple matches for labels: grouping labels must ensure unique matches",
            };
            return Err(QueryError::execution(message).at(&self.binary.span));
        }
        self.outputs[output].set(step, value);
        Ok(true)
    }

    fn result_labels(&self, many: &Labels, one: &Labels) -> Labels {
        let drop_name = drops_name(self.binary.op);
        let one_to_one = self.matching.card == Cardinality::OneToOne;
        let kept = many.retain(|name| {
            let metadata = matches!(name, METRIC_NAME | "__type__" | "__unit__");
            let listed = self.matching.labels.iter().any(|l| l == name);
            let matched = if self.matching.on { listed } else { !listed };
            !(metadata && drop_name) && (!one_to_one || matched)
        });
        if self.matching.include.is_empty() {
            return kept;
        }
        let mut builder = LabelsBuilder::from(&kept);
        for name in &self.matching.include {
            builder.set(name, one.get(name).unwrap_or(""));
        }
        builder.build()
    }

    fn duplicates(&self, group: usize, first: &Series, second: &Series) -> QueryError {
        let side = if self.flipped { "left" } else { "right" };
        let (first, second) = if first.labels <= second.labels { (first, second) } else { (second, first) };
        let message = format!(
            "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
            braces(&self.groups[group].labels),
            braces(&first.labels),
            braces(&second.labels)
        );
        QueryError::execution(message).at(&self.binary.span)
    }
}
