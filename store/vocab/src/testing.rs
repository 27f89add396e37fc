//! Fakes of the ports and their conformance suites, for the tests of every room.

pub mod clock;

pub use clock::SimClock;
