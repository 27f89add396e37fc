//! What one target exposed before: series text → labels and series number, so that a repeated scrape only compares bytes.

use hashbrown::HashTable;
use vocab::Labels;
use vocab::ports::append::SeriesRef;
use xxhash_rust::xxh3::xxh3_64;

/// A series as one target writes it.
#[derive(Debug)]
pub(crate) struct CacheEntry {
    text: Box<[u8]>,
    /// Its labels after relabelling; `None` when relabelling drops it.
    pub(crate) labels: Option<Labels>,
    /// The store's number for it.
    pub(crate) series_ref: SeriesRef,
    /// The last scrape it occurred in.
    round: u64,
    /// Whether its disappearance is marked.
    tracked: bool,
    /// Whether the store has it: what a failed scrape saw was never written and needs no marker.
    written: bool,
}

/// The series of one target.
#[derive(Debug, Default)]
pub(crate) struct ScrapeCache {
    table: HashTable<usize>,
    entries: Vec<CacheEntry>,
    round: u64,
}

impl ScrapeCache {
    /// Begins a scrape.
    pub(crate) fn begin(&mut self) {
        self.round += 1;
    }

    /// The entry of a series text, if it is known.
    pub(crate) fn find(&self, text: &[u8]) -> Option<usize> {
        let same = |index: &usize| *self.entries[*index].text == *text;
        self.table.find(xxh3_64(text), same).copied()
    }

    /// How the entry that stood behind another one is written: a target writes its series in the same order each time.
    pub(crate) fn text_after(&self, index: Option<usize>) -> &[u8] {
        self.entries.get(index.map_or(0, |index| index + 1)).map_or(&[], |entry| &entry.text)
    }

    /// Adds an entry.
    pub(crate) fn insert(&mut self, text: &[u8], labels: Option<Labels>) -> usize {
        let index = self.entries.len();
        let entry = CacheEntry {
            text: text.into(),
            labels,
            series_ref: SeriesRef::NONE,
            round: 0,
            tracked: false,
            written: false,
        };
        self.entries.push(entry);
        let entries = &self.entries;
        self.table.insert_unique(xxh3_64(text), index, |i| xxh3_64(&entries[*i].text));
        index
    }

    /// Marks an entry as seen in this scrape; `false` when it has been seen in it before.
    pub(crate) fn see(&mut self, index: usize, tracked: bool) -> bool {
        let entry = &mut self.entries[index];
        let first = entry.round != self.round;
        entry.round = self.round;
        entry.tracked = tracked;
        first
    }

    /// An entry.
    pub(crate) fn entry(&self, index: usize) -> &CacheEntry {
        &self.entries[index]
    }

    /// The store has taken an entry's series and gave it this number.
    pub(crate) fn set_ref(&mut self, index: usize, series_ref: SeriesRef) {
        self.entries[index].series_ref = series_ref;
        self.entries[index].written = true;
    }

    /// Series that are due a staleness marker: tracked, and not seen in this scrape.
    pub(crate) fn vanished(&self) -> impl Iterator<Item = &CacheEntry> {
        self.entries.iter().filter(|e| e.round != self.round && e.tracked && e.written)
    }

    /// Everything this scrape saw is taken back: it failed.
    pub(crate) fn forget_round(&mut self) {
        self.round += 1;
    }

    /// Ends a scrape whose markers are written: what was not seen is no longer known.
    pub(crate) fn end(&mut self) {
        if self.entries.iter().all(|e| e.round == self.round) {
            return;
        }
        self.entries.retain(|e| e.round == self.round);
        let entries = &self.entries;
        self.table.clear();
        for (index, entry) in entries.iter().enumerate() {
            self.table.insert_unique(xxh3_64(&entry.text), index, |i| xxh3_64(&entries[*i].text));
        }
    }
}
