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

/// Places of series. They stand in pages, so that growing never moves more than one page.
#[derive(Debug, Default)]
struct Slots {
    pages: Vec<Vec<Option<Series>>>,
}

/// Places of a page.
const PAGE_SLOTS: usize = 512;

impl Slots {
    fn get(&self, slot: usize) -> Option<&Series> {
        self.pages.get(slot / PAGE_SLOTS)?.get(slot % PAGE_SLOTS)?.as_ref()
    }

    fn get_mut(&mut self, slot: usize) -> Option<&mut Series> {
        self.place(slot)?.as_mut()
    }

    /// A place that was given out, with or without a series.
    fn place(&mut self, slot: usize) -> Option<&mut Option<Series>> {
        self.pages.get_mut(slot / PAGE_SLOTS)?.get_mut(slot % PAGE_SLOTS)
    }

    fn len(&self) -> usize {
        self.pages.last().map_or(0, |last| (self.pages.len() - 1) * PAGE_SLOTS + last.len())
    }

    fn push(&mut self, series: Series) {
        match self.pages.last_mut().filter(|page| page.len() < PAGE_SLOTS) {
            Some(page) => page.push(Some(series)),
            None => self.pages.push(vec![Some(series)]),
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Option<Series>> {
        self.pages.iter().flatten()
    }
}

/// Series by place and by labels.
#[derive(Debug)]
pub(crate) struct Shard {
    number: usize,
    slots: Slots,
    free: Vec<u32>,
    table: HashTable<u32>,
}

impl Shard {
    pub(crate) fn new(number: usize) -> Self {
        Self { number, slots: Slots::default(), free: Vec::new(), table: HashTable::new() }
    }

    /// Its place among the shards.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    pub(crate) fn find(&self, hash: u64, labels: &Labels) -> Option<SeriesId> {
        let slot = self.table.find(hash, |&slot| self.slots.get(slot as usize).is_some_and(|s| s.labels == *labels))?;
        Some(self.id(*slot))
    }

    pub(crate) fn get(&self, id: SeriesId) -> Option<&Series> {
        self.slots.get(id.slot())
    }

    pub(crate) fn get_mut(&mut self, id: SeriesId) -> Option<&mut Series> {
        self.slots.get_mut(id.slot())
    }

    /// Adds a series that is not there; `None` when there is no number left.
    pub(crate) fn insert(&mut self, hash: u64, series: Series) -> Option<SeriesId> {
        let free = self.free.last().and_then(|slot| Some((*slot, self.slots.place(*slot as usize)?)));
        let slot = match free {
            Some((slot, place)) => {
                *place = Some(series);
                self.free.pop();
                slot
            }
            None => {
                let slot = u32::try_from(self.slots.len()).ok().filter(|s| *s < u32::MAX / NUM_SHARDS as u32)?;
                self.slots.push(series);
                slot
            }
        };
        let slots = &self.slots;
        self.table.insert_unique(hash, slot, |&slot| slots.get(slot as usize).map_or(0, |s| s.labels.stable_hash()));
        Some(self.id(slot))
    }

    /// Removes the series for which `unwanted` answers true, and gives them.
    pub(crate) fn remove_where(&mut self, mut unwanted: impl FnMut(&Series) -> bool) -> Vec<(SeriesId, Labels)> {
        let mut removed = Vec::new();
        for index in 0..self.slots.len() {
            let Some(series) = self.slots.place(index).and_then(|place| place.take_if(|s| unwanted(s))) else {
                continue;
            };
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
        self.slots.iter().zip(0u32..).filter_map(|(series, slot)| Some((self.id(slot), series.as_ref()?)))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Series> {
        self.slots.pages.iter_mut().flatten().flatten()
    }

    fn id(&self, slot: u32) -> SeriesId {
        SeriesId(slot * NUM_SHARDS as u32 + self.number as u32)
    }
}
