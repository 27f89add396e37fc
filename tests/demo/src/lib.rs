//! The closed loop on loopback: a service behind HAProxy, load that rises and falls, Tidewatch in the middle.
//!
//! [`scenario`] says how much load for how long; [`load`] drives it; [`haproxy`], [`servers`] and [`swarm`] start what stands
//! around Tidewatch; [`settings`] writes its configuration; [`api`] asks it; [`run`] walks the whole way and gives an
//! [`run::Outcome`] that `make demo` prints and the end-to-end tests assert on.

pub mod api;
pub mod haproxy;
pub mod load;
pub mod run;
pub mod scenario;
pub mod servers;
pub mod settings;
pub mod swarm;
