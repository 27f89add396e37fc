//! The services that an orchestrator knows by name: those of its configuration and those that somebody asked for and that were there.

use std::collections::BTreeSet;

use parking_lot::Mutex;

/// Most services beside the configured ones that are remembered.
const FOUND_MAX: usize = 10_000;

/// Names of services.
#[derive(Debug, Default)]
pub(crate) struct KnownServices {
    configured: BTreeSet<String>,
    found: Mutex<BTreeSet<String>>,
}

impl KnownServices {
    /// Knows the configured ones from the start.
    pub(crate) fn new<'a>(configured: impl IntoIterator<Item = &'a String>) -> Self {
        Self { configured: configured.into_iter().cloned().collect(), found: Mutex::default() }
    }

    /// All names, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.found.lock().union(&self.configured).cloned().collect()
    }

    /// Remembers a service that was found, while there is room; whether it is a new one.
    pub(crate) fn remember(&self, service: &str) -> bool {
        let mut found = self.found.lock();
        !self.configured.contains(service) && found.len() < FOUND_MAX && found.insert(service.to_owned())
    }

    /// Forgets a service that is gone; a configured one stays.
    pub(crate) fn forget(&self, service: &str) {
        self.found.lock().remove(service);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn found_ones_come_and_go_and_configured_ones_stay() {
        let known = KnownServices::new(&["b".to_owned()]);
        assert!(known.remember("a") && !known.remember("a") && !known.remember("b"));
        assert_eq!(known.names(), ["a", "b"]);
        known.forget("a");
        known.forget("b");
        assert_eq!(known.names(), ["b"]);
    }

    #[test]
    fn the_number_of_found_ones_is_bounded() {
        let known = KnownServices::default();
        let new = (0..FOUND_MAX + 5).filter(|n| known.remember(&n.to_string())).count();
        assert_eq!((new, known.names().len()), (FOUND_MAX, FOUND_MAX));
    }
}
