//! Which series of a tenant's head have which labels.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use hashbrown::HashMap;
use roaring::RoaringBitmap;
use vocab::Labels;

use super::NO_HOUR;
use super::churn::Churn;
use crate::error::StoreError;
use crate::query::postings::LabelIndex;

/// A set of series numbers: most label values occur in few series, for which a bitmap would be too large.
#[derive(Debug)]
enum Postings {
    Few(Vec<u32>),
    Many(Box<RoaringBitmap>),
}

/// Up to this many numbers stand in a plain vector. Numbers that lie far apart, as those of a pod's series do, cost a bitmap a
/// container each, twenty times as much.
const FEW_MAX: usize = 512;

impl Postings {
    fn insert(&mut self, id: u32) {
        match self {
            Self::Few(ids) if ids.len() < FEW_MAX => ids.push(id),
            Self::Few(ids) => {
                let mut bitmap: RoaringBitmap = ids.iter().copied().collect();
                bitmap.insert(id);
                *self = Self::Many(Box::new(bitmap));
            }
            Self::Many(bitmap) => {
                bitmap.insert(id);
            }
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::Few(ids) => ids.len() as u64,
            Self::Many(bitmap) => bitmap.len(),
        }
    }

    /// Whether nothing is left.
    fn remove(&mut self, id: u32) -> bool {
        match self {
            Self::Few(ids) => {
                ids.retain(|&i| i != id);
                ids.is_empty()
            }
            Self::Many(bitmap) => {
                bitmap.remove(id);
                bitmap.is_empty()
            }
        }
    }

    fn add_to(&self, set: &mut RoaringBitmap) {
        match self {
            Self::Few(ids) => set.extend(ids.iter().copied()),
            Self::Many(bitmap) => *set |= &**bitmap,
        }
    }
}

/// Postings by label name and value.
#[derive(Debug)]
pub(super) struct HeadIndex {
    names: HashMap<Box<str>, HashMap<Box<str>, Postings>>,
    all: RoaringBitmap,
    churn: Churn,
    hour: Arc<AtomicI64>,
}

impl HeadIndex {
    pub(super) fn new(hour: &Arc<AtomicI64>) -> Self {
        let (names, all, churn) = (HashMap::new(), RoaringBitmap::new(), Churn::default());
        Self { names, all, churn, hour: Arc::clone(hour) }
    }

    pub(super) fn churn(&self) -> &Churn {
        &self.churn
    }

    pub(super) fn insert(&mut self, id: u32, labels: &Labels) {
        let hour = self.hour.load(Ordering::Relaxed);
        if hour != NO_HOUR {
            self.churn.note(hour, labels.metric_name());
        }
        self.all.insert(id);
        for (name, value) in labels {
            let values = match self.names.get_mut(name) {
                Some(values) => values,
                None => self.names.entry(name.into()).or_default(),
            };
            match values.get_mut(value) {
                Some(postings) => postings.insert(id),
                None => {
                    values.insert(value.into(), Postings::Few(vec![id]));
                }
            }
        }
    }

    pub(super) fn remove(&mut self, id: u32, labels: &Labels) {
        self.all.remove(id);
        for (name, value) in labels {
            let Some(values) = self.names.get_mut(name) else { continue };
            if values.get_mut(value).is_some_and(|postings| postings.remove(id)) {
                values.remove(value);
                if values.is_empty() {
                    self.names.remove(name);
                }
            }
        }
    }

    /// Names of all labels, unsorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(|n| &**n)
    }

    /// Values of a label with the number of their series, unsorted.
    pub(super) fn value_sizes(&self, name: &str) -> impl Iterator<Item = (&str, u64)> {
        self.names.get(name).into_iter().flat_map(|values| values.iter().map(|(v, postings)| (&**v, postings.len())))
    }

    /// Values of a label, unsorted.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.names.get(name).into_iter().flat_map(|values| values.keys().map(|v| &**v))
    }
}

impl LabelIndex for HeadIndex {
    fn all(&self) -> Result<RoaringBitmap, StoreError> {
        Ok(self.all.clone())
    }

    fn with_value(&self, name: &str, value: &str) -> Result<RoaringBitmap, StoreError> {
        let mut set = RoaringBitmap::new();
        if let Some(postings) = self.names.get(name).and_then(|values| values.get(value)) {
            postings.add_to(&mut set);
        }
        Ok(set)
    }

    fn with_values(&self, name: &str, wanted: &mut dyn FnMut(&str) -> bool) -> Result<RoaringBitmap, StoreError> {
        let mut set = RoaringBitmap::new();
        for (_, postings) in self.names.get(name).into_iter().flatten().filter(|(value, _)| wanted(value)) {
            postings.add_to(&mut set);
        }
        Ok(set)
    }
}
