//! Fakes of the ports and their conformance suites, for the tests of every room.
//!
//! [`SimClock`] is moved by hand. [`MemCatalog`], [`MemStore`] and [`MemLogs`] keep everything in memory and mean the same
//! as the real ones: the suites in [`conformance`] are run against both. [`fuzz`] feeds decoders, and
//! [`Postgres`] is a real server for what only a real one shows.

pub mod catalog;
pub mod clock;
pub mod conformance;
pub mod fuzz;
pub mod logs;
pub mod postgres;
pub mod store;

pub use catalog::{MemCatalog, Outage};
pub use clock::SimClock;
pub use logs::MemLogs;
pub use postgres::Postgres;
pub use store::{FragmentRunner, MemStore};
