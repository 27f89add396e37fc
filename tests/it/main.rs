//! Whole-program tests. [`tidy`] needs no server; everything else starts the real binary.

mod browser;
mod closed_loop;
mod configuration;
mod kill9;
mod lifecycle;
mod safety;
mod tidy;
