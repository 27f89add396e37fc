//! Observe, recommend, guard, record, act, verify; orchestrators and balancers.
pub mod balancer;
pub mod balancers;
pub mod config;
pub mod error;
mod fall;
mod guard;
pub mod health;
pub mod observation;
pub mod orchestrator;
pub mod orchestrators;
pub mod plan;
pub mod policy;
pub mod recommend;
pub mod state;
pub mod verify;
pub mod window;
