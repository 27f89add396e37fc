//! How much of a tenant's data a selection reads, for whoever wants to see what its conditions leave out.

use std::collections::BTreeSet;

use vocab::Ctx;
use vocab::ports::query::{Portion, SelectExtent, SelectRequest};

use super::gather::{Part, Search};
use super::run::Sources;
use crate::error::StoreError;

/// Searches as the selection does, and counts what was found and what there is.
pub(crate) fn of(sources: &Sources, ctx: &Ctx, request: &SelectRequest) -> Result<SelectExtent, StoreError> {
    let search = Search {
        matchers: &request.matchers,
        start: request.start_ms,
        end: request.end_ms,
        limit: request.hints.limit,
        part: Part::ALL,
        choice: None,
    };
    let found = super::gather::gather(&sources.head, &sources.blocks, ctx, &search)?;
    let mut extent = SelectExtent::default();
    // Offsets of the chunks in each block that was searched.
    let mut offsets: Vec<Vec<u64>> = found.blocks.iter().map(|_| Vec::new()).collect();
    for series in &found.series {
        let blocks: BTreeSet<u32> = series.chunks.iter().map(|(block, _)| *block).collect();
        extent.series.read += blocks.len() as u64 + u64::from(series.head.is_some());
        for (block, chunk) in &series.chunks {
            offsets[*block as usize].push(chunk.offset);
        }
    }
    for offsets in &mut offsets {
        offsets.sort_unstable();
        extent.chunks.read += offsets.len() as u64;
    }
    extent.series.of = sources.head.tenant(&ctx.tenant).map_or(0, |head| head.num_series() as u64);
    for block in sources.blocks.of(&ctx.tenant) {
        ctx.cancel.check()?;
        extent.blocks.of += 1;
        extent.series.of += block.meta().num_series;
        extent.chunks.of += block.meta().num_chunks;
        let searched = found.blocks.iter().position(|b| b.meta().ulid == block.meta().ulid);
        let offsets = searched.map(|at| offsets[at].as_slice()).unwrap_or_default();
        extent.blocks.read += u64::from(!offsets.is_empty());
        for group in block.row_groups()? {
            let next = offsets.partition_point(|offset| *offset < group.start);
            let is_read = offsets.get(next).is_some_and(|offset| *offset < group.end);
            extent.row_groups =
                Portion { read: extent.row_groups.read + u64::from(is_read), of: extent.row_groups.of + 1 };
        }
    }
    Ok(extent)
}
