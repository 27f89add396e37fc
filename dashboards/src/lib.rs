//! The HTTP API, its OpenAPI document and the embedded web UI.
