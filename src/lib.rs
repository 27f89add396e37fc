//! Tidewatch: watches container platforms, understands what it sees, and acts.
//!
//! This crate is the wiring only: [`cli`] reads the command line, [`config`] puts the rooms' configuration sections together
//! ([`yaml`] finds the line of every mistake), [`app`] builds the rooms, starts them and drains them in reverse, [`admin`] shows
//! the running process to its operator, [`clock`] is the real clock.

pub mod cli;
pub mod clock;
pub mod logging;
pub mod memory;
pub mod yaml;
