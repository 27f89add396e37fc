//! Inspection reports .
use crate::deps::Shared;
use crate::logs::stage::PatternStore;
use std::sync::Arc;
use vocab::{PortResult, TenantId, TimestampMs};
pub(crate) async fn write(
    _s: &Arc<Shared>,
    _p: &Arc<PatternStore>,
    _t: &TenantId,
    _f: TimestampMs,
    _to: TimestampMs,
    _l: &str,
) -> PortResult<i64> {
    Ok(0)
}
