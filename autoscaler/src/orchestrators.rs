//! What stands behind [`crate::orchestrator::Orchestrator`].

pub mod process;
pub mod swarm;
