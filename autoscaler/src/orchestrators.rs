//! What stands behind [`crate::orchestrator::Orchestrator`].
//!
//! [`process`] supervises processes of this machine; the others talk HTTP: [`kubernetes`], [`swarm`], [`marathon`], [`nomad`]
//! and [`webhook`]. `rest` is the bounded call that they share, `retry` says what is tried again and how often, [`access`]
//! where an API is, `breaker` leaves a dead one alone, `known` remembers the
//! services, [`secret`] keeps credentials out of texts. [`sections`] is their configuration put together.

pub mod access;
pub(crate) mod breaker;
pub(crate) mod known;
pub mod kubernetes;
pub mod marathon;
pub mod nomad;
pub mod process;
pub mod rest;
pub(crate) mod retry;
pub mod secret;
pub mod sections;
pub mod swarm;
pub mod webhook;
