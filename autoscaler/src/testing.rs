//! A fake orchestrator, and the suite that every orchestrator must pass.

mod conformance;
mod fake;

pub use self::conformance::{Conformance, conformance};
pub use self::fake::FakeOrchestrator;
