use ulid::Ulid;
use vocab::TenantId;

use super::*;

/// A description of a block with 100 bytes and 10 samples.
pub(crate) fn meta(number: u64, min_time_ms: i64, max_time_ms: i64) -> BlockMeta {
    let ulid = Ulid::from_parts(number, 0);
    BlockMeta {
        format_version: 1,
        ulid,
        tenant: TenantId::default(),
        min_time_ms,
        max_time_ms,
        num_series: 1,
        num_chunks: 1,
        num_samples: 10,
        level: 0,
        replaces: Vec::new(),
        first_ulid: ulid,
        created_at_ms: 0,
        samples_bytes: 60,
        index_bytes: 40,
        index_crc32c: 0,
    }
}
