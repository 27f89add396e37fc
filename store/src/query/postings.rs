//! From matchers to sets of series numbers, over any index that knows postings.

use roaring::RoaringBitmap;
use vocab::{MatchOp, Matcher};

use crate::error::StoreError;

/// With at most this many candidates their labels are compared directly instead of scanning the values of a label.
const CANDIDATES_COMPARED_MAX: u64 = 64;

/// What an index of labels answers.
pub(crate) trait LabelIndex {
    /// All series.
    fn all(&self) -> Result<RoaringBitmap, StoreError>;

    /// Series that have exactly this pair.
    fn with_value(&self, name: &str, value: &str) -> Result<RoaringBitmap, StoreError>;

    /// Series that have the label with a value for which `wanted` answers true.
    fn with_values(&self, name: &str, wanted: &mut dyn FnMut(&str) -> bool) -> Result<RoaringBitmap, StoreError>;
}

/// Candidates, and the matchers that still have to be compared with the labels of each.
#[derive(Debug)]
pub(crate) struct Candidates<'a> {
    pub(crate) series: RoaringBitmap,
    pub(crate) unchecked: Vec<&'a Matcher>,
}

/// Finds the series that satisfy all matchers.
pub(crate) fn resolve<'a>(index: &dyn LabelIndex, matchers: &'a [Matcher]) -> Result<Candidates<'a>, StoreError> {
    let mut series: Option<RoaringBitmap> = None;
    let mut rest = Vec::new();
    for matcher in matchers {
        if matcher.op == MatchOp::Equal && !matcher.value.is_empty() {
            narrow(&mut series, index.with_value(&matcher.name, &matcher.value)?);
        } else {
            rest.push(matcher);
        }
    }
    // Patterns that demand a value narrow down; those that an absent label satisfies only take away, so they come last.
    rest.sort_by_key(|m| m.matches_empty());
    let mut unchecked = Vec::new();
    for matcher in rest {
        if series.as_ref().is_some_and(|s| s.len() <= CANDIDATES_COMPARED_MAX) {
            unchecked.push(matcher);
        } else if matcher.matches_empty() {
            let excluded = index.with_values(&matcher.name, &mut |value| !matcher.matches(value))?;
            let mut all = match series.take() {
                Some(series) => series,
                None => index.all()?,
            };
            all -= excluded;
            series = Some(all);
        } else {
            let found = match matcher.literal_values() {
                Some(values) => {
                    let sets: Result<Vec<_>, _> =
                        values.iter().map(|value| index.with_value(&matcher.name, value)).collect();
                    sets?.into_iter().fold(RoaringBitmap::new(), |all, set| all | set)
                }
                None => index.with_values(&matcher.name, &mut |value| matcher.matches(value))?,
            };
            narrow(&mut series, found);
        }
    }
    let series = match series {
        Some(series) => series,
        None => index.all()?,
    };
    Ok(Candidates { series, unchecked })
}

fn narrow(series: &mut Option<RoaringBitmap>, by: RoaringBitmap) {
    match series {
        Some(series) => *series &= by,
        None => *series = Some(by),
    }
}
