//! Label sets: sorted, unique, packed into one allocation.

use std::cmp::Ordering;
use std::fmt;

use arcstr::ArcStr;
use serde::de::Deserializer;
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// The label that holds a series' metric name.
pub const METRIC_NAME: &str = "__name__";

/// An immutable label set, sorted by name, without empty values and without duplicate names.
///
/// All pairs stand in one shared string, each text behind its length, so that cloning costs one reference count,
/// equality is a comparison of bytes, and a million series cost a million allocations, not ten.
/// The lengths are base-64 digits, least significant first, with 0x40 marking that more follow: ASCII, so the buffer
/// stays valid UTF-8 and slices of it need no check. The string's length stands beside its text, not beside the pointer: lists of
/// a million sets are half as large.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(ArcStr);

impl Labels {
    /// The empty label set.
    pub fn empty() -> Self {
        Self(ArcStr::new())
    }

    /// Builds a set from pairs in any order. Empty values are left out; of equal names the last wins.
    pub fn from_pairs<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }

    /// Builds a set from pairs that are already strictly ascending by name and have no empty value.
    ///
    /// Returns `None` when they are not; then use [`Labels::from_pairs`].
    pub fn from_sorted(pairs: &[(&str, &str)]) -> Option<Self> {
        let ascending = pairs.windows(2).all(|w| w[0].0 < w[1].0);
        if !ascending || pairs.iter().any(|p| p.1.is_empty() || p.0.is_empty()) {
            return None;
        }
        let size = pairs.iter().map(|(n, v)| n.len() + v.len() + 6).sum();
        let mut buffer = String::with_capacity(size);
        for (name, value) in pairs {
            push_text(&mut buffer, name);
            push_text(&mut buffer, value);
        }
        Some(Self(buffer.into()))
    }

    /// The pairs in ascending order of name.
    pub fn iter(&self) -> LabelsIter<'_> {
        LabelsIter { rest: &self.0 }
    }

    /// The value of a label, or `None` when the set does not have it.
    pub fn get(&self, name: &str) -> Option<&str> {
        for (n, v) in self.iter() {
            match n.cmp(name) {
                Ordering::Less => {}
                Ordering::Equal => return Some(v),
                Ordering::Greater => return None,
            }
        }
        None
    }

    /// The metric name, or the empty string.
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or("")
    }

    /// Number of labels, the metric name included.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no label at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A hash that is the same on every machine and in every version: series are sharded and fingerprinted by it.
    pub fn stable_hash(&self) -> u64 {
        xxh3_64(self.0.as_bytes())
    }

    /// Bytes that this set occupies on the heap (shared by its clones).
    pub fn heap_bytes(&self) -> usize {
        self.0.len() + 16
    }

    /// The packed form, for keys and for storage; see [`Labels::from_packed`].
    pub fn packed(&self) -> &str {
        &self.0
    }

    /// Checks and takes the packed form back.
    pub fn from_packed(packed: &str) -> Option<Self> {
        let mut rest = packed;
        let mut previous: Option<&str> = None;
        while !rest.is_empty() {
            let (name, after) = take_text(rest)?;
            let (value, after) = take_text(after)?;
            if name.is_empty() || value.is_empty() || previous.is_some_and(|p| p >= name) {
                return None;
            }
            previous = Some(name);
            rest = after;
        }
        Some(Self(packed.into()))
    }

    /// This set without the named labels.
    pub fn without(&self, names: &[&str]) -> Self {
        self.retain(|name| !names.contains(&name))
    }

    /// This set with only the named labels.
    pub fn keep(&self, names: &[&str]) -> Self {
        self.retain(|name| names.contains(&name))
    }

    /// This set without its metric name.
    pub fn without_name(&self) -> Self {
        self.without(&[METRIC_NAME])
    }

    /// This set with only the labels for which `wanted` answers true.
    pub fn retain(&self, mut wanted: impl FnMut(&str) -> bool) -> Self {
        let mut buffer = String::with_capacity(self.0.len());
        for (name, value) in self.iter() {
            if wanted(name) {
                push_text(&mut buffer, name);
                push_text(&mut buffer, value);
            }
        }
        Self(buffer.into())
    }

    /// This set with one label set (or, with an empty value, removed).
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut builder = LabelsBuilder::from(self);
        builder.set(name, value);
        builder.build()
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Prometheus's order of label sets: pair by pair, name before value, a prefix before what continues it.
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.0.as_bytes(), other.0.as_bytes());
        // What both begin with is skipped as bytes; the first text that is not wholly within it decides.
        let same = common_prefix(a, b);
        let mut at = 0;
        loop {
            let (Some((one, after)), Some((two, _))) =
                (self.0.get(at..).and_then(take_text), other.0.get(at..).and_then(take_text))
            else {
                // One of them ended: it is the beginning of the other.
                return a.len().cmp(&b.len());
            };
            let end = a.len() - after.len();
            if end > same {
                return one.cmp(two);
            }
            at = end;
        }
    }
}

