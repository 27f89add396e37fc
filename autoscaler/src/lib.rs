//! Observe, recommend, guard, record, act, verify; orchestrators and balancers.
//!
//! A round of a service is one pure step, [`plan::step`]: (policy, state, observation, now) → (state′, plan). [`policy`] and
//! [`observation`] are what goes in; [`recommend`] is arithmetic, `level` turns latencies into numbers, [`threshold`] adds in
//! steps, [`schedule`] by the calendar ([`cron`]), [`predict`] looks ahead, `fall` and `guard` hold back what is not safe,
//! [`verify`] asks whether earlier decisions helped, [`state`] (with [`window`]) is all that is remembered.
//!
//! What binds a service from outside its own load is gathered in [`outside`] before a round: needs of services that depend
//! on it ([`dependencies`]), as the loops tell each other on `board`; what is left to it ([`quota`], [`batches`]); closed
//! times ([`freeze_window`]). [`odd_replica`] judges replicas against their siblings, `odd_watch` has them replaced, after
//! the balancers have drained what is `leaving`. [`operations`] is the part of a policy that says so. `leader` sees to it
//! that one process decides, `ledger` adds up what it costs.
//!
//! Around it: `observe` asks the store, [`orchestrator`] is the plug point to what runs services (behind it
//! [`orchestrators`]), [`balancer`] to what spreads load (behind it [`balancers`]), [`health`] checks replicas.
//! `service_loop` drives the rounds of one service, `balance` those of one balancer, `inventory` writes down what runs,
//! `capacity` learns how much a replica carries, `series` writes down what was done, `tickets` tell people; `switches` are
//! turned by people through `view`. [`Autoscaler`] starts and stops all of it from the configuration in [`config`]. [`step`] is the pipeline as a filter for simulators, [`replay`] runs it on a recorded load beside
//! others, of which [`hpa`] is one; [`import`] makes policies of what other scalers were told, [`metrics_api`] answers
//! Kubernetes's metrics APIs. [`testing`] holds a fake orchestrator and the suites that every orchestrator must pass.

mod autoscaler;
mod balance;
pub mod balancer;
pub mod balancers;
pub mod batches;
mod board;
mod capacity;
pub mod config;
pub mod cron;
pub mod dependencies;
pub mod error;
mod fall;
pub mod freeze_window;
mod guard;
pub mod health;
pub mod hpa;
mod http;
pub mod import;
mod inventory;
mod leader;
mod leaving;
mod ledger;
mod level;
mod metrics;
pub mod metrics_api;
pub mod observation;
mod observe;
pub mod odd_replica;
pub mod odd_watch;
pub mod operations;
pub mod orchestrator;
pub mod orchestrators;
pub mod outside;
mod placed;
pub mod placement;
pub mod plan;
mod policies;
pub mod policy;
pub mod predict;
pub mod quota;
pub mod recommend;
pub mod replay;
pub mod schedule;
mod series;
mod service_loop;
pub mod state;
pub mod step;
mod switches;
pub mod testing;
#[cfg(test)]
mod tests;
pub mod threshold;
mod tickets;
pub mod verify;
mod view;
pub mod window;

pub use self::autoscaler::{Autoscaler, AutoscalerDeps};
pub use self::orchestrators::process::ProcessReplica;
