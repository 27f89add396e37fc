//! What every call across a port carries.

use std::sync::Arc;

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
}

impl Ctx {
    /// A context for a tenant that draws on `memory`.
    pub fn new(tenant: TenantId, memory: MemoryReservation) -> Self {
        Self { tenant, cancel: Cancel::new(), memory: Arc::new(memory) }
    }

    /// The default tenant with unlimited memory: for tests and one-shot commands.
    pub fn unlimited() -> Self {
        Self::new(TenantId::default(), MemoryReservation::unlimited())
    }
}
