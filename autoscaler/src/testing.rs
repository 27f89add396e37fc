//! A fake orchestrator, a clock that runs, and the suite that every orchestrator must pass.
//!
//! [`conformance`] asks every orchestrator for the same; [`faults()`] asks those behind HTTP, whose [`Server`] then misbehaves.

mod clock;
mod conformance;
mod fake;
mod faults;
mod server;

pub use self::clock::RunningClock;
pub use self::conformance::{Conformance, conformance};
pub use self::fake::FakeOrchestrator;
pub use self::faults::{FAULT_TIMEOUT, Faults, faults};
pub use self::server::{Fault, Reply, Request, Server};
