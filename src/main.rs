//! Watches container platforms, understands what it sees, and acts.
fn main() {}
