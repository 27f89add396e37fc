//! The language held to vectors and scripts.

mod conformance;
mod vectors;
