//! A fake orchestrator, a clock that runs, and the suite that every orchestrator must pass.

mod clock;
mod conformance;
mod fake;

pub use self::clock::RunningClock;
pub use self::conformance::{Conformance, conformance};
pub use self::fake::FakeOrchestrator;
