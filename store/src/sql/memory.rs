//! DataFusion's memory, drawn from the query's share of the budget.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation};

/// A pool in which every byte is taken from the budget.
#[derive(Debug)]
pub(super) struct BudgetPool {
    memory: vocab::MemoryReservation,
    /// Bytes that DataFusion took without asking while the share was used up.
    overdrawn: AtomicUsize,
}

impl BudgetPool {
    /// Takes it as a part of what the query reserves, so that it stands back for others as the query does.
    pub(super) fn new(query: &vocab::MemoryReservation) -> Self {
        Self { memory: query.child(), overdrawn: AtomicUsize::new(0) }
    }
}

impl fmt::Display for BudgetPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(used: {}, limit: {})", self.name(), self.reserved(), self.memory.pool().limit_bytes())
    }
}

impl MemoryPool for BudgetPool {
    fn name(&self) -> &str {
        self.memory.pool().name()
    }

    fn grow(&self, _reservation: &MemoryReservation, additional: usize) {
        if self.memory.try_grow(additional).is_err() {
            self.overdrawn.fetch_add(additional, Ordering::Relaxed);
        }
    }

    fn shrink(&self, _reservation: &MemoryReservation, shrink: usize) {
        let mut overdrawn = self.overdrawn.load(Ordering::Relaxed);
        loop {
            let repaid = overdrawn.min(shrink);
            match self.overdrawn.compare_exchange_weak(
                overdrawn,
                overdrawn - repaid,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return self.memory.shrink(shrink - repaid),
                Err(now) => overdrawn = now,
            }
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.memory
            .try_grow(additional)
            .map_err(|error| DataFusionError::ResourcesExhausted(format!("{}: {error}", reservation.consumer().name())))
    }

    fn reserved(&self) -> usize {
        self.memory.bytes() + self.overdrawn.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.memory.pool().limit_bytes())
    }
}
