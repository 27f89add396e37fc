//! Tidewatch's own API.

pub(crate) mod alerts;
pub(crate) mod batch;
pub(crate) mod body;
pub(crate) mod cardinality;
pub(crate) mod events;
pub(crate) mod hosts;
pub(crate) mod ingest;
pub(crate) mod ledger;
pub(crate) mod logs;
pub(crate) mod overview;
pub(crate) mod policies;
pub(crate) mod replay;
pub(crate) mod reports;
pub(crate) mod said;
pub(crate) mod scaling;
pub(crate) mod search;
pub(crate) mod services;
pub(crate) mod shapes;
pub(crate) mod sql;
pub(crate) mod system;
mod view;
