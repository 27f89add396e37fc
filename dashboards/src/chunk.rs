//! Prometheus's chunks: samples of one series, bit by bit, as they stand in its blocks and travel in remote read.

mod bits;
mod histogram;
mod xor;

pub use histogram::{decode_histograms, encode_histograms, histogram_run};
pub use xor::{decode_xor, encode_xor};

use thiserror::Error;

/// Number of a chunk's encoding: floats.
pub const ENCODING_XOR: u8 = 1;
/// Number of a chunk's encoding: integer histograms.
pub const ENCODING_HISTOGRAM: u8 = 2;
/// Number of a chunk's encoding: float histograms.
pub const ENCODING_FLOAT_HISTOGRAM: u8 = 3;
/// Samples of a chunk, as Prometheus cuts them.
pub const CHUNK_SAMPLES: usize = 120;

/// Why a chunk cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ChunkError {
    /// It ends before its last sample does.
    #[error("chunk ends before its last sample does")]
    Short,
    /// A number in it cannot be.
    #[error("chunk holds an impossible number")]
    Number,
}

/// The number of samples, which stands in front, and the rest.
fn count_of(chunk: &[u8]) -> Result<(usize, &[u8]), ChunkError> {
    let (head, rest) = chunk.split_first_chunk::<2>().ok_or(ChunkError::Short)?;
    Ok((usize::from(u16::from_be_bytes(*head)), rest))
}

#[cfg(test)]
mod tests;
