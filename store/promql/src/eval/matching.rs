//! Keys of label sets, and merging of series that came to have the same labels.

use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::hash_map::Entry;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use vocab::Labels;
use vocab::labels::METRIC_NAME;

use crate::error::QueryError;
use crate::value::Series;

/// What Prometheus says when two series of a vector have the same labels.
pub(crate) const SAME_LABELS: &str = "vector cannot contain metrics with the same labelset";

/// Which labels decide that series belong together.
#[derive(Debug, Clone)]
pub(crate) struct Grouping {
    names: Vec<String>,
    /// Whether the names are those that do not count; the metric name then does not either.
    without: bool,
}

impl Grouping {
    pub(crate) fn new(names: &[String], without: bool) -> Self {
        Self { names: names.to_vec(), without }
    }

    fn counts(&self, name: &str) -> bool {
        let listed = self.names.iter().any(|n| n == name);
        if self.without { !listed && name != METRIC_NAME } else { listed }
    }

    /// The labels that count.
    pub(crate) fn key(&self, labels: &Labels) -> Labels {
        labels.retain(|name| self.counts(name))
    }
}

/// Numbers groups in the order in which they are first seen; looking one up copies nothing.
#[derive(Debug)]
pub(crate) struct GroupIndex {
    grouping: Grouping,
    hasher: DefaultHashBuilder,
    table: HashTable<(u64, usize)>,
    /// The labels of each group.
    pub(crate) keys: Vec<Labels>,
}

impl GroupIndex {
    pub(crate) fn new(grouping: Grouping) -> Self {
        Self { grouping, hasher: DefaultHashBuilder::default(), table: HashTable::new(), keys: Vec::new() }
    }

    /// The number of the group that a label set belongs to.
    pub(crate) fn slot(&mut self, labels: &Labels) -> usize {
        let Self { grouping, hasher, table, keys } = self;
        if grouping.names.is_empty() && !grouping.without && !keys.is_empty() {
            return 0;
        }
        let counted = || labels.iter().filter(|(name, _)| grouping.counts(name));
        let mut state = hasher.build_hasher();
        counted().for_each(|pair| pair.hash(&mut state));
        let hash = state.finish();
        if let Some((_, slot)) = table.find(hash, |(_, slot)| counted().eq(keys[*slot].iter())) {
            return *slot;
        }
        let slot = keys.len();
        keys.push(grouping.key(labels));
        table.insert_unique(hash, (hash, slot), |(hash, _)| *hash);
        slot
    }
}

/// Joins series with the same labels; they must not meet at a step.
pub(crate) fn merge_by_labels(series: Vec<Series>) -> Result<Vec<Series>, QueryError> {
    if series.len() < 2 {
        return Ok(series);
    }
    let mut index: HashMap<Labels, usize> = HashMap::with_capacity(series.len());
    let mut out: Vec<Series> = Vec::with_capacity(series.len());
    for one in series {
        match index.entry(one.labels.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(out.len());
                out.push(one);
            }
            Entry::Occupied(entry) => absorb(&mut out[*entry.get()], one)?,
        }
    }
    Ok(out)
}

fn absorb(into: &mut Series, other: Series) -> Result<(), QueryError> {
    for step in 0..other.floats.len() {
        let Some(value) = other.get(step) else { continue };
        if into.has(step) {
            return Err(QueryError::execution(SAME_LABELS));
        }
        into.set(step, value);
    }
    into.drop_name |= other.drop_name;
    Ok(())
}

/// Labels with the metric name inside the braces.
pub(crate) fn braces(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(n, v)| format!("{n}={}", crate::lexer::quote_text(v))).collect();
    format!("{{{}}}", pairs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_numbered_by_the_labels_that_count() {
        let labels = |job: &str, pod: &str| Labels::from_pairs([("__name__", "m"), ("job", job), ("pod", pod)]);
        let check = |names: &[&str], without: bool, expect: [usize; 4], first: &str| {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            let mut index = GroupIndex::new(Grouping::new(&names, without));
            let series = [labels("a", "1"), labels("a", "2"), labels("b", "1"), labels("a", "")];
            assert_eq!(series.each_ref().map(|l| index.slot(l)), expect, "{names:?}");
            assert_eq!(index.keys[0].to_string(), first);
        };
        check(&["job"], false, [0, 0, 1, 0], "{job=\"a\"}");
        check(&["pod"], true, [0, 0, 1, 0], "{job=\"a\"}");
        check(&[], false, [0, 0, 0, 0], "{}");
        check(&[], true, [0, 1, 2, 3], "{job=\"a\", pod=\"1\"}");
        check(&["pod", "__name__"], false, [0, 1, 0, 2], "m{pod=\"1\"}");
    }
}