/// Shown as in PromQL: `name{a="b", c="d"}`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.metric_name())?;
        let mut separator = "{";
        let mut open = false;
        for (name, value) in self.iter().filter(|(n, _)| *n != METRIC_NAME) {
            write!(f, "{separator}{name}={value:?}")?;
            separator = ", ";
            open = true;
        }
        if open {
            f.write_str("}")
        } else if self.get(METRIC_NAME).is_none() {
            f.write_str("{}")
        } else {
            Ok(())
        }
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = LabelsIter<'a>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = std::collections::BTreeMap::<String, String>::deserialize(deserializer)?;
        Ok(Self::from_pairs(map))
    }
}

/// Iterates over the pairs of a [`Labels`].
#[derive(Debug, Clone)]
pub struct LabelsIter<'a> {
    rest: &'a str,
}

impl<'a> Iterator for LabelsIter<'a> {
    type Item = (&'a str, &'a str);
    fn next(&mut self) -> Option<Self::Item> {
        let (name, after) = take_text(self.rest)?;
        let (value, after) = take_text(after)?;
        self.rest = after;
        Some((name, value))
    }
}

/// Collects labels in any order.
#[derive(Debug, Clone, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match self.pairs.iter_mut().find(|p| p.0 == name) {
            Some(pair) => {
                pair.1.clear();
                pair.1.push_str(value);
            }
            None => self.pairs.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// The value set so far; `None` when absent or removed.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|p| p.0 == name && !p.1.is_empty()).map(|p| p.1.as_str())
    }

    /// Removes a label.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.pairs.retain(|p| p.0 != name);
        self
    }

    /// The pairs set so far, unsorted.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// The finished set.
    pub fn build(&self) -> Labels {
        let mut pairs: Vec<(&str, &str)> = self
            .pairs
            .iter()
            .filter(|p| !p.1.is_empty() && !p.0.is_empty())
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        pairs.sort_unstable();
        // Names are unique because `set` replaces, so the sorted pairs always pass the check.
        Labels::from_sorted(&pairs).unwrap_or_default()
    }
}

impl From<&Labels> for LabelsBuilder {
    fn from(labels: &Labels) -> Self {
        Self { pairs: labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }
}

/// How many bytes two texts have in common at their beginnings.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    const BLOCK: usize = 16;
    let blocks = a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK)).take_while(|(x, y)| x == y).count() * BLOCK;
    blocks + a[blocks..].iter().zip(&b[blocks..]).take_while(|(x, y)| x == y).count()
}

/// Packs label sets one after the other through one buffer, for decoders that meet thousands of them.
#[derive(Debug, Default)]
pub struct LabelsPacker {
    buffer: Vec<u8>,
}

impl LabelsPacker {
    /// Builds a set from pairs that are strictly ascending by name and have no empty name or value.
    ///
    /// Returns `None` when they are not, or when one of them is not UTF-8.
    pub fn pack(&mut self, pairs: &[(&[u8], &[u8])]) -> Option<Labels> {
        self.buffer.clear();
        let mut previous: &[u8] = b"";
        for &(name, value) in pairs {
            if !ascends(previous, name) || value.is_empty() {
                return None;
            }
            previous = name;
            self.push(name);
            self.push(value);
        }
        // The lengths between them are ASCII, so the whole is UTF-8 exactly when each of the texts is.
        std::str::from_utf8(&self.buffer).ok().map(|packed| Labels(ArcStr::from(packed)))
    }

    fn push(&mut self, text: &[u8]) {
        let mut length = text.len();
        while length >= 64 {
            self.buffer.push(0x40 | (length & 0x3f) as u8);
            length >>= 6;
        }
        self.buffer.push(length as u8);
        self.buffer.extend_from_slice(text);
    }
}

