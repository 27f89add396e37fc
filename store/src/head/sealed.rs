//! Finished chunks of a series.

use std::sync::Arc;

use vocab::TimestampMs;

use super::series::ALLOCATION_BYTES;

/// A finished chunk, shared with queries and with the flush that writes it into a block.
#[derive(Debug, Clone)]
pub(crate) struct SealedChunk {
    pub(crate) min_time: TimestampMs,
    pub(crate) max_time: TimestampMs,
    pub(crate) num_samples: u32,
    /// The flush it belongs to.
    pub(super) generation: u32,
    pub(crate) bytes: Arc<[u8]>,
}

impl SealedChunk {
    pub(super) fn heap_bytes(&self) -> isize {
        (std::mem::size_of::<Self>() + ALLOCATION_BYTES + self.bytes.len()).cast_signed()
    }
}

/// The finished chunks of a series in the order in which they were finished. Of a million new series hardly one has any, so
/// there is a single word for them in the series.
#[derive(Debug, Default)]
pub(super) struct SealedChunks(Option<Box<Held>>);

#[derive(Debug, Default)]
struct Held(Vec<SealedChunk>);

impl SealedChunks {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, SealedChunk> {
        self.0.as_ref().map_or(&[][..], |held| &held.0).iter()
    }

    /// A series has few finished chunks, and there are many series: room is made for one more at a time.
    pub(super) fn push(&mut self, chunk: SealedChunk) {
        let chunks = &mut self.0.get_or_insert_default().0;
        if chunks.len() == chunks.capacity() {
            chunks.reserve_exact(1 + chunks.len() / 4);
        }
        chunks.push(chunk);
    }

    /// Keeps those of later flushes. Gives the bytes freed.
    pub(super) fn drop_flushed(&mut self, generation: u32) -> isize {
        let Some(held) = &mut self.0 else { return 0 };
        let mut freed = 0;
        held.0.retain(|c| {
            let keep = c.generation > generation;
            freed += if keep { 0 } else { c.heap_bytes() };
            keep
        });
        if held.0.is_empty() {
            self.0 = None;
        } else {
            held.0.shrink_to_fit();
        }
        freed
    }
}
