//! A small web service that burns CPU per request; standard library only.
fn main() {}