/// Whether one text comes before another. Names of labels differ within their first bytes, so this beats a call of `memcmp`.
#[inline]
fn ascends(before: &[u8], after: &[u8]) -> bool {
    match before.iter().zip(after).find(|(a, b)| a != b) {
        Some((a, b)) => a < b,
        None => before.len() < after.len(),
    }
}

fn push_text(buffer: &mut String, text: &str) {
    let mut length = text.len();
    while length >= 64 {
        buffer.push(char::from(0x40 | (length & 0x3f) as u8));
        length >>= 6;
    }
    buffer.push(char::from(length as u8));
    buffer.push_str(text);
}

fn take_text(packed: &str) -> Option<(&str, &str)> {
    let bytes = packed.as_bytes();
    let mut length = 0usize;
    let mut shift = 0u32;
    for (index, &byte) in bytes.iter().enumerate() {
        if byte >= 0x80 || shift > 54 {
            return None;
        }
        length |= usize::from(byte & 0x3f) << shift;
        shift += 6;
        if byte & 0x40 == 0 {
            let start = index + 1;
            let end = start.checked_add(length)?;
            return Some((packed.get(start..end)?, packed.get(end..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shows_itself_as_promql_does() {
        let labels = Labels::from_pairs([("job", "a\"b"), ("__name__", "up"), ("empty", "")]);
        assert_eq!(labels.to_string(), r#"up{job="a\"b"}"#);
        assert_eq!(labels.len(), 2);
        assert_eq!(Labels::empty().to_string(), "{}");
    }

    #[test]
    fn packs_only_what_is_sorted_and_utf8() {
        let mut packer = LabelsPacker::default();
        let mut check = |pairs: &[(&[u8], &[u8])], expect: Option<&str>| {
            assert_eq!(packer.pack(pairs).map(|l| l.to_string()).as_deref(), expect, "{pairs:?}");
        };
        check(&[(b"a", b"1"), (b"b", b"2")], Some(r#"{a="1", b="2"}"#));
        check(&[(b"b", b"1"), (b"a", b"2")], None);
        check(&[(b"a", b"1"), (b"a", b"2")], None);
        check(&[(b"a", b"")], None);
        check(&[(b"", b"1")], None);
        check(&[(b"a", b"\xff")], None);
        // Halves of a character in a name and its value make no whole.
        check(&[(b"\xc3", b"\xa9")], None);
        check(&[], Some("{}"));
    }

    proptest! {
        #[test]
        fn behaves_like_a_sorted_map(pairs in prop::collection::vec((".{1,80}", ".{0,200}"), 0..12)) {
            let model: std::collections::BTreeMap<String, String> = pairs.iter().cloned().collect();
            let model: std::collections::BTreeMap<_, _> = model.into_iter().filter(|(_, v)| !v.is_empty()).collect();
            let labels = Labels::from_pairs(pairs);
            let seen: Vec<_> = labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            prop_assert_eq!(&seen, &model.clone().into_iter().collect::<Vec<_>>());
            for (name, value) in &model {
                prop_assert_eq!(labels.get(name), Some(value.as_str()));
            }
            let packed = Labels::from_packed(labels.packed());
            prop_assert_eq!(packed.as_ref(), Some(&labels));
            let pairs: Vec<(&[u8], &[u8])> = labels.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
            prop_assert_eq!(LabelsPacker::default().pack(&pairs), Some(labels.clone()));
        }

        #[test]
        fn ordered_pair_by_pair(
            a in prop::collection::vec(("[ab]{1,3}", "[ab]{1,70}"), 0..5),
            b in prop::collection::vec(("[ab]{1,3}", "[ab]{1,70}"), 0..5),
            same in prop::bool::ANY,
        ) {
            let (a, b) = (Labels::from_pairs(a), Labels::from_pairs(b));
            let b = if same { a.with("zz", "b") } else { b };
            prop_assert_eq!(a.cmp(&b), a.iter().cmp(b.iter()));
            prop_assert_eq!(b.cmp(&a), b.iter().cmp(a.iter()));
        }

        #[test]
        fn a_damaged_packed_form_never_panics(text in ".{0,60}") {
            if let Some(labels) = Labels::from_packed(&text) {
                prop_assert_eq!(labels.iter().count(), labels.len());
            }
        }
    }
}
