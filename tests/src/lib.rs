//! Whole-program tests: real HAProxy, real orchestrator, real browser, faults.
