//! A part of a tenant's series, found by the hash of their labels.

use hashbrown::HashTable;
use vocab::Labels;

use super::series::Series;

/// Parts of a tenant's head. A power of two; more than the cores that write and read at once.
pub(crate) const NUM_SHARDS: usize = 8;

/// Number of a series inside its tenant: place in the shard and number of the shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SeriesId(pub(crate) u32);

impl SeriesId {
    pub(crate) fn shard(self) -> usize {
        self.0 as usize % NUM_SHARDS
    }

    /// Its place in the shard.
    pub(super) fn slot(self) -> usize {
        self.0 as usize / NUM_SHARDS
    }
}

/// The shard of a label set.
pub(crate) fn shard_of(hash: u64) -> usize {
    // The table uses the low and the top bits.
    (hash >> 32) as usize % NUM_SHARDS
}

/// Series by place and by labels.
#[derive(Debug)]
pub(crate) struct Shard {
    number: usize,
    slots: Vec<Option<Box<Series>>>,
    free: Vec<u32>,
    table: HashTable<u32>,
}

impl Shard {
    pub(crate) fn new(number: usize) -> Self {
        Self { number, slots: Vec::new(), free: Vec::new(), table: HashTable::new() }
    }

    /// Its place among the shards.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    pub(crate) fn find(&self, hash: u64, labels: &Labels) -> Option<SeriesId> {
        let slot = self.table.find(hash, |&slot| {
            self.slots.get(slot as usize).and_then(Option::as_ref).is_some_and(|s| s.labels == *labels)
        })?;
        Some(self.id(*slot))
    }

    pub(crate) fn get(&self, id: SeriesId) -> Option<&Series> {
        self.slots.get(id.slot())?.as_deref()
    }

    pub(crate) fn get_mut(&mut self, id: SeriesId) -> Option<&mut Series> {
        self.slots.get_mut(id.slot())?.as_deref_mut()
    }

    /// Adds a series that is not there; `None` when there is no number left.
    pub(crate) fn insert(&mut self, hash: u64, series: Series) -> Option<SeriesId> {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(Box::new(series));
                slot
            }
            None => {
                let slot = u32::try_from(self.slots.len()).ok().filter(|s| *s < u32::MAX / NUM_SHARDS as u32)?;
                self.slots.push(Some(Box::new(series)));
                slot
            }
        };
        let slots = &self.slots;
        self.table.insert_unique(hash, slot, |&slot| {
            slots.get(slot as usize).and_then(Option::as_ref).map_or(0, |s| s.labels.stable_hash())
        });
        Some(self.id(slot))
    }

    /// Removes the series for which `unwanted` answers true, and gives them.
    pub(crate) fn remove_where(&mut self, mut unwanted: impl FnMut(&Series) -> bool) -> Vec<(SeriesId, Labels)> {
        let mut removed = Vec::new();
        for index in 0..self.slots.len() {
            let Some(series) = self.slots[index].take_if(|s| unwanted(s)) else { continue };
            // A slot's number fits because it was given out as one.
            let slot = index as u32;
            if let Ok(entry) = self.table.find_entry(series.labels.stable_hash(), |&s| s == slot) {
                entry.remove();
            }
            self.free.push(slot);
            removed.push((self.id(slot), series.labels));
        }
        if self.table.is_empty() {
            *self = Self::new(self.number);
        }
        removed
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (SeriesId, &Series)> {
        self.slots.iter().zip(0u32..).filter_map(|(series, slot)| Some((self.id(slot), series.as_deref()?)))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Series> {
        self.slots.iter_mut().filter_map(Option::as_deref_mut)
    }

    fn id(&self, slot: u32) -> SeriesId {
        SeriesId(slot * NUM_SHARDS as u32 + self.number as u32)
    }
}
