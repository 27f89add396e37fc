//! How samples become bytes: [`compact`] sample by sample while they arrive, [`dense`] chunk by chunk in blocks.

pub(crate) mod compact;
pub(crate) mod decimal;
pub(crate) mod dense;
mod differences;
pub(crate) mod histogram;
pub(crate) mod shared_times;
mod starts;
mod times;
pub(crate) mod varint;

/// The bytes do not follow the format: damage that a checksum did not catch, or a format from the future.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes do not follow the format: {0}")]
pub struct CodecError(pub(crate) &'static str);

#[cfg(test)]
mod tests;
