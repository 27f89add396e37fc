//! What stands behind [`crate::balancer::Balancer`].

pub mod haproxy;
