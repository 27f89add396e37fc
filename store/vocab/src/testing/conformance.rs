//! What every implementation of a port must do: run against the fake and against the real one.
//!
//! A suite is an async function that takes the port, writes under tenants and names of its own, and panics at the first
//! difference.

mod catalog_suite;
mod metrics_suite;

pub use catalog_suite::catalog;
pub use metrics_suite::metrics;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::testing::{MemCatalog, MemStore, SimClock};

    #[tokio::test]
    async fn the_catalog_in_memory_conforms() {
        let clock = SimClock::at(1_000);
        super::catalog(&MemCatalog::new(Arc::new(clock.clone())), &clock).await;
    }

    #[tokio::test]
    async fn the_metric_store_in_memory_conforms() {
        let store = MemStore::new();
        super::metrics(&store, &store).await;
    }
}
