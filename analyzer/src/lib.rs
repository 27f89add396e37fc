//! Rules, anomaly scores, forecasts, log patterns, tickets, inspection reports.

pub mod logs;
pub mod template;
