//! Log patterns: which print statement a line comes from.
//!
//! [`mask`] cuts a line into tokens and replaces what is variable by its form (numbers, addresses, paths, times); [`miner`] gives
//! lines that are then the same one pattern, and merges patterns that differ in one word when several do; [`stage`] stands in front of
//! the store, stamps each record with its pattern's id and notes patterns never seen before.

pub mod mask;
pub mod miner;
pub mod stage;

pub use miner::{Miner, MinerLimits, Seen};
pub use stage::PatternStage;
