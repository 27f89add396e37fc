//! Observe, recommend, guard, record, act, verify; orchestrators and balancers.
