//! What every call across a port carries.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use crate::budget::MemoryReservation;
use crate::cancel::Cancel;
use crate::tenant::TenantId;

/// Tenant, cancellation and memory of one request.
#[derive(Debug, Clone)]
pub struct Ctx {
    /// Whose data.
    pub tenant: TenantId,
    /// Raised when the answer is no longer wanted.
    pub cancel: Cancel,
    /// Where the request's memory is counted; work grows it before it allocates anything large.
    pub memory: Arc<MemoryReservation>,
    /// The coarsest resolution of downsampled data that went into the answer so far, in milliseconds; 0 when only samples did. Clones
    /// share it.
    pub downsampled_ms: Arc<AtomicI64>,
}

impl Ctx {
    /// A context for a tenant that draws on `memory`.
    pub fn new(tenant: TenantId, memory: MemoryReservation) -> Self {
        Self { tenant, cancel: Cancel::new(), memory: Arc::new(memory), downsampled_ms: Arc::default() }
    }

    /// The default tenant with unlimited memory: for tests and one-shot commands.
    pub fn unlimited() -> Self {
        Self::new(TenantId::default(), MemoryReservation::unlimited())
    }
}
