//! Whole-program tests. [`tidy`] needs no server; everything else starts the real binary.

#![allow(clippy::panic, clippy::print_stdout, reason = "helpers of tests, not production code")]

mod adoption;
mod browser;
mod closed_loop;
mod configuration;
mod kill9;
mod lifecycle;
mod memory_limit;
mod odd_replica;
mod one_build;
mod safety;
mod shared_catalog;
mod tidy;
mod volume;
