//! Blocks: a tenant's samples of some time, immutable, in a folder with `samples.parquet` (one row per chunk), `index` (labels to
//! postings to chunks) and `meta.json`. The formats are described in `docs/formats/block.md`.

mod file_cache;
#[cfg(test)]
mod fuzz;
mod group_cache;
mod index;
mod index_build;
mod index_cache;
mod meta;
mod parquet_file;
mod reader;
mod set;
mod writer;

pub(crate) use index::{BlockIndex, ChunkEntry, ChunkKind, IndexedSeries};
pub(crate) use meta::BlockMeta;
#[cfg(test)]
pub(crate) use meta::FORMAT_VERSION;
pub(crate) use reader::{Block, ChunkReader};
pub(crate) use set::BlockSet;
pub(crate) use writer::{BlockWriter, Identity, SeriesSamples};

/// Name of the file that holds the chunks.
const SAMPLES_FILE: &str = "samples.parquet";

/// Name of the file that says where the chunks of which series are.
const INDEX_FILE: &str = "index";

/// Name of the file that describes the block.
const META_FILE: &str = "meta.json";

#[cfg(test)]
pub(crate) mod tests;
