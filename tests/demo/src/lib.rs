//! The closed loop as one command: demo service, HAProxy, load, a report.
