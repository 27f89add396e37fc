//! The language held to vectors and scripts.

mod conformance;
mod memory;
mod notation;
mod script;
mod scripts;
mod vectors;
