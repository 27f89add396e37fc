//! Tidewatch: watches container platforms, understands what it sees, and acts.
//!
//! This crate is the wiring only: [`cli`] reads the command line, [`config`] puts the rooms' configuration sections together
//! ([`yaml`] finds the line of every mistake), [`memory`] sets the budget, [`app`] builds the rooms, starts them and drains them in
//! reverse, [`admin`] and [`self_metrics`] show the running process to its operator, [`signals`] and [`logging`] are its manners,
//! [`client`] is for the subcommands that ask a running one, [`import`] and [`export`] move samples in and out of it,
//! [`clock`] is the real clock, [`autoscale`] runs the planner alone, [`policy_client`], [`policy_import`] and
//! [`k8s_manifest`] are the subcommands of those names.

pub mod admin;
pub mod app;
pub mod autoscale;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
mod disk_share;
pub mod export;
pub mod import;
pub mod k8s_manifest;
pub mod logging;
pub mod memory;
pub mod policy_client;
pub mod policy_import;
pub mod self_metrics;
pub mod signals;
pub mod yaml;
