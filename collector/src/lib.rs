//! Discovery, scraping, host, containers, HAProxy, log sources.
pub mod exposition;
