//! How a room counts what it does.
//!
//! Each crate has one `metrics.rs` whose struct registers every metric once with its help text. The registry is
//! encoded in the OpenMetrics text format for `/metrics`, and the `self` source of the collector appends that same text
//! to the store, so that both show the same names.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::family::Family;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
pub use prometheus_client::registry::{Metric, Registry};

/// Labels of a metric family: a small vector of pairs.
pub type LabelPairs = Vec<(&'static str, String)>;

/// The process's metric registry; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Telemetry {
    registry: Arc<Mutex<Registry>>,
    shared: Arc<Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>>,
}

impl Telemetry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a metric and hands it back. A counter's name is given without `_total`, which the format adds.
    pub fn register<M: Metric + Clone>(&self, name: &str, help: &str, metric: M) -> M {
        self.registry.lock().register(name, help, metric.clone());
        metric
    }

    /// A crate's struct of metrics, registered by whichever part of the crate asks first and the same for all of them, so
    /// that nothing is registered twice.
    pub fn shared<M: Any + Send + Sync>(&self, register: impl FnOnce(&Self) -> M) -> Arc<M> {
        let mut shared = self.shared.lock();
        if let Some(known) = shared.get(&TypeId::of::<M>()).cloned().and_then(|known| known.downcast().ok()) {
            return known;
        }
        let metrics = Arc::new(register(self));
        shared.insert(TypeId::of::<M>(), Arc::<M>::clone(&metrics));
        metrics
    }

    /// All metrics in the OpenMetrics 1.0 text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail; an encoder error would come from a metric that is at fault, and then what was
        // written so far is still worth having.
        if prometheus_client::encoding::text::encode(&mut text, &self.registry.lock()).is_err()
            && !text.ends_with("# EOF\n")
        {
            text.push_str("# EOF\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_struct_is_registered_once() {
        let telemetry = Telemetry::new();
        let register = |t: &Telemetry| t.register::<Counter>("collector_scrapes", "Scrapes done", Counter::default());
        let (first, second) = (telemetry.shared(register), telemetry.clone().shared(register));
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(telemetry.encode().matches("# HELP").count(), 1);
    }

    #[test]
    fn a_registered_counter_is_shown_with_its_help() {
        let telemetry = Telemetry::new();
        let counter: Counter = telemetry.register("collector_scrapes", "Scrapes done", Counter::default());
        counter.inc();
        let text = telemetry.encode();
        assert!(text.contains("# HELP collector_scrapes Scrapes done"), "{text}");
        assert!(text.contains("collector_scrapes_total 1"), "{text}");
    }
}
