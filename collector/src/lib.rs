//! Discovery, scraping, host, containers, HAProxy, log sources.
