//! Router-level tests over the fakes.
