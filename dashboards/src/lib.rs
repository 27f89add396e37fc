//! The HTTP API, its OpenAPI document and the embedded web UI.
//!
//! Reading order: [`config`] says where and for whom to listen; `app` is what every handler shares; `security` decides
//! who may call; `run` evaluates queries off the async threads; `prometheus` answers as Prometheus does; `api` is
//! Tidewatch's own; `live` pushes what happens; `ui` serves the web app; `router` puts the routes and the OpenAPI
//! document together and `server` listens; `stream` hands on answers while they are made; [`chunk`] is how Prometheus
//! packs samples, [`block`] how it stores them, [`transfer`] how they travel, [`openmetrics`] how they
//! stand in a text. Only `error` knows which kind of error has which status code.

mod api;
mod app;
pub mod block;
pub mod chunk;
pub mod config;
mod error;
mod live;
mod metrics;
pub mod openmetrics;
mod params;
mod prometheus;
mod router;
mod run;
mod security;
mod server;
mod stream;
pub mod transfer;
mod ui;

#[cfg(test)]
mod tests;

pub use app::Ports;
pub use config::{AuthTokens, ServerConfig};
pub use server::{Server, ServerError};
